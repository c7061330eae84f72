"""Genes as a few components of their standardised values: what trunks predict, and what a genome's distances act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.preprocess.steps import DepthScale, Projection, prefixed, unprefixed
from engine.types import Cells, Floats

SPREAD_FLOOR = 0.02  # ours: a gene less spread than this is not blown up


@dataclass(frozen=True, eq=False)
class GeneBasis:
    """Log-normalised genes as components of their standardised values, in units of the first component's spread.

    weight_g: one over each gene's spread among training cells. unit: spread of the first component.
    """

    scale: DepthScale
    weight_g: Floats
    basis: Projection
    unit: float

    @classmethod
    def fit(cls, cells: Cells, *, components: int, rng: np.random.Generator) -> Self:
        scale = DepthScale.fit(cells.counts)
        y_ng = scale.log_normalised(cells.counts)
        mean_g = np.asarray(y_ng.mean(axis=0), dtype=np.float64).ravel()
        square_g = np.asarray(y_ng.multiply(y_ng).mean(axis=0), dtype=np.float64).ravel()
        spread_g = np.sqrt(np.maximum(square_g - mean_g**2, 0.0))
        weight_g = (1.0 / np.maximum(spread_g, SPREAD_FLOOR)).astype(np.float32)
        standard_ng = sp.csr_matrix(y_ng @ sp.diags(weight_g))
        basis = Projection.fit(standard_ng, k=components, rng=rng, power=2, quick=True)
        first = basis.transform(standard_ng)[:, 0]
        return cls(scale, weight_g, basis, float(first.std()) or 1.0)

    def components(self, counts_ng: sp.csr_matrix) -> Floats:
        """shape (n, k)"""
        y_ng = sp.csr_matrix(self.scale.log_normalised(counts_ng) @ sp.diags(self.weight_g))
        return np.asarray(self.basis.transform(y_ng) / np.float32(self.unit), dtype=np.float32)

    def values(self, y_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        """Log-normalised values of chosen genes, shape (n, len(positions))."""
        linear = y_nk @ (self.basis.v_fk[positions].T * np.float32(self.unit)) + self.basis.mean_f[positions]
        return np.asarray(linear / self.weight_g[positions], dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            **prefixed("scale", self.scale.arrays()), **prefixed("basis", self.basis.arrays()),
            "weight": self.weight_g, "unit": np.array(self.unit),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(
            DepthScale.from_arrays(unprefixed("scale", dict(arrays))),
            arrays["weight"],
            Projection.from_arrays(unprefixed("basis", dict(arrays))),
            float(arrays["unit"]),
        )
