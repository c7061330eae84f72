"""Which features are common enough to be read, and which to be predicted each on its own; rarer ones go as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.types import Floats

PREDICTED = 2  # ours: training cells that must have a feature to be predicted on its own
READ = (2, 5)  # ours: to be read; between the two one in `SHARE` training cells
SHARE = 150  # ours
FLOOR = 0.25  # ours: a feature never counted in training counts as a quarter of one count


def common(counts_nf: sp.csr_matrix, least: int) -> NDArray[np.int64]:
    """Positions of features that so many cells have, ascending; all of them where none has."""
    having_f = np.bincount(counts_nf.indices[counts_nf.data > 0], minlength=counts_nf.shape[1])
    found = np.flatnonzero(having_f >= least)
    return found if len(found) else np.arange(counts_nf.shape[1])


def readable(counts_nf: sp.csr_matrix) -> NDArray[np.int64]:
    """Positions of features worth reading, ascending."""
    return common(counts_nf, int(np.clip(counts_nf.shape[0] // SHARE, *READ)))


@dataclass(frozen=True, eq=False)
class Lumped:
    """Rare features as one. place_f: the column a feature is counted in. within_f: its share of that column.

    The last column holds all rare features, in shares as in training.
    """

    place_f: NDArray[np.int32]
    within_f: Floats

    @classmethod
    def fit(cls, counts_nf: sp.csr_matrix) -> Self:
        kept = common(counts_nf, PREDICTED)
        total_f = np.maximum(np.asarray(counts_nf.sum(axis=0), dtype=np.float64).ravel(), FLOOR)
        place_f = np.full(counts_nf.shape[1], len(kept), dtype=np.int32)
        place_f[kept] = np.arange(len(kept))
        rare_f = place_f == len(kept)
        within_f = np.where(rare_f, total_f / max(float(total_f[rare_f].sum()), FLOOR), 1.0)
        return cls(place_f, within_f.astype(np.float32))

    @property
    def columns(self) -> int:
        return int(self.place_f.max()) + 1

    def counts(self, counts_nf: sp.csr_matrix) -> sp.csr_matrix:
        """shape (n, columns)"""
        out = sp.csr_matrix(
            (counts_nf.data.copy(), self.place_f[counts_nf.indices], counts_nf.indptr.copy()),
            shape=(counts_nf.shape[0], self.columns),
        )
        out.sum_duplicates()
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"place": self.place_f, "within": self.within_f}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["place"], arrays["within"])
