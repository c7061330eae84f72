"""scButterfly-B's network: an encoder and a decoder for each modality, and a variational translator between them.

Every layer is linear, batch norm, LeakyReLU; what follows a batch norm's own shift needs no bias before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.layers.sparse import Bags, SparseLinear
from engine.translators.crossmp.inputs import Blocks
from engine.translators.scbutterfly.heads import EPSILON, SLOPE, NormedHead, cross_entropy, squared_leaky
from engine.types import Modality


@dataclass(frozen=True)
class Sizes:
    """Layer widths and rates, as published. embedding: what encoders give and decoders take; latent: between them."""

    hidden_rna: int = 256
    per_chromosome: int = 32
    embedding: int = 128
    latent: int = 128
    dropout: float = 0.1
    mask_rna: float = 0.5
    mask_atac: float = 0.3


class Layer(nn.Module):
    """Linear, batch norm, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)
        self.norm = nn.BatchNorm1d(outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.norm(self.linear(x)), SLOPE)


class Encoder(nn.Module):
    """Sparse features → hidden units of each group → 128; part of the input is masked while training.

    One group of all genes with 256 units, or a group of 32 units for each chromosome's peaks.
    """

    def __init__(self, groups: list[tuple[int, int]], width: int, sizes: Sizes, mask: float) -> None:
        super().__init__()
        self.mask, self.dropout, self.hidden = mask, sizes.dropout, len(groups) * width
        self.first = SparseLinear(groups[-1][1], width, bias=False)
        with torch.no_grad():
            for a, b in groups:
                bound = sqrt(6 / (b - a + width))  # Xavier, of each group by itself
                self.first.weight_fh[a:b].uniform_(-bound, bound)
        self.norm = nn.BatchNorm1d(self.hidden, eps=EPSILON)
        self.last = Layer(self.hidden, sizes.embedding)

    def forward(self, bags: Bags) -> Tensor:
        """shape (b, 128)"""
        h_bh = self.first(masked(bags, self.mask) if self.training else bags).view(-1, self.hidden)
        h_bh = functional.leaky_relu(self.norm(h_bh), SLOPE)
        out: Tensor = self.last(functional.dropout(h_bh, self.dropout, self.training))
        return out


def masked(bags: Bags, rate: float) -> Bags:
    """A random share of the entries as if not measured, the others scaled up so that sums keep their mean."""
    return Bags(bags.index, functional.dropout(bags.weight, rate), bags.offsets)


class Decoder(nn.Module):
    """128 → hidden units of each group → features; the head forms its loss by itself."""

    def __init__(self, head: NormedHead, sizes: Sizes) -> None:
        super().__init__()
        self.groups, self.dropout = len(head.groups), sizes.dropout
        self.hidden = Layer(sizes.embedding, self.groups * head.weight_fk.shape[1])
        self.head = head

    def trunk(self, embedding_bk: Tensor) -> Tensor:
        """Hidden units by group, shape (b, c, k)."""
        h_bh = functional.dropout(self.hidden(embedding_bk), self.dropout, self.training)
        return h_bh.view(len(h_bh), self.groups, -1)


class Bottleneck(nn.Module):
    """Mean and log-variance of the latent."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.mean = Layer(sizes.embedding, sizes.latent)
        self.log_variance = Layer(sizes.embedding, sizes.latent)

    def forward(self, embedding_bk: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(embedding_bk), self.log_variance(embedding_bk)


class Butterfly(nn.Module):
    """What is kept: encoders, bottlenecks, the translator's way out to each modality, decoders; each by modality."""

    def __init__(self, *, genes: int, blocks: Blocks, sizes: Sizes) -> None:
        super().__init__()
        starts = [int(v) for v in blocks.starts]
        peaks = list(pairwise(starts))
        rna = (NormedHead(sizes.hidden_rna, [(0, genes)], squared_leaky), sizes)
        atac = (NormedHead(sizes.per_chromosome, peaks, cross_entropy), sizes)
        self.encoders = nn.ModuleDict(
            {
                Modality.RNA: Encoder([(0, genes)], sizes.hidden_rna, sizes, sizes.mask_rna),
                Modality.ATAC: Encoder(peaks, sizes.per_chromosome, sizes, sizes.mask_atac),
            }
        )
        self.decoders = nn.ModuleDict({Modality.RNA: Decoder(*rna), Modality.ATAC: Decoder(*atac)})
        self.bottlenecks = nn.ModuleDict({m: Bottleneck(sizes) for m in Modality})
        self.outs = nn.ModuleDict({m: Layer(sizes.latent, sizes.embedding) for m in Modality})

    def decoder(self, target: Modality) -> Decoder:
        found = self.decoders[target]
        assert isinstance(found, Decoder)
        return found

    def latent(self, bags: Bags, source: Modality) -> Tensor:
        """Mean of the latent, shape (b, 128)."""
        mean_bk, _ = self.bottlenecks[source](self.encoders[source](bags))
        out: Tensor = mean_bk
        return out

    def trunk(self, latent_bk: Tensor, target: Modality) -> Tensor:
        """Latent → the target decoder's hidden units, shape (b, c, k)."""
        return self.decoder(target).trunk(self.outs[target](latent_bk))


class Judge(nn.Module):
    """Tells an encoder's embedding from a translated one: one linear unit, batch norm. Logit of being an encoder's."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.linear = nn.Linear(sizes.embedding, 1, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)
        self.norm = nn.BatchNorm1d(1, eps=EPSILON)

    def forward(self, embedding_bk: Tensor) -> Tensor:
        out: Tensor = self.norm(self.linear(embedding_bk))[:, 0]
        return out


def sampled(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A draw from the latent's normal distribution."""
    return mean + torch.randn_like(mean) * torch.exp(log_variance / 2)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL from the standard normal, mean over cells and units."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()
