"""The network of scMVP, whole: two branches into a latent, two weighted decoders, two encoders that close the cycle."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engine.layers.sparse import Bags, SparseLinear
from engine.translators.scmvp.attention import MaskAttention, SelfAttention
from engine.translators.scmvp.mixture import Gaussian, Mixture

LOG_VARIANCE_LOW, LOG_VARIANCE_HIGH = -5.0, 5.0  # a divergence divides by the variance: e⁻⁵ bounds it  # ours
START_SCALE = 0.1  # last layers begin close to their biases, which hold the average profile  # ours


@dataclass(frozen=True)
class Shape:
    """What the network is built from. genes_seen, peaks_seen: entries a training cell has on average."""

    genes: int
    peaks: int
    components: int
    latent: int
    hidden: int
    heads: int
    genes_seen: float
    peaks_seen: float

    def build(self) -> ScMVPNetwork:
        """A fresh network, drawn from torch's generator."""
        return ScMVPNetwork(self)


class Imputed(NamedTuple):
    """What one latent says. log_share: of all counts, rows of exponentials sum to one. h: the decoder's last units."""

    log_share_bg: Tensor
    log_share_bp: Tensor
    peaks_h: Tensor


class GeneBranch(nn.Module):
    """LayerNorm, BatchNorm and ReLU of 128 units, weighted by a mask read from them as they came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer_norm, self.batch_norm = nn.LayerNorm(width), nn.BatchNorm1d(width)
        self.attention = MaskAttention(width)

    def forward(self, first_bh: Tensor) -> Tensor:
        h_bh = functional.relu(self.batch_norm(self.layer_norm(first_bh)))
        out: Tensor = self.attention(h_bh, first_bh)
        return out


class PeakBranch(nn.Module):
    """BatchNorm and ReLU of 128 units, then self-attention, added to what it read, and LayerNorm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.batch_norm, self.layer_norm = nn.BatchNorm1d(width), nn.LayerNorm(width)
        self.attention = SelfAttention(heads, width // heads)

    def forward(self, first_bh: Tensor) -> Tensor:
        h_bh = functional.relu(self.batch_norm(first_bh))
        out: Tensor = self.layer_norm(h_bh + self.attention(h_bh))
        return out


class Posterior(nn.Module):
    """Joined branches → two hidden layers → mean and log-variance of the latent."""

    def __init__(self, width: int, hidden: int, latent: int, *, shared: int = 0) -> None:
        super().__init__()
        widths = [width, *([shared] if shared else []), hidden, hidden]
        # The paper names the layers and no norm; without one they do not train at its rate  # ours
        self.hidden = nn.Sequential(
            *(layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()))
        )
        self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)

    def forward(self, h_bh: Tensor) -> Gaussian:
        h_bh = self.hidden(h_bh)
        return Gaussian(self.mean(h_bh), self.log_variance(h_bh).clamp(LOG_VARIANCE_LOW, LOG_VARIANCE_HIGH))


class SingleEncoder(nn.Module):
    """One modality to the latent: a branch of the joint encoder's structure. Reads sparse rows and imputed ones."""

    def __init__(self, features: int, seen: float, branch: nn.Module, hidden: int, latent: int) -> None:
        super().__init__()
        self.first = SparseLinear(features, hidden, fan_in=seen)
        self.branch = branch
        self.posterior = Posterior(hidden, hidden, latent)

    def forward(self, cells: Bags, imputed_bf: Tensor | None = None) -> Gaussian:
        """With imputed profiles, of those after the cells: normalised together, so that one average serves both."""
        first = self.first(cells)
        if imputed_bf is not None:
            imputed_bh = functional.linear(imputed_bf, self.first.weight_fh.T, self.first.bias_h)
            first = torch.cat([first, imputed_bh])
        out: Gaussian = self.posterior(self.branch(first))
        return out


class JointEncoder(nn.Module):
    """Both branches, joined to 256 → shared 256 → 128 → 128 → q(z|x, y)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.genes_first = SparseLinear(shape.genes, shape.hidden, fan_in=shape.genes_seen)
        self.peaks_first = SparseLinear(shape.peaks, shape.hidden, fan_in=shape.peaks_seen)
        self.genes, self.peaks = GeneBranch(shape.hidden), PeakBranch(shape.hidden, shape.heads)
        self.posterior = Posterior(2 * shape.hidden, shape.hidden, shape.latent, shared=2 * shape.hidden)

    def forward(self, genes: Bags, peaks: Bags) -> Gaussian:
        branches = self.genes(self.genes_first(genes)), self.peaks(self.peaks_first(peaks))
        out: Gaussian = self.posterior(torch.cat(branches, dim=1))
        return out


class Decoder(nn.Module):
    """latent → 128 → a branch's structure, times softmax(MLP(q(c|z))) → every feature's share.

    The softmax's weights have mean one here (the paper's sum to one): the next layer takes up the factor.
    """

    def __init__(self, features: int, branch: nn.Module, shape: Shape) -> None:
        super().__init__()
        self.first, self.branch = nn.Linear(shape.latent, shape.hidden), branch
        self.cluster = nn.Linear(shape.components, shape.hidden)
        self.share = nn.Linear(shape.hidden, features)

    def trunk(self, z_bk: Tensor, belonging_bc: Tensor) -> Tensor:
        """The last hidden units, shape (b, h)."""
        h_bh = self.branch(self.first(z_bk))
        weight_bh = torch.softmax(self.cluster(belonging_bc), dim=1) * h_bh.shape[1]
        out: Tensor = h_bh * weight_bh
        return out

    @torch.no_grad()
    def start(self, log_share_f: NDArray[np.float64]) -> None:
        """At the training average: the first epochs need not learn it."""
        self.share.bias.copy_(torch.from_numpy(log_share_f.astype(np.float32)))
        self.share.weight.mul_(START_SCALE)


class ScMVPNetwork(nn.Module):
    """joint, genes, peaks: encoders. to_genes, to_peaks: decoders. prior: the mixture."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        hidden, heads = shape.hidden, shape.heads
        self.joint = JointEncoder(shape)
        self.genes = SingleEncoder(shape.genes, shape.genes_seen, GeneBranch(hidden), hidden, shape.latent)
        self.peaks = SingleEncoder(shape.peaks, shape.peaks_seen, PeakBranch(hidden, heads), hidden, shape.latent)
        self.to_genes = Decoder(shape.genes, GeneBranch(hidden), shape)
        self.to_peaks = Decoder(shape.peaks, PeakBranch(hidden, heads), shape)
        self.log_dispersion_g = nn.Parameter(torch.zeros(shape.genes))
        self.dropout = nn.Linear(hidden, shape.peaks)
        self.prior = Mixture(shape.components, shape.latent)

    def decode(self, z_bk: Tensor, belonging_bc: Tensor) -> Imputed:
        genes_h, peaks_h = (d.trunk(z_bk, belonging_bc) for d in (self.to_genes, self.to_peaks))
        return Imputed(
            torch.log_softmax(self.to_genes.share(genes_h), dim=1),
            torch.log_softmax(self.to_peaks.share(peaks_h), dim=1),
            peaks_h,
        )

    def weights(self, *, prior: bool) -> list[nn.Parameter]:
        """What is trained: everything, or all but the mixture."""
        return [value for name, value in self.named_parameters() if prior or not name.startswith("prior.")]
