"""Leaving out the cells one is least certain of: what the others score on average, by how many are left out.

The curve of kept score by share left out, and the area under it, are those of selective prediction (El-Yaniv & Wiener,
JMLR 2010; Geifman, Uziel & El-Yaniv, ICLR 2019), there with a loss in place of a score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from engine.metrics.ranks import Doubles, Flags

MOST = 0.9  # share left out at most: the mean of the last few cells is noise  # ours


@dataclass(frozen=True, eq=False)
class Abstention:
    """What is kept as more and more cells are left out, the least certain first.

    n: cells. mean_m: mean score of the kept after m were left out, m = 0 … MOST · n; NaN where none of them has a
    score. mean_m[0] is also what leaving out at random gives, whatever the share.
    """

    n: int
    mean_m: Doubles

    @property
    def share_m(self) -> Doubles:
        """Share of the cells left out at each step."""
        shares: Doubles = np.arange(len(self.mean_m)) / max(self.n, 1)
        return shares

    @property
    def everything(self) -> float:
        """Mean score of all cells: the flat line of leaving out at random."""
        return float(self.mean_m[0]) if len(self.mean_m) else float("nan")

    @property
    def area(self) -> float:
        """Mean height of the curve over the shares it covers; above `everything`, the order knows something.

        By the trapezoidal rule, over the steps at which a kept cell has a score. NaN where no cell has one.
        """
        mean = self.mean_m[np.isfinite(self.mean_m)]  # what is undefined lies at the end
        if len(mean) < 2:
            return self.everything
        return float(((mean[1:] + mean[:-1]) / 2).mean())

    def after(self, count: int) -> float:
        """Mean score of the kept once `count` cells are left out; NaN beyond the curve."""
        return float(self.mean_m[count]) if 0 <= count < len(self.mean_m) else float("nan")


def abstention(score_n: ArrayLike, certainty_n: ArrayLike) -> Abstention:
    """The curve of one order of leaving out. score_n, certainty_n: one number a cell, shape (n,).

    Cells equally certain are left out in equal parts, as if drawn at random among them. A cell without a certainty is
    the first to go. A cell without a score (NaN) is left out in its turn like any other, but counts in no mean.
    Raises ValueError when the two differ in length.
    """
    score, certainty = _pair(score_n, certainty_n)
    n = len(score)
    if n == 0:
        return Abstention(0, np.zeros(0))
    order = np.argsort(certainty, kind="stable")
    starts, ordered = _groups(certainty[order]), score[order]
    defined = np.isfinite(ordered)
    steps = np.arange(int(MOST * n + 1e-9) + 1)  # 0.9 × 10 is 9, also where it is 8.999…
    total_m = _kept(np.where(defined, ordered, 0.0), starts, steps)
    count_m = _kept(defined.astype(np.float64), starts, steps)
    some = count_m > 0
    return Abstention(n, np.where(some, total_m / np.where(some, count_m, 1.0), np.nan))


def certainty(expected_n: ArrayLike, novelty_n: ArrayLike) -> Doubles:
    """Ranks of cells, the least certain lowest: by the score expected of them, equals by how little novel they are.

    Only their order means anything. NaN where no score is expected of a cell; a novelty that is unknown counts as none.
    Shape (n,).
    """
    expected, novelty = _pair(expected_n, novelty_n)
    found = np.full(len(expected), np.nan)
    known = np.isfinite(expected)
    pairs = np.column_stack([expected[known], -np.nan_to_num(novelty[known], nan=0.0)])
    found[known] = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    return found


def kept(certainty_n: ArrayLike, share: float) -> Flags:
    """Which cells stay when this share is left out, the least certain first; shape (n,).

    The number left out is rounded to whole cells. Cells equally certain stay or go together, so that fewer may go than
    asked for, and none where all are alike. A cell without a certainty is the first to go.
    Raises ValueError for a share outside 0 … 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"{share} is no share: give 0 … 1.")
    certainty = _certainty(certainty_n)
    if len(certainty) == 0:
        return np.zeros(0, dtype=bool)
    ordered = np.sort(certainty)
    ends = np.append(_groups(ordered), len(ordered))
    gone = int(ends[np.searchsorted(ends, round(share * len(ordered)), side="right") - 1])
    if gone == len(ordered):
        return np.zeros(len(ordered), dtype=bool)
    return np.asarray(certainty >= ordered[gone], dtype=bool)


def _pair(score_n: ArrayLike, certainty_n: ArrayLike) -> tuple[Doubles, Doubles]:
    score, certainty = np.asarray(score_n, dtype=np.float64), _certainty(certainty_n)
    if score.ndim != 1 or score.shape != certainty.shape:
        raise ValueError(f"Scores of shape {score.shape} for certainties of shape {certainty.shape}.")
    return score, certainty


def _certainty(certainty_n: ArrayLike) -> Doubles:
    certainty = np.asarray(certainty_n, dtype=np.float64)
    lowest: Doubles = np.where(np.isnan(certainty), -np.inf, certainty)
    return lowest


def _groups(ascending_n: Doubles) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where each group of equal values starts."""
    return np.flatnonzero(np.append(True, ascending_n[1:] != ascending_n[:-1]))


def _kept(
    ordered_n: Doubles,
    starts: np.ndarray[tuple[int], np.dtype[np.int64]],
    steps: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> Doubles:
    """Sum over the kept after each number of steps; within a group of equals every cell goes by the same part."""
    after = np.append(np.cumsum(ordered_n[::-1])[::-1], 0.0)  # summed from the end: exact where little is left
    bounds = np.append(starts, len(ordered_n))
    sums: Doubles = np.interp(steps, bounds, after[bounds])
    return sums
