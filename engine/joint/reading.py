"""Any cells of a canonical copy, and their counts split in two by coins that belong to the cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.intake.canonical import CanonicalCells
from engine.types import Modality

Rows = NDArray[np.int64]
GAP = 64  # unwanted cells read along rather than reading twice  # ours
HALF = 0.5
LOOKED_AT = 2_000  # cells  # ours


def counts_at(cells: CanonicalCells, rows_n: Rows) -> sp.csr_matrix:
    """Counts of these cells in this order, shape (n, f), reading little else. Raises BadSetting outside the file."""
    order = np.argsort(rows_n, kind="stable")
    pieces = [cells.rows(a, b).counts[wanted - a] for a, b, wanted in _runs(rows_n[order])]
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return sp.csr_matrix(sp.vstack(pieces, format="csr")[back])


def _runs(ascending: Rows) -> Iterator[tuple[int, int, Rows]]:
    """(start, stop, rows wanted of it): stretches without a gap worth skipping."""
    cuts = np.flatnonzero(np.diff(ascending) > GAP) + 1
    for wanted in np.split(ascending, cuts):
        yield int(wanted[0]), int(wanted[-1]) + 1, wanted


def counts_ends(cells: CanonicalCells) -> bool:
    """Whether peaks were counted by both ends of each fragment, as Cell Ranger does: twos then outnumber ones.

    Fragments are what is counted independently (Martens, Fischer, Theis & Yépez 2023). Told from the first cells.
    """
    if cells.modality is not Modality.ATAC:
        return False
    data = cells.rows(0, min(cells.n_cells, LOOKED_AT)).counts.data
    return int((data == 2).sum()) > int((data == 1).sum())


@dataclass(frozen=True)
class Coins:
    """Which counts of a cell are shown to a model and which are kept back to judge it: every count by a fair coin.

    Of Poisson counts both halves are independent given the cell's rates (as in molecular cross-validation, Batson,
    Royer & Webber 2019). A cell's coins depend on the seed, the modality and its row in the file, on nothing else.
    ends: peaks were counted by both ends of a fragment, which stay together.
    """

    seed: int
    ends: bool = False

    def split(self, counts_nf: sp.csr_matrix, modality: Modality, rows_n: Rows) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Shown and kept back, shape (n, f) each; they add up to the counts."""
        whole = counts_nf.data.astype(np.int64)
        paired = self.ends and modality is Modality.ATAC
        tossed = (whole + 1) // 2 if paired else whole
        shown = np.empty(len(whole), dtype=np.int64)
        for i, row in enumerate(rows_n):
            a, b = int(counts_nf.indptr[i]), int(counts_nf.indptr[i + 1])
            shown[a:b] = self._rng(modality, int(row)).binomial(tossed[a:b], HALF)
        shown = np.minimum(2 * shown, whole) if paired else shown
        return _with(counts_nf, shown), _with(counts_nf, whole - shown)

    def _rng(self, modality: Modality, row: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, list(Modality).index(modality), row))


def _with(counts_nf: sp.csr_matrix, data: NDArray[np.int64]) -> sp.csr_matrix:
    out = sp.csr_matrix((data.astype(np.float32), counts_nf.indices, counts_nf.indptr), shape=counts_nf.shape).copy()
    out.eliminate_zeros()
    return out
