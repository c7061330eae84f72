"""ROC and precision–recall curves as few points, for charts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTS = 400


@dataclass(frozen=True)
class Curve:
    """A curve of at most a few hundred points from (0, 0) to (1, 1).

    fpr, tpr: false and true positive rates. precision: at the same thresholds; the first is that of the highest score.
    """

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    precision: tuple[float, ...]

    def as_dict(self) -> dict[str, list[float]]:
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Curve:
        return cls(*(tuple(float(v) for v in given[name]) for name in ("fpr", "tpr", "precision")))


def roc(scores: NDArray[Any], positives: NDArray[Any], *, points: int = POINTS) -> Curve:
    """The curve of one set of scores, any shape. Ties are one step; empty where a class is missing."""
    score, hit = np.asarray(scores).ravel(), np.asarray(positives).ravel().astype(bool)
    order = np.argsort(-score, kind="stable")
    last = np.append(np.nonzero(np.diff(score[order]))[0], len(score) - 1)
    found = np.cumsum(hit[order])[last]
    return curve_from_counts(found, last + 1, positives=int(hit.sum()), total=len(score), points=points)


def curve_from_counts(
    found: NDArray[Any], called: NDArray[Any], *, positives: int, total: int, points: int = POINTS
) -> Curve:
    """Curve from positives found and entries called at each threshold, highest first; the corners are added."""
    negatives = total - positives
    if positives == 0 or negatives == 0:
        return Curve((), (), ())
    found = np.append(found, positives).astype(np.float64)
    called = np.append(called, total).astype(np.float64)
    fpr, tpr, precision = (called - found) / negatives, found / positives, found / called
    keep = _thinned(fpr + tpr, points - 1)
    at = [(0.0, 0.0, float(precision[0]))] + [(float(fpr[i]), float(tpr[i]), float(precision[i])) for i in keep]
    return Curve(*(tuple(round(v, 6) for v in axis) for axis in zip(*at, strict=True)))


def _thinned(along: NDArray[np.float64], points: int) -> list[int]:
    """Places of at most `points` steps, evenly spread along the curve, the last always among them."""
    if len(along) <= points:
        return list(range(len(along)))
    targets = np.linspace(along[0], along[-1], points - 1)
    places = np.minimum(np.searchsorted(along, targets), len(along) - 1)
    return sorted({*places.tolist(), len(along) - 1})
