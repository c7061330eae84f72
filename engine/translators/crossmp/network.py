"""The network of CrossMP §2.2, whole: four encoders, two decoders, and nothing as wide as the genome held densely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.layers.sparse import Bags, SparseLinear
from engine.translators.crossmp.inputs import Blocks


@dataclass(frozen=True)
class Sizes:
    """Layer widths and which parts there are; defaults are the paper's (§2.2, figure 1c)."""

    hidden_rna: int = 64
    hidden_chromosome: int = 32
    per_chromosome: int = 16
    latent: int = 16
    significant: bool = True  # the second RNA encoder
    activity_by_chromosome: bool = True
    norm_chromosomes: bool = False  # BatchNorm in the chromosomes' encoders
    norm_to_rna: bool = False  # BatchNorm in the RNA decoder
    norm_to_atac: bool = False
    hidden_decoder: int = 0  # a layer between a chromosome's block and its peaks; 0: none

    @classmethod
    def released(cls, hidden_rna: int, hidden_chromosome: int, per_chromosome: int, latent: int) -> Self:
        """The network of the authors' released script, as it has been described in words.

        No significant genes, BatchNorm everywhere, gene activity encoded at once, and 16 → 32 → peaks.
        """
        return cls(
            hidden_rna, hidden_chromosome, per_chromosome, latent,
            significant=False, activity_by_chromosome=False, norm_chromosomes=True, norm_to_rna=True, norm_to_atac=True,
            hidden_decoder=hidden_chromosome,
        )  # fmt: skip


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
        widths = (chromosomes * sizes.hidden_chromosome, chromosomes * sizes.per_chromosome, sizes.latent)
        self.norm1, self.norm2, self.norm3 = (_norm(width, sizes.norm_chromosomes) for width in widths)

    def forward(self, bags: Bags, weight_fh: Tensor | None = None, factor_b: Tensor | None = None) -> Tensor:
        """bags: one for each cell and chromosome. factor_b: what each cell's inputs are multiplied by."""
        h_bch = self.first(bags, weight_fh).view(-1, self.chromosomes, self.weight_chk.shape[1])
        if factor_b is not None:
            h_bch = h_bch * factor_b[:, None, None]
        h_bch = prelu(_flat(self.norm1, h_bch + self.bias_ch), self.slope1_c)
        h_bck = torch.einsum("bch,chk->bck", h_bch, self.weight_chk) + self.bias_ck
        h_bck = prelu(_flat(self.norm2, h_bck), self.slope2_c)
        out: Tensor = self.slope3(self.norm3(self.last(h_bck.flatten(1))))
        return out


class WholeEncoder(nn.Module):
    """Gene activity without chromosomes, FC → 64 → 16 with BatchNorm and ReLU, as the released network has it."""

    def __init__(self, genes: int, chromosomes: int, sizes: Sizes) -> None:
        super().__init__()
        self.chromosomes = chromosomes
        self.first = SparseLinear(genes, sizes.hidden_rna, bias=False)
        self.norm1 = nn.BatchNorm1d(sizes.hidden_rna)
        self.second = nn.Linear(sizes.hidden_rna, sizes.latent)
        self.norm2 = nn.BatchNorm1d(sizes.latent)

    def forward(self, bags: Bags, weight_fh: Tensor, factor_b: Tensor) -> Tensor:
        h_bh = self.first(bags, weight_fh).view(-1, self.chromosomes, weight_fh.shape[1]).sum(dim=1)
        h_bh = functional.relu(self.norm1(h_bh * factor_b[:, None]))
        return functional.relu(self.norm2(self.second(h_bh)))


class RnaDecoder(nn.Module):
    """16 → 64 → mean (exp) and dispersion (softplus) of each gene."""

    def __init__(self, genes: int, sizes: Sizes) -> None:
        super().__init__()
        self.hidden = nn.Linear(sizes.latent, sizes.hidden_rna)
        self.norm = _norm(sizes.hidden_rna, sizes.norm_to_rna)
        self.mean = nn.Linear(sizes.hidden_rna, genes)
        self.dispersion = nn.Linear(sizes.hidden_rna, genes)

    def trunk(self, z_bk: Tensor) -> Tensor:
        return functional.relu(self.norm(self.hidden(z_bk)))


class AtacDecoder(nn.Module):
    """16 → 352 with PReLU → a block of 16 a chromosome → its peaks' logits."""

    def __init__(self, blocks: Blocks, sizes: Sizes) -> None:
        super().__init__()
        self.chromosomes, self.width = len(blocks), sizes.per_chromosome
        starts = [int(v) for v in blocks.starts]
        self.groups: Sequence[tuple[int, int]] = list(pairwise(starts))
        self.hidden = nn.Linear(sizes.latent, self.chromosomes * self.width)
        self.slope = nn.PReLU()
        width = sizes.hidden_decoder or self.width
        self.norm1 = _norm(self.chromosomes * self.width, sizes.norm_to_atac)
        if sizes.hidden_decoder:
            bound = self.width**-0.5
            self.weight_ckh = nn.Parameter(torch.empty(self.chromosomes, self.width, width).uniform_(-bound, bound))
            self.bias_ch = nn.Parameter(torch.zeros(self.chromosomes, width))
            self.slope2_c = nn.Parameter(torch.full((self.chromosomes, 1), 0.25))
            self.norm2 = _norm(self.chromosomes * width, sizes.norm_to_atac)
        peaks = len(blocks.order_f)
        bound = width**-0.5
        # Rows in the order of `blocks.order_f`: each chromosome's peaks lie together.
        self.weight_pk = nn.Parameter(torch.empty(peaks, width).uniform_(-bound, bound))
        self.bias_p = nn.Parameter(torch.zeros(peaks))

    def trunk(self, z_bk: Tensor) -> Tensor:
        """shape (b, c, k)"""
        h_bck: Tensor = self.slope(self.norm1(self.hidden(z_bk))).view(-1, self.chromosomes, self.width)
        if hasattr(self, "weight_ckh"):
            h_bck = torch.einsum("bck,ckh->bch", h_bck, self.weight_ckh) + self.bias_ch
            h_bck = prelu(_flat(self.norm2, h_bck), self.slope2_c)
        return h_bck

    def forward(self, z_bk: Tensor) -> Tensor:
        """Logits, shape (b, p), peaks in the order of `blocks.order_f`."""
        h_bck = self.trunk(z_bk)
        parts = [
            torch.addmm(self.bias_p[a:b], h_bck[:, c], self.weight_pk[a:b].T) for c, (a, b) in enumerate(self.groups)
        ]
        return torch.cat(parts, dim=1)


@dataclass(frozen=True, eq=False)
class RnaBatch:
    """Cells as the RNA encoders read them: sparse differences from a constant row, of all and of significant genes."""

    genes: Bags
    zero_g: Tensor
    significant: Bags
    zero_s: Tensor


@dataclass(frozen=True, eq=False)
class AtacBatch:
    """Cells as the ATAC encoders read them. peaks: a bag for each cell and chromosome.

    folded_ph: the activity encoder's first layer through the regulatory potential, (p, g) @ (g, h).
    factor_b: what each cell's activity is multiplied by.
    """

    peaks: Bags
    folded_ph: Tensor
    factor_b: Tensor


class CrossMPNetwork(nn.Module):
    """z_r = E_rna(x) + E_sig(s), z_a = E_atac(y) + E_gas(a); two decoders shared by all four paths."""

    def __init__(self, *, genes: int, significant: int, blocks: Blocks, sizes: Sizes) -> None:
        super().__init__()
        peaks = len(blocks.order_f)
        self.rna = RnaEncoder(genes, sizes)
        self.significant = RnaEncoder(significant, sizes) if sizes.significant else None
        self.atac = ChromosomeEncoder(peaks, len(blocks), sizes)
        activity = ChromosomeEncoder if sizes.activity_by_chromosome else WholeEncoder
        self.activity = activity(genes, len(blocks), sizes)
        self.to_rna = RnaDecoder(genes, sizes)
        self.to_atac = AtacDecoder(blocks, sizes)

    def encode_rna(self, cells: RnaBatch) -> Tensor:
        out: Tensor = self.rna(cells.genes, cells.zero_g)
        return out if self.significant is None else out + self.significant(cells.significant, cells.zero_s)

    def encode_atac(self, cells: AtacBatch) -> Tensor:
        out: Tensor = self.atac(cells.peaks) + self.activity(cells.peaks, cells.folded_ph, cells.factor_b)
        return out


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """PReLU with one slope a chromosome; x: shape (b, c, k)."""
    return functional.prelu(x, slope.view(-1))


def _flat(norm: nn.Module, x_bch: Tensor) -> Tensor:
    """The norm over all units of all chromosomes."""
    return x_bch if isinstance(norm, nn.Identity) else norm(x_bch.flatten(1)).view_as(x_bch)


def _norm(width: int, wanted: bool) -> nn.Module:
    return nn.BatchNorm1d(width) if wanted else nn.Identity()
