"""Fitted steps between raw counts and a network: frozen arrays, learned on training cells only.

Every step has `fit(train) -> step` as a class method, `arrays()` for `preprocess.npz` and `from_arrays` back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.types import Floats

Arrays = Mapping[str, NDArray[Any]]


def depth_of(counts_nf: sp.csr_matrix) -> Floats:
    """Total counts of each cell, shape (n,)."""
    return np.asarray(counts_nf.sum(axis=1), dtype=np.float32).ravel()


def binarised(counts_nf: sp.csr_matrix) -> sp.csr_matrix:
    """1 where anything was counted; explicit zeros are dropped. Shape (n, f)."""
    out = sp.csr_matrix(counts_nf, dtype=np.float32, copy=True)
    out.eliminate_zeros()
    out.data[:] = 1.0
    return out


def scaled_rows(counts_nf: sp.csr_matrix, factor_n: NDArray[Any]) -> sp.csr_matrix:
    """Each row times its factor, as a new CSR matrix."""
    out = sp.csr_matrix(counts_nf, dtype=np.float32, copy=True)
    out.data *= np.repeat(factor_n.astype(np.float32), np.diff(out.indptr))
    return out


@dataclass(frozen=True, eq=False)
class DepthScale:
    """Scales each cell to the median depth of the training cells (CrossMP §2.1). median: counts a cell."""

    median: float

    @classmethod
    def fit(cls, counts_nf: sp.csr_matrix) -> Self:
        depth_n = depth_of(counts_nf)
        positive_n = depth_n[depth_n > 0]
        return cls(float(np.median(positive_n)) if positive_n.size else 1.0)

    def scaled(self, counts_nf: sp.csr_matrix) -> sp.csr_matrix:
        """Size-normalised counts, shape (n, f). An empty cell stays empty."""
        depth_n = depth_of(counts_nf)
        return scaled_rows(counts_nf, np.where(depth_n > 0, self.median / np.maximum(depth_n, 1e-9), 0.0))

    def log_normalised(self, counts_nf: sp.csr_matrix) -> sp.csr_matrix:
        """log1p of size-normalised counts, shape (n, f)."""
        out = self.scaled(counts_nf)
        out.data = np.log1p(out.data)
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"median": np.array(self.median, dtype=np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(float(arrays["median"]))


@dataclass(frozen=True, eq=False)
class ZScore:
    """Z-scores of sparse rows as one constant row plus a sparse difference; nothing densifies.

    A zero becomes `zero_f`, the clipped z-score of zero; a non-zero entry x becomes
    clip((x − mean)/std, low, high) = zero_f + difference. CrossMP §2.1: z-score per gene, then clip to the
    0.5 and 99.5 percentiles of the whole matrix.
    mean_f, std_f: shape (f,). low, high: the percentiles over all n × f training values.
    """

    mean_f: Floats
    std_f: Floats
    low: float
    high: float

    @classmethod
    def fit(cls, x_nf: sp.csr_matrix, *, percentiles: tuple[float, float] = (0.5, 99.5)) -> Self:
        n = x_nf.shape[0]
        mean_f = np.asarray(x_nf.mean(axis=0), dtype=np.float64).ravel()
        square_f = np.asarray(x_nf.multiply(x_nf).mean(axis=0), dtype=np.float64).ravel()
        std_f = np.sqrt(np.maximum(square_f - mean_f**2, 0.0))
        std_f[std_f < 1e-8] = 1.0  # a gene that never varies says nothing, and must not divide by zero
        low, high = _percentiles(x_nf, mean_f, std_f, n, percentiles)
        return cls(mean_f.astype(np.float32), std_f.astype(np.float32), low, high)

    @property
    def zero_f(self) -> Floats:
        zero_f: Floats = np.clip(-self.mean_f / self.std_f, self.low, self.high).astype(np.float32)
        return zero_f

    def difference(self, x_nf: sp.csr_matrix) -> sp.csr_matrix:
        """What to add to `zero_f` at the non-zero entries, shape (n, f)."""
        out = sp.csr_matrix(x_nf, dtype=np.float32, copy=True)
        j = out.indices
        z = np.clip((out.data - self.mean_f[j]) / self.std_f[j], self.low, self.high)
        out.data = (z - self.zero_f[j]).astype(np.float32)
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.mean_f, "std": self.std_f, "clip": np.array([self.low, self.high], dtype=np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        low, high = (float(v) for v in arrays["clip"])
        return cls(arrays["mean"].astype(np.float32), arrays["std"].astype(np.float32), low, high)


def _percentiles(
    x_nf: sp.csr_matrix, mean_f: NDArray[Any], std_f: NDArray[Any], n: int, wanted: tuple[float, float]
) -> tuple[float, float]:
    """Percentiles of all n × f z-scores, counting each gene's zeros by weight instead of writing them out."""
    columns = sp.csc_matrix(x_nf)
    filled_f = np.diff(columns.indptr)
    j = np.repeat(np.arange(len(mean_f)), filled_f)
    values = np.concatenate([(columns.data - mean_f[j]) / std_f[j], -mean_f / std_f])
    weights = np.concatenate([np.ones(len(j)), (n - filled_f).astype(np.float64)])
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    low, high = (values[order][np.searchsorted(cumulative, q / 100 * cumulative[-1])] for q in wanted)
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class TfIdf:
    """Term frequency by inverse document frequency on binarised peaks, as latent semantic indexing uses it.

    idf_p = log(1 + cells / cells with the peak), shape (p,); tf = 10⁴ × open / peaks open in the cell; log1p of the
    product (Stuart et al. 2019, Signac's first method).
    """

    idf_p: Floats

    @classmethod
    def fit(cls, a_np: sp.csr_matrix) -> Self:
        open_p = np.asarray(binarised(a_np).sum(axis=0)).ravel()
        return cls(np.log1p(a_np.shape[0] / np.maximum(open_p, 1.0)).astype(np.float32))

    def transform(self, a_np: sp.csr_matrix) -> sp.csr_matrix:
        """shape (n, p)"""
        out = binarised(a_np)
        depth_n = depth_of(out)
        out = scaled_rows(out, 1e4 / np.maximum(depth_n, 1.0))
        out.data = np.log1p(out.data * self.idf_p[out.indices])
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"idf": self.idf_p}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(arrays["idf"].astype(np.float32))


@dataclass(frozen=True, eq=False)
class Projection:
    """Projection of cells on the leading right singular vectors of the centred training matrix.

    mean_f: shape (f,), zeros where it was not centred. v_fk: orthonormal columns, shape (f, k). s_k: singular
    values, shape (k,).
    """

    mean_f: Floats
    v_fk: Floats
    s_k: Floats

    @classmethod
    def fit(
        cls,
        x_nf: sp.csr_matrix,
        *,
        k: int,
        rng: np.random.Generator,
        power: int = 4,
        centred: bool = True,
        quick: bool = False,
    ) -> Self:
        """Randomised SVD of the implicitly centred matrix (Halko, Martinsson & Tropp 2011, algorithm 4.4).

        quick: orthonormal on the side of the cells alone, and the last step through a small Gram matrix: several times
        faster where features are many, and as good for components well above the noise.
        """
        n, f = x_nf.shape
        k = max(1, min(k, n - 1, f))
        mean_f = np.asarray(x_nf.mean(axis=0), dtype=np.float32).ravel() * np.float32(centred)
        transposed = sp.csr_matrix(x_nf.T)

        def times(q_fk: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(x_nf @ q_fk - (mean_f @ q_fk)[None, :])

        def back(q_nk: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(transposed @ q_nk - np.outer(mean_f, q_nk.sum(axis=0)))

        width = min(k + 10, n, f)
        q_nk, _ = np.linalg.qr(times(rng.standard_normal((f, width)).astype(np.float32)))
        for _ in range(power):
            q_fk = back(q_nk) if quick else np.linalg.qr(back(q_nk))[0]
            q_nk, _ = np.linalg.qr(times(q_fk))
        s_k, vt_kf = _by_gram(back(q_nk)) if quick else np.linalg.svd(back(q_nk).T, full_matrices=False)[1:]
        v_fk = vt_kf[:k].T
        # The sign of a singular vector is free: fix it, so that the same cells give the same bytes.
        v_fk = v_fk * np.sign(v_fk[np.abs(v_fk).argmax(axis=0), np.arange(v_fk.shape[1])])[None, :]
        return cls(mean_f, np.ascontiguousarray(v_fk, dtype=np.float32), s_k[:k].astype(np.float32))

    def transform(self, x_nf: sp.csr_matrix) -> Floats:
        """Coordinates of centred rows, shape (n, k)."""
        return np.asarray(x_nf @ self.v_fk - (self.mean_f @ self.v_fk)[None, :], dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.mean_f, "v": self.v_fk, "s": self.s_k}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(arrays["mean"].astype(np.float32), arrays["v"].astype(np.float32), arrays["s"].astype(np.float32))


def _by_gram(b_fk: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Singular values and right singular vectors, rows, of b transposed, largest first."""
    square_k, u_kk = np.linalg.eigh(b_fk.T.astype(np.float64) @ b_fk.astype(np.float64))
    s_k = np.sqrt(np.maximum(square_k[::-1], 1e-12))
    return s_k, (b_fk @ (u_kk[:, ::-1] / s_k)).T


def prefixed(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """`{"mean": a}` becomes `{"prefix.mean": a}`: several steps share one file."""
    return {f"{prefix}.{name}": value for name, value in arrays.items()}


def unprefixed(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) + 1 :]: value for name, value in arrays.items() if name.startswith(prefix + ".")}
