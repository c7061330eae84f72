"""What the columns of a cells table are: labels, numbers, what a model says of its own limits. Pure; whole columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.readings import EXPECTED, NOVELTY, OUTSIDE, USUAL

MOST_LABELS = 60  # more different values than that tell no groups apart on a map  # ours
_NOT_LABELS = frozenset({"barcode", "cell", "name"})


@dataclass(frozen=True)
class Columns:
    """Names of columns, each kind in the order in which it is offered."""

    labels: Sequence[str]
    numbers: Sequence[str]
    doubts: Sequence[str]

    @classmethod
    def of(cls, cells: pd.DataFrame) -> Columns:
        return cls(labels(cells), numbers(cells), doubts(cells))


@dataclass(frozen=True)
class Outside:
    """How many of the cells are unlike those the model was trained on."""

    count: int
    of: int

    @property
    def many(self) -> bool:
        """More than two standard deviations above what is called so among cells of the model's own kind."""
        usual = USUAL * self.of
        return self.count > usual + 2 * math.sqrt(usual)


def labels(cells: pd.DataFrame) -> list[str]:
    """Columns that name groups: text, more than one and at most MOST_LABELS different values; kinds of cells first."""
    found = [
        str(name)
        for name in cells.columns
        if name not in _NOT_LABELS
        and pd.api.types.infer_dtype(cells[name], skipna=False) == "string"
        and 1 < cells[name].nunique() <= MOST_LABELS
    ]
    return sorted(found, key=lambda name: (not looks_like_type(name), name))


def looks_like_type(name: str) -> bool:
    """Whether a column of labels seems to name kinds of cells."""
    return any(word in name.lower() for word in ("cell_type", "celltype", "cell type", "label", "ident", "cluster"))


def numbers(cells: pd.DataFrame) -> list[str]:
    """Columns that can colour a map: numbers, but not the maps' own coordinates."""
    return [str(name) for name in cells.columns if "umap" not in str(name) and _finite(cells[name])]


def doubts(cells: pd.DataFrame) -> list[str]:
    """What the model says of its own limits; none where it says nothing.

    A label of the user's own that has such a name is text, and not one of these.
    """
    found = [name for name in (NOVELTY, EXPECTED) if name in cells and _finite(cells[name])]
    flagged = OUTSIDE in cells and bool(len(cells)) and pd.api.types.is_bool_dtype(cells[OUTSIDE])
    return [OUTSIDE, *found] if found and flagged else found


def outside(cells: pd.DataFrame) -> Outside | None:
    """Cells flagged as unlike anything the model has seen; None where the table does not say."""
    return Outside(int(cells[OUTSIDE].sum()), len(cells)) if OUTSIDE in doubts(cells) else None


def _finite(values: pd.Series[float]) -> bool:
    """Whether these are numbers, and any of them is finite."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return numeric and bool(np.isfinite(values.to_numpy(dtype=float)).any())
