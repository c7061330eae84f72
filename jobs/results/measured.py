"""Measured cells in a model's features and on a prediction's scale, a few columns at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.types import FeatureSpace, Floats, Modality, Names, Scale

if TYPE_CHECKING:
    import scipy.sparse as sp

    from engine.intake.canonical import CanonicalCells
    from engine.preprocess.align import Alignment

BLOCK = 4_096  # cells read at once  # ours


@dataclass(frozen=True, eq=False)
class Measured:
    """depth_n: counts in the model's features, shape (n,). median: of the cells that have any."""

    path: Path
    alignment: Alignment
    barcodes: Names
    depth_n: NDArray[np.float64]
    median: float
    _matched: dict[int, tuple[Names, NDArray[np.int64]]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, space: FeatureSpace) -> Measured:
        """Aligns once and reads the depths; the counts stay on disk."""
        from engine.intake.canonical import CanonicalCells
        from engine.preprocess.align import align

        with CanonicalCells.open(path) as cells:
            alignment = align(cells.names, space, min_coverage=0.0)
            leads_i = np.asarray(alignment.lead_if.sum(axis=1)).ravel()
            depth_n = np.concatenate([block @ leads_i for block in _blocks(cells)]).astype(np.float64)
            positive_n = depth_n[depth_n > 0]
            median = float(np.median(positive_n)) if positive_n.size else 0.0
            return cls(path, alignment, cells.barcodes, depth_n, median)

    def rows_of(self, names: Names) -> NDArray[np.int64]:
        """The measured row of each of a job's own cells, shape (len(names),); -1 where it was not measured."""
        key = id(names)  # one array a job, kept by the caller's cache, and by us while its number counts
        known = self._matched.get(key)  # asked once: another thread may put its own in between
        if known is None:
            at = self._row_of(names)
            self._matched.clear()
            self._matched[key] = names, at
            return at
        return known[1]

    def _row_of(self, names: Names) -> NDArray[np.int64]:
        from engine.pairs import match_barcodes

        if np.array_equal(names, self.barcodes):  # as a rule; comparing 100,000 names in every way takes half a second
            return np.arange(len(names))
        found = match_barcodes(names, self.barcodes, what=("translated", "measured"))
        at = np.full(len(names), -1, dtype=np.int64)
        at[found.index_a] = found.index_b
        return at

    def values(self, rows: Sequence[int] | NDArray[np.int64], positions: NDArray[np.int64], scale: Scale) -> Floats:
        """Chosen cells and model features, shape (len(rows), len(positions)), on the scale."""
        from engine.intake.canonical import CanonicalCells

        lead_if = self.alignment.lead_if[:, positions]
        wanted = np.asarray(rows, dtype=np.int64)
        out = np.zeros((len(wanted), len(positions)), dtype=np.float32)
        with CanonicalCells.open(self.path) as cells:
            for which, counts in cells.chosen(wanted):
                out[which] = (counts @ lead_if).toarray()
        return self._on(out, wanted, scale)

    def means(self, rows: Sequence[int], scale: Scale) -> NDArray[np.float64]:
        """Mean over the cells of every model feature, shape (f,); the counts are read once and stay sparse."""
        from engine.intake.canonical import CanonicalCells

        wanted = np.asarray(rows, dtype=np.int64)
        total_f = np.zeros(self.alignment.lead_if.shape[1])
        with CanonicalCells.open(self.path) as cells:
            for which, counts in cells.chosen(wanted):
                aligned = self._sparse((counts @ self.alignment.lead_if).tocsr(), wanted[which], scale)
                total_f += np.asarray(aligned.sum(axis=0), dtype=np.float64).ravel()
        return total_f / max(len(wanted), 1)

    def _sparse(self, counts: sp.csr_matrix, rows: NDArray[np.int64], scale: Scale) -> sp.csr_matrix:
        """On the scale: each of them leaves a zero as it is."""
        if self._opened(scale):
            counts.data = (counts.data > 0).astype(np.float32)
        elif scale is not Scale.RATE:
            each = np.repeat(rows, np.diff(counts.indptr))
            depth = self.depth_n[each]
            counts.data = np.log1p(counts.data * np.where(depth > 0, self.median / np.maximum(depth, 1e-9), 0.0))
        return counts

    def _opened(self, scale: Scale) -> bool:
        """Whether it is told by what is open and what is not."""
        of_peaks = self.alignment.space.modality is Modality.ATAC
        return scale is Scale.PROBABILITY or (scale is Scale.OWN and of_peaks)

    def _on(self, counts_nf: Floats, rows: NDArray[np.int64], scale: Scale) -> Floats:
        if self._opened(scale):
            return (counts_nf > 0).astype(np.float32)
        if scale is Scale.RATE:
            return counts_nf
        depth_n = self.depth_n[rows]
        factor_n = np.where(depth_n > 0, self.median / np.maximum(depth_n, 1e-9), 0.0)
        normalised: Floats = np.log1p(counts_nf * factor_n[:, None]).astype(np.float32)
        return normalised


def _blocks(cells: CanonicalCells) -> Iterator[sp.csr_matrix]:
    for start in range(0, cells.n_cells, BLOCK):
        yield cells.counts(start, min(start + BLOCK, cells.n_cells))
