"""The trunk: a wide sparse first layer most of whose inputs are dropped, and a small second one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import block_diag
from torch import Tensor, nn

from engine.layers.sparse import Bags, SparseLinear
from engine.types import Floats

FIRST_SPREAD = 0.05  # ours


@dataclass(frozen=True)
class Shape:
    """hidden: units of the first layer. latent: outputs of the second. inside: dropout between them."""

    hidden: int
    latent: int
    inside: float


class TrunkNetwork(nn.Module):
    """Sparse rows in, `latent` numbers out."""

    def __init__(self, features: int, shape: Shape) -> None:
        super().__init__()
        self.first = SparseLinear(features, shape.hidden)
        nn.init.normal_(self.first.weight_fh, std=FIRST_SPREAD)
        assert self.first.bias_h is not None
        nn.init.zeros_(self.first.bias_h)
        self.inside = nn.Dropout(shape.inside)
        self.second = nn.Linear(shape.hidden, shape.latent)
        nn.init.zeros_(self.second.bias)

    def forward(self, bags: Bags) -> Tensor:
        """shape (b, latent)"""
        out: Tensor = self.second(self.inside(nn.functional.elu(self.first(bags))))
        return out


def halved(values: NDArray[Any]) -> Floats:
    """Rounded to half precision, as the large matrices are kept on disk: a saved model predicts what it did before."""
    return np.asarray(values, dtype=np.float16).astype(np.float32)


def thinned(x_bf: sp.csr_matrix, share: float, rng: np.random.Generator) -> sp.csr_matrix:
    """Each entry dropped with this probability and the others scaled up, so that sums are kept on average."""
    kept = rng.random(x_bf.nnz) >= share
    row_ends = np.concatenate([[0], np.cumsum(kept)])[x_bf.indptr]
    values = x_bf.data[kept] / np.float32(1.0 - share)
    return sp.csr_matrix((values, x_bf.indices[kept], row_ends), shape=x_bf.shape)


@dataclass(frozen=True, eq=False)
class Trunk:
    """A trained trunk as arrays. first_fh, first_h: of the sparse layer; second_kh, second_k: of the next."""

    first_fh: Floats
    first_h: Floats
    second_kh: Floats
    second_k: Floats

    @classmethod
    def of(cls, network: TrunkNetwork) -> Self:
        def array(value: Tensor | None) -> Floats:
            assert value is not None
            return value.detach().cpu().numpy().astype(np.float32).copy()

        return cls(
            halved(array(network.first.weight_fh)),
            array(network.first.bias_h),
            array(network.second.weight),
            array(network.second.bias),
        )

    def __call__(self, x_nf: sp.csr_matrix) -> Floats:
        """shape (n, latent)"""
        hidden = np.asarray(x_nf @ self.first_fh + self.first_h)
        hidden = np.where(hidden > 0, hidden, np.expm1(np.minimum(hidden, 0.0)))
        return np.asarray(hidden @ self.second_kh.T + self.second_k, dtype=np.float32)

    @classmethod
    def beside(cls, trunks: Sequence[Trunk]) -> Self:
        """One trunk whose outputs are those of several, side by side."""
        return cls(
            np.hstack([t.first_fh for t in trunks]), np.concatenate([t.first_h for t in trunks]),
            block_diag(*(t.second_kh for t in trunks)).astype(np.float32), np.concatenate([t.second_k for t in trunks]),
        )  # fmt: skip

    def turned(self, turn_kr: Floats, centre_k: Floats) -> Self:
        """The same trunk with outputs (z − centre) @ turn."""
        return type(self)(
            self.first_fh, self.first_h, turn_kr.T @ self.second_kh, turn_kr.T @ (self.second_k - centre_k)
        )

    def scaled(self, factor: float) -> Self:
        """The same trunk with its outputs multiplied."""
        by = np.float32(factor)
        return type(self)(self.first_fh, self.first_h, self.second_kh * by, self.second_k * by)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "first": self.first_fh.astype(np.float16), "first_bias": self.first_h,
            "second": self.second_kh, "second_bias": self.second_k,
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["first"].astype(np.float32), arrays["first_bias"], arrays["second"], arrays["second_bias"])
