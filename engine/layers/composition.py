"""A last layer that says what share of a cell's counts each feature has, and its multinomial loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.layers.sparse import Bags, bag_sums

BLOCK = 1 << 18  # cells × features at once: a few such arrays fit a core's cache  # ours
REACH = 30.0  # ours: sums of exp down to −60 below their bound still have all of float32's digits


class _LogPartition(torch.autograd.Function):
    """log Σ_f exp(z·w_f + b_f) of each cell, shape (b,), by blocks of features.

    One pass forms every exponential, their sum and the weights' mean under them, which is the way back to z. The way
    back to the weights forms them again: that costs less than writing all of them to memory and reading them back.
    """

    @staticmethod
    def forward(ctx: Any, z_bk: Tensor, weight_fk: Tensor, bias_f: Tensor) -> Tensor:
        shift_b1 = _shift(z_bk, weight_fk, bias_f)
        cells_bk = torch.cat([z_bk, torch.ones_like(shift_b1), -shift_b1], dim=1)
        features_fk = torch.cat([weight_fk, bias_f[:, None], torch.ones_like(bias_f)[:, None]], dim=1)
        needed = any(ctx.needs_input_grad)
        sums_b, mean_bk = z_bk.new_zeros(len(z_bk)), torch.zeros_like(z_bk)
        for a, b in _blocks(len(z_bk), len(bias_f)):
            raised_fb = torch.mm(features_fk[a:b], cells_bk.T).exp_()
            sums_b += raised_fb.sum(dim=0)
            if needed:
                mean_bk.addmm_(raised_fb.T, weight_fk[a:b])
        ctx.save_for_backward(cells_bk, features_fk, sums_b, mean_bk / sums_b[:, None])
        return sums_b.log() + shift_b1[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cells_bk, features_fk, sums_b, mean_bk = ctx.saved_tensors
        share_b = upstream / sums_b
        scaled_bk = cells_bk[:, :-2] * share_b[:, None]
        back_w = features_fk.new_empty(len(features_fk), mean_bk.shape[1])
        back_b = features_fk.new_empty(len(features_fk))
        for a, b in _blocks(len(cells_bk), len(features_fk)):
            raised_fb = torch.mm(features_fk[a:b], cells_bk.T).exp_()
            torch.mm(raised_fb, scaled_bk, out=back_w[a:b])
            torch.mv(raised_fb, share_b, out=back_b[a:b])
        return mean_bk * upstream[:, None], back_w, back_b


def _shift(z_bk: Tensor, weight_fk: Tensor, bias_f: Tensor) -> Tensor:
    """What is taken off a cell's outputs so that no exponential overflows and their sum does not vanish, shape (b, 1).

    A bound from the lengths of the vectors, as long as it cannot be too high; the largest output itself otherwise.
    """
    reach_b1 = z_bk.norm(dim=1, keepdim=True) * weight_fk.norm(dim=1).max()
    if float(reach_b1.max()) <= REACH:
        bound_b1: Tensor = reach_b1 + bias_f.max()
        return bound_b1
    highest_b1 = z_bk.new_full((len(z_bk), 1), -torch.inf)
    for a, b in _blocks(len(z_bk), len(bias_f)):
        outputs = torch.addmm(bias_f[a:b], z_bk, weight_fk[a:b].T)
        highest_b1 = torch.maximum(highest_b1, outputs.amax(dim=1, keepdim=True))
    return highest_b1


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
    depth_b, seen = _told(z_bk, weight_fk, bias_f, target)
    return ((depth_b * log_partition(z_bk, weight_fk, bias_f)).sum() - seen) / depth_b.sum().clamp(min=1.0)


def poisson_loss(z_bk: Tensor, weight_fk: Tensor, bias_f: Tensor, log_size_b: Tensor, target: Bags) -> Tensor:
    """Negative log-likelihood of counts with rates exp(log_size + z·w + b), mean over cells; without log y!.

    log_size_b: shape (b,). Otherwise as `multinomial_loss`: the rates of a cell add up to its partition.
    """
    depth_b, seen = _told(z_bk, weight_fk, bias_f, target)
    rate_b = (log_size_b + log_partition(z_bk, weight_fk, bias_f)).exp()
    return (rate_b.sum() - seen - (depth_b * log_size_b).sum()) / len(rate_b)


def _told(z_bk: Tensor, weight_fk: Tensor, bias_f: Tensor, target: Bags) -> tuple[Tensor, Tensor]:
    """Counts of each cell, shape (b,), and the sum of z·w + b over all of them."""
    cells = len(target.offsets)
    ends = torch.cat([target.offsets[1:], target.offsets.new_tensor([len(target.index)])])
    of_cell = torch.repeat_interleave(torch.arange(cells, device=z_bk.device), ends - target.offsets)
    depth_b = torch.zeros(cells, device=z_bk.device).index_add_(0, of_cell, target.weight)
    seen = (z_bk * bag_sums(target, weight_fk)).sum() + (bias_f[target.index] * target.weight).sum()
    return depth_b, seen
