"""How many peaks of a cell to expect open, and what an expectation turns out to mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.types import Floats

Doubles = NDArray[np.float64]

STEEPEST = 1.5  # ours; of the slope of depth
KNOTS = 8  # of the curve, at most  # ours
EACH = 60  # open peaks a knot rests on, at least  # ours
FLATTEST = 0.2  # ours: of the curve between two knots; a flat piece would make equals of what the model tells apart
BEYOND = 30.0  # how far the curve goes on, at a slope of one, past its first and last knot
LEAST = 1e-12


def _identity() -> Doubles:
    return np.array([[-BEYOND, BEYOND], [-BEYOND, BEYOND]])


@dataclass(frozen=True, eq=False)
class Level:
    """Expected openings of a peak are raised by depth and then read off a curve.

    offset, slope: log of a cell's expected openings, offset + slope · predicted log depth; a peak has its share of
    them. curve_2k: log of openings expected so, ascending, and log of those found on validation cells; rising, so that
    no order of cells or peaks changes. What is learned of a rare peak from few cells is noise in part, which the curve
    takes back.
    """

    offset: float
    slope: float
    curve_2k: Doubles = field(default_factory=_identity)

    def log_openings(self, depth_n: Floats) -> Floats:
        """Of the cell, all peaks together; same shape as the predicted log depth."""
        return np.asarray(self.offset + self.slope * depth_n, dtype=np.float32)

    def probability(self, share_np: Floats, log_openings_n1: Floats) -> Floats:
        """Of at least one opening, 1 − exp(−openings), shape (n, p)."""
        openings = np.exp(np.interp(_log_expected(share_np, log_openings_n1), *self.curve_2k))
        return np.asarray(-np.expm1(-openings), dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"line": np.array([self.offset, self.slope]), "curve": self.curve_2k}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Files of before the curve was there have none."""
        offset, slope = (float(v) for v in arrays["line"])
        return cls(offset, slope, arrays.get("curve", _identity()))


@dataclass(frozen=True, eq=False)
class Depths:
    """predicted_n: log depth as the genes say. open_n: peaks found open. Of the same cells, shape (n,)."""

    predicted_n: Doubles
    open_n: Doubles

    def joined(self, other: Depths) -> Depths:
        return Depths(
            np.concatenate([self.predicted_n, other.predicted_n]), np.concatenate([self.open_n, other.open_n])
        )

    def offset(self, slope: float) -> float:
        """At this slope as many openings are expected as there are."""
        return float(np.log(max(self.open_n.sum(), 1.0) / np.exp(slope * self.predicted_n).sum()))


def fit_level(
    seen: Depths, held: Depths, share_np: Floats, open_np: NDArray[np.bool_], *, depth_weight: float
) -> Level:
    """slope: Poisson regression of open peaks on predicted depth, times `depth_weight`. curve: of the validation cells.

    seen: training cells, each predicted without itself. held: validation cells; share_np, open_np: of theirs, over some
    peaks. The level lies half way between the two: validation cells may be few, and training cells of other batches
    than the cells to come.
    """
    slope = depth_weight * _slope(seen.joined(held))
    at_held = held.offset(slope)
    log_openings_n1 = (at_held + slope * held.predicted_n)[:, None].astype(np.float32)
    curve_2k = _curve(_log_expected(share_np, log_openings_n1), open_np)
    shift = (seen.offset(slope) - at_held) / 2
    return Level(at_held + shift, slope, curve_2k + np.array([[shift], [shift]]))


def _log_expected(share_np: Floats, log_openings_n1: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(share_np, LEAST)) + log_openings_n1, dtype=np.float32)


def _slope(depths: Depths) -> float:
    from sklearn.linear_model import PoissonRegressor

    centred_n1 = (depths.predicted_n - depths.predicted_n.mean())[:, None]
    if np.ptp(centred_n1) == 0 or depths.open_n.sum() == 0:
        return 0.0
    found = PoissonRegressor(alpha=0.0, max_iter=300).fit(centred_n1, depths.open_n)
    return float(np.clip(found.coef_[0], 0.0, STEEPEST))


def _curve(log_expected_np: Floats, open_np: NDArray[np.bool_]) -> Doubles:
    """Openings found by openings expected, in groups with as many open peaks each; rising (isotonic regression)."""
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(log_expected_np, axis=None)
    expected, found = np.exp(log_expected_np.ravel()[order].astype(np.float64)), open_np.ravel()[order]
    groups = int(np.clip(found.sum() // EACH, 0, KNOTS))
    if groups == 0:
        return _identity()
    ends = np.searchsorted(np.cumsum(found), found.sum() * np.arange(1, groups + 1) / groups)
    starts, size_k = _starts(ends, len(found))
    at_k = np.log(np.add.reduceat(expected, starts) / size_k)
    open_k = np.add.reduceat(found.astype(np.float64), starts)
    to_k = np.log(-np.log1p(-np.minimum(open_k / size_k, 1 - 1e-6)))
    to_k = isotonic_regression(to_k, sample_weight=open_k)
    return _extended(at_k, _rising(at_k, to_k))


def _starts(ends: NDArray[np.int64], entries: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where groups begin, and how large they are: each ends with an open peak; what comes after the last joins it."""
    starts = np.unique(np.concatenate([[0], ends[:-1] + 1]))
    return starts, np.diff(np.append(starts, entries))


def _rising(at_k: Doubles, to_k: Doubles) -> Doubles:
    out = to_k.copy()
    for k in range(1, len(out)):
        out[k] = max(out[k], out[k - 1] + FLATTEST * (at_k[k] - at_k[k - 1]))
    return out


def _extended(at_k: Doubles, to_k: Doubles) -> Doubles:
    """With a far knot on either side, at a slope of one."""
    ends = [np.concatenate([[k[0] - BEYOND], k, [k[-1] + BEYOND]]) for k in (at_k, to_k)]
    return np.stack(ends).astype(np.float64)
