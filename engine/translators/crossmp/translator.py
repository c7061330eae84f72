"""A trained CrossMP: cells in, a latent of 16, any gene or peak out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from engine.preprocess.steps import binarised, prefixed, unprefixed
from engine.training import Trained, pick_device
from engine.translators.base import feature_positions
from engine.translators.baselines.common import Spaces
from engine.translators.crossmp.decoding import expected_genes, open_probabilities
from engine.translators.crossmp.feed import Feeder
from engine.translators.crossmp.inputs import AtacInputs, RnaInputs, blocks_of
from engine.translators.crossmp.network import CrossMPNetwork
from engine.translators.state import State
from engine.types import CellBatch, Features, FeatureSpace, Latent, Modality, Prediction

if TYPE_CHECKING:
    from engine.translators.crossmp.recipe import CrossMPRecipe

HALF_ABOVE = 4096  # smaller tensors are kept in full precision whatever the setting


class CrossMPTranslator(Spaces):
    """The latent is z_r, z_a or, with both modalities present, their mean: 16 numbers a cell."""

    key: ClassVar[str] = "crossmp"

    def __init__(
        self,
        network: CrossMPNetwork,
        rna_inputs: RnaInputs,
        atac_inputs: AtacInputs,
        *,
        recipe: CrossMPRecipe,
        rna: FeatureSpace,
        atac: FeatureSpace,
        device: torch.device,
        trained: Trained | None = None,
    ) -> None:
        super().__init__(rna, atac)
        self._network = network.to(device).eval()
        self._rna, self._atac, self._recipe, self._device = rna_inputs, atac_inputs, recipe, device
        self._blocks = blocks_of(atac)
        self._place_p = np.argsort(self._blocks.order_f, kind="stable")
        self.trained = trained
        self._feeder = Feeder(rna_inputs, atac_inputs, self._blocks, device)
        self._folded_ph: torch.Tensor | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What its card must say of how it was made."""
        return self._recipe.notes(self._rna)

    @torch.no_grad()
    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, 16)"""
        self.require(batch)
        found = []
        if batch.rna is not None:
            difference = self._rna.difference(batch.rna)
            cells = self._feeder.rna_batch(difference, self._feeder.significant(difference))
            found.append(self._network.encode_rna(cells))
        if batch.atac is not None:
            if self._folded_ph is None:
                self._folded_ph = self._feeder.folded(self._network)
            open_bp = binarised(batch.atac)
            ordered, factor_b = self._feeder.ordered(open_bp), self._atac.factor(open_bp)
            found.append(self._network.encode_atac(self._feeder.atac_batch(ordered, factor_b, self._folded_ph)))
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
            block_p, place_p = self._blocks.block_f, self._place_p
            values = open_probabilities(self._network.to_atac, z_nk, positions, block_p=block_p, place_p=place_p)
        return Prediction(values, target, self.scale(target), space.names[positions])

    def save(self, into: Path) -> None:
        weights: dict[str, NDArray[Any]] = {}
        for name, value in self._network.state_dict().items():
            array = value.cpu().numpy()
            half = self._recipe.half and array.size > HALF_ABOVE and array.dtype == np.float32
            weights[name] = array.astype(np.float16) if half else array
        steps = {**prefixed("rna", self._rna.arrays()), **prefixed("atac", self._atac.arrays())}
        settings = {"recipe": asdict(self._recipe), "trained": asdict(self.trained) if self.trained else None}
        State(settings, steps, weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        from engine.translators.crossmp.recipe import CrossMPRecipe

        state = State.read(source)
        settings = dict(state.settings["recipe"])
        # Bundles from before the setting existed have the layer and no word of it.
        settings.setdefault("norm_to_rna", "to_rna.norm.weight" in state.weights)
        recipe = CrossMPRecipe(**settings)
        rna_inputs = RnaInputs.from_arrays(unprefixed("rna", state.steps))
        atac_inputs = AtacInputs.from_arrays(unprefixed("atac", state.steps))
        network = recipe.network(rna_inputs, blocks_of(atac), genes=len(rna))
        network.load_state_dict(
            {
                name: torch.from_numpy(array.astype(np.float32) if array.dtype == np.float16 else array)
                for name, array in state.weights.items()
            }
        )
        trained = Trained(**state.settings["trained"]) if state.settings["trained"] else None
        return cls(
            network, rna_inputs, atac_inputs, recipe=recipe, rna=rna, atac=atac, device=pick_device(device),
            trained=trained,
        )  # fmt: skip
