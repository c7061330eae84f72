"""Where the predicted values of a finished job come from: a model that decodes latents, or the prediction as given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine.types import FeatureSpace, Latent, Modality, Prediction, Scale
from jobs.spec import EvaluateSpec, ScoredSpec

if TYPE_CHECKING:
    from engine.bundle import Bundle
    from engine.types import Features


class Decoder(Protocol):
    """Values of any cells and features of a finished job. A latent is whatever its own decoder understands."""

    def space(self, modality: Modality) -> FeatureSpace: ...
    def scale(self, target: Modality) -> Scale: ...
    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction: ...


@dataclass(frozen=True, eq=False)
class Trained:
    """A model decodes."""

    bundle: Bundle

    def space(self, modality: Modality) -> FeatureSpace:
        return self.bundle.space(modality)

    def scale(self, target: Modality) -> Scale:
        return self.bundle.translator.scale(target)

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        return self.bundle.translator.decode(latent, target, features)


@dataclass(frozen=True, eq=False)
class Given:
    """A prediction that was brought in, read where it lies. path: of its canonical copy. given: the scale it is on.

    A latent of it holds the place of each cell in the file, and what its counts are multiplied by before log1p.
    """

    path: Path
    its: FeatureSpace
    given: Scale

    @classmethod
    def open(cls, path: Path, spec: EvaluateSpec) -> Given:
        from engine.predicted import scale_of
        from jobs.evaluation.reading import foreign

        with foreign(path) as found:
            return cls(path, found.space, scale_of(found, asked=spec.scale))

    def space(self, modality: Modality) -> FeatureSpace:
        assert modality is self.its.modality
        return self.its

    def scale(self, target: Modality) -> Scale:
        from engine.predicted import scored_scale

        return scored_scale(target, self.given)

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        from engine.intake.canonical import CanonicalCells

        chosen = np.arange(len(self.its))[slice(None) if features is None else features]
        values = np.zeros((len(latent), len(chosen)), dtype=np.float32)
        rows, factor_n = latent.values[:, 0].astype(np.int64), latent.values[:, 1]
        with CanonicalCells.open(self.path) as cells:
            for which, found in cells.chosen(rows):
                values[which] = found[:, chosen].toarray()
        if self.scale(target) is not self.given:
            values = np.log1p(values * factor_n[:, None])
        return Prediction(values, target, self.scale(target), self.its.names[chosen])


def kept_name(spec: ScoredSpec) -> str:
    """The file that says of each cell what its decoder needs."""
    return "cells.h5ad" if isinstance(spec, EvaluateSpec) else "latent.h5ad"
