"""What scButterfly's networks read and are compared with: log-normalised genes, scaled TF-IDF of peaks; kept sparse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from engine.layers.sparse import Bags, SparseTarget
from engine.preprocess.steps import Arrays, DepthScale, binarised, depth_of, scaled_rows
from engine.translators.crossmp.inputs import Blocks
from engine.types import Floats


@dataclass(frozen=True, eq=False)
class PeakScale:
    """Open peaks as TF-IDF divided by its largest training value, in [0, 1]; or as they are, 0 and 1.

    idf_p: log(1 + cells / cells with the peak), shape (p,). top: the largest TF-IDF of the training cells.
    depth: median number of open peaks of a training cell, by which a predicted share becomes a probability.
    """

    idf_p: Floats
    top: float
    depth: float
    tfidf: bool = True

    @classmethod
    def fit(cls, counts_np: sp.csr_matrix, *, tfidf: bool) -> Self:
        a_np = binarised(counts_np)
        open_p = np.asarray(a_np.sum(axis=0), dtype=np.float64).ravel()
        idf_p = np.log1p(a_np.shape[0] / np.maximum(open_p, 1.0)).astype(np.float32)
        top = float(_tfidf(a_np, idf_p).data.max()) if a_np.nnz else 1.0
        return cls(idf_p, top, DepthScale.fit(a_np).median, tfidf)

    def transform(self, counts_np: sp.csr_matrix) -> sp.csr_matrix:
        """shape (n, p); a cell shallower than any in training is cut at 1"""
        a_np = binarised(counts_np)
        if not self.tfidf:
            return a_np
        out = _tfidf(a_np, self.idf_p)
        out.data = np.minimum(out.data / self.top, 1.0).astype(np.float32)
        return out

    def probability(self, predicted_nf: Floats, positions: NDArray[np.int64]) -> Floats:
        """The transform undone for a cell of median depth: TF-IDF is a share of the cell's open peaks.

        What comes out above ½ approaches 1 without reaching it, so that no rank is lost.
        """
        if not self.tfidf:
            return predicted_nf
        factor_f = (self.top * self.depth / self.idf_p[positions]).astype(np.float32)
        open_nf = predicted_nf * factor_f[None, :]
        high_nf = 1.0 - 0.5 * np.exp(1.0 - 2.0 * np.maximum(open_nf, 0.5))
        out: Floats = np.where(open_nf > 0.5, high_nf, open_nf).astype(np.float32)
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        fixed = np.array([self.top, self.depth, float(self.tfidf)], dtype=np.float64)
        return {"idf": self.idf_p, "fixed": fixed}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        top, depth, tfidf = (float(v) for v in arrays["fixed"])
        return cls(arrays["idf"].astype(np.float32), top, depth, bool(tfidf))


def _tfidf(a_np: sp.csr_matrix, idf_p: Floats) -> sp.csr_matrix:
    out = scaled_rows(a_np, 1.0 / np.maximum(depth_of(a_np), 1.0))
    out.data = out.data * idf_p[out.indices]
    return out


class Feed(Protocol):
    """One modality's way from preprocessed rows to tensors."""

    def prepare(self, counts: sp.csr_matrix) -> sp.csr_matrix: ...
    def bags(self, x_bf: sp.csr_matrix) -> Bags: ...
    def target(self, x_bf: sp.csr_matrix) -> SparseTarget: ...


@dataclass(frozen=True, eq=False)
class RnaFeed:
    scale: DepthScale
    device: torch.device

    def prepare(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        return self.scale.log_normalised(counts)

    def bags(self, x_bf: sp.csr_matrix) -> Bags:
        return Bags.of(x_bf, self.device)

    def target(self, x_bf: sp.csr_matrix) -> SparseTarget:
        return SparseTarget.of(x_bf, self.device)


@dataclass(frozen=True, eq=False)
class AtacFeed:
    """Columns of prepared rows lie chromosome by chromosome, as the encoder's and decoder's weights do."""

    scale: PeakScale
    blocks: Blocks
    device: torch.device

    def prepare(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        out = sp.csr_matrix(self.scale.transform(counts)[:, self.blocks.order_f])
        out.sort_indices()
        return out

    def bags(self, x_bf: sp.csr_matrix) -> Bags:
        return Bags.grouped(x_bf, self.blocks.starts, self.device)

    def target(self, x_bf: sp.csr_matrix) -> SparseTarget:
        return SparseTarget.of(x_bf, self.device)
