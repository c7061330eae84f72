"""Whether a predicted 10 % is open one time in ten: slope, Brier score, equal-mass calibration error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.metrics.ranks import Doubles, Integers
from engine.types import Floats

GROUPS = 20  # ours: equal-mass groups of the calibration error and of the reliability curve
SHIFT = 15  # float32 bits dropped: probabilities are counted in steps of 0.4 % of themselves
BINS = (0x3F800000 >> SHIFT) + 1  # up to 1.0
EDGE = 1e-7  # log odds are taken of probabilities at least this far from 0 and 1
ROUNDS = 50


@dataclass(frozen=True)
class Calibration:
    """How predicted probabilities compare with what was seen, over all entries.

    slope, intercept: of a logistic regression of the truth on the predicted log odds; 1 and 0 are perfect, a slope
    below 1 means too sure; None where the prediction is constant. error: mean |predicted − seen| over groups of equal
    size; relative_error: the same over the base rate. groups: (mean predicted, share open, entries).
    """

    slope: float | None
    intercept: float | None
    brier: float
    error: float
    relative_error: float
    groups: tuple[tuple[float, float, int], ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "slope": self.slope,
            "intercept": self.intercept,
            "brier": self.brier,
            "error": self.error,
            "relative_error": self.relative_error,
            "groups": [list(group) for group in self.groups],
        }

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Calibration:
        return cls(**(given | {"groups": tuple((float(a), float(b), int(c)) for a, b, c in given["groups"])}))


@dataclass(eq=False)
class ProbabilityCounter:
    """Streams probabilities into fine bins, and squared errors into cells. within: all were in [0, 1]."""

    cells: int
    within: bool = True
    brier_n: Doubles = field(init=False)
    count: Integers = field(init=False)
    positives: Integers = field(init=False)
    predicted: Doubles = field(init=False)

    def __post_init__(self) -> None:
        self.brier_n = np.zeros(self.cells)
        self.count = np.zeros(BINS, dtype=np.int64)
        self.positives = np.zeros(BINS, dtype=np.int64)
        self.predicted = np.zeros(BINS)

    def add(self, start: int, values_bf: Floats, positive_scores: Floats, indptr: Integers) -> None:
        """Count a row block. positive_scores: of the block's open entries, row after row; indptr: shape (b + 1,)."""
        squares = np.einsum("bf,bf->b", values_bf, values_bf, dtype=np.float64)
        sums = np.concatenate([[0.0], np.cumsum(positive_scores, dtype=np.float64)])
        held = sums[indptr[1:]] - sums[indptr[:-1]]
        self.brier_n[start : start + len(values_bf)] = squares - 2 * held + np.diff(indptr)
        self.within = self.within and bool(values_bf.min() >= 0 and values_bf.max() <= 1)
        if self.within:
            bins = _bins(values_bf)
            self.count += np.bincount(bins, minlength=BINS)
            self.predicted += np.bincount(bins, weights=values_bf.ravel(), minlength=BINS)
            self.positives += np.bincount(_bins(positive_scores), minlength=BINS)

    def result(self, features: int) -> Calibration | None:
        """Calibration of everything counted; None where values were no probabilities or nothing was open."""
        if not self.within or self.positives.sum() == 0:
            return None
        used = self.count > 0
        count, positives = self.count[used].astype(np.float64), self.positives[used].astype(np.float64)
        mean = np.clip(self.predicted[used] / count, EDGE, 1 - EDGE)
        total, base = count.sum(), positives.sum() / count.sum()
        groups = _equal_mass(count, positives, self.predicted[used])
        error = sum(size * abs(predicted - seen) for predicted, seen, size in groups) / total
        slope, intercept = _logistic(np.log(mean / (1 - mean)), count, positives)
        brier = float(self.brier_n.sum() / (self.cells * features))
        return Calibration(slope, intercept, brier, float(error), float(error / base), groups)


def _bins(values: Floats) -> Integers:
    return (np.abs(values).ravel().view(np.uint32) >> SHIFT).astype(np.int64)


def _equal_mass(count: Doubles, positives: Doubles, predicted: Doubles) -> tuple[tuple[float, float, int], ...]:
    """Neighbouring bins joined into groups of about equal size."""
    middle = np.cumsum(count) - 0.5 * count
    group = np.minimum((middle / count.sum() * GROUPS).astype(np.int64), GROUPS - 1)
    size = np.bincount(group, weights=count, minlength=GROUPS)
    held = np.bincount(group, weights=positives, minlength=GROUPS)
    said = np.bincount(group, weights=predicted, minlength=GROUPS)
    return tuple(
        (float(said[i] / size[i]), float(held[i] / size[i]), int(size[i])) for i in range(GROUPS) if size[i] > 0
    )


def _logistic(x: Doubles, count: Doubles, positives: Doubles) -> tuple[float | None, float | None]:
    """Slope and intercept by Newton's method on binned data; None where they are not determined."""
    if np.ptp(x) < 1e-6 or positives.sum() in (0, count.sum()):
        return None, None
    rate = positives.sum() / count.sum()
    centre = float((count * x).sum() / count.sum())
    z, beta = x - centre, np.array([np.log(rate / (1 - rate)), 0.0])
    for _ in range(ROUNDS):
        p = 1 / (1 + np.exp(-np.clip(beta[0] + beta[1] * z, -35, 35)))
        gradient = np.array([(positives - count * p).sum(), (z * (positives - count * p)).sum()])
        w = count * p * (1 - p)
        curvature = np.array([[w.sum(), (w * z).sum()], [(w * z).sum(), (w * z * z).sum()]])
        if not np.linalg.det(curvature) > 0:
            return None, None
        step = np.linalg.solve(curvature, gradient)
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            return float(beta[1]), float(beta[0] - beta[1] * centre)
    return None, None
