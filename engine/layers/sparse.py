"""First layers that read sparse rows, and the sparse targets last layers are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Bags:
    """Sparse rows as bags of features: index, weight and where each bag starts; one bag a row, or a row and group.

    Sums of weighted rows of a first layer's matrix over a bag are its product with the sparse row.
    """

    index: Tensor
    weight: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, x_nf: sp.csr_matrix, device: torch.device) -> Bags:
        return cls(
            torch.from_numpy(x_nf.indices.astype(np.int64)).to(device),
            torch.from_numpy(x_nf.data.astype(np.float32)).to(device),
            torch.from_numpy(x_nf.indptr[:-1].astype(np.int64)).to(device),
        )

    @classmethod
    def grouped(
        cls,
        x_nf: sp.csr_matrix,
        starts: NDArray[np.int64],
        device: torch.device,
        order_f: NDArray[np.int64] | None = None,
    ) -> Bags:
        """One bag for each cell and group of neighbouring columns; starts: first column of each group and the end.

        order_f: what feature each column is, where columns were put in another order than the weights'.
        """
        x_nf = x_nf if x_nf.has_sorted_indices else x_nf.sorted_indices()
        n, groups, indices = x_nf.shape[0], len(starts) - 1, x_nf.indices.astype(np.int64)
        row = np.repeat(np.arange(n), np.diff(x_nf.indptr))
        bag = row * groups + np.searchsorted(starts, indices, side="right") - 1
        sizes = np.bincount(bag, minlength=n * groups)
        return cls(
            torch.from_numpy(indices if order_f is None else order_f[indices]).to(device),
            torch.from_numpy(x_nf.data.astype(np.float32)).to(device),
            torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)[:-1]])).to(device),
        )


class SparseLinear(nn.Module):
    """A first layer that reads sparse rows: `weight_fh` rows are summed over each bag, then the bias is added."""

    def __init__(self, features: int, hidden: int, *, fan_in: float | None = None, bias: bool = True) -> None:
        super().__init__()
        bound = max(fan_in or features, 1) ** -0.5
        self.weight_fh = nn.Parameter(torch.empty(features, hidden).uniform_(-bound, bound))
        self.bias_h = nn.Parameter(torch.empty(hidden).uniform_(-bound, bound)) if bias else None

    def forward(self, bags: Bags, weight_fh: Tensor | None = None) -> Tensor:
        out = bag_sums(bags, self.weight_fh if weight_fh is None else weight_fh)
        return out if self.bias_h is None else out + self.bias_h


def bag_sums(bags: Bags, weight_fh: Tensor) -> Tensor:
    """Sparse rows times a dense matrix, shape (bags, h)."""
    out: Tensor = (
        functional.embedding_bag(bags.index, weight_fh, bags.offsets, mode="sum", per_sample_weights=bags.weight)
        if weight_fh.is_cuda
        else _Product.apply(weight_fh, bags)  # type: ignore[no-untyped-call]
    )
    return out


class _Product(torch.autograd.Function):
    """Sparse rows times a dense matrix on the CPU by scipy: sums of bags, without sorting their entries to go back."""

    @staticmethod
    def forward(ctx: Any, weight_fh: Tensor, bags: Bags) -> Tensor:
        ends = np.append(bags.offsets.numpy(), len(bags.index))
        parts = (bags.weight.numpy(), bags.index.numpy(), ends)
        ctx.rows = sp.csr_matrix(parts, shape=(len(bags.offsets), len(weight_fh)))
        return torch.from_numpy(ctx.rows @ weight_fh.detach().numpy())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return torch.from_numpy(ctx.rows.T @ upstream.contiguous().numpy()), None


@dataclass(frozen=True, eq=False)
class SparseTarget:
    """What a last layer should say of b cells: the entries that are not zero, column by column.

    row, column, value: of each entry, shape (nnz,), sorted by column. starts: entry at which each column begins,
    shape (f + 1,), on the host.
    """

    row: Tensor
    column: Tensor
    value: Tensor
    starts: NDArray[np.int64]
    cells: int

    @classmethod
    def of(cls, y_bf: sp.csr_matrix, device: torch.device) -> SparseTarget:
        columns = sp.csc_matrix(y_bf)
        starts = columns.indptr.astype(np.int64)
        column = np.repeat(np.arange(columns.shape[1]), np.diff(starts))
        return cls(
            torch.from_numpy(columns.indices.astype(np.int64)).to(device),
            torch.from_numpy(column).to(device),
            torch.from_numpy(columns.data.astype(np.float32)).to(device),
            starts,
            y_bf.shape[0],
        )

    @property
    def features(self) -> int:
        return len(self.starts) - 1

    def between(self, first: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, columns counted from `first`, and values of the entries of columns first … stop − 1."""
        a, b = int(self.starts[first]), int(self.starts[stop])
        return self.row[a:b], self.column[a:b] - first, self.value[a:b]
