"""From preprocessed sparse rows to what CrossMP's network reads and is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch

from engine.layers.sparse import Bags, SparseTarget
from engine.preprocess.steps import binarised
from engine.translators.crossmp.inputs import AtacInputs, Blocks, RnaInputs
from engine.translators.crossmp.network import AtacBatch, CrossMPNetwork, RnaBatch
from engine.types import PairedCells


@dataclass(frozen=True, eq=False)
class Prepared:
    """Cells preprocessed once. difference: sparse z-score differences; significant: those of the significant genes.

    scaled: size-normalised counts. ordered: open peaks, columns chromosome by chromosome. factor_n: of the activity.
    """

    difference: sp.csr_matrix
    significant: sp.csr_matrix
    scaled: sp.csr_matrix
    ordered: sp.csr_matrix
    factor_n: np.ndarray

    def __len__(self) -> int:
        return len(self.factor_n)

    def rows(self, rows: np.ndarray) -> Prepared:
        return Prepared(
            self.difference[rows], self.significant[rows], self.scaled[rows], self.ordered[rows], self.factor_n[rows]
        )


@dataclass(frozen=True, eq=False)
class Feeder:
    """Turns sparse rows into what the encoders read, on the right device."""

    rna: RnaInputs
    atac: AtacInputs
    blocks: Blocks
    device: torch.device

    @classmethod
    def of(cls, rna: RnaInputs, atac: AtacInputs, blocks: Blocks, device: torch.device) -> Self:
        return cls(rna, atac, blocks, device)

    def prepare(self, pair: PairedCells) -> Prepared:
        difference, open_np = self.rna.difference(pair.rna.counts), binarised(pair.atac.counts)
        return Prepared(
            difference,
            self.significant(difference),
            self.rna.scale.scaled(pair.rna.counts),
            self.ordered(open_np),
            self.atac.factor(open_np),
        )

    def significant(self, difference_bg: sp.csr_matrix) -> sp.csr_matrix:
        return sp.csr_matrix(difference_bg[:, self.rna.significant_g])

    def ordered(self, open_bp: sp.csr_matrix) -> sp.csr_matrix:
        """Columns chromosome by chromosome, sorted within each row."""
        out = sp.csr_matrix(open_bp[:, self.blocks.order_f])
        out.sort_indices()
        return out

    def rna_batch(self, difference_bg: sp.csr_matrix, significant_bs: sp.csr_matrix) -> RnaBatch:
        zero_g = self.rna.zscore.zero_f
        return RnaBatch(
            Bags.of(difference_bg, self.device),
            torch.from_numpy(zero_g).to(self.device),
            Bags.of(significant_bs, self.device),
            torch.from_numpy(zero_g[self.rna.significant_g]).to(self.device),
        )

    def atac_batch(self, ordered_bp: sp.csr_matrix, factor_b: np.ndarray, folded_ph: torch.Tensor) -> AtacBatch:
        bags = Bags.grouped(ordered_bp, self.blocks.starts, self.device, self.blocks.order_f)
        return AtacBatch(bags, folded_ph, torch.from_numpy(factor_b).to(self.device))

    def folded(self, network: CrossMPNetwork) -> torch.Tensor:
        """The activity encoder's first layer seen from the peaks, shape (p, h)."""
        out: torch.Tensor = network.activity.first(Bags.of(self.atac.potential_pg, self.device))
        return out

    def target(self, y_bf: sp.csr_matrix) -> SparseTarget:
        return SparseTarget.of(y_bf, self.device)
