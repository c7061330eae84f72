"""The network of CrossMP §2.2, whole: four encoders, two decoders, and nothing as wide as the genome held densely."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.translators.crossmp.inputs import Bags, Blocks


@dataclass(frozen=True)
class Sizes:
    """Layer widths; defaults are the paper's (§2.2, figure 1c)."""

    hidden_rna: int = 64
    hidden_chromosome: int = 32
    per_chromosome: int = 16
    latent: int = 16


class SparseLinear(nn.Module):
    """A first layer that reads sparse rows: `weight_fh` rows are summed over each bag, then the bias is added."""

    def __init__(self, features: int, hidden: int, *, fan_in: float | None = None, bias: bool = True) -> None:
        super().__init__()
        bound = max(fan_in or features, 1) ** -0.5
        self.weight_fh = nn.Parameter(torch.empty(features, hidden).uniform_(-bound, bound))
        self.bias_h = nn.Parameter(torch.empty(hidden).uniform_(-bound, bound)) if bias else None

    def forward(self, bags: Bags, weight_fh: Tensor | None = None) -> Tensor:
        weight = self.weight_fh if weight_fh is None else weight_fh
        out = functional.embedding_bag(bags.index, weight, bags.offsets, mode="sum", per_sample_weights=bags.weight)
        return out if self.bias_h is None else out + self.bias_h


class RnaEncoder(nn.Module):
    """FC → 64 → 16, BatchNorm and ReLU after each; reads z-scores as a constant row plus a sparse difference."""

    def __init__(self, genes: int, sizes: Sizes) -> None:
        super().__init__()
        self.first = SparseLinear(genes, sizes.hidden_rna)
        self.norm1 = nn.BatchNorm1d(sizes.hidden_rna)
        self.second = nn.Linear(sizes.hidden_rna, sizes.latent)
        self.norm2 = nn.BatchNorm1d(sizes.latent)

    def forward(self, bags: Bags, zero_g: Tensor) -> Tensor:
        h_bh = self.first(bags) + zero_g @ self.first.weight_fh
        h_bh = functional.relu(self.norm1(h_bh))
        return functional.relu(self.norm2(self.second(h_bh)))


class ChromosomeEncoder(nn.Module):
    """Per chromosome FC → 32 → 16 with PReLU; concatenated; → 16, PReLU."""

    def __init__(self, features: int, chromosomes: int, sizes: Sizes) -> None:
        super().__init__()
        self.chromosomes = chromosomes
        self.first = SparseLinear(features, sizes.hidden_chromosome, fan_in=features / chromosomes, bias=False)
        bound = sizes.hidden_chromosome**-0.5
        self.bias_ch = nn.Parameter(torch.zeros(chromosomes, sizes.hidden_chromosome))
        self.slope1_c = nn.Parameter(torch.full((chromosomes, 1), 0.25))
        shape = (chromosomes, sizes.hidden_chromosome, sizes.per_chromosome)
        self.weight_chk = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias_ck = nn.Parameter(torch.zeros(chromosomes, sizes.per_chromosome))
        self.slope2_c = nn.Parameter(torch.full((chromosomes, 1), 0.25))
        self.last = nn.Linear(chromosomes * sizes.per_chromosome, sizes.latent)
        self.slope3 = nn.PReLU()

    def forward(self, bags: Bags, weight_fh: Tensor | None = None, factor_b: Tensor | None = None) -> Tensor:
        h_bch = self.first(bags, weight_fh).view(-1, self.chromosomes, self.weight_chk.shape[1])
        if factor_b is not None:
            h_bch = h_bch * factor_b[:, None, None]
        h_bch = prelu(h_bch + self.bias_ch, self.slope1_c)
        h_bck = prelu(torch.einsum("bch,chk->bck", h_bch, self.weight_chk) + self.bias_ck, self.slope2_c)
        out: Tensor = self.slope3(self.last(h_bck.flatten(1)))
        return out


class RnaDecoder(nn.Module):
    """16 → 64 → mean (exp) and dispersion (softplus) of each gene."""

    def __init__(self, genes: int, sizes: Sizes) -> None:
        super().__init__()
        self.hidden = nn.Linear(sizes.latent, sizes.hidden_rna)
        self.norm = nn.BatchNorm1d(sizes.hidden_rna)
        self.mean = nn.Linear(sizes.hidden_rna, genes)
        self.dispersion = nn.Linear(sizes.hidden_rna, genes)

    def trunk(self, z_bk: Tensor) -> Tensor:
        return functional.relu(self.norm(self.hidden(z_bk)))

    def forward(self, z_bk: Tensor) -> tuple[Tensor, Tensor]:
        """Log mean of size-normalised counts and dispersion, both (b, g)."""
        h_bh = self.trunk(z_bk)
        return self.mean(h_bh), functional.softplus(self.dispersion(h_bh)) + 1e-4


class AtacDecoder(nn.Module):
    """16 → 352 with PReLU → a block of 16 a chromosome → its peaks' logits."""

    def __init__(self, blocks: Blocks, sizes: Sizes) -> None:
        super().__init__()
        self.chromosomes, self.width = len(blocks), sizes.per_chromosome
        self.starts = [int(v) for v in blocks.starts]
        self.hidden = nn.Linear(sizes.latent, self.chromosomes * self.width)
        self.slope = nn.PReLU()
        peaks = len(blocks.order_f)
        bound = self.width**-0.5
        # Rows in the order of `blocks.order_f`: each chromosome's peaks lie together.
        self.weight_pk = nn.Parameter(torch.empty(peaks, self.width).uniform_(-bound, bound))
        self.bias_p = nn.Parameter(torch.zeros(peaks))

    def trunk(self, z_bk: Tensor) -> Tensor:
        """shape (b, c, k)"""
        out: Tensor = self.slope(self.hidden(z_bk)).view(-1, self.chromosomes, self.width)
        return out

    def forward(self, z_bk: Tensor) -> Tensor:
        """Logits, shape (b, p), peaks in the order of `blocks.order_f`."""
        h_bck = self.trunk(z_bk)
        parts = [
            torch.addmm(self.bias_p[a:b], h_bck[:, c], self.weight_pk[a:b].T)
            for c, (a, b) in enumerate(zip(self.starts[:-1], self.starts[1:], strict=True))
        ]
        return torch.cat(parts, dim=1)


class CrossMPNetwork(nn.Module):
    """z_r = E_rna(x) + E_sig(s), z_a = E_atac(y) + E_gas(a); two decoders shared by all four paths."""

    def __init__(self, *, genes: int, significant: int, blocks: Blocks, sizes: Sizes) -> None:
        super().__init__()
        peaks = len(blocks.order_f)
        self.rna = RnaEncoder(genes, sizes)
        self.significant = RnaEncoder(significant, sizes)
        self.atac = ChromosomeEncoder(peaks, len(blocks), sizes)
        self.activity = ChromosomeEncoder(genes, len(blocks), sizes)
        self.to_rna = RnaDecoder(genes, sizes)
        self.to_atac = AtacDecoder(blocks, sizes)

    def encode_rna(self, genes: Bags, zero_g: Tensor, significant: Bags, zero_s: Tensor) -> Tensor:
        out: Tensor = self.rna(genes, zero_g) + self.significant(significant, zero_s)
        return out

    def encode_atac(self, peaks: Bags, folded_ph: Tensor, factor_b: Tensor) -> Tensor:
        """folded_ph: the activity encoder's first layer through the regulatory potential, (p, g) @ (g, 32)."""
        out: Tensor = self.atac(peaks) + self.activity(peaks, folded_ph, factor_b)
        return out


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """PReLU with one slope a chromosome."""
    return torch.where(x >= 0, x, slope * x)
