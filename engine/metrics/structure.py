"""Whether predicted cells fall into the groups the true ones do: clusters against labels, and labels carried over.

Profiles are brought to a few principal components first (randomised, streamed by row blocks), of the features that have
a score of their own.
Openings are divided by each cell's total before, so that predicted depth alone makes no clusters.
Clusters: k-means with as many clusters as labels, scored by the adjusted Rand index (Hubert & Arabie 1985) and by
normalised mutual information, as scMVP's paper does. Labels carried over: each predicted cell takes the commonest label
of its 15 nearest true training cells by angle in the training cells' components, the plainest form of the label
transfer of Stuart et al. 2019; the share that is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.metrics.ranks import Doubles, Integers
from engine.metrics.scores import Figure
from engine.metrics.sources import Finite, Source, blocks
from engine.types import Floats, Modality, Names

COMPONENTS = 20  # ours
ROUNDS = 3  # ours: of subspace iteration
HELD = 2**25  # ours: profiles of at most this many values (128 MB) are held
ROUNDING = 1e-5  # profiles that differ by less than this share of their size are one point, and one cluster
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
    """Row blocks of a source on the chosen features, openings as shares of the cell's total over those.

    Few enough values are read once and held.
    """

    def __init__(self, source: Source, modality: Modality, *, n: int, f: int, kept: Integers) -> None:
        self._source, self._modality, self._kept = Finite(source, n, f), modality, kept
        self.n, self.f, self._width = n, len(kept), f
        self._held: Floats | None = None
        if n * len(kept) <= HELD:
            held = np.empty((n, len(kept)), dtype=np.float32)
            for start, stop, rows in self._read():
                held[start:stop] = rows
            self._held = held

    def blocks(self) -> Iterator[tuple[int, int, Floats]]:
        """(start, stop, values of those rows)"""
        if self._held is not None:
            yield 0, self.n, self._held
        else:
            yield from self._read()

    def _read(self) -> Iterator[tuple[int, int, Floats]]:
        for start, stop in blocks(self.n, self._width, block=512):
            values = self._source.rows(start, stop)[:, self._kept]
            if self._modality is Modality.ATAC:
                values = values * (self.f / np.maximum(values.sum(1, keepdims=True), 1e-12))
            yield start, stop, values


@dataclass(frozen=True, eq=False)
class Components:
    """Principal axes. mean_f: shape (f,). axes_kf: orthonormal rows, by falling variance."""

    mean_f: Floats
    axes_kf: Floats

    @classmethod
    def fit(cls, profiles: Comparable, *, rng: np.random.Generator, k: int = COMPONENTS, rounds: int = ROUNDS) -> Self:
        """Randomised subspace iteration over row blocks (Halko, Martinsson & Tropp 2011, algorithm 4.4)."""
        n, f = profiles.n, profiles.f
        k = max(1, min(k, n - 1, f))
        mean_f = np.zeros(f)
        for _, _, rows in profiles.blocks():
            mean_f += rows.sum(0, dtype=np.float64)
        mean = (mean_f / n).astype(np.float32)
        basis = rng.standard_normal((f, min(k + 10, n, f))).astype(np.float32)
        for _ in range(rounds):
            left, _ = np.linalg.qr(_projected(profiles, mean, basis))
            basis = np.zeros_like(basis)
            for start, stop, rows in profiles.blocks():
                basis += rows.T @ left[start:stop]
            basis -= np.outer(mean, left.sum(0))
        # basis = (X − mean)ᵀ·Q: its left singular vectors are the axes.
        variance, turn = np.linalg.eigh(basis.T.astype(np.float64) @ basis)
        scale = np.sqrt(np.maximum(variance[::-1][:k], 1e-12))
        return cls(mean, (basis @ (turn[:, ::-1][:, :k] / scale)).T.astype(np.float32))

    def coordinates(self, profiles: Comparable) -> Doubles:
        """shape (n, k)"""
        return _projected(profiles, self.mean_f, self.axes_kf.T).astype(np.float64)


def _projected(profiles: Comparable, mean_f: Floats, basis_fk: Floats) -> Floats:
    out = np.empty((profiles.n, basis_fk.shape[1]), dtype=np.float32)
    for start, stop, rows in profiles.blocks():
        out[start:stop] = rows @ basis_fk
    return out - mean_f @ basis_fk


@dataclass(frozen=True, eq=False)
class Reference:
    """True training cells as neighbours. z_nk: unit rows, shape (n, k); codes_n: their labels."""

    components: Components
    z_nk: Doubles
    codes_n: Integers
    names: tuple[str, ...]

    @classmethod
    def fit(
        cls,
        truth_nf: sp.csr_matrix,
        labels_n: Names,
        modality: Modality,
        *,
        kept: Integers,
        rng: np.random.Generator,
    ) -> Self:
        """truth_nf: of training cells on the scored scale, CSR. Cells without a label ("") are left out."""
        labelled = np.array([str(label) != "" for label in labels_n])
        rows = np.flatnonzero(labelled)
        if len(rows) > MOST_CLUSTERED:
            rows = np.sort(rng.choice(rows, MOST_CLUSTERED, replace=False))
        names = tuple(sorted({str(label) for label in labels_n[rows]}))
        place = {name: i for i, name in enumerate(names)}
        chosen = SparseSource(truth_nf[rows])
        profiles = Comparable(chosen, modality, n=len(rows), f=truth_nf.shape[1], kept=kept)
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
    kept: Integers,
    reference: Reference | None,
    rng: np.random.Generator,
) -> dict[str, Figure]:
    """cluster_ari, cluster_nmi, and label_transfer where there is a reference; labelled cells only.

    labels_n: shape (n,); "" is no label. features: how many the source has; kept: those looked at.
    Nothing where fewer than two labels or ten labelled cells are there.
    """
    n = len(labels_n)
    text = np.array([str(label) for label in labels_n], dtype=object)
    labelled = np.flatnonzero(text != "")
    kinds = sorted(set(text[labelled]))
    if len(kinds) < 2 or len(labelled) < 10:
        return {}
    profiles = Comparable(prediction, modality, n=n, f=features, kept=kept)
    figures: dict[str, Figure] = {}
    components = Components.fit(profiles, rng=rng)
    z = components.coordinates(profiles)
    alike = float(np.ptp(z, axis=0).max()) <= ROUNDING * float(np.linalg.norm(components.mean_f))
    ari, nmi = (0.0, 0.0) if alike else _clusters(z, text, labelled, len(kinds), rng)
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
    distinct = len(np.unique(np.round(chosen, 12), axis=0))
    found = KMeans(min(k, distinct), n_init=10, random_state=int(rng.integers(2**31 - 1))).fit_predict(chosen)
    true = text[rows].tolist()
    return float(adjusted_rand_score(true, found)), float(normalized_mutual_info_score(true, found))


def _unit(z_nk: Doubles) -> Doubles:
    return np.asarray(z_nk / np.maximum(np.linalg.norm(z_nk, axis=1, keepdims=True), 1e-12))
