"""Built truth with predictions that know part of it, and the nulls beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.metrics import ArraySource, log_normalised
from tests.builders import paired


@dataclass(frozen=True, eq=False)
class Judged:
    """A prediction, its truth and its nulls. predicted: shape (n, f); truth: counts or log-normalised."""

    predicted: NDArray[np.float32]
    truth: sp.csr_matrix
    names: list[str]
    nulls: dict[str, NDArray[np.float32]]
    counts: sp.csr_matrix

    @property
    def source(self) -> ArraySource:
        return ArraySource(self.predicted)

    @property
    def null_sources(self) -> dict[str, ArraySource]:
        return {name: ArraySource(null) for name, null in self.nulls.items()}

    def arguments(self, **more: Any) -> dict[str, Any]:
        given = {"names": self.names, "nulls": self.null_sources, "rng": np.random.default_rng(7)}
        return given | more


def judged_rna(*, cells: int = 80, genes: int = 40, noise: float = 0.6, rng: np.random.Generator) -> Judged:
    """Expression predicted from each type's mean, with noise; some genes rare, one never seen, one predicted flat."""
    pair = paired(cells=cells, genes=genes, peaks=10, rng=rng)
    counts = pair.rna.counts.toarray()
    counts[:, 1] = 0
    counts[:, 2] = rng.random(cells) < 0.05
    counts = sp.csr_matrix(counts)
    truth = log_normalised(counts)
    predicted = _from_types(truth.toarray(), list(pair.rna.obs["cell_type"]), noise, rng)
    predicted[:, 3] = predicted[0, 3]
    return _judged(predicted, truth, list(pair.rna.space.names), counts)


def judged_atac(*, cells: int = 80, peaks: int = 60, noise: float = 0.4, rng: np.random.Generator) -> Judged:
    """Openings predicted as probabilities, rounded so that many tie; one peak predicted flat, one always open."""
    pair = paired(cells=cells, genes=10, peaks=peaks, rng=rng)
    truth = pair.atac.counts.toarray()
    truth[:, 1] = 1
    predicted = _from_types(truth, list(pair.atac.obs["cell_type"]), noise * 0.1, rng)
    predicted = np.round(np.clip(predicted, 0.001, 0.999), 2).astype(np.float32)
    predicted[:, 3] = predicted[0, 3]
    counts = sp.csr_matrix(truth)
    return _judged(predicted, counts, list(pair.atac.space.names), counts)


def _from_types(truth: NDArray[Any], kinds: list[str], noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    means = {kind: truth[[k == kind for k in kinds]].mean(0) for kind in set(kinds)}
    clean = np.stack([means[kind] for kind in kinds])
    return (clean + noise * rng.standard_normal(clean.shape)).astype(np.float32)


def _judged(predicted: NDArray[np.float32], truth: sp.csr_matrix, names: list[str], counts: sp.csr_matrix) -> Judged:
    mean = np.tile(truth.toarray().mean(0), (len(predicted), 1)).astype(np.float32)
    depth = np.asarray(truth.sum(1)).ravel()
    scaled = (mean * (depth / depth.mean())[:, None]).astype(np.float32)
    return Judged(predicted, truth, names, {"mean": mean, "depth": scaled}, counts)
