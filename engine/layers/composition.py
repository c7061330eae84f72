"""A last layer that says what share of a cell's counts each feature has, and its multinomial loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.layers.sparse import Bags, bag_sums


class _LogPartition(torch.autograd.Function):
    """log Σ_f exp(z·w_f + b_f) of each cell, shape (b,); cells × features is held once, not once an operation."""

    @staticmethod
    def forward(ctx: Any, z_bk: Tensor, weight_fk: Tensor, bias_f: Tensor) -> Tensor:
        outputs = torch.addmm(bias_f, z_bk, weight_fk.T)
        highest = outputs.amax(dim=1, keepdim=True)
        powers = outputs.sub_(highest).exp_()
        sums = powers.sum(dim=1)
        ctx.save_for_backward(z_bk, weight_fk, powers, sums)
        return sums.log() + highest[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z_bk, weight_fk, powers, sums = ctx.saved_tensors
        share = upstream / sums
        return share[:, None] * (powers @ weight_fk), powers.T @ (z_bk * share[:, None]), powers.T @ share


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
