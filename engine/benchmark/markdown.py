"""The report as a person reads it: tables by direction, nulls first, best in bold; gains, batches, costs, recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = {
    "atac-to-rna": ("gene_pearson", "gene_spearman", "cell_pearson", "cell_spearman", "flat_pearson"),
    "rna-to-atac": ("peak_auroc_depth_adjusted", "peak_auroc", "peak_auprc", "cell_auroc", "flat_auroc", "flat_auprc",
                    "brier_skill"),
}  # fmt: skip
TITLES = {"atac-to-rna": "ATAC → RNA", "rna-to-atac": "RNA → ATAC"}
WORDS = {
    "gene_pearson": "Pearson per gene",
    "gene_spearman": "Spearman per gene",
    "cell_pearson": "Pearson per cell",
    "cell_spearman": "Spearman per cell",
    "flat_pearson": "Pearson, flattened",
    "peak_auroc_depth_adjusted": "AUROC per peak, depth-adjusted",
    "peak_auroc": "AUROC per peak",
    "peak_auprc": "AUPRC per peak",
    "cell_auroc": "AUROC per cell",
    "cell_auprc": "AUPRC per cell",
    "flat_auroc": "AUROC, flattened",
    "flat_auprc": "AUPRC, flattened",
    "brier_skill": "Brier skill",
    "label_pearson": "Pearson within labels",
    "label_spearman": "Spearman within labels",
    "label_specific_pearson": "Pearson within labels, average profile taken off",
    "across_pearson": "Pearson across labels",
    "across_spearman": "Spearman across labels",
    "cluster_ari": "ARI of clusters",
    "cluster_nmi": "NMI of clusters",
    "label_transfer": "labels carried over",
}
MOST_DIFFERENCES = 6  # contenders whose pairs are shown; the rest is in benchmark.json


def markdown(document: Mapping[str, Any]) -> str:
    """The whole report as GitHub-flavoured markdown."""
    parts = [_head(document)]
    for key, direction in document["directions"].items():
        parts.append(_direction(key, direction, document))
    parts += [_costs(document), _peers(document), _failures(document), _recipes(document), _foot(document)]
    return "\n\n".join(part for part in parts if part) + "\n"


def paper_markdown(document: Mapping[str, Any]) -> str:
    """The data set of a paper: what it printed beside ours, then each benchmark whole."""
    known = document["set"]
    parts = [f"# {known['name']} ({known['organism']}): {known['what']}", document["comparable"]]
    rows = [
        [TITLES[row["direction"]], row["what"], f"{row['printed']:.3f}", row["label"],
         WORDS.get(row["score"], row["score"]), _number(row["ours"], 4), _number(row["sd"], 4)]
        for row in document["printed"]
    ]  # fmt: skip
    if rows:
        head = ["direction", "score", "as printed in the paper", "line", "our score", "ours", "sd over seeds"]
        parts.append("## Cells parted by chance, as the paper did\n\n" + _rows(head, rows))
    else:
        parts.append("The paper's running text prints no score of this data set; its Tables 2 and 3 do.")
    parts += [markdown(found) for found in document["benchmarks"].values()]
    return "\n\n".join(parts) + "\n"


def _head(document: Mapping[str, Any]) -> str:
    data, cells = document["data"], document["data"]["cells"]
    lines = [f"# {document['title'] or 'Benchmark'}", ""]
    lines.append(
        f"{cells['train']:,} training, {cells['valid']:,} validation and {cells['test']:,} test cells; "
        f"{data['genes']:,} genes, {data['peaks']:,} peaks ({data['genome'] or 'genome not known'}). "
        f"Scored on the {'test' if data['part'] == 'test' else 'validation'} cells; "
        f"seeds {', '.join(map(str, document['seeds']))}."
    )
    if data["batches"]:
        named = ", ".join(f"{value} ({n:,} cells)" for value, n in data["batches"].items())
        lines.append(f"Judging batches ({data['batch_column']}): {named}.")
    return "\n".join(lines)


def _direction(key: str, direction: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    parts = [f"## {TITLES[key]}", _ceiling(direction)]
    cells = [name for name in SHOWN[key] if name in direction["scores"]]
    parts.append(_table(direction["contenders"], cells, direction["best"], document))
    parts.append(_gains(direction["contenders"], cells, "ridge", document))
    parts.append(_gains(direction["contenders"], cells, "depth", document))
    others = [name for name, group in direction["scores"].items() if group in ("bulk", "structure")]
    if others:
        kinds = len(document["data"]["labels"])
        parts.append(f"### By label ({document['data']['label_column']}, {kinds} labels): pseudobulks and structure")
        parts.append(_table(direction["contenders"], others, direction["best"], document, spread=direction["spread"]))
        parts.append(_truth_structure(direction))
    parts.append(_calibration(direction, document))
    for value, batch in direction["batches"].items():
        parts.append(f"### {document['data']['batch_column']} {value} ({batch['n']:,} cells)")
        parts.append(_table(batch["contenders"], cells, batch["best"], document))
        parts.append(_gains(batch["contenders"], cells, "ridge", document))
    parts.append(_differences(direction))
    return "\n\n".join(part for part in parts if part)


def _ceiling(direction: Mapping[str, Any]) -> str:
    ceiling = direction["ceiling"]
    counted = f"{direction['scored_features']:,} of {direction['features']:,} features have a score of their own."
    if ceiling["ceiling"] is None:
        return f"{counted} Noise ceiling: {ceiling['note']}"
    return (
        f"{counted} Noise ceiling of {WORDS.get(ceiling['score'], ceiling['score'])}: {ceiling['ceiling']:.3f} "
        f"({ceiling['note']})"
    )


def _table(
    contenders: Mapping[str, Mapping[str, Any]],
    names: Sequence[str],
    best: Mapping[str, Mapping[str, Any]],
    document: Mapping[str, Any],
    *,
    spread: Mapping[str, float | None] | None = None,
) -> str:
    head = ["model", *(WORDS.get(name, name) for name in names)] + (["variance kept"] if spread is not None else [])
    rows = []
    for label, scores in contenders.items():
        row = [_name(label, document)]
        for name in names:
            text = _value(scores.get(name))
            if best.get(name, {}).get("label") == label:
                text = f"**{text}**"
            elif label in best.get(name, {}).get("level_with", ()):
                text += " ="
            row.append(text)
        if spread is not None:
            row.append(_number(spread.get(label), 2))
        rows.append(row)
    return _rows(head, rows)


def _name(label: str, document: Mapping[str, Any]) -> str:
    null = any(c["label"] == label and c["null"] for c in document["contenders"])
    return f"*{label}* (null)" if null else label


def _value(score: Mapping[str, Any] | None) -> str:
    """0.123 [0.120, 0.126] ± 0.001"""
    if score is None or score["value"] is None:
        return "–"
    text = f"{score['value']:.4f}"
    if score["interval"][0] is not None:
        half = (score["interval"][1] - score["interval"][0]) / 2
        text += f" ±{half:.4f}"
    if score["sd"] is not None:
        text += f" (sd {score['sd']:.4f})"
    return text


def _gains(
    contenders: Mapping[str, Mapping[str, Any]], names: Sequence[str], over: str, document: Mapping[str, Any]
) -> str:
    rows = []
    for label, scores in contenders.items():
        gains = [scores.get(name, {}).get("gains", {}).get(over) for name in names]
        if any(gains):
            rows.append([_name(label, document), *(_gain(gain) for gain in gains)])
    if not rows:
        return ""
    return f"Gain over {over}, paired:\n\n" + _rows(["model", *(WORDS.get(name, name) for name in names)], rows)


def _gain(gain: Mapping[str, Any] | None) -> str:
    if gain is None or gain["value"] is None:
        return "–"
    low, high = gain["interval"]
    if low is None:
        return f"{gain['value']:+.4f}"
    text = f"{gain['value']:+.4f} [{low:+.4f}, {high:+.4f}]"
    return f"**{text}**" if low > 0 else text


def _truth_structure(direction: Mapping[str, Any]) -> str:
    found = direction["truth_structure"]
    if not found:
        return ""
    said = ", ".join(f"{WORDS.get(name, name)} {_number(score['value'], 3)}" for name, score in found.items())
    return f"The measured cells themselves, clustered and labelled the same way: {said}."


def _calibration(direction: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    rows = [
        [_name(label, document), _number(found["slope"], 3), _number(found["relative_error"], 3)]
        for label, found in direction["calibration"].items()
        if found is not None
    ]
    if not rows:
        return ""
    head = ["model", "slope (1 is right)", "calibration error over the base rate"]
    return "Calibration of the probabilities (first seed):\n\n" + _rows(head, rows)


def _differences(direction: Mapping[str, Any]) -> str:
    name = direction["main"]
    pairs = direction["differences"].get(name, [])
    scored = {label: scores[name]["value"] for label, scores in direction["contenders"].items() if name in scores}
    shown = set(sorted(scored, key=lambda label: -scored[label])[:MOST_DIFFERENCES])
    rows = [
        [pair["a"], pair["b"], _gain(pair)] for pair in pairs if pair["a"] in shown and pair["b"] in shown
    ]  # fmt: skip
    if not rows:
        return ""
    words = WORDS.get(name, name)
    title = f"Paired differences in {words}, at most the first {MOST_DIFFERENCES}:\n\n"
    return title + _rows(["model", "against", "difference"], rows)


def _costs(document: Mapping[str, Any]) -> str:
    rows = []
    for c in document["contenders"]:
        costs = c["costs"]
        rows.append(
            [
                _name(c["label"], document) + (" †" if costs["resumed"] else ""),
                _number(costs["train_s"], 1),
                _number(costs["train_cpu_s"], 1),
                _number(costs["predict_s"], 2),
                _number(costs["train_peak_mb"], 0),
                _number(costs["epochs"], 0),
                f"{costs['device']}, {costs['threads'] or 'all'} threads",
            ]
        )
    head = ["model", "train s", "train CPU s", "predict s", "peak MB above imports", "epochs", "on"]
    text = "## Costs\n\nMeans over seeds. Seconds are wall seconds on a machine that may have had other work.\n\n"
    text += _rows(head, rows)
    if any(c["costs"]["resumed"] for c in document["contenders"]):
        text += "\n\n† Went on from a checkpoint: its seconds are those since."
    return text


def _peers(document: Mapping[str, Any]) -> str:
    peers = document["peers"]
    if not peers or not peers["lines"]:
        return ""
    parts = ["## Against the released code", peers["note"]]
    for line in peers["lines"]:
        parts.append(f"### {line['label']}: {'passed' if line['passed'] else 'NOT passed'}")
        rows = [
            [
                WORDS.get(row["score"], row["score"]),
                f"{row['ours']:.4f}",
                f"{row['released']:.4f}",
                f"{row['difference']:+.4f}",
                f"{row['sd']:.4f}",
                _judged(row),
            ]
            for row in line["rows"]
        ]
        parts.append(_rows(["score", "ours", "released", "difference", "SD", ""], rows))
    return "\n\n".join(parts)


def _judged(row: Mapping[str, Any]) -> str:
    said = "above" if row["above"] else ("within 2 SD" if row["enough"] else "BELOW")
    return f"{said}, must be above" if row["must_be_above"] and not row["above"] else said


def _failures(document: Mapping[str, Any]) -> str:
    if not document["failures"]:
        return ""
    lines = [f"- {f['label']}, seed {f['seed']}: {f['message']} {f['hint']}".rstrip() for f in document["failures"]]
    return "## Failed\n\n" + "\n".join(lines)


def _recipes(document: Mapping[str, Any]) -> str:
    rows = []
    for c in document["contenders"]:
        changed = ", ".join(f"{k}={v}" for k, v in c["settings"].items()) or "as they are"
        whole = ", ".join(f"{k}={v}" for k, v in c["recipe"].items())
        rows.append([c["label"], c["model"], changed, whole or "none"])
    return "## Recipes\n\n" + _rows(["line", "model", "settings changed", "all settings"], rows)


def _foot(document: Mapping[str, Any]) -> str:
    notes = [
        *document["notes"],
        "±: half of the 95 % interval over cells. sd: standard deviation over seeds. Bold: highest mean; "
        "=: its paired difference from the highest has 0 in its 95 % interval. "
        "Bold gains: the interval lies above 0.",
    ]
    return "## How to read this\n\n" + "\n".join(f"- {note}" for note in notes)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _number(value: Any, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
