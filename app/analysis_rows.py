"""Tables of analyses to rows of charts: a dot a row, with its interval, under a label that reads it out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from app.analyses import PROFILES, embedding
from app.present import number

MEAN, TRAINING_MEAN = "mean", "training-mean"
WHAT: Mapping[str, str] = {
    "raw": "measured",
    "imputed": "imputed",
    TRAINING_MEAN: "average training cell",
    MEAN: "average cell",
}
SCORES: Mapping[str, str] = {
    "specific": "what sets the kind apart",
    "pearson": "all values (Pearson)",
    "spearman": "their ranks (Spearman)",
}


def agreement_rows(table: pd.DataFrame, measure: str) -> list[dict[str, Any]]:
    """Each view of the cells on one line a method, with the spread over runs. measure: "ari" or "nmi"."""
    rows = []
    for key, part in table.groupby(["method", "embedding"], sort=False):
        method, name = map(str, key)
        values = part[measure].dropna()
        if values.empty:
            continue
        low, high = (float(values.min()), float(values.max())) if len(values) > 1 else (None, None)
        rows.append(_row(f"{method_words(method)} in {embedding(name)}", name, float(values.median()), low, high))
    for row in rows:
        row["label"] = f"{capital(row['label'])}: {number(row['value'])}"
    return sorted(rows, key=lambda row: -row["value"])


def imputation_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Imputed, measured and average cells on one axis a score, over all labels."""
    rows = []
    for score, words in SCORES.items():
        part = table[(table["label"].fillna("") == "") & (table["score"] == score)]
        rows += _profiles(part, f"{capital(words)}")
    return rows


def label_rows(table: pd.DataFrame, score: str = "specific") -> list[dict[str, Any]]:
    """The same of one score, a line a label."""
    part = table[(table["label"].fillna("") != "") & (table["score"] == score)]
    rows = []
    for label, own in part.groupby("label", sort=False):
        rows += _profiles(own, str(label))
    return rows


def _profiles(part: pd.DataFrame, words: str) -> list[dict[str, Any]]:
    by = {str(row["profile"]): row for row in records(part)}
    main = next((name for name in ("imputed", "raw") if name in by), "")
    if not main:
        return []
    value, low, high = (float(by[main][name]) for name in ("value", "low", "high"))
    label = f"{words}: {number(value)} ({number(low)}–{number(high)})"
    return [
        _row(label, what, float(by[name]["value"]), *((low, high) if name == main else (None, None)))
        for name, what in WHAT.items()
        if name in by
    ]


def mixing_rows(table: pd.DataFrame, within: str = "") -> list[dict[str, Any]]:
    """Share of chance of each view of the cells, over all cells or within one label, with its interval."""
    rows = []
    for row in records(table[table["within"].fillna("") == within]):
        chance = float(row["expected"]) - 1
        low, high = ((float(row[side]) - 1) / chance if chance > 0 else None for side in ("low", "high"))
        label = f"{capital(embedding(str(row['embedding'])))}: {number(row['scaled'])}"
        rows.append(_row(label, str(row["embedding"]), float(row["scaled"]), low, high))
    return rows


def overlap_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Names shared with the reference by group: measured, imputed, and by chance."""
    rows = []
    for group, part in table.groupby("group", sort=False):
        shared = {PROFILES.get(str(r["profile"]), str(r["profile"])): r["shared"] for r in records(part)}
        said = ", ".join(f"{words} {int(n)}" for words, n in shared.items())
        label = f"{group}: {said} of {int(part['reference'].iloc[0])}"
        rows += [_row(label, words, float(n)) for words, n in shared.items()]
        rows.append(_row(label, "by chance", float(part["expected"].mean())))
    return rows


def _row(label: str, what: str, value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"label": label, "what": what, "value": value, "low": low, "high": high}


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Its rows by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def method_words(name: str) -> str:
    """What a way to find groups is called."""
    return "Leiden" if name == "leiden" else str(name)


def capital(words: str) -> str:
    """As a sentence begins; a name such as scVI stays as it is."""
    return words if any(c.isupper() for c in words.partition(" ")[0]) else words[:1].upper() + words[1:]
