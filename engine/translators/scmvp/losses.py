"""scMVP's two likelihoods against sparse targets, values and gradients in one pass over blocks of features.

Non-integer targets are allowed: TF-IDF values are none. The zero-inflated Poisson density is then the usual one with
Γ(y + 1) for y!, which is what makes it a loss for weights of evidence rather than counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from engine.layers.sparse import SparseTarget

BLOCK = 1 << 17  # entries at a time: what a core's cache holds  # ours
LOG_DISPERSION_REACH = 8.0  # beyond e⁸ a negative binomial is a Poisson; below e⁻⁸ its variance overflows  # ours


def nb_loss(log_mean_bg: Tensor, log_dispersion_g: Tensor, target: SparseTarget) -> Tensor:
    """−log NB(x; mean, dispersion) summed over genes, mean over cells. Variance: mean + mean²/dispersion."""
    out: Tensor = _NegativeBinomial.apply(log_mean_bg, log_dispersion_g, target)  # type: ignore[no-untyped-call]
    return out


def zip_loss(log_rate_bp: Tensor, h_bk: Tensor, weight_pk: Tensor, bias_p: Tensor, target: SparseTarget) -> Tensor:
    """−log ZIP(y; rate, dropout) summed over peaks, mean over cells; the dropout's logit is h·w + b, never stored."""
    out: Tensor = _ZeroInflatedPoisson.apply(log_rate_bp, h_bk, weight_pk, bias_p, target)  # type: ignore[no-untyped-call]
    return out


def _blocks(cells: int, features: int) -> Iterator[tuple[int, int]]:
    width = max(64, BLOCK // max(cells, 1))
    for first in range(0, features, width):
        yield first, min(first + width, features)


class _NegativeBinomial(torch.autograd.Function):
    """Where x = 0 the density is (θ/(θ + μ))^θ; gamma functions are formed where something was counted only."""

    @staticmethod
    def forward(ctx: Any, log_mean_bg: Tensor, log_dispersion_g: Tensor, target: SparseTarget) -> Tensor:
        n = len(log_mean_bg)
        loss = torch.zeros((), dtype=torch.float64, device=log_mean_bg.device)
        back_m, back_t = torch.empty_like(log_mean_bg), torch.empty_like(log_dispersion_g)
        inside_g = log_dispersion_g.abs() <= LOG_DISPERSION_REACH
        theta_g = log_dispersion_g.clamp(-LOG_DISPERSION_REACH, LOG_DISPERSION_REACH).exp()
        for a, b in _blocks(*log_mean_bg.shape):
            row, column, x = target.between(a, b)
            x, theta = x.to(log_mean_bg.dtype), theta_g[a:b]
            mu = log_mean_bg[:, a:b].exp()
            log_ratio = (mu / theta).log1p_()  # log((θ + μ)/θ)
            loss += (log_ratio.sum(dim=0, dtype=torch.float64) * theta).sum()
            t, m, u = theta[column], log_mean_bg[row, a + column], mu[row, column]
            log_sum = (t + u).log()
            known = torch.lgamma(x + t) - torch.lgamma(t) - torch.lgamma(x + 1) + x * (m - log_sum)
            loss -= known.sum(dtype=torch.float64)
            share = mu.div_(theta + mu)
            slope_t = log_ratio.sub_(share)  # of the loss by θ where x = 0
            slope_t[row, column] -= torch.digamma(x + t) - torch.digamma(t) - x / (t + u)
            torch.sum(slope_t, dim=0, out=back_t[a:b])
            slope_m = torch.mul(share, theta, out=back_m[:, a:b])
            slope_m[row, column] -= x * t / (t + u)
        ctx.save_for_backward(back_m.div_(n), back_t.mul_(theta_g * inside_g / n))
        return (loss / n).to(log_mean_bg.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        back_m, back_t = ctx.saved_tensors
        return back_m * upstream, back_t * upstream, None


class _ZeroInflatedPoisson(torch.autograd.Function):
    """With logit t of a dropout and rate λ: log p(0) = softplus(t + λ) − λ − softplus(t).

    Of y > 0 it is y·log λ − λ − softplus(t) − log Γ(y + 1): the same but for what the first term becomes.
    """

    @staticmethod
    def forward(
        ctx: Any, log_rate_bp: Tensor, h_bk: Tensor, weight_pk: Tensor, bias_p: Tensor, target: SparseTarget
    ) -> Tensor:
        n = len(log_rate_bp)
        loss = torch.zeros((), dtype=torch.float64, device=h_bk.device)
        back_m, back_h = torch.empty_like(log_rate_bp), torch.zeros_like(h_bk)
        back_w, back_b = torch.empty_like(weight_pk), torch.empty_like(bias_p)
        for a, b in _blocks(*log_rate_bp.shape):
            row, column, y = target.between(a, b)
            y, m = y.to(h_bk.dtype), log_rate_bp[:, a:b]
            rate = m.exp()
            t = torch.addmm(bias_p[a:b], h_bk, weight_pk[a:b].T)
            raised = functional.softplus(t + rate)
            loss += (rate + functional.softplus(t) - raised).sum(dtype=torch.float64)
            loss -= (y * m[row, column] - torch.lgamma(y + 1) - raised[row, column]).sum(dtype=torch.float64)
            dropped = torch.sigmoid(t + rate)
            dropped[row, column] = 0.0
            slope_m = torch.mul(1.0 - dropped, rate, out=back_m[:, a:b])
            slope_m[row, column] -= y
            slope_t = t.sigmoid_().sub_(dropped)
            torch.mm(slope_t.T, h_bk, out=back_w[a:b])
            torch.sum(slope_t, dim=0, out=back_b[a:b])
            back_h.addmm_(slope_t, weight_pk[a:b])
        ctx.save_for_backward(*(v.div_(n) for v in (back_m, back_h, back_w, back_b)))
        return (loss / n).to(h_bk.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return (*(v * upstream for v in ctx.saved_tensors), None)
