"""What one training of the model is given: cells, randomness, and how large and how strict it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engine.training import Schedule
from engine.translators.base import Hooks
from engine.translators.crossview.network import Shape
from engine.types import PairedCells

FEWEST = 64  # features drawn at least, however many cells  # ours


@dataclass(frozen=True)
class Strictness:
    """Of one kind of network. thin: share of a cell's entries dropped in training. decay: decoupled, of matrices.

    echo: weight, in the loss, of the cell's own entries, dropped ones included, as its latent tells them. last: the
    last epoch is kept: where another last layer follows, the loss of the network's own says little.
    """

    epochs: int
    thin: float
    decay: float
    echo: float = 0.0
    last: bool = False


@dataclass(frozen=True)
class Setting:
    """Sizes and strictness, by how many training cells there are.

    trunks, compositions: networks averaged from ATAC to genes, of either kind. members: networks put together from
    genes to ATAC. rank: directions of their latents that the last layer keeps. components: of the genes. latent:
    numbers a composition gives. genes, shares: strictness of those from ATAC to genes, on components and on shares;
    peaks: of those from genes to ATAC.
    """

    trunks: int
    compositions: int
    members: int
    rank: int
    components: int
    latent: int
    hidden: int
    inside: float
    batch: int
    learning_rate: float
    genes: Strictness
    shares: Strictness
    peaks: Strictness
    depth_weight: float

    def shape(self, latent: int) -> Shape:
        return Shape(self.hidden, latent, self.inside)

    def schedule(self, strictness: Strictness) -> Schedule:
        return Schedule(
            strictness.epochs, strictness.epochs, self.batch, self.learning_rate, clip=0.0, decay=strictness.decay,
            anneal=True, last=strictness.last,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Run:
    """One fit. cells: trained on. held: chosen on."""

    cells: PairedCells
    held: PairedCells
    setting: Setting
    rng: np.random.Generator
    hooks: Hooks
    device: torch.device

    def some(self, features: int, entries: int) -> NDArray[np.int64]:
        """Positions of features drawn by chance, ascending: as many as make so many entries over the held cells."""
        wanted = max(FEWEST, entries // max(len(self.held), 1))
        return np.sort(self.rng.choice(features, min(features, wanted), replace=False))
