"""What one training of the model is given: cells, randomness, and how large and how strict it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from engine.training import Schedule
from engine.translators.base import Hooks
from engine.translators.crossview.network import Shape
from engine.types import PairedCells


@dataclass(frozen=True)
class Setting:
    """Sizes and strictness, by how many training cells there are.

    members: trunks averaged a direction. components: of the genes. latent: numbers each ATAC trunk gives. thin_genes,
    thin_peaks: share of a cell's entries dropped in training. gene_decay, peak_decay: decoupled decay of matrices.
    """

    members: int
    components: int
    latent: int
    hidden: int
    batch: int
    learning_rate: float
    gene_epochs: int
    peak_epochs: int
    thin_genes: float
    thin_peaks: float
    gene_decay: float
    peak_decay: float
    inside: float
    depth_weight: float

    def shape(self, latent: int) -> Shape:
        return Shape(self.hidden, latent, self.inside)

    def schedule(self, epochs: int, decay: float) -> Schedule:
        return Schedule(epochs, epochs, self.batch, self.learning_rate, clip=0.0, decay=decay, anneal=True)


@dataclass(frozen=True, eq=False)
class Run:
    """One fit. cells: trained on. held: chosen on."""

    cells: PairedCells
    held: PairedCells
    setting: Setting
    rng: np.random.Generator
    hooks: Hooks
    device: torch.device
