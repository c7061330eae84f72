"""MultiVI from a pair of cells to a translator: the library's network and loss, trained here on the given split.

Source: Ashuach et al. 2023, Nature Methods 20:1222; defaults are those of scvi-tools 1.4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from engine.errors import BadSetting
from engine.preprocess.steps import DepthScale, binarised
from engine.training import Clock, Parts, Schedule, Trained, pick_device, seeded, train, validation
from engine.translators.base import Hooks
from engine.translators.multivi.network import Shape, dense, loss_of, translation_loss
from engine.translators.multivi.translator import Library, MultiVITranslator, library_factor
from engine.types import PairedCells, Split

CHOICES = {
    "likelihood": ("zinb", "nb", "poisson"),
    "penalty": ("Jeffreys", "MMD", "None"),
    "depth": ("mean", "source"),
    "stop_on": ("reconstruction", "translation"),
}


@dataclass(frozen=True)
class MultiVIRecipe:
    """Settings with the library's defaults.

    hidden, latent: 0 for the library's choice, min(128, √peaks) and √hidden. likelihood: zinb, nb or poisson.
    penalty: what draws the two modalities' latents together: Jeffreys, MMD or None.
    warmup: epochs over which the weight of the prior rises from 0 to 1.
    stop_on: what is watched on validation cells, and whose best epoch is kept: "reconstruction" of both modalities
    from both, as the library does, or "translation" of each from the other.
    depth: how many of its open peaks an RNA cell's prediction shows: "mean", as many as a training cell's on average
    (the library's normalised accessibility times one number); "source", regressed on the log of its RNA depth.
    """

    key: ClassVar[str] = "multivi"
    learning_rate: float = 1e-4  # scvi-tools
    epochs: int = 500  # scvi-tools
    batch: int = 128  # scvi-tools
    patience: int = 50  # scvi-tools
    warmup: int = 50  # scvi-tools
    weight_decay: float = 1e-3  # scvi-tools, AdamW
    hidden: int = 0  # scvi-tools
    latent: int = 0  # scvi-tools
    layers_encoder: int = 2  # scvi-tools
    layers_decoder: int = 2  # scvi-tools
    dropout: float = 0.1  # scvi-tools
    likelihood: str = "zinb"  # scvi-tools
    penalty: str = "Jeffreys"  # scvi-tools
    region_factors: bool = True  # scvi-tools
    stop_on: str = "reconstruction"  # scvi-tools
    depth: str = "mean"  # ours

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise BadSetting(
                    f"{name}={getattr(self, name)!r} is not known to multivi.", hint=f"One of: {', '.join(known)}."
                )
        if self.latent > 126:
            raise BadSetting(f"latent={self.latent} is too wide.", hint="At most 126.")

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> MultiVITranslator:
        """Raw gene counts and binarised peaks; `split.valid` stops the training (a tenth of train, where empty)."""
        shape = self.shape(genes=len(pair.rna.space), peaks=len(pair.atac.space))
        with seeded(hooks) as rng:
            fitting, held = validation(split, rng)
            device = pick_device(hooks.device)
            network = shape.build().to(device)
            cells = Cells.of(pair.named(fitting), device)
            trained = self._train(network, cells, Cells.of(pair.named(held), device), rng, hooks)
        scale = DepthScale.fit(cells.genes)
        library = Library.fit(library_factor(network, cells.peaks), cells.genes, by_source=self.depth == "source")
        return MultiVITranslator(
            network, shape=shape, scale=scale, library=library, rna=pair.rna.space, atac=pair.atac.space,
            device=device, trained=trained,
        )  # fmt: skip

    def shape(self, *, genes: int, peaks: int) -> Shape:
        return Shape(
            genes, peaks, self.hidden, self.latent, self.layers_encoder, self.layers_decoder, self.dropout,
            self.likelihood, self.penalty, self.region_factors,
        )  # fmt: skip

    def _train(self, network: nn.Module, cells: Cells, held: Cells, rng: np.random.Generator, hooks: Hooks) -> Trained:
        schedule = Schedule(self.epochs, self.patience, self.batch, self.learning_rate, clip=0.0)
        clock = Clock()
        weights = [p for p in network.parameters() if p.numel()]
        shrinks: list[Tensor] = [*weights]
        shrink = 1 - self.learning_rate * self.weight_decay

        def step(rows: np.ndarray) -> tuple[Tensor, Parts]:
            with torch.no_grad():  # the decoupled weight decay of AdamW, a step ahead
                torch._foreach_mul_(shrinks, shrink)
            kl_weight = min(1.0, clock.epoch / self.warmup) if self.warmup else 1.0
            loss = loss_of(network, *cells.rows(rows), kl_weight=kl_weight)
            return loss.total, loss.parts(loss.total)

        def validate() -> Parts:
            sums: Parts = {}
            for rows in held.batches(self.batch):
                for name, value in self._watched(network, *held.rows(rows)).items():
                    sums[name] = sums.get(name, 0.0) + value * len(rows) / len(held)
            return sums

        return train(
            network, cells=len(cells), schedule=schedule, step=step, validate=validate, rng=rng,
            hooks=clock.following(hooks), parameters=weights,
        )  # fmt: skip

    def _watched(self, network: nn.Module, x_bg: Tensor, a_bp: Tensor) -> Parts:
        if self.stop_on == "translation":
            genes, peaks = (float(value) for value in translation_loss(network, x_bg, a_bp))
            return {"total": genes + peaks, "rna from atac": genes, "atac from rna": peaks}
        # As the library: the reconstruction alone, without the divergences.
        loss = loss_of(network, x_bg, a_bp, kl_weight=1.0)
        return loss.parts(loss.rna + loss.atac)


@dataclass(frozen=True, eq=False)
class Cells:
    """Paired cells as the network reads them, sparse until a batch is asked for."""

    genes: sp.csr_matrix
    peaks: sp.csr_matrix
    device: torch.device

    @classmethod
    def of(cls, pair: PairedCells, device: torch.device) -> Cells:
        return cls(pair.rna.counts, binarised(pair.atac.counts), device)

    def __len__(self) -> int:
        return int(self.genes.shape[0])

    def rows(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        return dense(self.genes[rows], self.device), dense(self.peaks[rows], self.device)

    def batches(self, size: int) -> Iterator[np.ndarray]:
        for start in range(0, len(self), size):
            yield np.arange(start, min(start + size, len(self)))
