"""How well two partings of the same cells agree, with intervals over cells: many resamples by one product.

Clusters are held fixed and cells are drawn anew. What matters of a draw is how often each combination of groups came
up, so draws are multinomial counts over the combinations that occur, whatever the number of cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.metrics.ranks import Doubles, Integers

RESAMPLES = 500  # ours


def ari(tables_dab: Doubles) -> Doubles:
    """Adjusted Rand index (Hubert & Arabie 1985) of each contingency table, shape (d,); 1 where both are one group."""
    both = _pairs(tables_dab).sum((1, 2))
    a, b = _pairs(tables_dab.sum(2)).sum(1), _pairs(tables_dab.sum(1)).sum(1)
    expected = a * b / np.maximum(_pairs(tables_dab.sum((1, 2))), 1e-12)
    most = (a + b) / 2
    gap = most - expected
    return np.where(np.abs(gap) > 1e-12, (both - expected) / np.where(np.abs(gap) > 1e-12, gap, 1.0), 1.0)


def nmi(tables_dab: Doubles) -> Doubles:
    """Mutual information over the mean of both entropies, shape (d,); 1 where both are one group."""
    n = tables_dab.sum((1, 2))
    h_a, h_b = _entropy(tables_dab.sum(2), n), _entropy(tables_dab.sum(1), n)
    shared = h_a + h_b - _entropy(tables_dab.reshape(len(n), -1), n)
    mean = (h_a + h_b) / 2
    return np.where(mean > 1e-12, np.maximum(shared, 0.0) / np.maximum(mean, 1e-12), 1.0)


SCORES: Mapping[str, Callable[[Doubles], Doubles]] = {"ari": ari, "nmi": nmi}


def _pairs(counts: Doubles) -> Doubles:
    return counts * (counts - 1) / 2


def _entropy(counts_dk: Doubles, n_d: Doubles) -> Doubles:
    p_dk = counts_dk / np.maximum(n_d, 1e-12)[:, None]
    out: Doubles = -(p_dk * np.log(np.where(p_dk > 0, p_dk, 1.0))).sum(1)
    return out


@dataclass(frozen=True, eq=False)
class Combinations:
    """codes_cu: the group in each of c partings, of every combination that occurs; counts_du: how often, by draw.

    The first draw is the cells themselves.
    """

    codes_cu: Integers
    counts_du: NDArray[np.int64]

    @classmethod
    def of(cls, codes_cn: Integers, rng: np.random.Generator, *, resamples: int = RESAMPLES) -> Self:
        """codes_cn: group of each cell in each parting, counted from 0, shape (c, n)."""
        codes_cu, counts_u = np.unique(codes_cn, axis=1, return_counts=True)
        n = int(counts_u.sum())
        draws = rng.multinomial(n, counts_u / n, size=resamples)
        return cls(codes_cu, np.vstack([counts_u[None, :], draws]))

    def tables(self, a: int, b: int) -> Doubles:
        """Contingency of two of the partings in every draw, shape (d, groups of a, groups of b)."""
        one, other = self.codes_cu[a], self.codes_cu[b]
        width = int(other.max()) + 1
        place_u, cells = one * width + other, (int(one.max()) + 1) * width
        member = sp.csr_matrix((np.ones(len(place_u)), (np.arange(len(place_u)), place_u)), (len(place_u), cells))
        return np.asarray(self.counts_du @ member, dtype=np.float64).reshape(len(self.counts_du), -1, width)


def interval(value: float, draws: Doubles, *, bounds: tuple[float, float] = (-1.0, 1.0)) -> tuple[float, float]:
    """95 % interval around the value, as wide as the draws.

    Drawn cells repeat each other, so that draws of shared information lie too high: their mean is brought to the value.
    """
    low, high = np.quantile(draws - draws.mean() + value, [0.025, 0.975])
    return float(np.clip(low, *bounds)), float(np.clip(high, *bounds))
