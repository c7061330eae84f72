"""A pair of cells seen through a model: its joint embedding, and what it imputes of either modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from engine.analysis.profiles import IMPUTED, RAW, Profile, imputed, measured
from engine.bundle import Bundle
from engine.errors import BadSetting, NoCells, WrongDirection
from engine.joint.encode import decodes
from engine.metrics.sources import blocks
from engine.nulls import RankOne
from engine.preprocess.align import MIN_COVERAGE, align
from engine.preprocess.steps import depth_of
from engine.translate import DecodedSource, Encoded
from engine.translators.base import Translator
from engine.types import CellBatch, Cells, Direction, Floats, Latent, Modality, PairedCells

ROWS = 1024  # cells encoded at once
TRAINING_MEAN = "training-mean"
# The last columns of these models' latents serve decoding or doubt: they are no coordinates of the cell.
BESIDE: Mapping[str, int] = {"multivi": 2, "crossview": 2}


@runtime_checkable
class Embedding(Protocol):
    """A translator that says itself which part of its latent is the cell's place among others."""

    def embedding(self, latent: Latent) -> Floats: ...


@dataclass(frozen=True, eq=False)
class JointView:
    """Cells in a model's feature spaces and what the model makes of them.

    z_nk: the joint embedding, shape (n, k). latents: from what each modality is decoded; where a model takes one
    modality at a time, the other one's, and `notes` say so.
    """

    bundle: Bundle
    pair: PairedCells
    z_nk: Floats
    latents: Mapping[Modality, Latent]
    notes: tuple[str, ...] = ()

    def profiles(self, modality: Modality, on: Sequence[str] = (RAW, IMPUTED)) -> dict[str, Profile]:
        """The profiles asked for, by name. Raises BadSetting for another name than raw or imputed."""
        return {name: self._profile(modality, name) for name in on}

    def training_mean(self, modality: Modality, *, name: str = TRAINING_MEAN) -> Profile:
        """The model's average training cell, for every cell: what it would say if it had learned nothing more."""
        cells = self.pair.of(modality)
        ones_n = np.ones(len(cells), dtype=np.float32)
        source = RankOne(self.bundle.nulls.of(modality).mean_f, ones_n)
        return Profile(name, modality, cells.space.names, len(cells), source, imputed=True)

    def _profile(self, modality: Modality, name: str) -> Profile:
        cells = self.pair.of(modality)
        if name == RAW:
            return measured(cells)
        if name != IMPUTED:
            raise BadSetting(f"There is no profile {name!r}.", hint="Known: raw, imputed.")
        if modality not in self.latents:
            raise WrongDirection(
                f"{self.bundle.manifest.id} does not predict {modality.value}.",
                hint="Ask for raw cells, or of a model of both directions.",
            )
        encoded = Encoded(self.latents[modality], depth_of(self.pair.of(modality.other).counts), cells.barcodes)
        return imputed(
            DecodedSource(self.bundle, encoded, modality),
            modality=modality,
            scale=self.bundle.translator.scale(modality),
            names=cells.space.names,
            cells=len(cells),
        )


def look(bundle: Bundle, pair: PairedCells, *, min_coverage: float = MIN_COVERAGE) -> JointView:
    """Align a pair to a model's features and encode both modalities together. Raises what `align` raises."""
    if len(pair) < 2:
        raise NoCells(f"{len(pair)} cell(s) are in both files.", hint="An analysis needs a population of cells.")
    own = PairedCells(*(_aligned(bundle, pair.of(m), min_coverage) for m in (Modality.RNA, Modality.ATAC)))
    both = _encoded(bundle.translator, own, (Modality.RNA, Modality.ATAC))
    latents, notes = {}, []
    if len(both.source) == 1:
        notes.append(f"{bundle.manifest.id} has no joint embedding: its cells lie by {_words(both)} alone.")
    for target in Modality:
        if decodes(bundle.translator, both, target):
            latents[target] = both
        elif Direction.to(target) in bundle.translator.directions:
            latents[target] = _encoded(bundle.translator, own, (target.other,))
            notes.append(f"Imputed {target.value.upper()} is predicted from {_words(latents[target])} alone.")
    return JointView(bundle, own, embedding_of(bundle.translator, both), latents, tuple(notes))


def _words(latent: Latent) -> str:
    return " and ".join(sorted(m.value.upper() for m in latent.source))


def embedding_of(translator: Translator, latent: Latent) -> Floats:
    """The coordinates of cells, shape (n, k): the latent without what only decoding needs."""
    if isinstance(translator, Embedding):
        return translator.embedding(latent)
    beside = BESIDE.get(translator.key, 0)
    return latent.values[:, : latent.values.shape[1] - beside]


def _aligned(bundle: Bundle, cells: Cells, min_coverage: float) -> Cells:
    space = bundle.space(cells.modality)
    found = align(cells.space.names, space, min_coverage=min_coverage)
    return Cells(space, found.apply(cells.counts), cells.barcodes, cells.obs)


def _encoded(translator: Translator, pair: PairedCells, which: Sequence[Modality]) -> Latent:
    parts = []
    for start, stop in blocks(len(pair), 1, block=ROWS):
        parts.append(translator.encode(CellBatch(**{m.value: pair.of(m).counts[start:stop] for m in which})))
    return Latent(np.concatenate([part.values for part in parts]), parts[0].source)
