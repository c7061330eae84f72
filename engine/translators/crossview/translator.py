"""A trained CrossView model: cells of one modality in, a small latent, any gene or peak of the other out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from engine.preprocess.steps import prefixed, unprefixed
from engine.training import Trained
from engine.translators.base import Doubt, feature_positions
from engine.translators.baselines.common import Spaces, across, source_of
from engine.translators.crossview.basis import GeneBasis
from engine.translators.crossview.caution import Caution
from engine.translators.crossview.genes import GeneHead
from engine.translators.crossview.inputs import Reader
from engine.translators.crossview.peaks import PeakHead
from engine.translators.state import State
from engine.types import CellBatch, Features, FeatureSpace, Floats, Latent, Modality, Prediction


class CrossViewTranslator(Spaces):
    """The latent: what the heads need to decode any feature (`GeneHead.encode`, `PeakHead.encode`), then the doubt."""

    key: ClassVar[str] = "crossview"

    def __init__(
        self,
        readers: dict[Modality, Reader],
        genes: GeneHead,
        peaks: PeakHead,
        caution: dict[Modality, Caution],
        trained: dict[str, Trained],
        *,
        rna: FeatureSpace,
        atac: FeatureSpace,
    ) -> None:
        super().__init__(rna, atac)
        self._readers, self._genes, self._peaks = readers, genes, peaks
        self._caution, self.trained = caution, trained

    @property
    def notes(self) -> tuple[str, ...]:
        """What its card must say of how it was made."""
        kept = int((self._genes.blend_2k.sum(axis=0) > 0.05).sum())
        return (
            *(f"{stage}: epoch {t.best_epoch} of {t.epochs} was kept." for stage, t in self.trained.items()),
            f"{kept} of {self._genes.blend_2k.shape[1]} gene components are predicted; the others add nothing to "
            "validation cells.",
        )

    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, k); with both modalities present, RNA is used"""
        self.require(batch)
        source, counts = source_of(batch)
        reader = self._readers[source]
        values = (
            self._peaks.encode(reader, self._genes.basis, counts)
            if source is Modality.RNA
            else self._genes.encode(reader, counts)
        )
        doubt = self._caution[source].columns(reader.sighting(counts))
        return Latent(np.hstack([values, doubt]), frozenset({source}))

    def embedding(self, latent: Latent) -> Floats:
        """What the heads read, without the doubt; shape (n, k − 2)."""
        return latent.values[:, :-2]

    def doubt(self, latent: Latent) -> Doubt:
        """How unlike the training cells each cell is, and the score expected of its prediction."""
        return Doubt(latent.values[:, -2], latent.values[:, -1])

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """Log-normalised genes, which may come out slightly below zero, or the probability of each peak being open."""
        across(latent, target)
        space = self.space(target)
        positions = feature_positions(space, features)
        head: GeneHead | PeakHead = self._genes if target is Modality.RNA else self._peaks
        return Prediction(
            head.decode(latent.values[:, :-2], positions), target, self.scale(target), space.names[positions]
        )

    def save(self, into: Path) -> None:
        steps = {k: v for m in Modality for k, v in prefixed(m.value, self._readers[m].arrays()).items()}
        steps.update(prefixed("genes", self._genes.basis.arrays()))
        for modality, caution in self._caution.items():
            steps.update(prefixed(f"caution-{modality.value}", caution.arrays()))
        weights = {**prefixed("genes", self._genes.arrays()), **prefixed("peaks", self._peaks.arrays())}
        settings = {
            "members": [len(self._genes.trunks), len(self._genes.compositions), len(self._peaks.members)],
            "trained": {stage: asdict(t) for stage, t in self.trained.items()},
        }
        State(settings, steps, weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        """Always on the CPU: a prediction is a few small products."""
        state = State.read(source)
        trunks, compositions, members = (int(v) for v in state.settings["members"])
        return cls(
            {m: Reader.from_arrays(m, unprefixed(m.value, state.steps)) for m in Modality},
            GeneHead.from_arrays(
                GeneBasis.from_arrays(unprefixed("genes", state.steps)),
                unprefixed("genes", state.weights),
                (trunks, compositions),
            ),
            PeakHead.from_arrays(unprefixed("peaks", state.weights), members),
            {m: Caution.from_arrays(unprefixed(f"caution-{m.value}", state.steps)) for m in Modality},
            {stage: Trained(**t) for stage, t in state.settings["trained"].items()},
            rna=rna,
            atac=atac,
        )
