"""`ridge`: source SVD and log depth, ridge regression, target SVD, and back. Hard to beat below 10,000 cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from engine.preprocess.steps import DepthScale, Projection, prefixed, unprefixed
from engine.translators.base import Hooks, feature_positions
from engine.translators.baselines.common import SourceView, Viewed, as_probability, target_matrix
from engine.translators.state import State
from engine.types import Features, FeatureSpace, Floats, Latent, Modality, PairedCells, Prediction, Split

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)  # ours; × the number of training cells / 1000


@dataclass(frozen=True, eq=False)
class Head:
    """Linear map from source coordinates to target components, and the target's components."""

    weight_kj: Floats
    offset_j: Floats
    basis: Projection

    def decode(self, z_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        components_nj = z_nk @ self.weight_kj + self.offset_j
        return np.asarray(components_nj @ self.basis.v_fk[positions].T + self.basis.mean_f[None, positions])

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        return {"weight": self.weight_kj, "offset": self.offset_j, **prefixed("basis", self.basis.arrays())}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float32]]) -> Self:
        basis = Projection.from_arrays(unprefixed("basis", arrays))
        return cls(arrays["weight"].astype(np.float32), arrays["offset"].astype(np.float32), basis)


class RidgeTranslator(Viewed):
    """The latent is the source's SVD coordinates and log depth; both heads are linear in it."""

    key: ClassVar[str] = "ridge"

    def __init__(
        self,
        views: dict[Modality, SourceView],
        heads: dict[tuple[Modality, Modality], Head],
        penalties: dict[str, float],
        rna: FeatureSpace,
        atac: FeatureSpace,
    ) -> None:
        super().__init__(views, rna, atac)
        self._heads, self.penalties = heads, penalties

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """Linear in the latent. Genes may come out slightly below zero; peaks are mapped to probabilities."""
        space = self.space(target)
        positions = feature_positions(space, features)
        (source,) = latent.source
        values = self._heads[(source, target)].decode(latent.values, positions)
        if target is Modality.ATAC:
            values = as_probability(values)
        return Prediction(values.astype(np.float32), target, self.scale(target), space.names[positions])

    def save(self, into: Path) -> None:
        steps, weights = {}, {}
        for m in Modality:
            steps.update(prefixed(m.value, self._views[m].arrays()))
        for (source, target), head in self._heads.items():
            weights.update(prefixed(f"{source.value}.{target.value}", head.arrays()))
        State({"penalties": self.penalties}, steps, weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        state = State.read(source)
        return cls(
            {m: SourceView.from_arrays(m, unprefixed(m.value, state.steps)) for m in Modality},
            {
                (a, b): Head.from_arrays(unprefixed(f"{a.value}.{b.value}", state.weights))
                for a in Modality
                for b in Modality
            },
            dict(state.settings["penalties"]),
            rna,
            atac,
        )


@dataclass(frozen=True)
class RidgeRecipe:
    """components: of the source. target_components: of the target. The penalty is chosen on validation cells."""

    key: ClassVar[str] = "ridge"
    components: int = 50  # ours
    target_components: int = 50
    penalty: float = 0.0  # 0: choose on the validation cells

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> RidgeTranslator:
        rng = np.random.default_rng(hooks.seed)
        train = pair.named(split.train)
        valid = pair.named(split.valid) if split.valid else None
        views = {m: SourceView.fit(train.of(m), k=self.components, rng=rng) for m in Modality}
        heads, penalties = {}, {}
        for target in Modality:
            scale = DepthScale.fit(train.of(target).counts)
            y_nf = target_matrix(train.of(target), scale)
            basis = Projection.fit(y_nf, k=self.target_components, rng=rng)
            y_nj = basis.transform(y_nf)
            held = basis.transform(target_matrix(valid.of(target), scale)) if valid else None
            for source in Modality:
                z_nk = views[source].coordinates(train.of(source).counts)
                z_valid = views[source].coordinates(valid.of(source).counts) if valid else None
                head, penalty = self._choose(z_nk, y_nj, z_valid, held, basis)
                heads[(source, target)] = head
                penalties[f"{source.value}.{target.value}"] = penalty
        return RidgeTranslator(views, heads, penalties, pair.rna.space, pair.atac.space)

    def _choose(
        self, z_nk: Floats, y_nj: Floats, z_valid: Floats | None, y_valid: Floats | None, basis: Projection
    ) -> tuple[Head, float]:
        """The penalty with the least squared error on the validation cells."""
        unit = len(z_nk) / 1000
        if self.penalty > 0 or z_valid is None or y_valid is None:
            penalty = self.penalty if self.penalty > 0 else 100.0 * unit
            return Head(*_ridge(z_nk, y_nj, penalty), basis), penalty
        best: tuple[float, Head, float] | None = None
        for penalty in (p * unit for p in PENALTIES):
            head = Head(*_ridge(z_nk, y_nj, penalty), basis)
            error = float(((z_valid @ head.weight_kj + head.offset_j - y_valid) ** 2).mean())
            if best is None or error < best[0]:
                best = (error, head, penalty)
        assert best is not None
        return best[1], best[2]


def _ridge(z_nk: Floats, y_nj: Floats, penalty: float) -> tuple[Floats, Floats]:
    """Weights (k, j) and offsets (j,); the offset is not penalised."""
    z, y = z_nk.astype(np.float64), y_nj.astype(np.float64)
    centre_k, mean_j = z.mean(axis=0), y.mean(axis=0)
    z = z - centre_k
    weight = np.linalg.solve(z.T @ z + penalty * np.eye(z.shape[1]), z.T @ (y - mean_j))
    return weight.astype(np.float32), (mean_j - centre_k @ weight).astype(np.float32)
