"""CrossMP §2.3's losses against sparse targets: zeros cost one dense pass, the rest only the non-zero entries.

The paper leaves open which λ is which, the form of KL and the reductions. Our reading: every term is a mean over its
elements, λ1 = 1.33 weighs both BCE terms, λ2 = 1 the KL divergence of softmaxed latents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LOG_MEAN_BOUND = 12.0  # e¹² size-normalised counts is far beyond any gene


@dataclass(frozen=True)
class SparseTarget:
    """Non-zero entries of a (b, f) target: row, column and value of each, shape (nnz,)."""

    row: Tensor
    column: Tensor
    value: Tensor


@dataclass(frozen=True)
class Loss:
    """Named parts, each a scalar; total is their weighted sum."""

    total: Tensor
    nb_rna_rna: Tensor
    nb_atac_rna: Tensor
    bce_atac_atac: Tensor
    bce_rna_atac: Tensor
    kl: Tensor

    def parts(self) -> dict[str, float]:
        return {name: float(value.detach()) for name, value in vars(self).items()}


def negative_binomial(predicted: tuple[Tensor, Tensor], target: SparseTarget) -> Tensor:
    """Mean negative log-likelihood of NB(mean e^log_mean, dispersion θ) over all b × g entries; predicted: both.

    Where x = 0 the density is (θ/(θ+μ))^θ, without a gamma function; the gamma terms are added at x > 0 only.
    Non-integer x (size-normalised counts) is meant by the paper: the gamma functions are continuous.
    """
    log_mean_bg, theta = predicted
    log_mean = log_mean_bg.clamp(-LOG_MEAN_BOUND, LOG_MEAN_BOUND)
    # θ·log(θ/(θ+μ)) = −θ·log1p(μ/θ)
    zero = -theta * torch.log1p(log_mean.exp() / theta)
    m, t, x = log_mean[target.row, target.column], theta[target.row, target.column], target.value
    extra = torch.lgamma(x + t) - torch.lgamma(t) - torch.lgamma(x + 1) + x * (m - torch.log(t + m.exp()))
    return -(zero.sum() + extra.sum()) / log_mean.numel()


def binary_cross_entropy(logit_bp: Tensor, target: SparseTarget) -> Tensor:
    """Mean binary cross-entropy over all b × p entries; `target` holds the ones."""
    return (functional.softplus(logit_bp).sum() - logit_bp[target.row, target.column].sum()) / logit_bp.numel()


def latent_divergence(z_rna_bk: Tensor, z_atac_bk: Tensor) -> Tensor:
    """KL(softmax z_rna ‖ softmax z_atac), mean over cells."""
    p, q = functional.log_softmax(z_rna_bk, dim=1), functional.log_softmax(z_atac_bk, dim=1)
    return (p.exp() * (p - q)).sum(dim=1).mean()
