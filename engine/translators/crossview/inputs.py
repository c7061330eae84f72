"""Cells as the model reads them: sparse rows for the trunk, SVD coordinates for the linear members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.preprocess.steps import binarised, depth_of, prefixed, scaled_rows, unprefixed
from engine.translators.baselines.common import SourceView
from engine.types import Cells, Floats, Modality


@dataclass(frozen=True, eq=False)
class Reader:
    """One modality as a source. typical: median of the open peaks a training cell has (1 for genes)."""

    view: SourceView
    typical: float

    @classmethod
    def fit(cls, cells: Cells, *, components: int, rng: np.random.Generator) -> Self:
        open_n = np.diff(binarised(cells.counts).indptr)
        typical = float(np.median(open_n[open_n > 0])) if cells.modality is Modality.ATAC and open_n.any() else 1.0
        return cls(SourceView.fit(cells, k=components, rng=rng, quick=True), typical)

    def rows(self, counts_nf: sp.csr_matrix) -> sp.csr_matrix:
        """Genes: log-normalised. Peaks: open or not, divided by the root of how many are open. Shape (n, f)."""
        if self.view.modality is Modality.RNA:
            return self.view.scale.log_normalised(counts_nf)
        x_nf = binarised(counts_nf)
        return scaled_rows(x_nf, np.sqrt(self.typical / np.maximum(depth_of(x_nf), 1.0)))

    def coordinates(self, counts_nf: sp.csr_matrix) -> Floats:
        """SVD coordinates, the standardised log depth and its square, shape (n, k + 2)."""
        z_nk = self.view.coordinates(counts_nf)
        return np.column_stack([z_nk, np.square(z_nk[:, -1])]).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {**prefixed("view", self.view.arrays()), "typical": np.array(self.typical)}

    @classmethod
    def from_arrays(cls, modality: Modality, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(SourceView.from_arrays(modality, unprefixed("view", dict(arrays))), float(arrays["typical"]))


@dataclass(frozen=True, eq=False)
class Linear:
    """A ridge regression from coordinates. weight_kj: shape (k, j). offset_j: shape (j,)."""

    weight_kj: Floats
    offset_j: Floats

    @classmethod
    def fit(cls, z_nk: Floats, y_nj: Floats) -> Self:
        """The penalty has the least generalised cross-validation error over all outputs (Golub, Heath & Wahba 1979)."""
        z, y = z_nk.astype(np.float64), y_nj.astype(np.float64)
        centre_k, mean_j = z.mean(axis=0), y.mean(axis=0)
        u_nk, s_k, vt_kk = np.linalg.svd(z - centre_k, full_matrices=False)
        uy_kj = u_nk.T @ (y - mean_j)
        total = float(((y - mean_j) ** 2).sum())
        best = (np.inf, 1.0)
        for penalty in PENALTIES * len(z):
            keep_k = s_k**2 / (s_k**2 + penalty)
            left = total - float(((2 * keep_k - keep_k**2)[:, None] * uy_kj**2).sum())
            best = min(best, (left / (1.0 - (1.0 + keep_k.sum()) / len(z)) ** 2, float(penalty)))
        weight = vt_kk.T @ ((s_k / (s_k**2 + best[1]))[:, None] * uy_kj)
        return cls(weight.astype(np.float32), (mean_j - centre_k @ weight).astype(np.float32))

    def __call__(self, z_nk: Floats) -> Floats:
        return np.asarray(z_nk @ self.weight_kj + self.offset_j, dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"weight": self.weight_kj, "offset": self.offset_j}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["weight"], arrays["offset"])


PENALTIES = np.geomspace(1e-4, 10.0, 16)  # ours; a training cell
