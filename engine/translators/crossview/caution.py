"""Where not to trust the model: how unlike the training cells a cell is, and the score expected of its prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from engine.types import Floats

SIGHT = 20  # leading SVD coordinates that distances are measured in  # ours
PLACES = 256  # centres of the training cells, at most; each the mean of some of them, so that no cell is kept  # ours
EACH = 8  # training cells a centre, on average, at least  # ours
NEAREST = 3  # centres a cell's distance is averaged over  # ours
STEPS = 512  # quantiles of the validation cells' unlikeness  # ours
FAR = 4.0  # ours: unlikeness beyond which the expected score falls no further: no validation cell has shown how
WORTH = 0.02  # ours: of the leave-one-out error
BLOCK = 1 << 14  # cells at once

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sighting:
    """Cells as caution sees them. at_nk: leading SVD coordinates. depth_n: standardised log depth."""

    at_nk: Floats
    depth_n: Floats

    @classmethod
    def of(cls, view_nk: Floats) -> Self:
        """From `SourceView.coordinates`, whose last column is the depth."""
        return cls(view_nk[:, :-1][:, :SIGHT], view_nk[:, -1])


@dataclass(frozen=True, eq=False)
class Caution:
    """Of one source modality.

    centre_ck: means of neighbouring training cells. usual: mean and mean absolute deviation of the log distance to
    them, as quadratics of depth, shape (2, 3). seen_q: quantiles of the validation cells' unlikeness, ascending.
    score_j: of the expected score, weights of 1, depth, depth² and unlikeness. span: lowest and highest score expected.
    """

    centre_ck: Floats
    usual: Doubles
    seen_q: Doubles
    score_j: Doubles
    span: tuple[float, float]

    @classmethod
    def fit(cls, train: Sighting, held: Sighting, score_n: Doubles, *, rng: np.random.Generator) -> Self:
        """score_n: scores of the validation cells' predictions, NaN where undefined."""
        from sklearn.cluster import MiniBatchKMeans

        places = int(np.clip(len(train.at_nk) // EACH, 1, PLACES))
        centres = MiniBatchKMeans(places, n_init=1, batch_size=1024, random_state=int(rng.integers(1 << 31)))
        centre_ck = np.asarray(centres.fit(train.at_nk).cluster_centers_, dtype=np.float32)
        log_n, powers_nj = _log_distance(centre_ck, held.at_nk), _powers(held.depth_n)
        mean_j = np.linalg.lstsq(powers_nj, log_n, rcond=None)[0]
        apart_n = np.abs(log_n - powers_nj @ mean_j)
        usual = np.stack([mean_j, np.linalg.lstsq(powers_nj, apart_n, rcond=None)[0]])
        bare = cls(centre_ck, usual, np.zeros(1), np.zeros(4), (0.0, 0.0))
        unlike_n = bare.unlikeness(held)
        seen_q = np.quantile(unlike_n, np.linspace(0, 1, STEPS))
        known = np.isfinite(score_n)
        if known.sum() < 2 * (powers_nj.shape[1] + 1):
            return cls(centre_ck, usual, seen_q, np.full(4, np.nan), (0.0, 0.0))
        design_nj = np.column_stack([powers_nj, np.minimum(unlike_n, FAR)])[known]
        score_j = _expectation(design_nj, score_n[known])
        low, high = np.quantile(score_n[known], [0.01, 0.99])
        return cls(centre_ck, usual, seen_q, score_j, (float(low), float(high)))

    def unlikeness(self, cells: Sighting) -> Doubles:
        """Log distance to the training cells beyond what is usual at this depth, in mean deviations, shape (n,)."""
        powers_nj = _powers(cells.depth_n)
        spread_n = powers_nj @ self.usual[1]
        floor = 0.3 * max(float(self.usual[1][0]), 1e-6)  # ours; the quadratic may fall to nothing at the ends
        away_n = _log_distance(self.centre_ck, cells.at_nk) - powers_nj @ self.usual[0]
        return np.asarray(away_n / np.maximum(spread_n, floor), dtype=np.float64)

    def columns(self, cells: Sighting) -> Floats:
        """Novelty and expected score as `Doubt` defines them, shape (n, 2)."""
        unlike_n = self.unlikeness(cells)
        novelty_n = np.searchsorted(self.seen_q, unlike_n, side="left") / len(self.seen_q)
        design_nj = np.column_stack([_powers(cells.depth_n), np.minimum(unlike_n, FAR)])
        return np.column_stack([novelty_n, np.clip(design_nj @ self.score_j, *self.span)]).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "centre": self.centre_ck, "usual": self.usual, "seen": self.seen_q, "score": self.score_j,
            "span": np.array(self.span),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        low, high = (float(v) for v in arrays["span"])
        return cls(arrays["centre"], arrays["usual"], arrays["seen"], arrays["score"], (low, high))


def _expectation(design_nj: Doubles, score_n: Doubles) -> Doubles:
    """Weights of all columns, of the first and the last, or of the first alone, the others zero.

    More of them only where they lower the leave-one-out error by `WORTH`: few cells must not invent what to trust.
    A cell unlike the others (the last column) is never expected to be predicted better for it.
    """
    width = design_nj.shape[1]
    best, chosen = np.inf, np.zeros(width)
    for columns in ([0], [0, width - 1], list(range(width))):
        part_nj = design_nj[:, columns]
        most = np.full(len(columns), np.inf)
        if len(columns) > 1:
            most[-1] = 1e-12
        weight = lsq_linear(part_nj, score_n, bounds=(np.full(len(columns), -np.inf), most)).x
        leverage_n = np.einsum("nj,nj->n", part_nj, np.linalg.pinv(part_nj).T)
        left_out = float(np.square((score_n - part_nj @ weight) / np.maximum(1 - leverage_n, 1e-6)).mean())
        if left_out < (1 - WORTH) * best:
            best, chosen = left_out, np.zeros(width)
            chosen[columns] = weight
    return chosen


def _powers(depth_n: Floats) -> Doubles:
    """1, depth and its square, shape (n, 3); depths beyond the usual are held at three deviations."""
    d = np.clip(depth_n.astype(np.float64), -3.0, 3.0)
    return np.column_stack([np.ones_like(d), d, d * d])


def _log_distance(centre_ck: Floats, at_nk: Floats) -> Doubles:
    """Log of the mean distance to the nearest centres, shape (n,)."""
    squares_c, out = np.square(centre_ck).sum(axis=1), np.empty(len(at_nk))
    nearest = min(NEAREST, len(centre_ck))
    for start in range(0, len(at_nk), BLOCK):
        rows = at_nk[start : start + BLOCK]
        squared = np.square(rows).sum(axis=1, keepdims=True) - 2 * rows @ centre_ck.T + squares_c
        near = np.partition(np.maximum(squared, 0.0), nearest - 1, axis=1)[:, :nearest]
        out[start : start + BLOCK] = np.log(np.maximum(np.sqrt(near).mean(axis=1), 1e-6))
    return out
