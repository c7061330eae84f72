"""Entries put together: means over seeds, gains, differences, batches and costs as one document, benchmark.json.

    schema          1
    title, code_version
    data            part ("test" | "valid"), cells {train, valid, test}, genes, peaks, genome, label_column,
                    labels {name: judging cells}, batch_column, batches {value: judging cells}, filters, data and split
                    (digests)
    seeds           [0, 1, 2]
    contenders      in the order of the tables, nulls first: {label, model, settings, recipe (all settings as used),
                    null (bool), seeds, notes, code (digests of model sources), costs}
      costs         {train_s, train_cpu_s, predict_s, predict_cpu_s, train_peak_mb, peak_mb (above imports), imports_mb,
                    epochs, …} means over seeds; {device, threads}; resumed: some training went on after a stop, so
                    that its seconds are those since
    failures        [{label, seed, code, message, hint}]
    directions      by "atac-to-rna" | "rna-to-atac":
      main          name of the score that tells about regulation
      n, features, scored_features
      ceiling       {score, halves, ceiling, note …}: what was achievable, where counts can be split
      truth_structure  {cluster_ari …}: the truth itself clustered the same way
      scores        {name: group}: every score's name in table order; group "scores" (cells) | "bulk" | "structure"
      contenders    by label: {name: {value (mean over seeds), interval (95 % over cells), sd (over seeds), seeds {…},
                    averaged, undefined, chance, gains {"mean" | "depth" | "ridge": {value, interval}}}}
      spread        by label: mean over features of predicted over true variance
      calibration   by label: {slope, intercept, relative_error …} of the first seed, or null
      best          {name: {label, level_with [labels whose paired difference from it has 0 in its interval]}}
      differences   {name: [{a, b, value (a − b), interval}]} for the main scores, every pair
      batches       {value: {n, contenders {label: {name: {value, interval, sd, gains}}}, best}}
    peers           with released scores beside: see engine.benchmark.peers; null otherwise
    notes           [text]

Numbers that are not known are null. Higher is better in every score; "spread" and calibration slopes are best at 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.benchmark.compare import Compared, Line
from engine.benchmark.entry import EntryResult
from engine.benchmark.peers import against_released
from engine.errors import BadInput
from engine.metrics.ranks import Doubles
from engine.metrics.scores import MAIN
from engine.types import Direction

SCHEMA = 1
NULLS = ("mean", "depth", "celltype-mean")
GAINS_OVER = ("mean", "depth", "ridge")
GROUPS = ("scores", "bulk", "structure")
COSTS = ("train_s", "train_cpu_s", "predict_s", "predict_cpu_s", "train_peak_mb", "peak_mb", "imports_mb", "gpu_mb",
         "epochs", "best_epoch")  # fmt: skip
COMPARED = {
    Direction.ATAC_TO_RNA: ("gene_pearson", "gene_spearman", "cell_pearson", "cell_spearman", "flat_pearson"),
    Direction.RNA_TO_ATAC: ("peak_auroc", "peak_auroc_depth_adjusted", "cell_auroc", "flat_auroc", "flat_auprc"),
}


def assemble(
    entries: Sequence[EntryResult],
    *,
    truth: Mapping[str, Any],
    failures: Sequence[Mapping[str, Any]] = (),
    order: Sequence[str] = (),
    peers: Mapping[str, Any] | None = None,
    title: str = "",
    code_version: str = "",
) -> dict[str, Any]:
    """The report of entries of the same held-out cells.

    truth: `Judge.standing()` of those cells. order: labels as the tables shall show them, nulls coming first anyway.
    peers: scores of released codes by model (engine.benchmark.peers). Raises BadInput where entries judge other cells.
    """
    if not entries:
        raise BadInput("There is no entry to report.", hint="Run `crossview benchmark` first.")
    if len({(e.document["n"], e.document["part"]) for e in entries}) > 1:
        raise BadInput("These entries were scored on different cells.", hint="Use one folder a split.")
    grouped = _grouped(entries, order)
    directions = {d.value: _direction(d, grouped, truth) for d in Direction if _has(entries, d)}
    return {
        "schema": SCHEMA,
        "title": title,
        "code_version": code_version,
        "data": {k: v for k, v in truth.items() if k != "directions"},
        "seeds": sorted({e.document["seed"] for e in entries}),
        "contenders": [_contender(label, found) for label, found in grouped.items()],
        "failures": [dict(failure) for failure in failures],
        "directions": directions,
        "peers": None if peers is None else against_released(grouped, peers),
        "notes": _notes(grouped, truth),
    }


Grouped = dict[str, list[EntryResult]]


def _grouped(entries: Sequence[EntryResult], order: Sequence[str]) -> Grouped:
    """Entries by label: nulls first, then as ordered; seeds ascending."""
    labels = dict.fromkeys([*order, *(e.document["contender"]["label"] for e in entries)])
    found: Grouped = {
        label: sorted(
            (e for e in entries if e.document["contender"]["label"] == label), key=lambda e: int(e.document["seed"])
        )
        for label in labels
    }
    present = [label for label, es in found.items() if es]
    nulls = [label for key in NULLS for label in present if _model(found[label]) == key]
    return {label: found[label] for label in (*nulls, *(label for label in present if label not in nulls))}


def _model(entries: Sequence[EntryResult]) -> str:
    return str(entries[0].document["contender"]["model"])


def _has(entries: Sequence[EntryResult], direction: Direction) -> bool:
    return any(direction.value in e.document["directions"] for e in entries)


def _contender(label: str, entries: Sequence[EntryResult]) -> dict[str, Any]:
    first = entries[0].document
    costs = [e.document["costs"] for e in entries]
    merged: dict[str, Any] = {}
    for name in COSTS:
        values = [c[name] for c in costs if c.get(name) is not None]
        merged[name] = round(float(np.mean(values)), 3) if values else None
    return {
        "label": label,
        "model": first["contender"]["model"],
        "settings": first["contender"]["settings"],
        "recipe": first["recipe"],
        "null": first["contender"]["model"] in NULLS,
        "seeds": [e.document["seed"] for e in entries],
        "notes": first["notes"],
        "code": sorted({e.document["code"] for e in entries}),
        "costs": {
            **merged,
            "device": first["costs"]["device"],
            "threads": first["costs"]["threads"],
            "resumed": any(c["resumed"] for c in costs),
        },
    }


def lines_of(grouped: Grouped, direction: str, group: str, name: str) -> list[Line]:
    """One line a contender that has this score. group: "scores" | "bulk" | "structure" | "batch/VALUE"."""
    out = []
    for label, entries in grouped.items():
        seeds: dict[int, float] = {}
        pulls: list[Doubles] = []
        for entry in entries:
            score = _score(entry, direction, group, name)
            if score is None or score["value"] is None:
                continue
            seeds[int(entry.document["seed"])] = float(score["value"])
            pull = entry.pulls.get(f"{direction}/{group}/{name}")
            if pull is not None:
                pulls.append(pull.astype(np.float64))
        if seeds:
            out.append(Line(label, seeds, np.mean(pulls, axis=0) if len(pulls) == len(seeds) else None))
    return out


def _score(entry: EntryResult, direction: str, group: str, name: str) -> dict[str, Any] | None:
    found = entry.document["directions"].get(direction)
    if found is None:
        return None
    kind, _, value = group.partition("/")
    scores = found["batches"].get(value, {}).get("scores", {}) if kind == "batch" else found[kind]
    score: dict[str, Any] | None = scores.get(name)
    return score


def _direction(direction: Direction, grouped: Grouped, truth: Mapping[str, Any]) -> dict[str, Any]:
    key = direction.value
    present = [e for entries in grouped.values() for e in entries if key in e.document["directions"]]
    names: dict[str, str] = {}
    for group in GROUPS:
        for entry in present:
            names |= {name: group for name in entry.document["directions"][key][group] if name not in names}
    references = _references(grouped)
    compared = {name: Compared.of(lines_of(grouped, key, group, name)) for name, group in names.items()}
    contenders: dict[str, dict[str, Any]] = {label: {} for label in grouped}
    for name, group in names.items():
        for label in compared[name].lines:
            first = next(s for e in grouped[label] if (s := _score(e, key, group, name)) is not None)
            more = {field: first[field] for field in ("averaged", "undefined", "chance")}
            contenders[label][name] = {**_cell(compared[name], label, references), **more}
    contenders = {label: scores for label, scores in contenders.items() if scores}
    standing = truth["directions"][key]
    return {
        "main": MAIN[direction.target],
        "n": present[0].document["n"],
        "features": standing["features"],
        "scored_features": standing["scored_features"],
        "ceiling": standing["ceiling"],
        "truth_structure": standing["truth_structure"],
        "scores": names,
        "contenders": contenders,
        "spread": {label: _mean_of(grouped[label], key, "spread") for label in contenders},
        "calibration": {label: _first(grouped[label], key)["calibration"] for label in contenders},
        "best": {name: c.best(list(c.lines)) for name, c in compared.items()},
        "differences": {
            name: _pairs(compared[name]) for name in COMPARED[direction] if name in compared
        },
        "batches": _batches(key, grouped, references),
    }  # fmt: skip


def _references(grouped: Grouped) -> dict[str, str]:
    """Which line stands for each reference of the gains: the one of that model without settings, else its first."""
    found: dict[str, str] = {}
    for key in GAINS_OVER:
        labels = [label for label, entries in grouped.items() if _model(entries) == key]
        bare = [label for label in labels if not grouped[label][0].document["contender"]["settings"]]
        if labels:
            found[key] = (bare or labels)[0]
    return found


def _cell(compared: Compared, label: str, references: Mapping[str, str]) -> dict[str, Any]:
    line = compared.lines[label]
    low, high = compared.interval(label)
    gains = {
        key: compared.difference(label, other)
        for key, other in references.items()
        if other != label and other in compared.lines
    }
    return {
        "value": line.mean,
        "interval": [low, high],
        "sd": line.sd,
        "seeds": {str(seed): value for seed, value in line.seeds.items()},
        "gains": gains,
    }


def _pairs(compared: Compared) -> list[dict[str, Any]]:
    labels = list(compared.lines)
    return [
        {"a": a, "b": b, **compared.difference(a, b)} for i, a in enumerate(labels) for b in labels[i + 1 :]
    ]  # fmt: skip


def _batches(direction: str, grouped: Grouped, references: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    some = [e.document["directions"][direction] for es in grouped.values() for e in es
            if direction in e.document["directions"]]  # fmt: skip
    for value, batch in some[0]["batches"].items():
        contenders: dict[str, dict[str, Any]] = {label: {} for label in grouped}
        best = {}
        for name in batch["scores"]:
            compared = Compared.of(lines_of(grouped, direction, f"batch/{value}", name))
            best[name] = compared.best(list(compared.lines))
            for label in compared.lines:
                contenders[label][name] = _cell(compared, label, references)
        found[value] = {
            "n": batch["n"],
            "contenders": {label: scores for label, scores in contenders.items() if scores},
            "best": best,
        }
    return found


def _first(entries: Sequence[EntryResult], direction: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        e.document["directions"][direction] for e in entries if direction in e.document["directions"]
    )
    return found


def _mean_of(entries: Sequence[EntryResult], direction: str, name: str) -> float | None:
    values = [e.document["directions"][direction][name] for e in entries if direction in e.document["directions"]]
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _notes(grouped: Grouped, truth: Mapping[str, Any]) -> list[str]:
    notes = [
        "Intervals are 95 % over the judging cells, of the mean over seeds; gains and differences are paired by cell.",
        "Flattened scores mostly measure the average profile.",
    ]
    if mixed := sorted(label for label, found in grouped.items() if len({e.document["code"] for e in found}) > 1):
        notes.append(f"Seeds of {', '.join(mixed)} were made by different states of the models' sources.")
    if truth["part"] == "valid":
        notes.append("Scored on validation cells, which also chose the models: to choose settings by, not to report.")
    if truth.get("label_column"):
        notes.append(
            f"Pseudobulks and structure go by the column {truth['label_column']!r}. Labels that were made from one of "
            "the two measurements favour what copies that measurement."
        )
    return notes
