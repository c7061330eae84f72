"""What a prediction of each gene or peak adds to what needs no model: gains over nulls, and skill scores.

A skill score is 1 − error / error of a reference: 1 is perfect, 0 is the reference, below 0 is worse than it
(Murphy, Monthly Weather Review 1988). The reference is the mean null, the average training cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.metrics.ranks import Doubles
from engine.metrics.scores import Table


def over_nulls(own: Table, nulls: Mapping[str, Table], columns: tuple[str, ...], *, chance: float) -> Table:
    """For each column the best null's own score of the feature (`…_null_best`) and the gain over it (`…_gain`).

    The best null is the one with the highest mean over features. One for all of them: the higher of two noisy scores,
    feature by feature, would be a bar above both. Undefined scores count as chance; without nulls chance is the bar.
    Every column of the answer has shape (f,).
    """
    found: Table = {}
    for column in columns:
        mine = filled(own[column], chance)
        theirs = [filled(table[column], chance) for table in nulls.values()]
        best = max(theirs, key=_mean) if theirs else np.full(len(mine), chance)
        found |= {f"{column}_null_best": best, f"{column}_gain": mine - best}
    return found


def _mean(values_f: Doubles) -> float:
    return float(values_f.mean()) if len(values_f) else 0.0


def filled(values: NDArray[Any], chance: float) -> Doubles:
    """The scores with chance where there is none."""
    return np.where(np.isnan(values), chance, values)


def squared_error(predicted_fn: NDArray[Any], truth_fn: NDArray[Any]) -> Doubles:
    """Mean over cells of the squared error of each row, shape (f,); of probabilities, the Brier score."""
    gap_fn = np.subtract(predicted_fn, truth_fn)
    error: Doubles = np.einsum("fn,fn->f", gap_fn, gap_fn, dtype=np.float64) / max(gap_fn.shape[1], 1)
    return error


def skill(error_f: Doubles, reference_f: Doubles) -> Doubles:
    """1 − error over the reference's, shape (f,); NaN where the reference makes no error."""
    made = reference_f > 0
    return np.where(made, 1 - error_f / np.where(made, reference_f, 1.0), np.nan)
