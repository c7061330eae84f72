"""BABEL from a pair of cells to a translator: preprocessing, network, loss and training.

Source: Wu, Yost, Chang & Zou 2021 (PNAS 118:e2023070118). README.md says where each number comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch

from engine.layers.sparse import SparseTarget
from engine.training import Parts, Schedule, Trained, pick_device, seeded, train, validation
from engine.translators.babel.inputs import Inputs, Prepared
from engine.translators.babel.network import BabelNetwork, sizes
from engine.translators.babel.translator import BabelTranslator
from engine.translators.base import Hooks
from engine.translators.crossmp.decoding import start_from_mean
from engine.translators.crossmp.losses import Loss, four_paths
from engine.types import PairedCells, Split

__all__ = ["BabelRecipe", "BabelTranslator"]


@dataclass(frozen=True)
class BabelRecipe:
    """Settings with the published defaults.

    weight_bce: β, of the accessibility's loss against expression's. clip: largest norm of a gradient.
    start_from_mean: decoders' last biases begin at the training average.
    """

    key: ClassVar[str] = "babel"
    latent: int = 16  # BABEL
    hidden_rna: int = 64  # BABEL
    hidden_chromosome: int = 32  # BABEL
    per_chromosome: int = 16  # BABEL
    weight_bce: float = 1.33  # β, BABEL
    learning_rate: float = 0.01  # BABEL
    batch: int = 512  # BABEL
    clip: float = 5.0  # BABEL
    patience: int = 25  # CrossMP §2.3, which trains as BABEL does
    epochs: int = 300  # ours: patience ends it
    weight_decay: float = 0.0  # ours
    start_from_mean: bool = True  # ours

    def network(self, inputs: Inputs, *, genes: int) -> BabelNetwork:
        widths = sizes(
            hidden_rna=self.hidden_rna,
            hidden_chromosome=self.hidden_chromosome,
            per_chromosome=self.per_chromosome,
            latent=self.latent,
        )
        return BabelNetwork(genes=genes, blocks=inputs.blocks, sizes=widths)

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> BabelTranslator:
        """Everything is fitted on `split.train`; `split.valid` stops the training (a tenth of train, where empty)."""
        with seeded(hooks) as rng:
            fitting, held = validation(split, rng)
            cells = pair.named(fitting)
            inputs = Inputs.fit(cells)
            device = pick_device(hooks.device)
            network = self.network(inputs, genes=len(pair.rna.space))
            seen, unseen = inputs.prepare(cells), inputs.prepare(pair.named(held))
            if self.start_from_mean:
                start_from_mean(
                    network.to_rna, network.to_atac, mean_g=_mean(seen.scaled), share_p=_mean(seen.ordered),
                    cells=len(cells),
                )  # fmt: skip
            trained = self._train(network.to(device), inputs, seen, unseen, rng, hooks)
        return BabelTranslator(
            network, inputs, recipe=self, rna=pair.rna.space, atac=pair.atac.space, device=device, trained=trained
        )

    def _train(
        self,
        network: BabelNetwork,
        inputs: Inputs,
        seen: Prepared,
        unseen: Prepared,
        rng: np.random.Generator,
        hooks: Hooks,
    ) -> Trained:
        schedule = Schedule(
            self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay, clip=self.clip
        )

        def step(rows: np.ndarray) -> tuple[torch.Tensor, Parts]:
            loss = self.loss(network, inputs, seen.rows(rows))
            return loss.total, _parts(loss)

        def validate() -> Parts:
            sums = Parts()
            for start in range(0, len(unseen), self.batch):
                rows = np.arange(start, min(start + self.batch, len(unseen)))
                for name, value in _parts(self.loss(network, inputs, unseen.rows(rows))).items():
                    sums[name] = sums.get(name, 0.0) + value * len(rows) / len(unseen)
            return sums

        return train(network, cells=len(seen), schedule=schedule, step=step, validate=validate, rng=rng, hooks=hooks)

    def loss(self, network: BabelNetwork, inputs: Inputs, cells: Prepared) -> Loss:
        """NB of rna→rna and atac→rna, β × BCE of atac→atac and rna→atac: CrossMP's four paths without a KL term."""
        device = network.to_atac.bias_p.device
        return four_paths(
            network.rna(*inputs.rna_batch(cells.difference, device)),
            network.atac(inputs.atac_batch(cells.ordered, device)),
            network.to_rna,
            network.to_atac,
            genes=SparseTarget.of(cells.scaled, device),
            peaks=SparseTarget.of(cells.ordered, device),
            weight_bce=self.weight_bce,
            weight_kl=0.0,
        )


def _parts(loss: Loss) -> Parts:
    """Those BABEL has: the divergence of the latents is no part of its loss."""
    return {name: value for name, value in loss.parts().items() if name != "kl"}


def _mean(x_nf: sp.csr_matrix) -> np.ndarray:
    return np.asarray(x_nf.mean(axis=0), dtype=np.float64).ravel()
