"""`mean` and `depth`: the nulls as translators, so that they can be run, saved and compared like any model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from engine.nulls import Nulls
from engine.preprocess.steps import depth_of
from engine.translators.base import Hooks, feature_positions
from engine.translators.baselines.common import Spaces
from engine.translators.state import State
from engine.types import (
    CellBatch,
    Direction,
    Features,
    FeatureSpace,
    Latent,
    Modality,
    PairedCells,
    Prediction,
    Split,
)


class NullTranslator(Spaces):
    """Common to both: the latent is one number a cell, its predicted level for each target."""

    key: ClassVar[str]

    def __init__(self, nulls: Nulls, rna: FeatureSpace, atac: FeatureSpace) -> None:
        super().__init__(rna, atac)
        self._nulls = nulls

    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, 2): the level for RNA and for ATAC as target; 1 where it cannot be known."""
        self.require(batch)
        levels = np.ones((len(batch), 2), dtype=np.float32)
        for direction in Direction:
            counts = batch.of(direction.source)
            if counts is not None and self.key == "depth":
                level_n = self._nulls.of(direction.target).level(depth_of(counts))
                levels[:, 0 if direction.target is Modality.RNA else 1] = level_n
        return Latent(levels, frozenset(m for m in Modality if batch.of(m) is not None))

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        space = self.space(target)
        positions = feature_positions(space, features)
        level_n = latent.values[:, 0 if target is Modality.RNA else 1]
        values = level_n[:, None] * self._nulls.of(target).mean_f[None, positions]
        if target is Modality.ATAC:
            values = np.minimum(values, 1.0)
        return Prediction(values.astype(np.float32), target, self.scale(target), space.names[positions])

    def save(self, into: Path) -> None:
        State(steps=self._nulls.arrays()).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        return cls(Nulls.from_arrays(State.read(source).steps), rna, atac)


class MeanTranslator(NullTranslator):
    """Every cell is the average training cell."""

    key = "mean"


class DepthTranslator(NullTranslator):
    """Every cell is the average training cell times its predicted depth."""

    key = "depth"


@dataclass(frozen=True)
class MeanRecipe:
    key: ClassVar[str] = "mean"

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> MeanTranslator:
        return MeanTranslator(Nulls.fit(pair.named(split.train)), pair.rna.space, pair.atac.space)


@dataclass(frozen=True)
class DepthRecipe:
    key: ClassVar[str] = "depth"

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> DepthTranslator:
        return DepthTranslator(Nulls.fit(pair.named(split.train)), pair.rna.space, pair.atac.space)
