"""The mixture of Gaussians that scMVP's latent is drawn from: q(c|z) and both divergences, in logarithms throughout."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from engine.types import Floats

LOG_TWO_PI = math.log(2.0 * math.pi)
VARIANCE_FLOOR = 1e-3  # of the fitted components, in units of the latent  # ours
LOG_VARIANCE_REACH = (
    7.0  # components keep variances within e^±7: an empty one can neither vanish nor fill space  # ours
)
RESTARTS = 5  # of the EM algorithm  # ours


class Gaussian(NamedTuple):
    """Independent normal distributions. mean, log_variance: shape (b, k)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """mean + standard deviation × noise (the reparameterisation trick)."""
        return self.mean + (0.5 * self.log_variance).exp() * noise


class Divergence(NamedTuple):
    """z: Σ_c q(c|z)·KL(q(z|x,y) ‖ p(z|c)). c: KL(q(c|z) ‖ p(c)). Of each cell, shape (b,), in nats."""

    z: Tensor
    c: Tensor


class Mixture(nn.Module):
    """p(c) = π_c, p(z|c) = N(μ_c, diag σ_c²). Born with all components N(0, I), which is the plain prior."""

    def __init__(self, components: int, latent: int) -> None:
        super().__init__()
        self.logit_c = nn.Parameter(torch.zeros(components))
        self.mean_ck = nn.Parameter(torch.zeros(components, latent))
        self.free_ck = nn.Parameter(torch.zeros(components, latent))

    @property
    def log_variance_ck(self) -> Tensor:
        return self.free_ck.clamp(-LOG_VARIANCE_REACH, LOG_VARIANCE_REACH)

    @property
    def log_weight_c(self) -> Tensor:
        return torch.log_softmax(self.logit_c, dim=0)

    def log_joint(self, z_bk: Tensor) -> Tensor:
        """log π_c + log N(z; μ_c, σ_c²), shape (b, c)."""
        log_variance_ck = self.log_variance_ck
        apart_bck = (z_bk[:, None, :] - self.mean_ck).square() * (-log_variance_ck).exp()
        return self.log_weight_c - 0.5 * (apart_bck + log_variance_ck + LOG_TWO_PI).sum(dim=2)

    def log_belonging(self, z_bk: Tensor) -> Tensor:
        """log q(c|z), shape (b, c)."""
        return torch.log_softmax(self.log_joint(z_bk), dim=1)

    def divergence(self, q: Gaussian, log_belonging_bc: Tensor) -> Divergence:
        """Both divergences of the evidence bound, given how much each cell belongs to each component."""
        belonging_bc = log_belonging_bc.exp()
        each_bc = divergence(
            Gaussian(q.mean[:, None, :], q.log_variance[:, None, :]), Gaussian(self.mean_ck, self.log_variance_ck)
        )
        return Divergence(
            (belonging_bc * each_bc).sum(dim=1), (belonging_bc * (log_belonging_bc - self.log_weight_c)).sum(dim=1)
        )

    @torch.no_grad()
    def start_from(self, fitted: GaussianMixture) -> None:
        """Weights, means and variances of a fitted diagonal mixture."""
        for into, values in (
            (self.logit_c, np.log(np.maximum(fitted.weights_, 1e-6))),
            (self.mean_ck, fitted.means_),
            (self.free_ck, np.log(fitted.covariances_)),
        ):
            into.copy_(torch.from_numpy(np.asarray(values, dtype=np.float32)))


def fit_mixture(z_nk: Floats, components: int, seed: int) -> GaussianMixture:
    """scikit-learn's mixture with diagonal covariances (the paper's way to start), the best of a few restarts."""
    model = GaussianMixture(
        components, covariance_type="diag", reg_covar=VARIANCE_FLOOR, n_init=RESTARTS, random_state=seed
    )
    return model.fit(z_nk.astype(np.float64))


def divergence(q: Gaussian, p: Gaussian) -> Tensor:
    """KL(q ‖ p) summed over the latent, which is the last axis."""
    apart = (q.log_variance.exp() + (q.mean - p.mean).square()) * (-p.log_variance).exp()
    return 0.5 * (apart + p.log_variance - q.log_variance - 1.0).sum(dim=-1)
