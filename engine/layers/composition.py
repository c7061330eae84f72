"""A last layer that says what share of a cell's counts each feature has, and its multinomial loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.layers.sparse import Bags, bag_sums

BLOCK = 1 << 17  # cells × features at once: a few such arrays fit a core's cache  # ours


class _LogPartition(torch.autograd.Function):
    """log Σ_f exp(z·w_f + b_f) of each cell, shape (b,), by blocks of features; the way back forms them again.

    Forming the outputs twice costs less than writing all of them to memory once and reading them back.
    """

    @staticmethod
    def forward(ctx: Any, z_bk: Tensor, weight_fk: Tensor, bias_f: Tensor) -> Tensor:
        highest = z_bk.new_full((len(z_bk), 1), -torch.inf)
        sums = z_bk.new_zeros((len(z_bk), 1))
        for a, b in _blocks(len(z_bk), len(bias_f)):
            outputs = torch.addmm(bias_f[a:b], z_bk, weight_fk[a:b].T)
            higher = torch.maximum(highest, outputs.amax(dim=1, keepdim=True))
            sums = sums * (highest - higher).exp() + outputs.sub_(higher).exp_().sum(dim=1, keepdim=True)
            highest = higher
        total = highest + sums.log()
        ctx.save_for_backward(z_bk, weight_fk, bias_f, total)
        return total[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z_bk, weight_fk, bias_f, total = ctx.saved_tensors
        scaled = z_bk * upstream[:, None]
        back_z, back_w, back_b = torch.zeros_like(z_bk), torch.empty_like(weight_fk), torch.empty_like(bias_f)
        for a, b in _blocks(len(z_bk), len(bias_f)):
            shares = torch.addmm(bias_f[a:b], z_bk, weight_fk[a:b].T).sub_(total).exp_()
            torch.mm(shares.T, scaled, out=back_w[a:b])
            torch.mv(shares.T, upstream, out=back_b[a:b])
            back_z.addmm_(shares, weight_fk[a:b])
        return back_z * upstream[:, None], back_w, back_b


def _blocks(cells: int, features: int) -> Iterator[tuple[int, int]]:
    width = max(64, BLOCK // max(cells, 1))
    for first in range(0, features, width):
        yield first, min(first + width, features)


def log_partition(z_bk: Tensor, weight_fk: Tensor, bias_f: Tensor) -> Tensor:
    """log of the sum over features of exp(z·w + b), shape (b,)."""
    out: Tensor = _LogPartition.apply(z_bk, weight_fk, bias_f)  # type: ignore[no-untyped-call]
    return out


def multinomial_loss(z_bk: Tensor, weight_fk: Tensor, bias_f: Tensor, target: Bags) -> Tensor:
    """Negative log-likelihood of each count under the softmax over features, mean over all counts of the batch.

    z_bk: shape (b, k). weight_fk: shape (f, k). bias_f: shape (f,). target: counts of the same cells, one bag a cell.
    """
    cells = len(target.offsets)
    ends = torch.cat([target.offsets[1:], target.offsets.new_tensor([len(target.index)])])
    of_cell = torch.repeat_interleave(torch.arange(cells, device=z_bk.device), ends - target.offsets)
    depth_b = torch.zeros(cells, device=z_bk.device).index_add_(0, of_cell, target.weight)
    seen = (z_bk * bag_sums(target, weight_fk)).sum() + (bias_f[target.index] * target.weight).sum()
    return ((depth_b * log_partition(z_bk, weight_fk, bias_f)).sum() - seen) / depth_b.sum().clamp(min=1.0)
