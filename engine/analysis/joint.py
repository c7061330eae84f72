"""A pair of cells seen through a model: its joint embedding, and what it imputes of either modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis.profiles import IMPUTED, RAW, Profile, imputed, measured
from engine.bundle import Bundle
from engine.errors import BadSetting, NoCells, WrongDirection
from engine.joint.encode import decodes, latents_of
from engine.nulls import RankOne
from engine.preprocess.align import MIN_COVERAGE, align
from engine.preprocess.steps import depth_of
from engine.translate import DecodedSource, Encoded
from engine.translators.base import embedding_of
from engine.types import Cells, Floats, Latent, Modality, PairedCells

TRAINING_MEAN = "training-mean"


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
    found = latents_of(bundle.translator, {m: own.of(m).counts for m in Modality})
    notes = []
    if len(found.joint.source) == 1:
        notes.append(f"{bundle.manifest.id} has no joint embedding: its cells lie by {_words(found.joint)} alone.")
    for target, latent in found.apart.items():
        notes.append(f"Imputed {target.value.upper()} is predicted from {_words(latent)} alone.")
    latents = {m: found.of(m) for m in Modality if m in found.apart or decodes(bundle.translator, found.joint, m)}
    return JointView(bundle, own, embedding_of(bundle.translator, found.joint), latents, tuple(notes))


def _words(latent: Latent) -> str:
    return " and ".join(sorted(m.value.upper() for m in latent.source))


def _aligned(bundle: Bundle, cells: Cells, min_coverage: float) -> Cells:
    space = bundle.space(cells.modality)
    found = align(cells.space.names, space, min_coverage=min_coverage)
    return Cells(space, found.apply(cells.counts), cells.barcodes, cells.obs)
