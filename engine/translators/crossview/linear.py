"""The linear member: a ridge regression that chooses its own penalty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.types import Floats

PENALTIES = np.geomspace(1e-4, 10.0, 16)  # ours; a training cell


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
