"""Groups of cells × genes or peaks: which are asked for, their means, and how they are scaled. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST_FEATURES = 60  # columns of a heatmap; more cannot be read  # ours
MOST_ROWS = 60  # groups or single cells  # ours
A_GROUP = 150  # cells of a group that are decoded, evenly drawn  # ours


def listed(text: str) -> list[str]:
    """Names of a pasted list: by lines, commas, semicolons or blanks; each once. A comma inside a region stays."""
    found = re.split(r"[\s;]+|,(?!\d{3}(?:\D|$))", text.strip())
    return list(dict.fromkeys(name for name in found if name))


def drawn(labels: pd.Series[str]) -> dict[str, list[int]]:
    """Rows of each label's cells, evenly drawn; the largest labels where there are too many."""
    largest = labels.value_counts().index[:MOST_ROWS]
    found: dict[str, list[int]] = {}
    for name in sorted(map(str, largest)):
        rows = np.flatnonzero((labels.astype(str) == name).to_numpy())
        keep = np.linspace(0, len(rows) - 1, min(len(rows), A_GROUP)).astype(int)
        found[name] = [int(i) for i in rows[keep]]
    return found


def means(values_nf: NDArray[np.float64], rows: Sequence[str], features: Sequence[str]) -> pd.DataFrame:
    """A line a row and feature: the mean value, and of how many cells. rows: the row each cell belongs to."""
    frame = pd.DataFrame(values_nf, columns=list(features)).assign(row=list(rows))
    size = frame.groupby("row", sort=True).size().rename("cells").reset_index()
    long = frame.groupby("row", sort=True).mean().reset_index().melt(id_vars="row", var_name="feature")
    return long.merge(size, on="row")


def scaled(table: pd.DataFrame) -> pd.DataFrame:
    """Each feature from its lowest row at 0 to its highest at 1; 0 where all rows are equal."""
    low = table.groupby("feature")["value"].transform("min")
    span = table.groupby("feature")["value"].transform("max") - low
    return table.assign(value=((table["value"] - low) / span.where(span > 0)).fillna(0.0))
