"""`knn`: the average of the 50 nearest training cells in the source's SVD space. Holds training cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.preprocess.steps import DepthScale, prefixed, unprefixed
from engine.translators.base import Hooks, feature_positions
from engine.translators.baselines.common import SourceView, Viewed, target_matrix
from engine.translators.state import State, csr_arrays, csr_from
from engine.types import Features, FeatureSpace, Floats, Latent, Modality, PairedCells, Prediction, Split


class KnnTranslator(Viewed):
    """The latent is the cell's coordinates in its own modality's SVD space; the decoder looks up neighbours."""

    key: ClassVar[str] = "knn"

    def __init__(
        self,
        views: dict[Modality, SourceView],
        train_nk: dict[Modality, Floats],
        targets: dict[Modality, sp.csr_matrix],
        neighbours: int,
        rna: FeatureSpace,
        atac: FeatureSpace,
    ) -> None:
        super().__init__(views, rna, atac)
        self._train_nk, self._targets, self._neighbours = train_nk, targets, neighbours
        self._columns = {m: sp.csc_matrix(x) for m, x in targets.items()}

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        space = self.space(target)
        positions = feature_positions(space, features)
        (source,) = latent.source
        nearest = self._nearest(latent.values, source)
        n, k = nearest.shape
        weights = sp.csr_matrix(
            (np.ones(n * k, dtype=np.float32), nearest.ravel(), np.arange(0, n * k + 1, k)),
            shape=(n, len(self._train_nk[source])),
        )
        values = (weights @ self._columns[target][:, positions]).toarray() / k
        return Prediction(values.astype(np.float32), target, self.scale(target), space.names[positions])

    def _nearest(self, z_nk: Floats, source: Modality, block: int = 1024) -> NDArray[np.int64]:
        """Positions of the nearest training cells, shape (n, neighbours); ties go to the earlier cell."""
        train = self._train_nk[source].astype(np.float64)
        k = min(self._neighbours, len(train))
        square = (train**2).sum(axis=1)
        found = []
        for start in range(0, len(z_nk), block):
            distance = square[None, :] - 2 * z_nk[start : start + block].astype(np.float64) @ train.T
            found.append(np.argsort(distance, axis=1, kind="stable")[:, :k])
        return np.concatenate(found) if found else np.zeros((0, k), dtype=np.int64)

    def save(self, into: Path) -> None:
        steps, weights = {}, {}
        for m in Modality:
            steps.update(prefixed(m.value, self._views[m].arrays()))
            weights[f"{m.value}.train"] = self._train_nk[m]
            weights.update(csr_arrays(f"{m.value}.target", self._targets[m]))
        State({"neighbours": self._neighbours}, steps, weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        state = State.read(source)
        return cls(
            {m: SourceView.from_arrays(m, unprefixed(m.value, state.steps)) for m in Modality},
            {m: state.weights[f"{m.value}.train"] for m in Modality},
            {m: csr_from(f"{m.value}.target", state.weights) for m in Modality},
            int(state.settings["neighbours"]),
            rna,
            atac,
        )


@dataclass(frozen=True)
class KnnRecipe:
    """neighbours: cells averaged. components: SVD components of the source."""

    key: ClassVar[str] = "knn"
    neighbours: int = 50  # ours
    components: int = 50  # ours

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> KnnTranslator:
        rng = np.random.default_rng(hooks.seed)
        train = pair.named(split.train)
        views = {m: SourceView.fit(train.of(m), k=self.components, rng=rng) for m in Modality}
        coordinates = {m: views[m].coordinates(train.of(m).counts) for m in Modality}
        targets = {m: target_matrix(train.of(m), DepthScale.fit(train.of(m).counts)) for m in Modality}
        return KnnTranslator(views, coordinates, targets, self.neighbours, pair.rna.space, pair.atac.space)
