"""BABEL's network: an encoder and a decoder for each modality around one latent, batch norm and PReLU throughout.

CrossMP grew from it: the chromosomes' encoder and decoder are the same modules, with the norms it left out.
"""

from __future__ import annotations

from torch import Tensor, nn

from engine.layers.sparse import Bags
from engine.translators.crossmp import network as crossmp
from engine.translators.crossmp.inputs import Blocks
from engine.translators.crossmp.network import AtacDecoder, ChromosomeEncoder, Sizes


def sizes(*, hidden_rna: int, hidden_chromosome: int, per_chromosome: int, latent: int) -> Sizes:
    """BABEL's network in the terms of CrossMP's: norms everywhere, and 16 → 32 → peaks of each chromosome."""
    return Sizes(
        hidden_rna, hidden_chromosome, per_chromosome, latent,
        significant=False, norm_chromosomes=True, norm_to_rna=True, norm_to_atac=True,
        hidden_decoder=hidden_chromosome,
    )  # fmt: skip


class RnaEncoder(crossmp.RnaEncoder):
    """FC → 64 → 16, BatchNorm and PReLU after each; reads z-scores as a constant row plus a sparse difference."""

    def __init__(self, genes: int, sizes: Sizes) -> None:
        super().__init__(genes, sizes)
        self.slope1, self.slope2 = nn.PReLU(), nn.PReLU()

    def forward(self, bags: Bags, zero_g: Tensor) -> Tensor:
        h_bh = self.slope1(self.norm1(self.first(bags) + zero_g @ self.first.weight_fh))
        out: Tensor = self.slope2(self.norm2(self.second(h_bh)))
        return out


class RnaDecoder(crossmp.RnaDecoder):
    """16 → 64, BatchNorm and PReLU → mean (exp) and dispersion (softplus) of each gene."""

    def __init__(self, genes: int, sizes: Sizes) -> None:
        super().__init__(genes, sizes)
        self.slope = nn.PReLU()

    def trunk(self, z_bk: Tensor) -> Tensor:
        out: Tensor = self.slope(self.norm(self.hidden(z_bk)))
        return out


class BabelNetwork(nn.Module):
    """One latent from either modality, either modality from one latent: four paths."""

    def __init__(self, *, genes: int, blocks: Blocks, sizes: Sizes) -> None:
        super().__init__()
        self.rna = RnaEncoder(genes, sizes)
        self.atac = ChromosomeEncoder(len(blocks.order_f), len(blocks), sizes)
        self.to_rna = RnaDecoder(genes, sizes)
        self.to_atac = AtacDecoder(blocks, sizes)
