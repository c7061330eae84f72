"""CrossMP §2.3's loss over the four paths, without a cells × features array.

The paper leaves open which λ is which, the form of KL and the reductions. Our reading: every term is a mean over its
elements, λ1 = 1.33 weighs both BCE terms, λ2 = 1 the KL divergence of softmaxed latents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine.layers.heads import bernoulli_head_loss, nb_head_loss
from engine.layers.sparse import SparseTarget
from engine.translators.crossmp.network import AtacDecoder, RnaDecoder


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


def four_paths(
    z_r: Tensor,
    z_a: Tensor,
    to_rna: RnaDecoder,
    to_atac: AtacDecoder,
    *,
    genes: SparseTarget,
    peaks: SparseTarget,
    weight_bce: float,
    weight_kl: float,
) -> Loss:
    """NB of rna→rna and atac→rna, λ1 × BCE of atac→atac and rna→atac, λ2 × KL. Peaks in the decoder's order."""
    nb_rr, nb_ar = nb_head_loss(
        torch.cat([to_rna.trunk(z_r), to_rna.trunk(z_a)]),
        (to_rna.mean.weight, to_rna.mean.bias),
        (to_rna.dispersion.weight, to_rna.dispersion.bias),
        genes,
        paths=2,
    )
    bce_aa, bce_ra = bernoulli_head_loss(
        torch.cat([to_atac.trunk(z_a), to_atac.trunk(z_r)]),
        to_atac.weight_pk,
        to_atac.bias_p,
        peaks,
        paths=2,
        groups=to_atac.groups,
    )
    kl = latent_divergence(z_r, z_a)
    total = nb_rr + nb_ar + weight_bce * (bce_aa + bce_ra) + weight_kl * kl
    return Loss(total, nb_rr, nb_ar, bce_aa, bce_ra, kl)


def latent_divergence(z_rna_bk: Tensor, z_atac_bk: Tensor) -> Tensor:
    """KL(softmax z_rna ‖ softmax z_atac), mean over cells × latents, as all terms are over their elements."""
    p, q = functional.log_softmax(z_rna_bk, dim=1), functional.log_softmax(z_atac_bk, dim=1)
    return (p.exp() * (p - q)).mean()
