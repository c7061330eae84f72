"""scMVP's loss of a batch: the evidence bound and the cycle's four divergences, as named parts in nats a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engine.training import Parts
from engine.translators.scmvp.inputs import Batch
from engine.translators.scmvp.losses import nb_loss, zip_loss
from engine.translators.scmvp.mixture import Gaussian, divergence
from engine.translators.scmvp.network import ScMVPNetwork


class Cycle(NamedTuple):
    """KL of each single encoder's latent to the joint one, mean over cells: of imputed and of raw profiles."""

    imputed_rna: Tensor
    imputed_atac: Tensor
    raw_rna: Tensor
    raw_atac: Tensor


@dataclass(frozen=True)
class Loss:
    """total: rna + atac + kl_z + kl_c + the cycle, as weighed. bound: −ELBO, unweighed."""

    total: Tensor
    bound: Tensor
    rna: Tensor
    atac: Tensor
    kl_z: Tensor
    kl_c: Tensor
    cycle: Cycle

    def parts(self) -> Parts:
        named = {"total": self.total, "bound": self.bound, "rna": self.rna, "atac": self.atac, "kl_z": self.kl_z}
        named |= {"kl_c": self.kl_c, **{f"cycle_{k}": v for k, v in self.cycle._asdict().items()}}
        return {name: float(value.detach()) for name, value in named.items()}


@dataclass(frozen=True)
class Weights:
    """kl: of both divergences to the prior. atac: of the peaks' likelihood. cycle: of all four of its terms.

    apart: the cycle teaches the single encoders alone, and leaves the joint latent and the decoders as they are.
    """

    kl: float = 1.0
    atac: float = 1.0
    cycle: float = 1.0
    apart: bool = False


def loss_of(network: ScMVPNetwork, cells: Batch, noise_bk: Tensor, weights: Weights) -> Loss:
    """The negative of the evidence bound and the cycle, from one draw of each cell's latent."""
    q = network.joint(cells.genes, cells.peaks)
    z_bk = q.sample(noise_bk)
    log_belonging_bc = network.prior.log_belonging(z_bk)
    imputed = network.decode(z_bk, log_belonging_bc.exp())
    log_mean_bg = imputed.log_share_bg + cells.log_x_b[:, None]
    log_rate_bp = imputed.log_share_bp + cells.log_y_b[:, None]
    rna = nb_loss(log_mean_bg, network.log_dispersion_g, cells.counts)
    dropout = network.dropout
    atac = zip_loss(log_rate_bp, imputed.peaks_h, dropout.weight, dropout.bias, cells.accessible)
    kl = network.prior.divergence(q, log_belonging_bc)
    kl_z, kl_c = kl.z.mean(), kl.c.mean()
    cycle = cycle_of(network, cells, q, imputed.log_share_bg, log_rate_bp, weights)
    bound = rna + atac + kl_z + kl_c
    weighed = rna + weights.atac * atac + weights.kl * (kl_z + kl_c)
    total = weighed + weights.cycle * torch.stack(cycle).sum() if weights.cycle else weighed
    return Loss(total, bound, rna, atac, kl_z, kl_c, cycle)


def cycle_of(
    network: ScMVPNetwork, cells: Batch, q: Gaussian, log_share_bg: Tensor, log_rate_bp: Tensor, weights: Weights
) -> Cycle:
    """Both single encoders read the raw and the imputed profile, as the joint encoder's branches read the raw one.

    A cell's imputed rows are multiplied by what its raw ones were.
    """
    if not weights.cycle:
        nothing = q.mean.new_zeros(())
        return Cycle(nothing, nothing, nothing, nothing)
    joint = q
    if weights.apart:
        joint = Gaussian(*(v.detach() for v in q))
        log_share_bg, log_rate_bp = log_share_bg.detach(), log_rate_bp.detach()
    genes_bg = (log_share_bg + cells.log_read_b[:, None]).exp().log1p() * cells.level_x_b[:, None]
    peaks_bp = (log_rate_bp + cells.level_y_b.log()[:, None]).exp()
    cycles = (network.genes, cells.genes, genes_bg), (network.peaks, cells.peaks, peaks_bp)
    raw, imputed = [], []
    for encoder, bags, profile in cycles:
        both = encoder(bags, profile)
        n = len(q.mean)
        raw.append(divergence(Gaussian(both.mean[:n], both.log_variance[:n]), joint).mean())
        imputed.append(divergence(Gaussian(both.mean[n:], both.log_variance[n:]), joint).mean())
    return Cycle(imputed[0], imputed[1], raw[0], raw[1])
