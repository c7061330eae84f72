"""How many peaks of a cell to expect open, and how sharply the predicted composition separates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.types import Floats

Doubles = NDArray[np.float64]

STEEPEST = 1.5  # ours; of the slope of depth
SHARPEST = (0.5, 1.5)  # ours
STEPS = 12  # of Fisher scoring; it settles in five
LEAST = 1e-12


@dataclass(frozen=True)
class Level:
    """The log of expected openings of a peak: offset + slope · predicted log depth + sharpness · log share.

    sharpness: below 1 where shares learned from few cells differ more from peak to peak than those of new cells do.
    """

    offset: float
    slope: float
    sharpness: float = 1.0

    def log_openings(self, depth_n: Floats) -> Floats:
        """The part of the cell, without its shares; same shape as the predicted log depth."""
        return np.asarray(self.offset + self.slope * depth_n, dtype=np.float32)

    def probability(self, share_np: Floats, log_openings_n1: Floats) -> Floats:
        """Of at least one opening, 1 − exp(−expected openings), shape (n, p)."""
        raised = share_np if self.sharpness == 1.0 else np.power(share_np, np.float32(self.sharpness))
        return np.asarray(-np.expm1(-raised * np.exp(np.minimum(log_openings_n1, 30.0))), dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"line": np.array([self.offset, self.slope, self.sharpness])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Files of before sharpness was there have two numbers."""
        return cls(*(float(v) for v in arrays["line"]))


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
    """slope: Poisson regression of open peaks on predicted depth, times `depth_weight`. sharpness: likeliest.

    seen: training cells, each predicted without itself. held: validation cells; share_np, open_np: of theirs, over some
    peaks. The level lies half way between the two: validation cells may be few, and training cells of other batches
    than the cells to come.
    """
    slope = depth_weight * _slope(seen.joined(held))
    at_held, sharpness = _likeliest(share_np, slope * held.predicted_n, open_np)
    return Level(at_held + (seen.offset(slope) - held.offset(slope)) / 2, slope, sharpness)


def _slope(depths: Depths) -> float:
    from sklearn.linear_model import PoissonRegressor

    centred_n1 = (depths.predicted_n - depths.predicted_n.mean())[:, None]
    if np.ptp(centred_n1) == 0 or depths.open_n.sum() == 0:
        return 0.0
    found = PoissonRegressor(alpha=0.0, max_iter=300).fit(centred_n1, depths.open_n)
    return float(np.clip(found.coef_[0], 0.0, STEEPEST))


def _likeliest(share_np: Floats, given_n: Doubles, open_np: NDArray[np.bool_]) -> tuple[float, float]:
    """Offset and sharpness with the highest likelihood of what is open, by Fisher scoring (complementary log-log)."""
    log_share_np = np.log(np.maximum(share_np, LEAST)).astype(np.float64)
    offset, sharpness = float(np.log(max(open_np.sum(), 0.5) / (share_np * np.exp(given_n)[:, None]).sum())), 1.0
    for _ in range(STEPS):
        expected = np.clip(np.exp(offset + given_n[:, None] + sharpness * log_share_np), LEAST, 30.0)
        closed = np.exp(-expected)
        pull = np.where(open_np, expected * closed / (1 - closed), -expected)
        weight = np.square(expected) * closed / (1 - closed)
        by_share = weight * log_share_np
        information = np.array([[weight.sum(), by_share.sum()], [by_share.sum(), (by_share * log_share_np).sum()]])
        step = np.linalg.lstsq(information, np.array([pull.sum(), (pull * log_share_np).sum()]), rcond=None)[0]
        offset, sharpness = offset + float(step[0]), sharpness + float(step[1])
        if np.abs(step).max() < 1e-6:
            break
    if SHARPEST[0] <= sharpness <= SHARPEST[1]:
        return offset, sharpness
    return _likeliest_offset(log_share_np, given_n, open_np, float(np.clip(sharpness, *SHARPEST)))


def _likeliest_offset(
    log_share_np: Doubles, given_n: Doubles, open_np: NDArray[np.bool_], sharpness: float
) -> tuple[float, float]:
    """As many openings as there are, at a sharpness that was held at its limit."""
    expected = np.exp(given_n[:, None] + sharpness * log_share_np).sum()
    return float(np.log(max(open_np.sum(), 0.5) / max(expected, LEAST))), sharpness
