"""What scMVP reads and is compared with: counts and TF-IDF of a batch at a time, fitted on training cells only.

No copy of the cells is made: a batch's rows are taken from the pair's own matrices and transformed when they are asked
for, so that a hundred thousand cells cost what their counts cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.layers.sparse import Bags, SparseTarget
from engine.preprocess.steps import Arrays, DepthScale, TfIdf, depth_of, prefixed, unprefixed
from engine.types import Floats, PairedCells

ROWS = 1024  # cells read at once while fitting and embedding  # ours
UNSEEN = 0.1  # of one sight, what a feature starts from that no training cell had  # ours
REACH = (
    0.005,
    0.995,
)  # depths predicted from another modality stay within these quantiles of the training cells'  # ours


class Batch(NamedTuple):
    """Some cells. genes, peaks: as the encoders read them. counts, accessible: targets. log_x, log_y: their sums."""

    genes: Bags
    peaks: Bags
    counts: SparseTarget
    accessible: SparseTarget
    log_x_b: Tensor
    log_y_b: Tensor


class Size(NamedTuple):
    """Of a cell's ATAC profile. opened: peaks open. total: their TF-IDF values added up. Shape (n,) each."""

    opened: Floats
    total: Floats


@dataclass(frozen=True, eq=False)
class Sizes:
    """log of both sizes from the log of RNA counts, for cells whose peaks were not measured: offset + slope · log1p.

    line_22: offset and slope, a row a size. reach_22: lowest and highest, a row a size.
    """

    line_22: NDArray[np.float64]
    reach_22: NDArray[np.float64]

    @classmethod
    def fit(cls, depth_n: Floats, size: Size) -> Self:
        log_n = np.log1p(depth_n.astype(np.float64))
        logs = [np.log(np.maximum(v.astype(np.float64), 1e-3)) for v in size]
        flat = log_n.std() < 1e-9
        lines = [(v.mean(), 0.0) if flat else np.polyfit(log_n, v, 1)[::-1] for v in logs]
        return cls(np.array(lines, dtype=np.float64), np.array([np.quantile(v, REACH) for v in logs]))

    def predict(self, counts_ng: sp.csr_matrix) -> Size:
        log_n = np.log1p(depth_of(counts_ng).astype(np.float64))
        return Size(
            *(
                np.exp(np.clip(offset + slope * log_n, low, high)).astype(np.float32)
                for (offset, slope), (low, high) in zip(self.line_22, self.reach_22, strict=True)
            )
        )


@dataclass(frozen=True, eq=False)
class Inputs:
    """tfidf: of peaks. unit: what its values are multiplied by as a target. scale: of genes. sizes: of unseen peaks."""

    tfidf: TfIdf
    unit: float
    scale: DepthScale
    sizes: Sizes

    @classmethod
    def fit(cls, cells: Rows, *, in_units: bool) -> Self:
        """in_units: an open peak of a training cell is worth one on average; else TF-IDF's own values are kept."""
        open_p = np.zeros(cells.pair.atac.counts.shape[1])
        depths = []
        for rna, atac in cells.blocks():
            open_p += np.bincount(atac.indices[atac.data > 0], minlength=len(open_p))
            depths.append(depth_of(rna))
        tfidf = TfIdf(np.log1p(len(cells) / np.maximum(open_p, 1.0)).astype(np.float32))
        depth_n = np.concatenate(depths)
        sizes = [size_of(tfidf.transform(atac)) for _, atac in cells.blocks()]
        size = Size(np.concatenate([s.opened for s in sizes]), np.concatenate([s.total for s in sizes]))
        unit = float(size.opened.sum() / max(float(size.total.sum()), 1e-9)) if in_units else 1.0
        positive_n = depth_n[depth_n > 0]
        scale = DepthScale(float(np.median(positive_n)) if positive_n.size else 1.0)
        return cls(tfidf, unit, scale, Sizes.fit(depth_n, Size(size.opened, size.total * unit)))

    def genes(self, counts_bg: sp.csr_matrix) -> sp.csr_matrix:
        """log1p of raw counts, which is what the encoder reads."""
        out = sp.csr_matrix(counts_bg, dtype=np.float32, copy=True)
        out.data = np.log1p(out.data)
        return out

    def peaks(self, counts_bp: sp.csr_matrix) -> sp.csr_matrix:
        """TF-IDF in this model's units: what the encoder reads and the decoder is compared with."""
        out = self.tfidf.transform(counts_bp)
        out.data *= np.float32(self.unit)
        return out

    def opened_worth(self, opened_n: Floats, positions: NDArray[np.int64]) -> Floats:
        """The value of an open peak in a cell with so many open, shape (n, len(positions))."""
        tf_n = 1e4 / np.maximum(opened_n, 1.0)
        out: Floats = np.log1p(tf_n[:, None] * self.tfidf.idf_p[positions]).astype(np.float32)
        return out * np.float32(self.unit)

    def batch(self, rna_bg: sp.csr_matrix, atac_bp: sp.csr_matrix, device: torch.device) -> Batch:
        peaks_bp = self.peaks(atac_bp)
        totals = depth_of(rna_bg), depth_of(peaks_bp)
        # A cell of which nothing was counted says nothing: its mean is one count, not none.
        log_x_b, log_y_b = (torch.from_numpy(np.log(np.where(v > 0, v, 1.0))).to(device) for v in totals)
        return Batch(
            Bags.of(self.genes(rna_bg), device),
            Bags.of(peaks_bp, device),
            SparseTarget.of(sp.csr_matrix(rna_bg, dtype=np.float32), device),
            SparseTarget.of(peaks_bp, device),
            log_x_b,
            log_y_b,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            **prefixed("tfidf", self.tfidf.arrays()),
            **prefixed("scale", self.scale.arrays()),
            "unit": np.array(self.unit, dtype=np.float64),
            "sizes.line": self.sizes.line_22,
            "sizes.reach": self.sizes.reach_22,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(
            TfIdf.from_arrays(unprefixed("tfidf", arrays)),
            float(arrays["unit"]),
            DepthScale.from_arrays(unprefixed("scale", arrays)),
            Sizes(arrays["sizes.line"].astype(np.float64), arrays["sizes.reach"].astype(np.float64)),
        )


@dataclass(frozen=True, eq=False)
class Rows:
    """Some cells of a pair by their places in it, read when asked for."""

    pair: PairedCells
    place_n: NDArray[np.int64]

    @classmethod
    def named(cls, pair: PairedCells, names: tuple[str, ...]) -> Self:
        place = {name: i for i, name in enumerate(pair.barcodes)}
        return cls(pair, np.array([place[name] for name in names], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.place_n)

    def take(self, rows: NDArray[np.int64]) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Raw counts of both modalities."""
        where = self.place_n[rows]
        return sp.csr_matrix(self.pair.rna.counts[where]), sp.csr_matrix(self.pair.atac.counts[where])

    def sample(self, most: int, rng: np.random.Generator) -> sp.csr_matrix:
        """Gene counts of some cells, drawn at random."""
        some = np.sort(rng.permutation(len(self))[:most])
        return sp.csr_matrix(self.pair.rna.counts[self.place_n[some]])

    def blocks(self, size: int = ROWS) -> Iterator[tuple[sp.csr_matrix, sp.csr_matrix]]:
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True, eq=False)
class Shares:
    """share_f: of all counts, above zero everywhere. entries: that are not zero in a cell, on average."""

    share_f: NDArray[np.float64]
    entries: float

    @classmethod
    def of(cls, rows: Iterator[sp.csr_matrix], features: int, cells: int) -> Self:
        total_f, entries = np.zeros(features), 0
        for x in rows:
            total_f += np.bincount(x.indices, weights=x.data, minlength=features)
            entries += x.nnz
        floor = UNSEEN * total_f.sum() / max(entries, 1) or 1.0
        share_f = np.maximum(total_f, floor)
        return cls(share_f / share_f.sum(), max(entries / cells, 1.0))


def mean_shares(cells: Rows, inputs: Inputs) -> tuple[Shares, Shares]:
    """Each feature's share of the training cells' counts, and of their TF-IDF."""
    rna, atac = cells.pair.rna, cells.pair.atac
    genes = Shares.of((block[0] for block in cells.blocks()), len(rna.space), len(cells))
    return genes, Shares.of((inputs.peaks(block[1]) for block in cells.blocks()), len(atac.space), len(cells))


def size_of(peaks_np: sp.csr_matrix) -> Size:
    """Open peaks of each cell and the sum of their values."""
    return Size(np.diff(peaks_np.indptr).astype(np.float32), depth_of(peaks_np))
