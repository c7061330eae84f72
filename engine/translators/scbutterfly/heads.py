"""A last layer with batch normalisation, and its loss: formed, compared and turned into gradients block by block.

scButterfly normalises also the outputs, each gene and peak over the cells of the batch. A block of features with all
its cells is all that this needs, so the layer, its norm, the loss and their gradients are one pass over blocks that
fit a core's cache; the cells × features arrays that automatic differentiation would keep are never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from engine.layers.heads import LOGIT_BOUND
from engine.layers.sparse import SparseTarget

EPSILON, MOMENTUM, SLOPE = 1e-5, 0.1, 0.01  # torch's BatchNorm1d and LeakyReLU, as the authors left them
BLOCK = 1 << 17  # outputs of a block: a few of them fit a core's cache  # ours
FOUR = 4  # e^(4 · 20) is still a 32-bit number

# normalised outputs of a block, a row a path, changed in place into gradients where those are wanted; where in a row
# the entries that are not zero lie, and their values → loss of each path
Kernel = Callable[[Tensor, Tensor, Tensor, bool], Tensor]


def squared_leaky(y: Tensor, where: Tensor, value: Tensor, wanted: bool) -> Tensor:
    """Squared error of LeakyReLU(y)."""
    twice_slope = (y < 0).to(y.dtype).mul_(2 * (SLOPE - 1)).add_(2.0) if wanted else None
    torch.nn.functional.leaky_relu_(y, SLOPE)
    y[:, where] -= value
    loss_q: Tensor = torch.linalg.vector_norm(y, dim=1).double().square()
    if twice_slope is not None:
        y.mul_(twice_slope)
    return loss_q


def cross_entropy(y: Tensor, where: Tensor, value: Tensor, wanted: bool) -> Tensor:
    """Binary cross-entropy of sigmoid(y) with targets in [0, 1]."""
    y.clamp_(max=LOGIT_BOUND)
    at_q = (y[:, where] * value).sum(dim=1)
    odds = y.exp_().add_(1.0)
    loss_q = _sum_of_logs(odds) - at_q
    if wanted:
        odds.reciprocal_().neg_().add_(1.0)  # e/(1 + e)
        odds[:, where] -= value
    return loss_q


def _sum_of_logs(x: Tensor) -> Tensor:
    """Sum of the logarithms of each row, as those of products of four."""
    whole = x.shape[1] // FOUR * FOUR
    products = x[:, :whole].view(len(x), FOUR, -1).prod(dim=1)
    out: Tensor = products.log_().sum(dim=1).double() + x[:, whole:].log().sum(dim=1)
    return out


class NormedHead(nn.Module):
    """Linear layer and batch norm of each feature; groups: (first, stop) features that see their own k units."""

    mean_f: Tensor
    variance_f: Tensor

    def __init__(self, width: int, groups: Sequence[tuple[int, int]], kernel: Kernel) -> None:
        super().__init__()
        self.groups, self.kernel = list(groups), kernel
        features = self.groups[-1][1]
        weight_fk = torch.empty(features, width)
        for first, stop in self.groups:
            if stop > first:
                nn.init.xavier_uniform_(weight_fk[first:stop])
        self.weight_fk = nn.Parameter(weight_fk)
        self.gain_f = nn.Parameter(torch.ones(features))
        self.shift_f = nn.Parameter(torch.zeros(features))
        self.register_buffer("mean_f", torch.zeros(features))
        self.register_buffer("variance_f", torch.ones(features))

    def losses(self, paths: Sequence[Tensor], target: SparseTarget) -> Tensor:
        """Loss of each path, mean over cells × features, shape (paths,). All must weigh the same in the total.

        paths: hidden units of the same cells decoded in several ways, each (b, k), or (b, c, k) where there are groups.
        In training each path is normalised by its own batch, and moves the running averages, one after the other.
        """
        h = torch.cat([path if path.dim() == 3 else path[:, None] for path in paths])
        plan = _Plan(self, target, len(paths))
        out: Tensor = _Normed.apply(h, plan, self.weight_fk, self.gain_f, self.shift_f)  # type: ignore[no-untyped-call]
        if self.training:
            self._follow(plan)
        return out

    @torch.no_grad()
    def _follow(self, plan: _Plan) -> None:
        n = plan.target.cells
        for path in range(plan.paths):
            self.mean_f.lerp_(plan.mean_qf[path], MOMENTUM)
            self.variance_f.lerp_(plan.variance_qf[path] * (n / max(n - 1, 1)), MOMENTUM)

    def folded(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (f, k) and biases (f,) of the chosen features, the norm with its running averages folded in."""
        factor_f = self.gain_f[positions] / (self.variance_f[positions] + EPSILON).sqrt()
        bias_f = self.shift_f[positions] - self.mean_f[positions] * factor_f
        return self.weight_fk[positions] * factor_f[:, None], bias_f


@dataclass(eq=False)
class _Plan:
    """What one pass compares and leaves behind: the batch's mean and variance of each path and feature."""

    head: NormedHead
    target: SparseTarget
    paths: int

    def __post_init__(self) -> None:
        self.training, self.wanted = self.head.training, torch.is_grad_enabled()
        self.mean_qf = self.head.mean_f.repeat(self.paths, 1)
        self.variance_qf = self.head.variance_f.repeat(self.paths, 1)

    def blocks(self) -> Iterator[tuple[int, slice]]:
        most = max(64, BLOCK // (self.paths * self.target.cells))
        for group, (first, stop) in enumerate(self.head.groups):
            width = -(-(stop - first) // (-(-(stop - first) // most) or 1)) or 1  # as even as they come
            for a in range(first, stop, width):
                yield group, slice(a, min(a + width, stop))

    def compare(self, y_qbf: Tensor, block: slice, wanted: bool) -> Tensor:
        row, column, value = self.target.between(block.start, block.stop)
        where = row * (block.stop - block.start) + column
        return self.head.kernel(y_qbf.view(self.paths, -1), where, value, wanted)


class _Normed(torch.autograd.Function):
    """Loss of each path; gradients are formed in the forward pass, where the blocks are at hand."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, plan: _Plan, weight: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
        wanted, n = plan.wanted and any(ctx.needs_input_grad), plan.target.cells
        loss_q = torch.zeros(plan.paths, dtype=torch.float64, device=h.device)
        back = [torch.zeros_like(h), *(torch.empty_like(v) for v in (weight, gain, shift))] if wanted else []
        for group, block in plan.blocks():
            h_rk, weight_fk = h[:, group].contiguous(), weight[block]
            x_qbf = (h_rk @ weight_fk.T).view(plan.paths, n, -1)
            if plan.training:
                plan.mean_qf[:, block] = x_qbf.mean(dim=1)
                plan.variance_qf[:, block] = (x_qbf - plan.mean_qf[:, None, block]).square_().mean(dim=1)
            mean_qf, inverse_qf = plan.mean_qf[:, block], (plan.variance_qf[:, block] + EPSILON).rsqrt()
            factor_qf = inverse_qf * gain[block]
            y_qbf = torch.addcmul((shift[block] - mean_qf * factor_qf)[:, None], x_qbf, factor_qf[:, None])
            loss_q += plan.compare(y_qbf, block, wanted)
            if not back:
                continue
            total_qf = y_qbf.sum(dim=1)
            # Σ of gradients times normalised outputs
            across_qf = ((y_qbf * x_qbf).sum(dim=1) - mean_qf * total_qf) * inverse_qf
            torch.sum(across_qf, dim=0, out=back[2][block])
            torch.sum(total_qf, dim=0, out=back[3][block])
            y_qbf.mul_(factor_qf[:, None])
            if plan.training:  # the batch's mean and variance move with every cell
                pull_qf = -factor_qf * inverse_qf * across_qf / n
                y_qbf.addcmul_(x_qbf, pull_qf[:, None]).sub_((factor_qf * total_qf / n + pull_qf * mean_qf)[:, None])
            gradient = y_qbf.view(len(h_rk), -1)
            torch.mm(gradient.T, h_rk, out=back[1][block])
            back[0][:, group].addmm_(gradient, weight_fk)
        ctx.count = n * plan.target.features
        ctx.save_for_backward(*back)
        out: Tensor = (loss_q / ctx.count).to(h.dtype)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        if not bool((upstream == upstream[0]).all()):
            raise ValueError("The paths of one head must have the same weight in the loss.")
        scale = upstream[0] / ctx.count
        back_h, *others = (v.mul_(scale) for v in ctx.saved_tensors)
        return (back_h, None, *others)
