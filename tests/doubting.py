"""A ridge model that knows its limits: how far a cell lies from the training cells, and how deep it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from engine.translators.base import Doubt, Hooks
from engine.translators.baselines.ridge import RidgeRecipe, RidgeTranslator
from engine.translators.state import State
from engine.types import CellBatch, FeatureSpace, Floats, Latent, Modality, PairedCells, Split

KEY = "doubting-ridge"
LINE = ("tests.doubting", "DoubtingRidgeRecipe", "DoubtingRidgeTranslator")  # of the registry


class DoubtingRidgeTranslator(RidgeTranslator):
    """Novelty is the share of validation cells that lie nearer to the training cells' centre; depth is what helps.

    spread: distances of most validation cells by source modality, ascending. centre: mean of the training cells.
    """

    key: ClassVar[str] = KEY
    spread: dict[Modality, Floats]
    centre: dict[Modality, Floats]

    def doubt(self, latent: Latent) -> Doubt:
        (source,) = latent.source
        far_n = np.linalg.norm(latent.values - self.centre[source], axis=1)
        spread_v = self.spread[source]
        novelty_n = np.searchsorted(spread_v, far_n) / len(spread_v)
        depth_n = latent.values[:, -1] - self.centre[source][-1]
        expected_n = 0.3 + 0.1 * np.tanh(depth_n) - 0.01 * far_n
        return Doubt(novelty_n.astype(np.float32), expected_n.astype(np.float32))

    def save(self, into: Path) -> None:
        super().save(into)
        state = State.read(into)
        for m in Modality:
            state.steps[f"limits.{m.value}.spread"], state.steps[f"limits.{m.value}.centre"] = (
                self.spread[m],
                self.centre[m],
            )
        state.write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        found = super().load(source, rna=rna, atac=atac, device=device)
        steps = State.read(source).steps
        found.spread = {m: steps[f"limits.{m.value}.spread"] for m in Modality}
        found.centre = {m: steps[f"limits.{m.value}.centre"] for m in Modality}
        return found


@dataclass(frozen=True)
class DoubtingRidgeRecipe(RidgeRecipe):
    key: ClassVar[str] = KEY

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> DoubtingRidgeTranslator:
        plain = super().fit(pair, split, hooks)
        found = DoubtingRidgeTranslator(plain._views, plain._heads, plain.penalties, pair.rna.space, pair.atac.space)
        found.spread, found.centre = {}, {}
        for m in Modality:
            train, valid = (
                found.encode(CellBatch(**{m.value: pair.of(m).named(names).counts})).values
                for names in (split.train, split.valid)
            )
            found.centre[m] = train.mean(axis=0)
            far_v = np.sort(np.linalg.norm(valid - found.centre[m], axis=1))
            found.spread[m] = far_v[: -(len(far_v) // 8)]  # so that some of the built cells are outside
        return found
