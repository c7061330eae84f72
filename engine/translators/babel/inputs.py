"""What BABEL's encoders see and its decoders are compared with: sparse rows, fitted on training cells only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.layers.sparse import Bags
from engine.preprocess.steps import Arrays, DepthScale, ZScore, binarised, prefixed, unprefixed
from engine.translators.crossmp.inputs import Blocks, blocks_of
from engine.types import FeatureSpace, PairedCells

CLIP_PERCENTILES = (0.5, 99.5)  # BABEL


@dataclass(frozen=True, eq=False)
class Prepared:
    """Cells preprocessed once. difference: sparse z-score differences. scaled: size-normalised counts.

    ordered: open peaks, columns chromosome by chromosome.
    """

    difference: sp.csr_matrix
    scaled: sp.csr_matrix
    ordered: sp.csr_matrix

    def __len__(self) -> int:
        return int(self.difference.shape[0])

    def rows(self, rows: NDArray[np.int64]) -> Prepared:
        return Prepared(self.difference[rows], self.scaled[rows], self.ordered[rows])


@dataclass(frozen=True, eq=False)
class Inputs:
    """RNA: scale to the median depth → log1p → z-score → clip. ATAC: binarised, grouped by chromosome."""

    scale: DepthScale
    zscore: ZScore
    blocks: Blocks

    @classmethod
    def fit(cls, train: PairedCells) -> Self:
        scale = DepthScale.fit(train.rna.counts)
        zscore = ZScore.fit(scale.log_normalised(train.rna.counts), percentiles=CLIP_PERCENTILES)
        return cls(scale, zscore, blocks_of(train.atac.space))

    def prepare(self, pair: PairedCells) -> Prepared:
        x_ng = pair.rna.counts
        return Prepared(self.difference(x_ng), self.scale.scaled(x_ng), self.ordered(pair.atac.counts))

    def difference(self, counts_ng: sp.csr_matrix) -> sp.csr_matrix:
        return self.zscore.difference(self.scale.log_normalised(counts_ng))

    def ordered(self, counts_np: sp.csr_matrix) -> sp.csr_matrix:
        """Open peaks, columns chromosome by chromosome, sorted within each row."""
        out = sp.csr_matrix(binarised(counts_np)[:, self.blocks.order_f])
        out.sort_indices()
        return out

    def rna_batch(self, difference_bg: sp.csr_matrix, device: torch.device) -> tuple[Bags, Tensor]:
        """The sparse difference and the constant row it is a difference from."""
        return Bags.of(difference_bg, device), torch.from_numpy(self.zscore.zero_f).to(device)

    def atac_batch(self, ordered_bp: sp.csr_matrix, device: torch.device) -> Bags:
        """A bag for each cell and chromosome."""
        return Bags.grouped(ordered_bp, self.blocks.starts, device, self.blocks.order_f)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {**prefixed("scale", self.scale.arrays()), **prefixed("zscore", self.zscore.arrays())}

    @classmethod
    def from_arrays(cls, arrays: Arrays, atac: FeatureSpace) -> Self:
        return cls(
            DepthScale.from_arrays(unprefixed("scale", arrays)),
            ZScore.from_arrays(unprefixed("zscore", arrays)),
            blocks_of(atac),
        )
