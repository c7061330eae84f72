"""A benchmark's document to tables and sentences: who is best, by how much, and what of it could be chance. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from app import readings
from app.present import count, number, plural
from jobs.names import Direction

Document = Mapping[str, Any]
Part = Mapping[str, Any]  # one direction of a document, or one batch of one
REFERENCES: Mapping[str, str] = {"mean": "the average profile", "depth": "depth alone", "ridge": "ridge regression"}
COSTS: Mapping[str, tuple[str, str]] = {  # name in the document: (words, unit)
    "train_s": ("time to train", "s"),
    "predict_s": ("time to translate the judging cells", "s"),
    "peak_mb": ("peak memory", "MB"),
}
_WORDS = {
    "label_pearson": "correlation within each label's cells pooled (Pearson)",
    "label_spearman": "correlation within each label's cells pooled (Spearman)",
    "label_specific_pearson": "the same, average profile taken off",
    "across_pearson": "correlation across labels (Pearson)",
    "across_spearman": "correlation across labels (Spearman)",
    "cluster_ari": "clusters against labels (ARI)",
    "cluster_nmi": "clusters against labels (NMI)",
    "label_transfer": "labels carried over correctly",
}
Standing = Literal["better", "level", "worse"]


def directions(document: Document) -> list[Direction]:
    found = document.get("directions") or {}
    return [d for d in (Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA) if d.value in found]


def score_words(name: str) -> str:
    known = readings.MEANINGS.get(name)
    return known.label if known else _WORDS.get(name, name.replace("_", " "))


def score_names(part: Part) -> list[str]:
    """All scores of a direction, the one that tells about regulation first."""
    names = list(part.get("scores") or {})
    return sorted(names, key=lambda name: name != part.get("main"))


def nulls(document: Document) -> list[str]:
    return [str(c["label"]) for c in document["contenders"] if c.get("null")]


def lines(document: Document, part: Part, name: str) -> pd.DataFrame:
    """A row a contender, the best first: label, value, low, high, sd, n_seeds, null, and gains over each reference.

    part: a direction, or one batch of it. The gain over REF is in columns `gain REF`, `from REF`, `to REF`.
    """
    yardsticks = set(nulls(document))
    rows = []
    for label, scores in part["contenders"].items():
        cell = scores.get(name)
        if cell is None or cell.get("value") is None:
            continue
        low, high = cell.get("interval") or (None, None)
        row = {
            "label": label, "value": cell["value"], "low": low, "high": high, "sd": cell.get("sd"),
            "seeds": len(cell.get("seeds") or ()), "null": label in yardsticks,
        }  # fmt: skip
        for reference in REFERENCES:
            gain = (cell.get("gains") or {}).get(reference) or {}
            least, most = gain.get("interval") or (None, None)
            row |= {f"gain {reference}": gain.get("value"), f"from {reference}": least, f"to {reference}": most}
        rows.append(row)
    columns = ["label", "value", "low", "high", "sd", "seeds", "null"]
    columns += [f"{what} {reference}" for reference in REFERENCES for what in ("gain", "from", "to")]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("value", ascending=False, ignore_index=True)


def seed_points(part: Part, name: str) -> pd.DataFrame:
    """A row a contender and seed: label, seed, value."""
    rows = [
        {"label": label, "seed": str(seed), "value": value}
        for label, scores in part["contenders"].items()
        for seed, value in ((scores.get(name) or {}).get("seeds") or {}).items()
    ]
    return pd.DataFrame(rows, columns=["label", "seed", "value"])


def ceiling(part: Part, name: str) -> float | None:
    given = part.get("ceiling") or {}
    value = given.get("ceiling")
    return float(value) if given.get("score") == name and value is not None else None


def ceiling_note(part: Part, name: str) -> str:
    given = part.get("ceiling") or {}
    return str(given.get("note") or "") if given.get("score") == name else ""


def rivals(document: Document, part: Part, name: str) -> pd.DataFrame:
    """The lines that are no yardsticks, the best first."""
    table = lines(document, part, name)
    return table[~table["null"].astype(bool)].reset_index(drop=True)


def verdict(document: Document, part: Part, name: str) -> str:
    """Who is best at a score and whether that could be chance, in one or two sentences."""
    best = (part.get("best") or {}).get(name) or {}
    label = best.get("label")
    if label is None:
        return "No model could be scored."
    table = lines(document, part, name).set_index("label")
    said = f"{label} is best at {score_words(name)}: {_with_interval(table.loc[label])}"
    level = [other for other in best.get("level_with") or () if other != label]
    if level:
        said += f". The difference to {_listed(level)} could be chance"
    row = table.loc[label]
    if label in set(nulls(document)):
        return f"{said}. No model beats what knows nothing of the cells."
    over = next((r for r in ("ridge", "depth", "mean") if row[f"gain {r}"] == row[f"gain {r}"] and r != label), None)
    if over is not None and row[f"gain {over}"] is not None:
        gain = f"{signed(row[f'gain {over}'])} ({signed(row[f'from {over}'])} to {signed(row[f'to {over}'])})"
        said += f". Over {REFERENCES[over]}: {gain}"
    return f"{said}."


def _with_interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None or row["low"] != row["low"]:
        return number(row["value"], digits=3)
    return f"{number(row['value'], digits=3)} ({number(row['low'], digits=3)}–{number(row['high'], digits=3)})"


def _listed(names: Sequence[str], *, most: int = 4) -> str:
    shown = list(names[:most]) + ([f"{len(names) - most} others"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def signed(value: float | None) -> str:
    """+0.012, −0.003; – where it is not known."""
    if value is None or value != value:
        return "–"
    text = number(value, digits=3)
    return text if text.startswith("−") else f"+{text}"


def pairs(part: Part, name: str) -> pd.DataFrame:
    """Every ordered pair: a, b, value (a − b), low, high, standing of a against b; empty where none was worked out."""
    rows = []
    for pair in (part.get("differences") or {}).get(name) or ():
        low, high = pair.get("interval") or (None, None)
        value = pair.get("value")
        if value is None:
            continue
        rows.append(_pair(pair["a"], pair["b"], value, low, high))
        turned = (None, None) if low is None or high is None else (-high, -low)
        rows.append(_pair(pair["b"], pair["a"], -value, *turned))
    return pd.DataFrame(rows, columns=["a", "b", "value", "low", "high", "standing"])


def _pair(a: str, b: str, value: float, low: float | None, high: float | None) -> dict[str, Any]:
    standing: Standing = "level"
    if low is not None and high is not None:
        standing = "better" if low > 0 else "worse" if high < 0 else "level"
    return {"a": a, "b": b, "value": value, "low": low, "high": high, "standing": standing}


def wins(table: pd.DataFrame) -> str:
    """The finding of a win matrix: who is better than how many beyond chance."""
    if table.empty:
        return "No pair was compared"
    tally = table[table["standing"] == "better"].groupby("a").size().sort_values(ascending=False)
    others = table["a"].nunique() - 1
    if tally.empty:
        return "No model is better than another beyond chance"
    first = [str(name) for name in tally.index[tally == tally.iloc[0]]]
    verb, names = "is" if len(first) == 1 else "are each", _listed(first)
    return (
        f"{names[0].upper()}{names[1:]} {verb} better than {tally.iloc[0]} of {plural(others, 'other')}, beyond chance"
    )


def costs(document: Document, part: Part, name: str) -> pd.DataFrame:
    """A row a contender with its costs, and its value of one score: label, value, null, train_s …, device, threads."""
    scored = lines(document, part, name).set_index("label")["value"].to_dict()
    rows = [
        {"label": c["label"], "value": scored.get(c["label"]), "null": bool(c.get("null"))}
        | {cost: c["costs"].get(cost) for cost in (*COSTS, "epochs", "device", "threads", "resumed")}
        for c in document["contenders"]
    ]
    return pd.DataFrame(rows)


def recipes(document: Document) -> pd.DataFrame:
    """A row a contender: what it is, what was changed, and with how many seeds."""
    return pd.DataFrame(
        [
            {
                "contender": c["label"],
                "model": c["model"],
                "changed from the defaults": ", ".join(f"{k}={v}" for k, v in (c.get("settings") or {}).items()) or "–",
                "seeds": len(c.get("seeds") or ()),
                "all settings as used": ", ".join(f"{k}={v}" for k, v in (c.get("recipe") or {}).items()) or "–",
            }
            for c in document["contenders"]
        ]
    )


def variants(document: Document) -> dict[str, list[str]]:
    """Models that took part more than once, such as published and tuned: labels by model."""
    found: dict[str, list[str]] = {}
    for c in document["contenders"]:
        found.setdefault(str(c["model"]), []).append(str(c["label"]))
    return {model: labels for model, labels in found.items() if len(labels) > 1}


def every_score(document: Document) -> pd.DataFrame:
    """The long table behind the page: a row a direction, score and contender, and one a batch."""
    frames = []
    for which in directions(document):
        part = document["directions"][which.value]
        whole: list[tuple[str, Part]] = [("all", part), *(part.get("batches") or {}).items()]
        for batch, each in whole:
            for name in score_names(part):
                table = lines(document, each, name)
                if not table.empty:
                    frames.append(table.assign(direction=which.value, batch=batch, score=name))
    if not frames:
        return pd.DataFrame(columns=["direction", "batch", "score", "label"])
    table = pd.concat([f.astype(object) for f in frames], ignore_index=True)
    first = ["direction", "batch", "score", "label"]
    return table[[*first, *(c for c in table.columns if c not in first)]]


def released(document: Document, which: Direction) -> pd.DataFrame:
    """Ours beside scores of the peers' own code, where they were given: one direction's rows."""
    rows = [
        {
            "model": line["label"],
            "score": score_words(row["score"]),
            "here": row["ours"],
            "their own code": row["released"],
            "difference": row["difference"],
            "SD of ours": row["sd"],
        }
        for line in (document.get("peers") or {}).get("lines", ())
        for row in line["rows"]
        if row["direction"] == which.value
    ]
    return pd.DataFrame(rows, columns=["model", "score", "here", "their own code", "difference", "SD of ours"])


def data_line(document: Document) -> str:
    """6,000 cells trained, 900 chose, 1,717 judged · 1,627 genes · 18,918 peaks · 3 seeds."""
    data = document["data"]
    cells = data["cells"]
    judged = "test" if data.get("part", "test") == "test" else "valid"
    parts = [
        f"{count(cells['train'])} cells trained, {count(cells['valid'])} chose, {count(cells[judged])} judged",
        plural(data["genes"], "gene"),
        plural(data["peaks"], "peak"),
        plural(len(document.get("seeds") or ()), "seed"),
    ]
    return " · ".join(parts)


def failures(document: Document) -> list[str]:
    """Trainings that ended badly, one sentence each; the same trouble of several seeds once."""
    said = {
        f"{f.get('label', '')} took no part: {f.get('message', '')} {f.get('hint', '')}".strip(): None
        for f in document.get("failures") or ()
    }
    return list(said)
