"""What CrossMP's encoders see: sparse rows in, tensors that are never densified out.

Four inputs (CrossMP §2.1): z-scored genes, significant genes, binarised peaks, gene activity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.preprocess.filters import chromosomes_of
from engine.preprocess.significant import significant_genes
from engine.preprocess.steps import (
    Arrays,
    DepthScale,
    ZScore,
    binarised,
    depth_of,
    prefixed,
    scaled_rows,
    unprefixed,
)
from engine.translators.state import csr_arrays, csr_from
from engine.types import FeatureSpace, Modality, PairedCells, empty_csr

CLIP_PERCENTILES = (0.5, 99.5)  # CrossMP §2.1
OTHER = "other"
HOW_BEFORE = "the most variable of the training cells"  # the only way bundles of before were made
SPREAD_FLOOR = 0.25  # of the median gene's spread  # ours


@dataclass(frozen=True, eq=False)
class Blocks:
    """Features grouped by chromosome. order_f: feature positions, chromosome by chromosome, shape (f,).

    block_f: chromosome number of each feature in the original order. starts: first place of each block in `order_f`.
    """

    names: tuple[str, ...]
    block_f: NDArray[np.int64]
    order_f: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, chromosome_f: NDArray[Any], names: tuple[str, ...] | None = None) -> Self:
        """Scaffolds and features of unknown place share one block, so that a new scaffold is no new network."""
        kept = np.array([c if _standard(c) else OTHER for c in chromosome_f], dtype=object)
        names = names or tuple(sorted(set(kept), key=_chromosome_rank))
        number = {name: i for i, name in enumerate(names)}
        block_f = np.array([number[c] for c in kept], dtype=np.int64)
        order_f = np.argsort(block_f, kind="stable")
        starts = np.searchsorted(block_f[order_f], np.arange(len(names) + 1))
        return cls(names, block_f, order_f, starts)

    def __len__(self) -> int:
        return len(self.names)


def _standard(chromosome: str) -> bool:
    tail = chromosome.removeprefix("chr")
    return tail.isdigit() or tail in {"X", "Y"}


def _chromosome_rank(name: str) -> tuple[int, str]:
    tail = name.removeprefix("chr")
    return (int(tail), "") if tail.isdigit() else (99, name)


@dataclass(frozen=True, eq=False)
class RnaInputs:
    """scale → log1p → z-score → clip, as a constant row plus a sparse difference.

    significant_g: positions of the significant genes; how: in words, how they were found.
    """

    scale: DepthScale
    zscore: ZScore
    significant_g: NDArray[np.int64]
    how: str = HOW_BEFORE

    @classmethod
    def fit(cls, train: PairedCells, *, significant: int, method: str = "auto", rng: np.random.Generator) -> Self:
        scale = DepthScale.fit(train.rna.counts)
        x_ng = scale.log_normalised(train.rna.counts)
        chosen = significant_genes(train.rna, count=significant, method=method, rng=rng)
        return cls(scale, ZScore.fit(x_ng, percentiles=CLIP_PERCENTILES), chosen.positions, chosen.how)

    def difference(self, counts_ng: sp.csr_matrix) -> sp.csr_matrix:
        return self.zscore.difference(self.scale.log_normalised(counts_ng))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            **prefixed("scale", self.scale.arrays()),
            **prefixed("zscore", self.zscore.arrays()),
            "significant": self.significant_g,
            "how": np.array(self.how),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(
            DepthScale.from_arrays(unprefixed("scale", arrays)),
            ZScore.from_arrays(unprefixed("zscore", arrays)),
            arrays["significant"].astype(np.int64),
            str(arrays["how"]) if "how" in arrays else HOW_BEFORE,
        )


@dataclass(frozen=True, eq=False)
class AtacInputs:
    """Binarised peaks, and gene activity as peaks × genes potential with each gene divided by its spread.

    The spread has a floor at a quarter of the median gene's. Activity is linear in the open peaks, so its first layer
    folds into `potential_pg @ weights`: cells × genes is never formed. Cells are scaled to the median number of open
    peaks first.
    """

    scale: DepthScale
    potential_pg: sp.csr_matrix

    @classmethod
    def fit(cls, train: PairedCells, potential_pg: sp.csr_matrix) -> Self:
        a_np = binarised(train.atac.counts)
        scale = DepthScale.fit(a_np)
        total_g = np.zeros(potential_pg.shape[1])
        square_g = np.zeros(potential_pg.shape[1])
        for start in range(0, len(train), 512):
            block = sp.csr_matrix(scale.scaled(a_np[start : start + 512]) @ potential_pg)
            total_g += np.asarray(block.sum(axis=0)).ravel()
            square_g += np.asarray(block.multiply(block).sum(axis=0)).ravel()
        spread_g = np.sqrt(np.maximum(square_g / len(train) - (total_g / len(train)) ** 2, 0))
        # A gene seen only through far-off peaks hardly varies in training; without a floor one exonic peak of a new
        # cell would be worth thousands of standard deviations.
        floor = SPREAD_FLOOR * float(np.median(spread_g[spread_g > 0])) if (spread_g > 0).any() else 1.0
        factor_g = np.where(spread_g > 0, 1.0 / np.maximum(spread_g, floor), 0.0)
        return cls(scale, sp.csr_matrix(potential_pg @ sp.diags(factor_g), dtype=np.float32))

    def factor(self, a_np: sp.csr_matrix) -> NDArray[np.float32]:
        """What each cell's activity is multiplied by, shape (n,)."""
        depth_n = depth_of(a_np)
        return np.where(depth_n > 0, self.scale.median / np.maximum(depth_n, 1.0), 0.0).astype(np.float32)

    def scaled(self, a_np: sp.csr_matrix) -> sp.csr_matrix:
        return scaled_rows(a_np, self.factor(a_np))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {**prefixed("scale", self.scale.arrays()), **csr_arrays("potential", self.potential_pg)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(DepthScale.from_arrays(unprefixed("scale", arrays)), csr_from("potential", dict(arrays)))


def regulatory_potential(atac: FeatureSpace, rna: FeatureSpace, genome: str | None) -> sp.csr_matrix:
    """Peaks × genes regulatory potential in the model's own genes, shape (p, g).

    Genes without a known position, or a genome without gene models, have none: their columns are empty.
    """
    shape = (len(atac), len(rna))
    if genome is None:
        return empty_csr(*shape)
    from engine.genome.activity import activity_matrix
    from engine.genome.genes import TABLES, GeneModels
    from engine.genome.peaks import parse_peaks

    if genome not in TABLES:
        return empty_csr(*shape)
    models = GeneModels.load(genome)
    whole_pg = sp.csc_matrix(activity_matrix(parse_peaks(atac.names), models))
    known = [(models.index[name], j) for j, name in enumerate(rna.names) if name in models.index]
    if not known:
        return empty_csr(*shape)
    source, target = (np.array(v, dtype=np.int64) for v in zip(*known, strict=True))
    chosen = sp.coo_matrix(whole_pg[:, source])
    return sp.csr_matrix((chosen.data.astype(np.float32), (chosen.row, target[chosen.col])), shape=shape)


def blocks_of(space: FeatureSpace) -> Blocks:
    """The chromosomes of a model's peaks; genes have theirs through the peaks that reach them."""
    if space.modality is not Modality.ATAC:
        raise ValueError("blocks are made of peaks")
    return Blocks.of(chromosomes_of(space))
