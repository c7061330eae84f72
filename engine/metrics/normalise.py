"""The scale truth is scored on: log1p of counts scaled to the median depth."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def median_depth(counts: sp.csr_matrix) -> float:
    """Median number of counts of the cells that have any; 0.0 where none has."""
    depth_n = np.asarray(counts.sum(1)).ravel()
    return float(np.median(depth_n[depth_n > 0])) if (depth_n > 0).any() else 0.0


def log_normalised(counts: sp.csr_matrix, *, scale_to: float | None = None) -> sp.csr_matrix:
    """log1p of counts scaled to the median depth of all cells given, or to `scale_to`; shape (n, f), float32.

    Cells without counts stay empty. Give every cell of the file, or its median, and choose the scored cells after:
    the median of a few cells is another scale.
    """
    x_nf = sp.csr_matrix(counts, dtype=np.float32, copy=True)
    depth_n = np.asarray(x_nf.sum(1)).ravel()
    target = median_depth(x_nf) if scale_to is None else scale_to
    factor_n = np.where(depth_n > 0, target / np.maximum(depth_n, 1e-9), 0).astype(np.float32)
    x_nf.data = np.log1p(x_nf.data * np.repeat(factor_n, np.diff(x_nf.indptr)))
    return x_nf
