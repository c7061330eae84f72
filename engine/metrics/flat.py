"""Scores over all entries of a cells × features matrix at once, exact at any size.

Only the scores of the positives are kept (as many as the truth has non-zeros); every other entry is counted against
them while it streams past. So AUROC and average precision are exact for any number of entries, in two passes.
Flattened numbers mostly measure the average profile: papers print them, so they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.metrics.curves import Curve, curve_from_counts
from engine.metrics.ranks import Doubles, Integers
from engine.types import Floats

HISTOGRAM_ELEMENTS = 2**26  # ours: cells × bins kept for the interval of average precision (256 MB at most)


@dataclass(eq=False)
class FlatMoments:
    """Sums by cell from which the correlation of the flattened matrices follows. shift: what is taken off first."""

    cells: int
    features: int
    shift: tuple[float, float] | None = None
    sums_n5: Doubles = field(init=False)

    def __post_init__(self) -> None:
        self.sums_n5 = np.zeros((self.cells, 5))

    def add(self, start: int, x_bf: Doubles, y_bf: Doubles) -> None:
        if self.shift is None:
            self.shift = (float(x_bf.mean()), float(y_bf.mean()))
        x, y = x_bf - self.shift[0], y_bf - self.shift[1]
        columns = (x.sum(1), y.sum(1), (x * x).sum(1), (y * y).sum(1), (x * y).sum(1))
        self.sums_n5[start : start + len(x_bf)] = np.stack(columns, axis=1)

    def pearson(self) -> tuple[float, Doubles]:
        """r over all entries (0 where undefined) and each cell's pull on it, shape (n,)."""
        f, total = self.features, self.cells * self.features
        sx, sy, sxx, syy, sxy = self.sums_n5.T
        mx, my = sx.sum() / total, sy.sum() / total
        a_n = sxx - 2 * mx * sx + f * mx * mx
        b_n = syy - 2 * my * sy + f * my * my
        c_n = sxy - mx * sy - my * sx + f * mx * my
        a, b, c = float(a_n.sum()), float(b_n.sum()), float(c_n.sum())
        floor = 1e-12 * total  # constant up to rounding
        if a <= floor * max(mx * mx, 1e-12) or b <= floor * max(my * my, 1e-12):
            return 0.0, np.zeros(self.cells)
        r = c / np.sqrt(a * b)
        return float(r), c_n / np.sqrt(a * b) - 0.5 * r * (a_n / a + b_n / b)


@dataclass(frozen=True, eq=False)
class FlatRanking:
    """AUROC and average precision over all entries, each cell's pull on them, and the curve."""

    auroc: float
    auroc_pull: Doubles
    auprc: float
    auprc_pull: Doubles
    curve: Curve


@dataclass(eq=False)
class FlatCounter:
    """Counts every entry against the sorted scores of the positives.

    positive_scores: in the order of the truth's non-zeros, row after row. indptr: where each cell's positives start.
    """

    positive_scores: Floats
    indptr: Integers
    features: int

    def __post_init__(self) -> None:
        self.order = np.argsort(self.positive_scores, kind="stable")
        self.sorted = self.positive_scores[self.order]
        self.positives = len(self.sorted)
        self.cells = len(self.indptr) - 1
        self.group_first = np.searchsorted(self.sorted, self.sorted, side="left")
        self.group_end = np.searchsorted(self.sorted, self.sorted, side="right")
        self._lower = np.zeros(self.positives + 1, dtype=np.int64)  # entries by the number of smaller positives
        self._upper = np.zeros(self.positives + 1, dtype=np.int64)  # … by the number of positives not larger
        self._beaten_n = np.zeros(self.cells)  # Σ over a cell's entries of positives above, ties half
        self.bins = min(int(np.clip(HISTOGRAM_ELEMENTS // max(self.cells, 1), 32, 1024)), self.positives + 1)
        self._histogram = np.zeros((self.cells, self.bins), dtype=np.int32)

    def add(self, start: int, ascending_bf: Floats) -> None:
        """Count a block of cells' entries, each row sorted ascending."""
        stop = start + len(ascending_bf)
        # Nulls predict all cells alike: one row then stands for the block.
        alike = len(ascending_bf) > 1 and bool((ascending_bf == ascending_bf[0]).all())
        rows, times = (ascending_bf[:1], len(ascending_bf)) if alike else (ascending_bf, 1)
        low, high = self._places(rows)
        size = self.positives + 1
        self._lower += times * np.bincount(low.ravel(), minlength=size)
        self._upper += times * np.bincount(high.ravel(), minlength=size)
        self._beaten_n[start:stop] = self.features * self.positives - 0.5 * (low.sum(1) + high.sum(1))
        edges = np.append(self._edges(), size)
        self._histogram[start:stop] = np.stack([np.diff(np.searchsorted(row, edges)) for row in high])

    def _places(self, ascending_bf: Floats) -> tuple[Integers, Integers]:
        """Number of positives below, and of those not above, each entry."""
        low = np.searchsorted(self.sorted, ascending_bf, side="left")
        if not self.positives:
            return low, low
        at = np.minimum(low, self.positives - 1)
        high, tied = low.copy(), self.sorted[at] == ascending_bf
        high[tied] = self.group_end[at[tied]]
        return low, high

    def _edges(self) -> Integers:
        """First place of each bin of the positives' ranks; no bin is empty."""
        return (np.arange(self.bins, dtype=np.int64) * (self.positives + 1)) // self.bins

    def result(self) -> FlatRanking:
        """Scores of everything counted; NaN where a class is missing."""
        p, total = self.positives, self.cells * self.features
        if p == 0 or p == total:
            nan, none = float("nan"), np.zeros(self.cells)
            return FlatRanking(nan, none, nan, none, Curve((), (), ()))
        smaller = np.cumsum(self._upper)[:p]  # entries below each sorted positive
        not_larger = np.cumsum(self._lower)[:p]
        positives_below: Doubles = 0.5 * (self.group_first + self.group_end).astype(np.float64)
        won: Doubles = 0.5 * (smaller + not_larger) - positives_below
        auroc, auroc_pull = self._auroc(won, positives_below, total)
        called, found = total - smaller, p - self.group_first
        auprc, auprc_pull = self._auprc(found / called, called.astype(np.float64))
        return FlatRanking(auroc, auroc_pull, auprc, auprc_pull, self._curve(called, total - not_larger, total))

    def _curve(self, called: Integers, called_above: Integers, total: int) -> Curve:
        """Two points a threshold, highest first: before and after the positives that lie on it."""
        steps = np.unique(self.group_first)[::-1]
        found = np.stack([self.positives - self.group_end[steps], self.positives - steps], axis=1).ravel()
        calls = np.stack([called_above[steps], called[steps]], axis=1).ravel()
        some = calls > 0
        return curve_from_counts(found[some], calls[some], positives=self.positives, total=total)

    def _by_cell(self, sorted_values: NDArray[np.float64]) -> Doubles:
        """Sum over each cell's positives of values given in sorted order, shape (n,)."""
        own = np.empty(self.positives)
        own[self.order] = sorted_values
        sums = np.concatenate([[0.0], np.cumsum(own)])
        return np.asarray(sums[self.indptr[1:]] - sums[self.indptr[:-1]])

    def _auroc(self, won: Doubles, positives_below: Doubles, total: int) -> tuple[float, Doubles]:
        p, q = self.positives, total - self.positives
        value = float(won.sum()) / (float(p) * q)
        p_n = np.diff(self.indptr).astype(np.float64)
        by_cell = self._by_cell(won) + self._beaten_n - self._by_cell(p - positives_below)
        pull = (by_cell - value * (p_n * q + p * (self.features - p_n))) / (float(p) * q)
        return value, pull

    def _auprc(self, precision: Doubles, called: Doubles) -> tuple[float, Doubles]:
        """Average precision; the pull of the entries called is taken in bins of the positives' ranks."""
        p = self.positives
        value = float(precision.mean())
        p_n = np.diff(self.indptr)
        lifts = np.concatenate([[0.0], np.cumsum(1.0 / called)])[self.group_end]
        costs = np.concatenate([[0.0], np.cumsum(precision / called)])
        edges = self._edges()
        held = np.add.reduceat(self._upper, edges)
        cost = np.add.reduceat(costs * self._upper, edges) / np.maximum(held, 1)
        pull = (self._by_cell(precision + lifts) - value * p_n - self._histogram @ cost) / p
        return value, pull
