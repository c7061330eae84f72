"""A trained scButterfly-B: cells in, a latent of 128, any gene or peak out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from engine.preprocess.steps import DepthScale, prefixed, unprefixed
from engine.training import Trained, pick_device
from engine.translators.base import feature_positions
from engine.translators.baselines.common import Spaces
from engine.translators.crossmp.inputs import blocks_of
from engine.translators.scbutterfly.inputs import AtacFeed, Feed, PeakScale, RnaFeed
from engine.translators.scbutterfly.network import Butterfly
from engine.translators.state import State
from engine.types import CellBatch, Features, FeatureSpace, Floats, Latent, Modality, Prediction

if TYPE_CHECKING:
    from engine.translators.scbutterfly.recipe import ScButterflyRecipe


class ScButterflyTranslator(Spaces):
    """The latent is the translator's mean of the source modality, or, with both present, the mean of both."""

    key: ClassVar[str] = "scbutterfly"

    def __init__(
        self,
        network: Butterfly,
        rna_scale: DepthScale,
        peak_scale: PeakScale,
        *,
        recipe: ScButterflyRecipe,
        rna: FeatureSpace,
        atac: FeatureSpace,
        device: torch.device,
        trained: dict[str, Trained] | None = None,
    ) -> None:
        super().__init__(rna, atac)
        self._network = network.to(device).eval().requires_grad_(False)
        self._recipe, self._device, self.trained = recipe, device, trained or {}
        self._blocks = blocks_of(atac)
        self._place_p = np.argsort(self._blocks.order_f, kind="stable")
        self._feeds: dict[Modality, Feed] = {
            Modality.RNA: RnaFeed(rna_scale, device),
            Modality.ATAC: AtacFeed(peak_scale, self._blocks, device),
        }
        self.rna_scale, self.peak_scale = rna_scale, peak_scale

    @property
    def notes(self) -> tuple[str, ...]:
        """What its card must say of how it was made."""
        return self._recipe.notes

    @torch.no_grad()
    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, 128)"""
        self.require(batch)
        found = []
        for modality, feed in self._feeds.items():
            counts = batch.of(modality)
            if counts is not None:
                found.append(self._network.latent(feed.bags(feed.prepare(counts)), modality))
        z_bk = torch.stack(found).mean(dim=0).cpu().numpy().astype(np.float32)
        return Latent(z_bk, frozenset(m for m in Modality if batch.of(m) is not None))

    @torch.no_grad()
    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """log1p of size-normalised counts, or the probability of each peak being open in a cell of median depth."""
        space = self.space(target)
        positions = feature_positions(space, features)
        z_nk = torch.from_numpy(np.ascontiguousarray(latent.values, dtype=np.float32)).to(self._device)
        h_nck = self._network.trunk(z_nk, target)
        values = self._genes(h_nck, positions) if target is Modality.RNA else self._peaks(h_nck, positions)
        return Prediction(values, target, self.scale(target), space.names[positions])

    def _genes(self, h_nck: torch.Tensor, positions: NDArray[np.int64]) -> Floats:
        values = self._outputs(h_nck[:, 0], Modality.RNA, positions)
        return np.where(values < max(self._recipe.zero_below, 0.0), 0.0, values).astype(np.float32)

    def _peaks(self, h_nck: torch.Tensor, positions: NDArray[np.int64]) -> Floats:
        out = np.empty((len(h_nck), len(positions)), dtype=np.float32)
        block_f = self._blocks.block_f[positions]
        for c in np.unique(block_f):
            where = np.flatnonzero(block_f == c)
            logits = self._outputs(h_nck[:, int(c)], Modality.ATAC, self._place_p[positions[where]])
            out[:, where] = 1.0 / (1.0 + np.exp(-logits))
        return self.peak_scale.probability(out, positions)

    def _outputs(self, h_nk: torch.Tensor, target: Modality, places: NDArray[np.int64]) -> Floats:
        weight_fk, bias_f = self._network.decoder(target).head.folded(torch.from_numpy(places).to(self._device))
        out: Floats = torch.addmm(bias_f, h_nk, weight_fk.T).cpu().numpy()
        return out

    def save(self, into: Path) -> None:
        weights = {name: value.cpu().numpy() for name, value in self._network.state_dict().items()}
        steps = {**prefixed("rna", self.rna_scale.arrays()), **prefixed("atac", self.peak_scale.arrays())}
        trained = {stage: asdict(one) for stage, one in self.trained.items()}
        State({"recipe": asdict(self._recipe), "trained": trained}, steps, weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        from engine.translators.scbutterfly.recipe import ScButterflyRecipe

        state = State.read(source)
        recipe = ScButterflyRecipe(**state.settings["recipe"])
        network = recipe.network(rna, atac)
        network.load_state_dict({name: torch.from_numpy(array) for name, array in state.weights.items()})
        return cls(
            network,
            DepthScale.from_arrays(unprefixed("rna", state.steps)),
            PeakScale.from_arrays(unprefixed("atac", state.steps)),
            recipe=recipe,
            rna=rna,
            atac=atac,
            device=pick_device(device),
            trained={stage: Trained(**one) for stage, one in state.settings["trained"].items()},
        )
