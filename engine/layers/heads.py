"""Last layers with their losses, block of features by block: no cells × features array is ever held.

A wide linear head and its loss are one step. For each block of features the outputs are formed, compared with the
sparse target, turned into gradients in place and folded into the gradients of weights and hidden units at once; what
autograd would keep for the backward pass is never stored. The same idea is used for the losses of large-vocabulary
language models (Wijmans et al. 2024, "Cut your losses"). The loss and its gradients are the plain ones.

h_rk: hidden units of several decodings of the same cells, stacked: r = paths × cells. With groups (chromosomes) it is
h_rck, and the features of a group see its own k units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from engine.layers.sparse import SparseTarget

BLOCK = 1 << 18  # outputs of a block: a few of them fit a core's cache  # ours
LOG_MEAN_BOUND = 12.0  # e¹² size-normalised counts is far beyond any gene
DISPERSION_FLOOR = 1e-4
LOGIT_BOUND = 20.0  # a softplus beyond it is the number itself

# outputs of a block, a row a path, changed in place into gradients where those are wanted; where in a row the entries
# that are not zero lie, and their values → loss of each path
Kernel = Callable[[list[Tensor], Tensor, Tensor, bool], Tensor]


@dataclass(frozen=True, eq=False)
class Plan:
    """What a head compares with and how. groups: (first, stop) columns of each group, in order."""

    target: SparseTarget
    kernel: Kernel
    groups: Sequence[tuple[int, int]]
    paths: int
    wanted: bool = field(default_factory=torch.is_grad_enabled)  # gradients; not while validating

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        width = max(64, BLOCK // (self.paths * self.target.cells))
        for group, (first, stop) in enumerate(self.groups):
            for a in range(first, stop, width):
                yield group, a, min(a + width, stop)

    def loss(self, outputs: list[Tensor], a: int, b: int, wanted: bool) -> Tensor:
        row, column, value = self.target.between(a, b)
        return self.kernel([out.view(self.paths, -1) for out in outputs], row * (b - a) + column, value, wanted)


class _Head(torch.autograd.Function):
    """Loss of each path, mean over cells × features; weights and biases alternate in `parameters`."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, plan: Plan, *parameters: Tensor) -> Tensor:
        grouped = h if h.dim() == 3 else h[:, None, :]
        weights, biases = parameters[0::2], parameters[1::2]
        wanted = plan.wanted and any(ctx.needs_input_grad)
        loss_p = torch.zeros(plan.paths, dtype=torch.float64, device=h.device)
        back_h = torch.zeros_like(grouped) if wanted else None
        back_w = [torch.empty_like(w) for w in weights] if wanted else []
        back_b = [torch.empty_like(b) for b in biases] if wanted else []
        for group, a, b in plan.blocks():
            h_rk = grouped[:, group].contiguous()
            outputs = [torch.addmm(bias[a:b], h_rk, w[a:b].T) for w, bias in zip(weights, biases, strict=True)]
            loss_p += plan.loss(outputs, a, b, wanted)
            if back_h is None:
                continue
            for i, gradient in enumerate(outputs):
                torch.mm(gradient.T, h_rk, out=back_w[i][a:b])
                torch.sum(gradient, dim=0, out=back_b[i][a:b])
                back_h[:, group].addmm_(gradient, weights[i][a:b])
        count = plan.target.cells * plan.target.features
        ctx.count = count
        if back_h is not None:
            ctx.save_for_backward(back_h.view_as(h), *(v for pair in zip(back_w, back_b, strict=True) for v in pair))
        return (loss_p / count).to(h.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Every path weighs the same, so one upstream number scales all gradients."""
        if not torch.allclose(upstream, upstream[0].expand_as(upstream), rtol=0.0, atol=0.0, equal_nan=True):
            raise ValueError("The paths of one head must have the same weight in the loss.")
        scale = upstream[0] / ctx.count
        back_h, *others = ctx.saved_tensors
        return (back_h * scale, None, *(v.mul_(scale) for v in others))


def bernoulli_head_loss(
    h: Tensor,
    weight_fk: Tensor,
    bias_f: Tensor,
    target: SparseTarget,
    *,
    paths: int = 1,
    groups: Sequence[tuple[int, int]] | None = None,
) -> Tensor:
    """Binary cross-entropy of each path, mean over cells × features, shape (paths,); entries of `target` are ones.

    h: shape (paths · b, k), or (paths · b, c, k) with c groups of neighbouring features. All paths must be given the
    same weight in the total loss.
    """
    plan = Plan(target, _bernoulli, groups or [(0, target.features)], paths)
    out: Tensor = _Head.apply(h, plan, weight_fk, bias_f)  # type: ignore[no-untyped-call]
    return out


def nb_head_loss(
    h: Tensor,
    mean: tuple[Tensor, Tensor],
    dispersion: tuple[Tensor, Tensor],
    target: SparseTarget,
    *,
    paths: int = 1,
) -> Tensor:
    """Negative log-likelihood of NB(mean e^m, dispersion softplus(d)) of each path, mean over cells × features.

    mean, dispersion: weight (f, k) and bias (f,) of the two linear heads. Non-integer targets are allowed.
    """
    plan = Plan(target, _negative_binomial, [(0, target.features)], paths)
    out: Tensor = _Head.apply(h, plan, *mean, *dispersion)  # type: ignore[no-untyped-call]
    return out


def _bernoulli(outputs: list[Tensor], where: Tensor, value: Tensor, wanted: bool) -> Tensor:
    (logit,) = outputs
    logit.clamp_(max=LOGIT_BOUND)
    ones_p = logit[:, where].sum(dim=1)
    odds = logit.exp_().add_(1.0)
    loss_p = _log_sum(odds)
    loss_p -= ones_p
    if wanted:
        odds.reciprocal_()
        torch.sub(1.0, odds, out=odds)  # e/(1 + e)
        odds[:, where] -= 1.0
    return loss_p


def _log_sum(x: Tensor) -> Tensor:
    """Sum of logarithms of each row of numbers between 1 and e^20, as the logarithm of products of four."""
    whole = x.shape[1] // 4 * 4
    parts = x[:, :whole].view(len(x), 4, -1)
    products = (parts[:, 0] * parts[:, 1]).mul_(parts[:, 2]).mul_(parts[:, 3])
    out: Tensor = products.log_().sum(dim=1).double()
    out += x[:, whole:].log().sum(dim=1)
    return out


def _negative_binomial(outputs: list[Tensor], where: Tensor, x: Tensor, wanted: bool) -> Tensor:
    """Where x = 0 the density is (θ/(θ+μ))^θ, without a gamma function; gamma terms are added at x > 0 only."""
    raw, spread = outputs
    m = raw.clamp(-LOG_MEAN_BOUND, LOG_MEAN_BOUND)
    mu = m.exp()
    theta = functional.softplus(spread).add_(DISPERSION_FLOOR)
    log_ratio = (mu / theta).log1p_()  # log((θ + μ)/θ)
    loss_p = (theta * log_ratio).sum(dim=1).double()
    m_x, mu_x, t_x = m[:, where], mu[:, where], theta[:, where]
    sum_x = t_x + mu_x
    extra = torch.lgamma(x + t_x) - torch.lgamma(t_x) - torch.lgamma(x + 1) + x * (m_x - sum_x.log())
    loss_p -= extra.sum(dim=1)
    if wanted:
        share = mu.div_(theta + mu)
        inside = raw == m
        torch.mul(theta, share, out=raw)
        raw[:, where] -= x * t_x / sum_x
        raw.mul_(inside)
        slope = torch.digamma(x + t_x) - torch.digamma(t_x) - x / sum_x
        back_t = log_ratio.sub_(share)
        back_t[:, where] -= slope
        spread.sigmoid_().mul_(back_t)
    return loss_p
