"""The linear member: a ridge regression that chooses its own penalty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.types import Floats

PENALTIES = np.geomspace(1e-4, 10.0, 16)  # ours; a training cell

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Linear:
    """A ridge regression from coordinates. weight_kj: shape (k, j). offset_j: shape (j,)."""

    weight_kj: Floats
    offset_j: Floats

    @classmethod
    def fit(cls, z_nk: Floats, y_nj: Floats) -> Self:
        """The penalty has the least generalised cross-validation error over all outputs (Golub, Heath & Wahba 1979)."""
        found = _Decomposed.of(z_nk, y_nj)
        weight_kj = found.vt_kk.T @ (found.kept_k(found.penalty())[:, None] * found.uy_kj / found.s_k[:, None])
        return cls(weight_kj.astype(np.float32), (found.mean_j - found.centre_k @ weight_kj).astype(np.float32))

    def __call__(self, z_nk: Floats) -> Floats:
        return np.asarray(z_nk @ self.weight_kj + self.offset_j, dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"weight": self.weight_kj, "offset": self.offset_j}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["weight"], arrays["offset"])


def left_out(z_nk: Floats, y_nj: Floats) -> Floats:
    """What `Linear.fit` would predict of each cell had it been fitted without it, at the same penalty, shape (n, j)."""
    found = _Decomposed.of(z_nk, y_nj)
    kept_k = found.kept_k(found.penalty())
    fitted_nj = found.mean_j + found.u_nk @ (kept_k[:, None] * found.uy_kj)
    leverage_n = 1.0 / len(z_nk) + np.square(found.u_nk) @ kept_k
    y = y_nj.astype(np.float64)
    return np.asarray(y - (y - fitted_nj) / np.maximum(1.0 - leverage_n, 1e-6)[:, None], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _Decomposed:
    """Centred coordinates as u · s · vt; uy_kj: the outputs, centred, along u. total: their sum of squares."""

    u_nk: Doubles
    s_k: Doubles
    vt_kk: Doubles
    uy_kj: Doubles
    centre_k: Doubles
    mean_j: Doubles
    total: float

    @classmethod
    def of(cls, z_nk: Floats, y_nj: Floats) -> Self:
        z, y = z_nk.astype(np.float64), y_nj.astype(np.float64)
        centre_k, mean_j = z.mean(axis=0), y.mean(axis=0)
        u_nk, s_k, vt_kk = np.linalg.svd(z - centre_k, full_matrices=False)
        known = s_k > s_k[:1] * 1e-12  # a constant column says nothing
        u_nk, s_k, vt_kk = u_nk[:, known], s_k[known], vt_kk[known]
        y = y - mean_j
        return cls(u_nk, s_k, vt_kk, u_nk.T @ y, centre_k, mean_j, float(np.square(y).sum()))

    def kept_k(self, penalty: float) -> Doubles:
        """How much of each direction a penalty leaves, 0 … 1."""
        return np.asarray(self.s_k**2 / (self.s_k**2 + penalty))

    def penalty(self) -> float:
        cells = len(self.u_nk)

        def error(penalty: float) -> float:
            kept_k = self.kept_k(penalty)
            left = self.total - float(((2 * kept_k - kept_k**2)[:, None] * self.uy_kj**2).sum())
            return left / (1.0 - (1.0 + float(kept_k.sum())) / cells) ** 2

        return min((float(p) for p in PENALTIES * cells), key=error)
