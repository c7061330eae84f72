"""A trained CrossView model: cells of one modality in, a small latent, any gene or peak of the other out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Self

from engine.preprocess.steps import prefixed, unprefixed
from engine.training import Trained
from engine.translators.base import feature_positions
from engine.translators.baselines.common import Spaces, across, source_of
from engine.translators.crossview.genes import GeneBasis, GeneHead
from engine.translators.crossview.inputs import Reader
from engine.translators.crossview.peaks import PeakHead
from engine.translators.state import State
from engine.types import CellBatch, Features, FeatureSpace, Latent, Modality, Prediction


class CrossViewTranslator(Spaces):
    """From peaks the latent is the predicted gene components; from genes, the members' latents and expected depth."""

    key: ClassVar[str] = "crossview"

    def __init__(
        self,
        readers: dict[Modality, Reader],
        genes: GeneHead,
        peaks: PeakHead,
        trained: dict[str, Trained],
        *,
        rna: FeatureSpace,
        atac: FeatureSpace,
    ) -> None:
        super().__init__(rna, atac)
        self._readers, self._genes, self._peaks, self.trained = readers, genes, peaks, trained

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
        head: GeneHead | PeakHead = self._peaks if source is Modality.RNA else self._genes
        return Latent(head.encode(self._readers[source], counts), frozenset({source}))

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """Log-normalised genes, which may come out slightly below zero, or the probability of each peak being open."""
        across(latent, target)
        space = self.space(target)
        positions = feature_positions(space, features)
        head: GeneHead | PeakHead = self._genes if target is Modality.RNA else self._peaks
        return Prediction(head.decode(latent.values, positions), target, self.scale(target), space.names[positions])

    def save(self, into: Path) -> None:
        steps = {k: v for m in Modality for k, v in prefixed(m.value, self._readers[m].arrays()).items()}
        steps.update(prefixed("genes", self._genes.basis.arrays()))
        weights = {**prefixed("genes", self._genes.arrays()), **prefixed("peaks", self._peaks.arrays())}
        settings = {
            "members": len(self._peaks.members),
            "trained": {stage: asdict(t) for stage, t in self.trained.items()},
        }
        State(settings, steps, weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        """Always on the CPU: a prediction is a few small products."""
        state = State.read(source)
        members = int(state.settings["members"])
        return cls(
            {m: Reader.from_arrays(m, unprefixed(m.value, state.steps)) for m in Modality},
            GeneHead.from_arrays(
                GeneBasis.from_arrays(unprefixed("genes", state.steps)), unprefixed("genes", state.weights), members
            ),
            PeakHead.from_arrays(unprefixed("peaks", state.weights), members),
            {stage: Trained(**t) for stage, t in state.settings["trained"].items()},
            rna=rna,
            atac=atac,
        )
