"""Many cells out of few real ones: cells drawn with replacement and laid over each other to a wanted density."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.types import Cells, FeatureSpace, PairedCells, as_names

AT_ONCE = 2_000  # cells laid over each other at a time


def most_seen(cells: Cells, features: int) -> Cells:
    """The features seen in most cells, in their own order; the paper's benchmark takes its features so."""
    seen_f = np.asarray((cells.counts > 0).sum(axis=0)).ravel()
    chosen = np.sort(np.argsort(-seen_f, kind="stable")[:features])
    space = FeatureSpace(cells.modality, cells.space.names[chosen], cells.space.genome)
    return Cells(space, sp.csr_matrix(cells.counts[:, chosen]), cells.barcodes, cells.obs)


def resampled(pair: PairedCells, cells: int, *, seen: tuple[float, float], rng: np.random.Generator) -> PairedCells:
    """`cells` cells of about seen[0] genes and seen[1] peaks each, counts held in 8 bits.

    Each is as many real cells of one draw added up as the density takes, thinned to it; both modalities from the same.
    """
    names = as_names(f"CELL{i:06d}" for i in range(cells))
    layers = [
        max(1, round(1.3 * want / np.diff(c.counts.indptr).mean())) for c, want in zip(_both(pair), seen, strict=True)
    ]
    drawn = rng.integers(0, len(pair), size=(cells, max(layers)))
    made = [
        Cells(c.space, _laid(c.counts, drawn[:, :count], want, rng), names)
        for c, count, want in zip(_both(pair), layers, seen, strict=True)
    ]
    return PairedCells(*made)


def _both(pair: PairedCells) -> tuple[Cells, Cells]:
    return pair.rna, pair.atac


def _laid(counts: sp.csr_matrix, drawn_nm: NDArray[np.int64], seen: float, rng: np.random.Generator) -> sp.csr_matrix:
    """Written into arrays of the final size, so that making the cells costs no more than holding them."""
    cells = len(drawn_nm)
    room = int(1.1 * seen * cells) + 10_000
    data, indices = np.empty(room, dtype=np.uint8), np.empty(room, dtype=np.int32)
    indptr, filled = np.zeros(cells + 1, dtype=np.int64 if room > 2**31 else np.int32), 0
    for start in range(0, cells, AT_ONCE):
        some = drawn_nm[start : start + AT_ONCE]
        block = sp.csr_matrix(sum((counts[some[:, j]] for j in range(1, some.shape[1])), counts[some[:, 0]]))
        block.data *= rng.random(block.nnz) < seen / (block.nnz / len(some))
        block.eliminate_zeros()
        stop = filled + block.nnz
        data[filled:stop], indices[filled:stop] = np.minimum(block.data, 255), block.indices
        indptr[start + 1 : start + len(some) + 1] = filled + block.indptr[1:]
        filled = stop
    return sp.csr_matrix((data[:filled], indices[:filled], indptr), shape=(cells, counts.shape[1]), copy=False)
