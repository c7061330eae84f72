"""scMVP's training: a start under the plain prior, scikit-learn's mixture on the latents, and the rest under that.

The paper fits the mixture once and says not to what. On latents of an untrained encoder it describes noise, and with
the whole loss from the first step a sparse set's latent collapses onto the prior before it says anything: README.md has
the figures. So the first epochs lead up to the paper's loss, and the mixture is fitted to latents that mean something.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.layers.sparse import Bags
from engine.training import Clock, Parts, Schedule, Trained, train
from engine.translators.base import Hooks
from engine.translators.scmvp.bound import Weights, loss_of
from engine.translators.scmvp.inputs import Batch, Inputs, Rows
from engine.translators.scmvp.mixture import fit_mixture
from engine.translators.scmvp.network import ScMVPNetwork
from engine.translators.scmvp.posterior import joint_draws
from engine.types import Floats

if TYPE_CHECKING:
    from engine.translators.scmvp.recipe import ScMVPRecipe

GMM_CELLS = 20_000  # of a random sample, for the mixture's first guess  # ours


@dataclass
class StageClock(Clock):
    """Epochs done of the stage it is in: the weight of the divergences depends on both."""

    mixture: bool = False


@dataclass(frozen=True, eq=False)
class Training:
    """Both stages over the same cells. held: those that stop it. prefix: of the stages' names."""

    recipe: ScMVPRecipe
    network: ScMVPNetwork
    inputs: Inputs
    cells: Rows
    held: Rows
    device: torch.device
    clock: StageClock = field(default_factory=StageClock)
    prefix: str = ""

    def whole(self, rng: np.random.Generator, hooks: Hooks) -> Trained:
        """Train to the end; what is told is of the last stage, with all epochs counted."""
        first = min(self.recipe.start_epochs, self.recipe.epochs - 1)
        before = self._stage("start", first, rng, hooks) if first else None
        prior = self.network.prior
        prior.start_from(fit_mixture(self._draws(rng), len(prior.logit_c), hooks.seed))
        self.clock.mixture = True
        trained = self._stage("mixture", self.recipe.epochs - first, rng, hooks)
        ran = before.epochs if before else 0
        return replace(trained, epochs=trained.epochs + ran, best_epoch=trained.best_epoch + ran)

    def _stage(self, name: str, epochs: int, rng: np.random.Generator, hooks: Hooks) -> Trained:
        self.clock.epoch = 0
        r = self.recipe
        schedule = Schedule(epochs, r.patience or epochs, r.batch, r.learning_rate, clip=0.0, anneal=r.anneal)
        return train(
            self.network, cells=len(self.cells), schedule=schedule, step=self.step, validate=self.validate, rng=rng,
            hooks=self.clock.following(hooks), stage=self.prefix + name,
            parameters=self.network.weights(prior=self.clock.mixture),
        )  # fmt: skip

    def weights(self) -> Weights:
        """Of the loss in this epoch. Before the mixture divergences grow and the cycle keeps to its own encoders."""
        r = self.recipe
        if self.clock.mixture:
            return Weights(r.kl_weight, r.atac_weight, r.cycle, r.apart)
        share = min(1.0, (self.clock.epoch + 1) / (r.warmup + 1))
        return Weights(r.kl_weight * share, r.atac_weight, r.cycle, apart=True)

    def step(self, rows: NDArray[np.int64]) -> tuple[Tensor, Parts]:
        cells = self.inputs.batch(*self.cells.take(rows), self.device)
        r = self.recipe
        seen = cells._replace(genes=thinned(cells.genes, r.thin_genes), peaks=thinned(cells.peaks, r.thin_peaks))
        loss = loss_of(self.network, seen, self._noise(len(rows), None), self.weights())
        return loss.total, loss.parts()

    def validate(self) -> Parts:
        """Of held-out cells under the full weights, with the same noise every epoch.

        Where the cycle is apart it says nothing of the joint latent, and does not choose the epoch: the sharper the
        joint posterior, the larger its divergences.
        """
        sums: Parts = {}
        r, drawn = self.recipe, torch.Generator().manual_seed(0)
        apart = r.apart or not self.clock.mixture
        weights = Weights(r.kl_weight, r.atac_weight, r.cycle, apart)
        for rows in _blocks(len(self.held), r.batch):
            cells: Batch = self.inputs.batch(*self.held.take(rows), self.device)
            loss = loss_of(self.network, cells, self._noise(len(rows), drawn), weights)
            for name, value in loss.parts().items():
                sums[name] = sums.get(name, 0.0) + value * len(rows) / len(self.held)
        if apart and sums:
            sums["total"] -= r.cycle * sum(value for name, value in sums.items() if name.startswith("cycle_"))
        return sums

    def _noise(self, cells: int, generator: torch.Generator | None) -> Tensor:
        return torch.randn(cells, self.recipe.latent, generator=generator).to(self.device)

    def _draws(self, rng: np.random.Generator) -> Floats:
        """Draws, not means: the prior must hold the latents' own spread, or its first divergence is vast."""
        some = np.sort(rng.permutation(len(self.cells))[:GMM_CELLS])
        return joint_draws(self.network, self.inputs, self.cells, some, self.device)


def thinned(bags: Bags, share: float) -> Bags:
    """Without a random share of the entries; the others weigh more for it."""
    if not share:
        return bags
    kept = torch.rand(bags.weight.shape, device=bags.weight.device) >= share
    return Bags(bags.index, bags.weight * kept / (1.0 - share), bags.offsets)


def _blocks(cells: int, size: int) -> list[NDArray[np.int64]]:
    return [np.arange(start, min(start + size, cells)) for start in range(0, cells, size)]
