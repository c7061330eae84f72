"""What scMVP reads and is compared with: counts and TF-IDF of a batch at a time, fitted on training cells only.

No copy of the cells is made: a batch's rows are taken from the pair's own matrices and transformed when they are asked
for, so that a hundred thousand cells cost what their counts cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.layers.sparse import Bags, SparseTarget
from engine.preprocess.steps import Arrays, DepthScale, TfIdf, depth_of, prefixed, scaled_rows, unprefixed
from engine.types import Floats, PairedCells

ROWS = 1024  # cells read at once while fitting and embedding  # ours
UNSEEN = 0.1  # of one sight, what a feature starts from that no training cell had  # ours
REACH = (
    0.005,
    0.995,
)  # depths predicted from another modality stay within these quantiles of the training cells'  # ours


class Batch(NamedTuple):
    """Some cells. genes, peaks: as the encoders read them. counts, accessible: targets. log_x, log_y: their sums.

    log_read: of the counts a gene profile is scaled to before its logarithm is read. level_x, level_y: what the rows
    the encoders read were multiplied by, so that imputed profiles can be read alike. Shape (b,) each.
    """

    genes: Bags
    peaks: Bags
    counts: SparseTarget
    accessible: SparseTarget
    log_x_b: Tensor
    log_y_b: Tensor
    log_read_b: Tensor
    level_x_b: Tensor
    level_y_b: Tensor


class Size(NamedTuple):
    """Of a cell's ATAC profile. opened: peaks open. total: their TF-IDF values, as Signac has them, added up.

    Shape (n,) each.
    """

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


@dataclass(frozen=True)
class Levels:
    """Lengths (Euclidean norms) that every cell's row of genes and of peaks is brought to before it is read.

    A deep cell's row is longer than a shallow one's, and a latent that reads it so follows depth.
    """

    genes: float
    peaks: float


@dataclass(frozen=True, eq=False)
class Inputs:
    """tfidf: of peaks. in_units: a cell's open peaks count one on average as a target. scale: of genes.

    levels: none where rows are read at their own length. sizes: of unseen peaks.
    """

    tfidf: TfIdf
    in_units: bool
    levels: Levels | None
    scale: DepthScale
    sizes: Sizes

    @classmethod
    def fit(cls, cells: Rows, *, in_units: bool, level: bool) -> Self:
        """in_units: targets are divided by the cell's own mean over its open peaks; else TF-IDF's values are kept."""
        open_p = np.zeros(cells.peaks)
        depths = []
        for rna, atac in cells.blocks():
            open_p += np.bincount(atac.indices[atac.data > 0], minlength=len(open_p))
            depths.append(depth_of(rna))
        tfidf = TfIdf(np.log1p(len(cells) / np.maximum(open_p, 1.0)).astype(np.float32))
        depth_n = np.concatenate(depths)
        positive_n = depth_n[depth_n > 0]
        scale = DepthScale(float(np.median(positive_n)) if positive_n.size else 1.0)
        found = [size_of(tfidf.transform(atac)) for _, atac in cells.blocks()]
        size = Size(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
        bare = cls(tfidf, in_units, None, scale, Sizes.fit(depth_n, size))
        if not level:
            return bare
        lengths = [
            (lengths_of(scale.log_normalised(rna)), lengths_of(bare.peaks(atac))) for rna, atac in cells.blocks()
        ]
        return replace(bare, levels=Levels(*(_typical(np.concatenate(each)) for each in zip(*lengths, strict=True))))

    def read_genes(self, counts_bg: sp.csr_matrix) -> tuple[sp.csr_matrix, Floats]:
        """What the encoder reads, log1p of counts (at the training cells' median depth where rows are levelled).

        And what its rows were multiplied by afterwards, shape (b,).
        """
        if self.levels is not None:
            return _levelled(self.scale.log_normalised(counts_bg), self.levels.genes)
        out = sp.csr_matrix(counts_bg, dtype=np.float32, copy=True)
        out.data = np.log1p(out.data)
        return _levelled(out, None)

    def read_peaks(self, peaks_bp: sp.csr_matrix) -> tuple[sp.csr_matrix, Floats]:
        """What the encoder reads, from `peaks`, and what its rows were multiplied by, shape (b,)."""
        return _levelled(peaks_bp, self.levels.peaks if self.levels else None)

    def peaks(self, counts_bp: sp.csr_matrix) -> sp.csr_matrix:
        """What the decoder is compared with: TF-IDF, in this model's units."""
        out = self.tfidf.transform(counts_bp)
        return scaled_rows(out, _units(size_of(out))) if self.in_units else out

    def worth(self, size: Size, positions: NDArray[np.int64]) -> Floats:
        """The target's value of each chosen peak where it is open, in a cell of this size; shape (n, positions)."""
        tf_n = 1e4 / np.maximum(size.opened, 1.0)
        out: Floats = np.log1p(tf_n[:, None] * self.tfidf.idf_p[positions]).astype(np.float32)
        return out * _units(size)[:, None] if self.in_units else out

    def total(self, size: Size) -> Floats:
        """What a cell's targets sum to, shape (n,)."""
        return size.opened if self.in_units else size.total

    def batch(self, rna_bg: sp.csr_matrix, atac_bp: sp.csr_matrix, device: torch.device) -> Batch:
        peaks_bp = self.peaks(atac_bp)
        (genes_bg, level_x_b), (read_bp, level_y_b) = self.read_genes(rna_bg), self.read_peaks(peaks_bp)
        totals = depth_of(rna_bg), depth_of(peaks_bp)
        # A cell of which nothing was counted says nothing: its mean is one count, not none.
        log_x_b, log_y_b = (torch.from_numpy(np.log(np.where(v > 0, v, 1.0))).to(device) for v in totals)
        return Batch(
            Bags.of(genes_bg, device),
            Bags.of(read_bp, device),
            SparseTarget.of(sp.csr_matrix(rna_bg, dtype=np.float32), device),
            SparseTarget.of(peaks_bp, device),
            log_x_b,
            log_y_b,
            log_x_b if self.levels is None else torch.full_like(log_x_b, float(np.log(self.scale.median))),
            *(torch.from_numpy(level_b).to(device) for level_b in (level_x_b, level_y_b)),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            **prefixed("tfidf", self.tfidf.arrays()),
            **prefixed("scale", self.scale.arrays()),
            "units": np.array(self.in_units),
            "levels": np.array([self.levels.genes, self.levels.peaks] if self.levels else [], dtype=np.float64),
            "sizes.line": self.sizes.line_22,
            "sizes.reach": self.sizes.reach_22,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(
            TfIdf.from_arrays(unprefixed("tfidf", arrays)),
            bool(arrays["units"]),
            Levels(*(float(v) for v in arrays["levels"])) if len(arrays["levels"]) else None,
            DepthScale.from_arrays(unprefixed("scale", arrays)),
            Sizes(arrays["sizes.line"].astype(np.float64), arrays["sizes.reach"].astype(np.float64)),
        )


@dataclass(frozen=True, eq=False)
class Rows:
    """Some cells of a pair by their places in it, read when asked for. common_p: the peaks that are read, None: all."""

    pair: PairedCells
    place_n: NDArray[np.int64]
    common_p: NDArray[np.int64] | None = None

    @classmethod
    def named(cls, pair: PairedCells, names: tuple[str, ...]) -> Self:
        place = {name: i for i, name in enumerate(pair.barcodes)}
        return cls(pair, np.array([place[name] for name in names], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.place_n)

    @property
    def peaks(self) -> int:
        """How many are read."""
        return len(self.pair.atac.space) if self.common_p is None else len(self.common_p)

    def take(self, rows: NDArray[np.int64]) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Raw counts of genes, and of the peaks that are read."""
        rna, atac = sp.csr_matrix(self.pair.rna.counts[self.place_n[rows]]), self.all_peaks(rows)
        return rna, atac if self.common_p is None else sp.csr_matrix(atac[:, self.common_p])

    def all_peaks(self, rows: NDArray[np.int64]) -> sp.csr_matrix:
        """Raw counts, also of peaks that are not read."""
        return sp.csr_matrix(self.pair.atac.counts[self.place_n[rows]])

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
    genes = Shares.of((block[0] for block in cells.blocks()), len(cells.pair.rna.space), len(cells))
    return genes, Shares.of((inputs.peaks(block[1]) for block in cells.blocks()), cells.peaks, len(cells))


def size_of(peaks_np: sp.csr_matrix) -> Size:
    """Open peaks of each cell and the sum of their values."""
    return Size(np.diff(peaks_np.indptr).astype(np.float32), depth_of(peaks_np))


def lengths_of(x_nf: sp.csr_matrix) -> Floats:
    """Euclidean norm of each row, shape (n,)."""
    return np.sqrt(depth_of(x_nf.multiply(x_nf).tocsr()))


def _typical(length_n: Floats) -> float:
    positive_n = length_n[length_n > 0]
    return float(np.median(positive_n)) if positive_n.size else 1.0


def _levelled(x_nf: sp.csr_matrix, length: float | None) -> tuple[sp.csr_matrix, Floats]:
    """Rows brought to one length, and what they were multiplied by; an empty row stays so. None: as they are."""
    by_n = np.ones(x_nf.shape[0], dtype=np.float32)
    if length is None:
        return x_nf, by_n
    own_n = lengths_of(x_nf)
    np.divide(np.float32(length), own_n, out=by_n, where=own_n > 0)
    return scaled_rows(x_nf, by_n), by_n


def _units(size: Size) -> Floats:
    """One over the mean value of a cell's open peaks, shape (n,); 1 where none is open."""
    return np.asarray(np.where(size.total > 0, size.opened / np.maximum(size.total, 1e-9), 1.0), dtype=np.float32)
