"""The library's two reconstruction losses, computed without gamma functions and logarithms of what was not counted.

Each equals the library's own to rounding, values and gradients; they are most of the time of a training step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

EPS = 1e-8  # scvi-tools
LOG_FLOOR = -100.0  # torch.nn.BCELoss
SMALLEST = 1e-12  # torch.nn.BCELoss
BLOCK = 1 << 17  # entries at a time: what a core's cache holds  # ours


def zinb_loss(x_bg: Tensor, mu_bg: Tensor, theta_g: Tensor, logit_bg: Tensor) -> Tensor:
    """Negative log-likelihood of zero-inflated counts, summed over genes, shape (b,). logit: of an extra zero."""
    row, column = x_bg.nonzero(as_tuple=True)
    x = x_bg[row, column]
    log_total = (theta_g + mu_bg + EPS).log()
    inflated = functional.softplus(-logit_bg)
    ratio = theta_g * ((theta_g + EPS).log() - log_total) - logit_bg
    zero = functional.softplus(ratio)
    theta = theta_g[column]
    counted = (
        ratio[row, column]
        + x * ((mu_bg[row, column] + EPS).log() - log_total[row, column])
        + torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    )  # fmt: skip
    extra = torch.zeros_like(x_bg[:, 0]).index_add(0, row, counted - zero[row, column])
    return (inflated - zero).sum(dim=1) - extra


def bernoulli_loss(open_bp: Tensor, p_bp: Tensor, d_b1: Tensor, r_p: Tensor) -> Tensor:
    """Negative log-likelihood of peaks that are open with probability p·d·r, summed over peaks, shape (b,)."""
    out: Tensor = _Bernoulli.apply(p_bp, d_b1, r_p, open_bp)  # type: ignore[no-untyped-call]
    return out


class _Bernoulli(torch.autograd.Function):
    """Block of peaks by block; v is the probability of what was seen: p·d·r of an open peak, else 1 − p·d·r."""

    @staticmethod
    def forward(ctx: Any, p_bp: Tensor, d_b1: Tensor, r_p: Tensor, open_bp: Tensor) -> Tensor:
        loss_b = torch.zeros(len(p_bp), dtype=torch.float64, device=p_bp.device)
        for a, b in _blocks(p_bp):
            v, _ = _seen(p_bp[:, a:b], d_b1, r_p[a:b], open_bp[:, a:b])
            loss_b -= v.log_().clamp_(min=LOG_FLOOR).sum(dim=1)
        ctx.save_for_backward(p_bp, d_b1, r_p, open_bp)
        return loss_b.to(p_bp.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_b: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        p_bp, d_b1, r_p, open_bp = ctx.saved_tensors
        back_p, back_d, back_r = torch.empty_like(p_bp), torch.zeros_like(d_b1), torch.empty_like(r_p)
        for a, b in _blocks(p_bp):
            p, r = p_bp[:, a:b], r_p[a:b]
            v, sign = _seen(p, d_b1, r, open_bp[:, a:b])
            slope = sign.div_(v.clamp_(min=SMALLEST)).mul_(upstream_b[:, None])
            torch.mul(slope, r, out=v)
            torch.mul(v, d_b1, out=back_p[:, a:b])
            slope.mul_(p)
            back_d.add_((slope @ r)[:, None])
            torch.mv(slope.T, d_b1[:, 0], out=back_r[a:b])
        return back_p, back_d, back_r, None


def _seen(p: Tensor, d_b1: Tensor, r: Tensor, open_b: Tensor) -> tuple[Tensor, Tensor]:
    """v, and 1 where a peak is closed, −1 where it is open."""
    closed = (open_b <= 0).to(p.dtype)
    sign = closed.mul(2.0).sub_(1.0)
    return closed.addcmul_(torch.mul(p, d_b1).mul_(r), sign, value=-1.0), sign


def _blocks(p_bp: Tensor) -> list[tuple[int, int]]:
    width = max(64, BLOCK // max(len(p_bp), 1))
    return [(a, min(a + width, p_bp.shape[1])) for a in range(0, p_bp.shape[1], width)]


def lean(base: Any) -> Any:
    """The library's network class with these losses in the place of its own."""

    class LeanMULTIVAE(base):  # type: ignore[misc]
        def get_reconstruction_loss_expression(
            self, x: Tensor, px_rate: Tensor, px_r: Tensor, px_dropout: Tensor
        ) -> Any:
            if self.gene_likelihood != "zinb":
                return super().get_reconstruction_loss_expression(x, px_rate, px_r, px_dropout)
            return zinb_loss(x, px_rate, px_r, px_dropout)

        def get_reconstruction_loss_accessibility(self, x: Tensor, p: Tensor, d: Tensor) -> Any:
            if self.region_factors is None:
                return bernoulli_loss(x, p, d, torch.ones_like(p[0]))
            return bernoulli_loss(x, p, d, torch.sigmoid(self.region_factors))

    return LeanMULTIVAE
