"""Predictions as other tools write them: built cells predicted from their types, on any scale, as .h5ad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.metrics.normalise import log_normalised
from engine.types import Cells, Modality


def predicted(cells: Cells, *, noise: float = 0.3, seed: int = 0) -> NDArray[np.float32]:
    """The mean of each cell's type with noise: log-normalised genes, or peaks as probabilities, shape (n, f)."""
    rng = np.random.default_rng(seed)
    of_genes = cells.modality is Modality.RNA
    truth = log_normalised(cells.counts).toarray() if of_genes else (cells.counts > 0).toarray().astype(float)
    kinds = np.asarray(cells.obs["cell_type"])
    clean = np.empty(truth.shape)
    for kind in np.unique(kinds):
        clean[kinds == kind] = truth[kinds == kind].mean(axis=0)
    wide = noise if of_genes else 0.1 * noise
    values = clean + wide * rng.standard_normal(clean.shape)
    return np.clip(values, 0.0, None if of_genes else 1.0).astype(np.float32)


def write_values(
    cells: Cells, values: NDArray[Any], path: Path, *, names: list[str] | None = None, dense: bool = True
) -> Path:
    """The values as X of an .h5ad with the cells' names and labels. names: of the features, where they are others."""
    import anndata as ad
    import pandas as pd
    import scipy.sparse as sp

    ad.AnnData(
        X=np.asarray(values, dtype=np.float32) if dense else sp.csr_matrix(values, dtype=np.float32),
        obs=pd.DataFrame({"predicted_type": list(cells.obs["cell_type"])}, index=[str(n) for n in cells.barcodes]),
        var=pd.DataFrame(index=names or list(cells.space.names)),
    ).write_h5ad(path)
    return path
