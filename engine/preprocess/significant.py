"""CrossMP's significant genes, fitted on training cells: by RNA velocity where it was measured, else by variability.

The card quotes `Significant.how`, so that a reader knows which of the two a model rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadSetting, MissingExtra
from engine.preprocess.steps import DepthScale
from engine.preprocess.velocity import NoVelocity, scvelo_version, velocity_genes
from engine.types import Cells


class Method(StrEnum):
    """How significant genes are chosen. AUTO: by velocity where layers and scVelo allow it, else by variability."""

    AUTO = "auto"
    VELOCITY = "velocity"
    VARIABLE = "variable"

    @classmethod
    def named(cls, name: str) -> Method:
        """Raises BadSetting on an unknown name."""
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(cls)
            raise BadSetting(f"There is no method {name!r} for significant genes.", hint=f"Use {known}.") from None


@dataclass(frozen=True, eq=False)
class Significant:
    """The chosen genes. positions: ascending, shape (at most count,). by: never AUTO. how: words for the card."""

    positions: NDArray[np.int64]
    by: Method
    how: str


def significant_genes(
    cells: Cells, *, count: int, method: Method | str = Method.AUTO, rng: np.random.Generator
) -> Significant:
    """At most `count` genes of the training cells, and how they were chosen.

    rng: used by the velocity ranking alone; the same state gives the same genes.
    Raises BadSetting when none are asked for; NoVelocity (one of them) or MissingExtra when velocity was demanded and
    cannot be had.
    """
    if count < 1:
        raise BadSetting(f"{count} significant genes were asked for; at least one is needed.")
    method = Method.named(method)
    if method is Method.VARIABLE:
        return _variable(cells, count, "as asked")
    try:
        positions_g = velocity_genes(cells, count, rng)
    except (NoVelocity, MissingExtra) as problem:
        if method is Method.VELOCITY:
            raise
        return _variable(cells, count, problem.message.rstrip("."))
    return Significant(
        positions_g, Method.VELOCITY, f"velocity (scVelo {scvelo_version()}, {len(positions_g):,} genes)"
    )


def _variable(cells: Cells, count: int, why: str) -> Significant:
    positions_g = highly_variable(DepthScale.fit(cells.counts).scaled(cells.counts), count=count)
    how = f"most variable ({len(positions_g):,} genes; {why[0].lower()}{why[1:]})"
    return Significant(positions_g, Method.VARIABLE, how)


def highly_variable(scaled_ng: sp.csr_matrix, *, count: int, bins: int = 20) -> NDArray[np.int64]:
    """Positions of the most variable genes, ascending: dispersion z-scored within bins of mean expression.

    scaled_ng: size-normalised counts. The classic dispersion ranking (Satija et al. 2015), used where no
    spliced and unspliced counts are at hand for the paper's velocity ranking.
    """
    n, g = scaled_ng.shape
    count = min(count, g)
    mean_g = np.asarray(scaled_ng.mean(axis=0), dtype=np.float64).ravel()
    square_g = np.asarray(scaled_ng.multiply(scaled_ng).mean(axis=0), dtype=np.float64).ravel()
    variance_g = np.maximum(square_g - mean_g**2, 0) * n / max(n - 1, 1)
    dispersion_g = np.log(np.maximum(variance_g, 1e-12) / np.maximum(mean_g, 1e-12))
    bins = max(1, min(bins, g // 20))  # a bin of one or two genes ranks nothing
    edges = np.quantile(mean_g, np.linspace(0, 1, bins + 1)[1:-1])
    bin_g = np.searchsorted(edges, mean_g)
    score_g = np.full(g, -np.inf)
    for b in range(bins):
        members = np.flatnonzero(bin_g == b)
        if members.size:
            spread = dispersion_g[members].std()
            score_g[members] = (dispersion_g[members] - dispersion_g[members].mean()) / max(spread, 1e-12)
    score_g[mean_g <= 0] = -np.inf
    return np.sort(np.argsort(-score_g, kind="stable")[:count])
