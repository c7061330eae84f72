"""Cells as the model reads them: sparse rows for the trunks, SVD coordinates for the linear members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.preprocess.steps import binarised, depth_of, prefixed, scaled_rows, unprefixed
from engine.translators.baselines.common import SourceView
from engine.translators.crossview.caution import Sighting
from engine.translators.crossview.network import halved
from engine.translators.crossview.rarity import readable
from engine.types import Cells, FeatureSpace, Floats, Modality


@dataclass(frozen=True, eq=False)
class Reader:
    """One modality as a source. kept_f: features that are read. typical: median of the open peaks a training cell has.

    Of genes, typical is 1.
    """

    view: SourceView
    kept_f: NDArray[np.int64]
    typical: float

    @classmethod
    def fit(cls, cells: Cells, *, components: int, rng: np.random.Generator) -> Self:
        kept_f = readable(cells.counts)
        space = FeatureSpace(cells.modality, cells.space.names[kept_f], cells.space.genome)
        cells = Cells(space, sp.csr_matrix(cells.counts[:, kept_f]), cells.barcodes)
        open_n = np.diff(binarised(cells.counts).indptr)
        typical = float(np.median(open_n[open_n > 0])) if cells.modality is Modality.ATAC and open_n.any() else 1.0
        view = SourceView.fit(cells, k=components, rng=rng, quick=True)
        projection = replace(view.projection, v_fk=halved(view.projection.v_fk))
        return cls(replace(view, projection=projection), kept_f, typical)

    @property
    def width(self) -> int:
        return len(self.kept_f)

    def _kept(self, counts_nf: sp.csr_matrix) -> sp.csr_matrix:
        return counts_nf if self.width == counts_nf.shape[1] else sp.csr_matrix(counts_nf[:, self.kept_f])

    def rows(self, counts_nf: sp.csr_matrix) -> sp.csr_matrix:
        """Genes: log-normalised. Peaks: open or not, divided by the root of how many are open. Shape (n, width)."""
        counts_nf = self._kept(counts_nf)
        if self.view.modality is Modality.RNA:
            return self.view.scale.log_normalised(counts_nf)
        x_nf = binarised(counts_nf)
        return scaled_rows(x_nf, np.sqrt(self.typical / np.maximum(depth_of(x_nf), 1.0)))

    def coordinates(self, counts_nf: sp.csr_matrix) -> Floats:
        """SVD coordinates, the standardised log depth and its square, shape (n, k + 2); genes: also the evenness.

        Evenness: log of detected genes over counts, times 10, and its square: a cell whose counts fall on few genes.
        """
        counts_nf = self._kept(counts_nf)
        z_nk = self.view.coordinates(counts_nf)
        columns = [z_nk, np.square(z_nk[:, -1])]
        if self.view.modality is Modality.RNA:
            detected_n = depth_of(binarised(counts_nf))
            even_n = 10 * np.log(np.maximum(detected_n, 1) / np.maximum(depth_of(counts_nf), 1.0))
            columns += [even_n, np.square(even_n) / 10]
        return np.column_stack(columns).astype(np.float32)

    def sighting(self, counts_nf: sp.csr_matrix) -> Sighting:
        """What caution goes by."""
        return Sighting.of(self.view.coordinates(self._kept(counts_nf)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        view = self.view.arrays()
        return {
            **prefixed("view", view), "view.projection.v": view["projection.v"].astype(np.float16),
            "kept": self.kept_f, "typical": np.array(self.typical),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, modality: Modality, arrays: Mapping[str, NDArray[Any]]) -> Self:
        view = SourceView.from_arrays(modality, unprefixed("view", dict(arrays)))
        return cls(view, arrays["kept"], float(arrays["typical"]))
