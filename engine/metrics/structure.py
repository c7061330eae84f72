"""Whether predicted cells fall into the groups the true ones do: clusters against labels, and labels carried over.

Profiles are brought to a few principal components first (randomised, streamed: no cells × features matrix is held).
Openings are divided by each cell's total before, so that predicted depth alone makes no clusters.
Clusters: k-means with as many clusters as labels, scored by the adjusted Rand index (Hubert & Arabie 1985) and by
normalised mutual information, as scMVP's paper does. Labels carried over: each predicted cell takes the commonest label
of its 15 nearest true training cells by angle in the training cells' components, the plainest form of the label
transfer of Stuart et al. 2019; the share that is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.metrics.ranks import Doubles, Integers
from engine.metrics.scores import Figure
from engine.metrics.sources import Finite, Source, blocks
from engine.types import Modality, Names

COMPONENTS = 20  # ours
ROUNDS = 4  # ours: passes of subspace iteration
NEIGHBOURS = 15  # ours
MOST_CLUSTERED = 20_000  # ours: of more cells, this many by chance are clustered


class SparseSource:
    """A sparse truth as a source of dense row blocks."""

    def __init__(self, values_nf: sp.csr_matrix) -> None:
        self._values = sp.csr_matrix(values_nf)

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.asarray(self._values[start:stop].toarray(), dtype=np.float32)

    def columns(self, positions: Integers) -> NDArray[np.float32]:
        return np.asarray(self._values[:, positions].toarray(), dtype=np.float32)


class Comparable:
    """Row blocks of a source as structure looks at them: openings as shares of the cell's total."""

    def __init__(self, source: Source, modality: Modality, n: int, f: int) -> None:
        self._source, self._modality = Finite(source, n, f), modality
        self.n, self.f = n, f

    def rows(self, start: int, stop: int) -> Doubles:
        values = self._source.rows(start, stop).astype(np.float64)
        if self._modality is Modality.ATAC:
            total = np.maximum(values.sum(1, keepdims=True), 1e-12)
            values *= self.f / total
        return values


@dataclass(frozen=True, eq=False)
class Components:
    """Principal axes. mean_f: shape (f,). axes_kf: orthonormal rows, by falling variance."""

    mean_f: Doubles
    axes_kf: Doubles

    @classmethod
    def fit(cls, profiles: Comparable, *, rng: np.random.Generator, k: int = COMPONENTS, rounds: int = ROUNDS) -> Self:
        """Subspace iteration (Halko, Martinsson & Tropp 2011) over row blocks."""
        n, f = profiles.n, profiles.f
        k = max(1, min(k, n - 1, f))
        mean_f = np.zeros(f)
        for start, stop in blocks(n, f, block=512):
            mean_f += profiles.rows(start, stop).sum(0)
        mean_f /= n
        basis = rng.standard_normal((f, min(k + 10, f)))
        for _ in range(rounds):
            basis, _ = np.linalg.qr(basis)
            following = np.zeros_like(basis)
            for start, stop in blocks(n, f, block=512):
                x = profiles.rows(start, stop) - mean_f
                following += x.T @ (x @ basis)
            last, basis = basis, following
        # The last pass gave XᵀX·Q: its projection on Q tells the axes within.
        _, turn = np.linalg.eigh(last.T @ basis)
        return cls(mean_f, (last @ turn[:, ::-1][:, :k]).T)

    def coordinates(self, profiles: Comparable) -> Doubles:
        """shape (n, k)"""
        out = np.empty((profiles.n, len(self.axes_kf)))
        for start, stop in blocks(profiles.n, profiles.f, block=512):
            out[start:stop] = (profiles.rows(start, stop) - self.mean_f) @ self.axes_kf.T
        return out


@dataclass(frozen=True, eq=False)
class Reference:
    """True training cells as neighbours. z_nk: unit rows, shape (n, k); codes_n: their labels."""

    components: Components
    z_nk: Doubles
    codes_n: Integers
    names: tuple[str, ...]

    @classmethod
    def fit(cls, truth_nf: sp.csr_matrix, labels_n: Names, modality: Modality, *, rng: np.random.Generator) -> Self:
        """truth_nf: of training cells on the scored scale, CSR. Cells without a label ("") are left out."""
        labelled = np.array([str(label) != "" for label in labels_n])
        rows = np.flatnonzero(labelled)
        if len(rows) > MOST_CLUSTERED:
            rows = np.sort(rng.choice(rows, MOST_CLUSTERED, replace=False))
        names = tuple(sorted({str(label) for label in labels_n[rows]}))
        place = {name: i for i, name in enumerate(names)}
        profiles = Comparable(SparseSource(truth_nf[rows]), modality, len(rows), truth_nf.shape[1])
        components = Components.fit(profiles, rng=rng)
        codes = np.array([place[str(label)] for label in labels_n[rows]], dtype=np.int64)
        return cls(components, _unit(components.coordinates(profiles)), codes, names)

    def transferred(self, profiles: Comparable) -> list[str]:
        """The label each cell takes from its nearest training cells."""
        z = _unit(self.components.coordinates(profiles))
        k = min(NEIGHBOURS, len(self.z_nk))
        found = []
        for start, stop in blocks(len(z), len(self.z_nk), block=512):
            near = np.argpartition(-(z[start:stop] @ self.z_nk.T), k - 1, axis=1)[:, :k]
            votes = np.stack([(self.codes_n[near] == c).sum(1) for c in range(len(self.names))], axis=1)
            found += [self.names[c] for c in votes.argmax(1)]
        return found


def score_structure(
    prediction: Source,
    labels_n: Names,
    modality: Modality,
    *,
    features: int,
    reference: Reference | None,
    rng: np.random.Generator,
) -> dict[str, Figure]:
    """cluster_ari, cluster_nmi, and label_transfer where there is a reference; labelled cells only.

    labels_n: shape (n,); "" is no label. Nothing where fewer than two labels or ten labelled cells are there.
    """
    n = len(labels_n)
    text = np.array([str(label) for label in labels_n], dtype=object)
    labelled = np.flatnonzero(text != "")
    kinds = sorted(set(text[labelled]))
    if len(kinds) < 2 or len(labelled) < 10:
        return {}
    profiles = Comparable(prediction, modality, n, features)
    figures: dict[str, Figure] = {}
    z = Components.fit(profiles, rng=rng).coordinates(profiles)
    ari, nmi = _clusters(z, text, labelled, len(kinds), rng)
    nothing = np.zeros(n)
    figures["cluster_ari"] = Figure(ari, nothing, len(labelled))
    figures["cluster_nmi"] = Figure(nmi, nothing, len(labelled))
    if reference is not None:
        right = np.array([a == b for a, b in zip(reference.transferred(profiles), text, strict=True)], dtype=np.float64)
        share = float(right[labelled].mean())
        pull = np.zeros(n)
        pull[labelled] = (right[labelled] - share) / len(labelled)
        largest = max(float((text[labelled] == kind).mean()) for kind in kinds)
        figures["label_transfer"] = Figure(share, pull, len(labelled), chance=largest)
    return figures


def _clusters(
    z_nk: Doubles, text: NDArray[np.object_], labelled: Integers, k: int, rng: np.random.Generator
) -> tuple[float, float]:
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    rows = labelled
    if len(rows) > MOST_CLUSTERED:
        rows = np.sort(rng.choice(rows, MOST_CLUSTERED, replace=False))
    chosen = z_nk[rows]
    if np.ptp(chosen, axis=0).max() < 1e-9:
        return 0.0, 0.0  # one point: one cluster
    distinct = len(np.unique(np.round(chosen, 12), axis=0))
    found = KMeans(min(k, distinct), n_init=10, random_state=int(rng.integers(2**31 - 1))).fit_predict(chosen)
    true = text[rows].tolist()
    return float(adjusted_rand_score(true, found)), float(normalized_mutual_info_score(true, found))


def _unit(z_nk: Doubles) -> Doubles:
    return np.asarray(z_nk / np.maximum(np.linalg.norm(z_nk, axis=1, keepdims=True), 1e-12))
