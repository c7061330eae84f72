"""Cells as the model reads them: sparse rows for the trunks, SVD coordinates for the linear members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.preprocess.steps import binarised, depth_of, prefixed, scaled_rows, unprefixed
from engine.translators.baselines.common import SourceView
from engine.types import Cells, Floats, Modality


@dataclass(frozen=True, eq=False)
class Reader:
    """One modality as a source. typical: median of the open peaks a training cell has (1 for genes)."""

    view: SourceView
    typical: float

    @classmethod
    def fit(cls, cells: Cells, *, components: int, rng: np.random.Generator) -> Self:
        open_n = np.diff(binarised(cells.counts).indptr)
        typical = float(np.median(open_n[open_n > 0])) if cells.modality is Modality.ATAC and open_n.any() else 1.0
        return cls(SourceView.fit(cells, k=components, rng=rng, quick=True), typical)

    def rows(self, counts_nf: sp.csr_matrix) -> sp.csr_matrix:
        """Genes: log-normalised. Peaks: open or not, divided by the root of how many are open. Shape (n, f)."""
        if self.view.modality is Modality.RNA:
            return self.view.scale.log_normalised(counts_nf)
        x_nf = binarised(counts_nf)
        return scaled_rows(x_nf, np.sqrt(self.typical / np.maximum(depth_of(x_nf), 1.0)))

    def coordinates(self, counts_nf: sp.csr_matrix) -> Floats:
        """SVD coordinates, the standardised log depth and its square, shape (n, k + 2)."""
        z_nk = self.view.coordinates(counts_nf)
        return np.column_stack([z_nk, np.square(z_nk[:, -1])]).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {**prefixed("view", self.view.arrays()), "typical": np.array(self.typical)}

    @classmethod
    def from_arrays(cls, modality: Modality, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(SourceView.from_arrays(modality, unprefixed("view", dict(arrays))), float(arrays["typical"]))
