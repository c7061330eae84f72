"""Two-dimensional maps (UMAP) of measured and of predicted cells."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.preprocess.steps import DepthScale, Projection, TfIdf
from engine.types import Cells, Floats, Modality, Scale

if TYPE_CHECKING:
    from collections.abc import Callable

COMPONENTS = 30  # scanpy's and Signac's habit
NEIGHBOURS = 15  # umap-learn's default (McInnes et al. 2018)
MIN_CELLS = 15  # fewer make no neighbourhood: their first two components are shown  # ours
MAX_CELLS = 50_000  # more are sampled  # ours
WIDE = 2**26  # values of a prediction held at once (256 MB)  # ours
FEW = 3_000  # cells up to which their Gram matrix is cheap  # ours
NARROW = 2_000  # features of a prediction when not all can be held  # ours


class Columns(Protocol):
    """A prediction that can be asked for some features of all its cells."""

    shape: tuple[int, int]

    def columns(self, positions: NDArray[np.int64]) -> Floats: ...
    def rows(self, start: int, stop: int) -> Floats: ...


@dataclass(frozen=True, eq=False)
class CellMap:
    """xy_n2: coordinates, NaN for cells that were not drawn, shape (n, 2). note: what was done, where it matters."""

    xy_n2: Floats
    note: str = ""


def map_of_counts(cells: Cells, *, seed: int = 0) -> CellMap:
    """A map of measured cells: log-normalised genes by principal components, peaks by latent semantic indexing."""

    def components(chosen_n: NDArray[np.int64]) -> Floats:
        counts = cells.counts[chosen_n]
        atac = cells.modality is Modality.ATAC
        x_nf = TfIdf.fit(counts).transform(counts) if atac else DepthScale.fit(counts).log_normalised(counts)
        return _without_depth(
            _sparse_components(x_nf, seed=seed), counts_n=np.asarray(counts.sum(axis=1)).ravel(), atac=atac
        )

    return _map(len(cells), components, seed=seed)


def map_of_prediction(source: Columns, *, scale: Scale, seed: int = 0) -> CellMap:
    """A map of predicted cells, their values treated as the measured ones are.

    Where all cells × features are too many to hold, the most variable features of a sample of cells stand for all.
    """
    n, f = source.shape

    def components(chosen_n: NDArray[np.int64]) -> Floats:
        positions_f = _most_variable(source, width=_width(len(chosen_n), f), rng=np.random.default_rng(seed))
        values_nf = source.columns(positions_f)
        if len(chosen_n) < n:
            values_nf = values_nf[chosen_n]
        return _dense_components(_prepared(values_nf, scale))

    drawn = _map(n, components, seed=seed)
    width = _width(min(n, MAX_CELLS), f)
    said = f"The prediction's map uses its {width:,} most variable features." if width < f else ""
    return CellMap(drawn.xy_n2, " ".join(filter(None, (drawn.note, said))))


def map_of_coordinates(z_nk: Floats, *, seed: int = 0) -> CellMap:
    """A map of cells by the coordinates they have already, shape (n, k)."""
    return _map(len(z_nk), lambda chosen_n: np.asarray(z_nk[chosen_n], dtype=np.float32), seed=seed)


def _map(n: int, components: Callable[[NDArray[np.int64]], Floats], *, seed: int) -> CellMap:
    chosen_n = _sample(n, seed)
    xy_n2 = np.full((n, 2), np.nan, dtype=np.float32)
    xy_n2[chosen_n] = _coordinates(components(chosen_n), seed=seed)
    if len(chosen_n) < n:
        return CellMap(xy_n2, f"{len(chosen_n):,} of {n:,} cells were drawn at random for the maps.")
    if n < MIN_CELLS:
        return CellMap(xy_n2, f"{n} cells are too few for a UMAP; their first two components are shown.")
    return CellMap(xy_n2)


def _sample(n: int, seed: int) -> NDArray[np.int64]:
    """All cells, or MAX_CELLS of them, ascending; the same for every map of the same cells."""
    if n <= MAX_CELLS:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size=MAX_CELLS, replace=False))


def _width(n: int, f: int) -> int:
    return f if n * f <= WIDE else min(f, NARROW)


def _most_variable(source: Columns, *, width: int, rng: np.random.Generator) -> NDArray[np.int64]:
    n, f = source.shape
    if width >= f:
        return np.arange(f)
    start = int(rng.integers(0, max(1, n - 511)))
    variance_f = source.rows(start, min(n, start + 512)).var(axis=0)
    return np.sort(np.argsort(-variance_f, kind="stable")[:width])


def _prepared(values_nf: Floats, scale: Scale) -> Floats:
    """Probabilities get the weights of latent semantic indexing; rates a logarithm; log-normalised values stay."""
    if scale is Scale.LOG_NORMALISED:
        return values_nf
    if scale is Scale.RATE:
        return np.log1p(np.maximum(values_nf, 0.0))
    total_n1 = np.maximum(values_nf.sum(axis=1, keepdims=True), 1e-12)
    idf_f = np.log1p(1.0 / np.maximum(values_nf.mean(axis=0), 1e-6))
    out: Floats = np.log1p(values_nf * (1e4 / total_n1) * idf_f[None, :]).astype(np.float32)
    return out


def _sparse_components(x_nf: sp.csr_matrix, *, seed: int) -> Floats:
    """Principal components of sparse rows: exact through the Gram matrix of few cells, by random projection of many."""
    n = x_nf.shape[0]
    if n > FEW:
        return Projection.fit(x_nf, k=COMPONENTS, rng=np.random.default_rng(seed)).transform(x_nf)
    gram_nn = np.asarray((x_nf @ x_nf.T).toarray(), dtype=np.float64)
    row_n = gram_nn.mean(axis=1)
    return _from_gram(gram_nn - row_n[:, None] - row_n[None, :] + row_n.mean(), k=min(COMPONENTS, x_nf.shape[1]))


def _dense_components(x_nf: Floats) -> Floats:
    """Principal components through the smaller of the two Gram matrices; exact, and the same bytes each time."""
    centred_nf = x_nf - x_nf.mean(axis=0, dtype=np.float64).astype(np.float32)
    n, f = centred_nf.shape
    if n <= f:
        return _from_gram(np.asarray(centred_nf @ centred_nf.T, dtype=np.float64), k=min(COMPONENTS, f))
    _, vectors_fk = _leading(np.asarray(centred_nf.T @ centred_nf, dtype=np.float64), k=min(COMPONENTS, n - 1, f))
    return np.asarray(centred_nf @ vectors_fk, dtype=np.float32)


def _from_gram(gram_nn: NDArray[np.float64], *, k: int) -> Floats:
    """Components of the cells whose centred inner products these are, shape (n, k)."""
    values_k, vectors_nk = _leading(gram_nn, k=max(1, min(k, len(gram_nn) - 1)))
    return np.asarray(vectors_nk * np.sqrt(values_k), dtype=np.float32)


def _leading(symmetric: NDArray[np.float64], *, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The k largest eigenvalues and their vectors; signs are free, and fixed here."""
    values_k, vectors_xk = np.linalg.eigh(symmetric)
    values_k, vectors_xk = np.maximum(values_k[::-1][:k], 0.0), vectors_xk[:, ::-1][:, :k]
    largest_k = np.abs(vectors_xk).argmax(axis=0)
    return values_k, vectors_xk * np.where(vectors_xk[largest_k, np.arange(len(values_k))] < 0, -1.0, 1.0)


def _without_depth(scores_nk: Floats, *, counts_n: NDArray[Any], atac: bool) -> Floats:
    """Latent semantic indexing without its component that is depth (Signac and ArchR drop it, |r| > 0.75)."""
    if not atac or scores_nk.shape[1] < 4 or len(counts_n) < MIN_CELLS or np.ptp(counts_n) == 0:
        return scores_nk
    first_n = scores_nk[:, 0]
    if np.ptp(first_n) == 0 or abs(np.corrcoef(first_n, np.log1p(counts_n))[0, 1]) <= 0.75:
        return scores_nk
    return scores_nk[:, 1:]


def _coordinates(scores_nk: Floats, *, seed: int) -> Floats:
    n, k = scores_nk.shape
    if n < MIN_CELLS or not np.ptp(scores_nk, axis=0).any():
        xy_n2 = np.zeros((n, 2), dtype=np.float32)
        xy_n2[:, : min(k, 2)] = scores_nk[:, :2]
        return xy_n2
    return _umap(scores_nk, seed=seed)


def _umap(scores_nk: Floats, *, seed: int) -> Floats:
    """UMAP on exact neighbours: umap-learn's own search would compile for longer than a small job takes."""
    from sklearn.neighbors import NearestNeighbors

    umap = _umap_learn()
    neighbours = min(NEIGHBOURS, len(scores_nk) - 1)
    distance_nk, index_nk = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(scores_nk).kneighbors()
    # The cell itself stands first in each list, as umap-learn expects.
    itself_n1 = np.arange(len(scores_nk))[:, None]
    index_nk = np.hstack([itself_n1, index_nk])[:, :neighbours].astype(np.int32)
    distance_nk = np.hstack([np.zeros_like(itself_n1, dtype=np.float32), distance_nk])[:, :neighbours]
    first_n2 = scores_nk[:, :2] if scores_nk.shape[1] > 1 else np.hstack([scores_nk, np.zeros_like(scores_nk)])
    noise_n2 = np.random.default_rng(seed).normal(scale=1e-4, size=first_n2.shape)  # equal cells must not coincide
    start_n2 = 10.0 * first_n2 / max(float(np.abs(first_n2).max()), 1e-12) + noise_n2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that new cells cannot be added: none will be
        fitted = umap.UMAP(
            n_neighbors=neighbours,
            random_state=seed,
            n_jobs=1,
            init=start_n2.astype(np.float32),
            precomputed_knn=(index_nk, distance_nk.astype(np.float32)),
            force_approximation_algorithm=True,
        )
        xy_n2: Floats = np.asarray(fitted.fit_transform(scores_nk), dtype=np.float32)
    return xy_n2


_loaded: list[Any] = []


def _umap_learn() -> Any:
    """umap-learn with its compiled functions kept on disk: 30 s the first time on a machine, 1 s afterwards."""
    if not _loaded:
        with _one_at_a_time(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import umap
            from umap import layouts, umap_

            # These are compiled at first use in every process unless told to keep the result.
            for function in (
                umap_.smooth_knn_dist,
                umap_.compute_membership_strengths,
                layouts._nb_optimize_layout_euclidean_single_epoch,
            ):
                function.enable_caching()
            _loaded.append(umap)
            _umap(np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32), seed=0)
    return _loaded[0]


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Whoever comes second waits for the first to finish compiling, and then reads the result."""
    import fcntl

    path = Path(tempfile.gettempdir()) / f"crossview-maps-{os.getuid()}.lock"
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def main() -> None:
    """Compile now, so that the first job need not."""
    _umap_learn()


if __name__ == "__main__":
    main()
