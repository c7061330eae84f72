"""A trained BABEL: cells in, a latent of 16, any gene or peak out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch

from engine.training import Trained, pick_device
from engine.translators.babel.inputs import Inputs
from engine.translators.babel.network import BabelNetwork
from engine.translators.base import feature_positions
from engine.translators.baselines.common import Spaces
from engine.translators.crossmp.decoding import expected_genes, open_probabilities
from engine.translators.state import State
from engine.types import CellBatch, Features, FeatureSpace, Latent, Modality, Prediction

if TYPE_CHECKING:
    from engine.translators.babel.recipe import BabelRecipe


class BabelTranslator(Spaces):
    """The latent is that of the modality given or, with both present, their mean: 16 numbers a cell."""

    key: ClassVar[str] = "babel"

    def __init__(
        self,
        network: BabelNetwork,
        inputs: Inputs,
        *,
        recipe: BabelRecipe,
        rna: FeatureSpace,
        atac: FeatureSpace,
        device: torch.device,
        trained: Trained | None = None,
    ) -> None:
        super().__init__(rna, atac)
        self._network = network.to(device).eval()
        self._inputs, self._recipe, self._device = inputs, recipe, device
        self._place_p = np.argsort(inputs.blocks.order_f, kind="stable")
        self.trained = trained

    @torch.no_grad()
    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, 16)"""
        self.require(batch)
        found = []
        if batch.rna is not None:
            found.append(self._network.rna(*self._inputs.rna_batch(self._inputs.difference(batch.rna), self._device)))
        if batch.atac is not None:
            found.append(self._network.atac(self._inputs.atac_batch(self._inputs.ordered(batch.atac), self._device)))
        z_bk = torch.stack(found).mean(dim=0).cpu().numpy().astype(np.float32)
        return Latent(z_bk, frozenset(m for m in Modality if batch.of(m) is not None))

    @torch.no_grad()
    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """log1p of the expected size-normalised counts, or the probability of each peak being open."""
        space = self.space(target)
        positions = feature_positions(space, features)
        z_nk = torch.from_numpy(np.ascontiguousarray(latent.values, dtype=np.float32)).to(self._device)
        if target is Modality.RNA:
            values = expected_genes(self._network.to_rna, z_nk, positions)
        else:
            block_p, place_p = self._inputs.blocks.block_f, self._place_p
            values = open_probabilities(self._network.to_atac, z_nk, positions, block_p=block_p, place_p=place_p)
        return Prediction(values, target, self.scale(target), space.names[positions])

    def save(self, into: Path) -> None:
        weights = {name: value.cpu().numpy() for name, value in self._network.state_dict().items()}
        settings = {"recipe": asdict(self._recipe), "trained": asdict(self.trained) if self.trained else None}
        State(settings, self._inputs.arrays(), weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        from engine.translators.babel.recipe import BabelRecipe

        state = State.read(source)
        recipe = BabelRecipe(**state.settings["recipe"])
        inputs = Inputs.from_arrays(state.steps, atac)
        network = recipe.network(inputs, genes=len(rna))
        network.load_state_dict({name: torch.from_numpy(array) for name, array in state.weights.items()})
        trained = Trained(**state.settings["trained"]) if state.settings["trained"] else None
        return cls(network, inputs, recipe=recipe, rna=rna, atac=atac, device=pick_device(device), trained=trained)
