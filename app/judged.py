"""Each score's verdict in words: against its nulls, and on how many genes or peaks it beats the average. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from app import present, readings
from jobs.names import Direction

NULLS: Mapping[str, str] = {"mean": "the average profile", "depth": "depth alone", "raw": "the cell's own counts"}
# Columns of the table of genes or peaks, by the score that is their mean.
OF_FEATURES: Mapping[str, str] = {
    "peak_auroc": "auroc",
    "peak_auroc_depth_adjusted": "auroc_depth_adjusted",
    "peak_auprc": "auprc",
    "gene_pearson": "pearson",
    "gene_spearman": "spearman",
}


def table(report: Mapping[str, Any], features: pd.DataFrame, which: Direction) -> pd.DataFrame:
    """Every score with its interval, nulls, ceiling, n, and what to make of it."""
    found = readings.readings(report)
    rows = readings.score_table(found)
    thing = present.row(which.target)
    for row, (name, reading) in zip(rows, found.items(), strict=True):
        row["verdict"] = verdict(report, reading)
        above, tested = beaten(features, name) or (0, 0)
        row[f"{thing}s above the average"] = f"{present.count(above)} of {present.count(tested)}" if tested else ""
    return pd.DataFrame(rows)


def verdict(report: Mapping[str, Any], reading: readings.Reading) -> str:
    """Clearly better than the average profile and depth alone: by the intervals of the differences."""
    gains = ((report.get("scores") or {}).get(reading.name) or {}).get("gains") or {}
    clear, unsure, behind = [], [], []
    for null, value in reading.nulls.items():
        gain = gains.get(null) or {}
        low = (gain.get("interval") or (None, None))[0]
        words = NULLS.get(null, null)
        if reading.value <= value:
            behind.append(words)
        elif low is not None and math.isfinite(low) and low > 0:
            clear.append(words)
        else:
            unsure.append(words)
    if not (clear or unsure or behind):
        return ""
    parts = [
        *([f"clearly better than {_listed(clear)}"] if clear else []),
        *([f"better than {_listed(unsure)}, but too few cells to be sure"] if unsure else []),
        *([f"no better than {_listed(behind)}"] if behind else []),
    ]
    said = "; ".join(parts)
    return said[0].upper() + said[1:]


def _listed(words: list[str]) -> str:
    return " and ".join(words)


def beaten(features: pd.DataFrame, score: str) -> tuple[int, int] | None:
    """On how many genes or peaks the score lies above the average profile's, and of how many; None of other scores.

    A score of the average profile that is not defined counts as chance.
    """
    column = OF_FEATURES.get(score)
    if column is None or column not in features or f"{column}_null_mean" not in features:
        return None
    meaning = readings.MEANINGS.get(score)
    own = pd.to_numeric(features[column], errors="coerce")
    null = pd.to_numeric(features[f"{column}_null_mean"], errors="coerce").fillna(meaning.neutral if meaning else 0.0)
    tested = own.notna()
    return int((own[tested] > null[tested]).sum()), int(tested.sum())
