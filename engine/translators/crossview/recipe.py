"""Our recipe. Nothing needs tuning: what depends on the data is set by its size or chosen on validation cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.errors import BadSetting
from engine.training import Trained, pick_device, seeded, validation
from engine.translators.base import Hooks
from engine.translators.crossview.genes import fit_genes
from engine.translators.crossview.inputs import Reader
from engine.translators.crossview.peaks import fit_peaks
from engine.translators.crossview.setting import Run, Setting
from engine.translators.crossview.translator import CrossViewTranslator
from engine.types import Modality, PairedCells, Split

FEW, MANY = 700, 6_000  # training cells between which strictness falls
GENE_STEPS, PEAK_STEPS = 280, 170  # ours: batches of one training


@dataclass(frozen=True)
class CrossViewRecipe:
    """Everything has a default; a negative number means: by the number of training cells.

    members: networks averaged a direction. components: of the genes. latent: of each ATAC network. hidden: units of
    the first layers. thin_genes, thin_peaks: share of a cell's entries dropped in training. gene_decay, peak_decay:
    decoupled decay. gene_epochs, peak_epochs: passes over the cells; the best on validation cells is kept. inside:
    dropout between the two layers. depth_weight: share of the predicted depth's effect that is used; at 0 a peak ranks
    cells by composition alone (README, "Depth").
    """

    key: ClassVar[str] = "crossview"
    members: int = 2
    components: int = 30
    latent: int = 32
    hidden: int = 64
    batch: int = -1
    learning_rate: float = 0.006
    gene_epochs: int = -1
    peak_epochs: int = -1
    thin_genes: float = -1.0
    thin_peaks: float = -1.0
    gene_decay: float = -1.0
    peak_decay: float = -1.0
    inside: float = 0.25
    depth_weight: float = 0.6
    view_components: int = 50  # of the SVD the linear members see

    def __post_init__(self) -> None:
        if self.members < 1 or self.hidden < 1 or self.members * (self.latent + 1) + 1 > 128 or self.components > 128:
            raise BadSetting(
                f"members={self.members}, latent={self.latent}, components={self.components} make no latent.",
                hint="members × (latent + 1) + 1 and components must stay within 128.",
            )
        if max(self.thin_genes, self.thin_peaks, self.inside) >= 1:
            raise BadSetting(
                "thin_genes, thin_peaks and inside are shares that are dropped.", hint="Keep them below 1."
            )

    @property
    def epochs(self) -> int:
        """Passes over the cells of all networks together, as many as few cells take: what an estimate of time reads."""
        few = self.setting(FEW)
        return self.members * (few.gene_epochs + few.peak_epochs)

    def setting(self, cells: int) -> Setting:
        """Strictness falls and batches grow with the logarithm of the number of training cells."""
        many = float(np.clip(np.log(max(cells, 1) / FEW) / np.log(MANY / FEW), 0.0, 1.0))
        batch = self.batch if self.batch > 0 else int(np.clip(cells // 12, 16, 256))
        steps = max(1, cells // batch)

        def pick(asked: float, few: float, lot: float) -> float:
            return asked if asked >= 0 else float(few * (lot / few) ** many)

        return Setting(
            members=self.members, components=self.components, latent=self.latent, hidden=self.hidden, batch=batch,
            learning_rate=self.learning_rate,
            gene_epochs=self.gene_epochs if self.gene_epochs > 0 else int(np.clip(round(GENE_STEPS / steps), 3, 20)),
            peak_epochs=self.peak_epochs if self.peak_epochs > 0 else int(np.clip(round(PEAK_STEPS / steps), 2, 15)),
            thin_genes=pick(self.thin_genes, 0.8, 0.5), thin_peaks=pick(self.thin_peaks, 0.8, 0.7),
            gene_decay=pick(self.gene_decay, 10.0, 1.0), peak_decay=pick(self.peak_decay, 30.0, 6.0),
            inside=self.inside, depth_weight=self.depth_weight,
        )  # fmt: skip

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> CrossViewTranslator:
        """Everything is fitted on `split.train`; `split.valid` chooses (a tenth of train, where empty)."""
        with seeded(hooks) as rng:
            fitting, held = validation(split, rng)
            cells = pair.named(fitting)
            readers = {m: Reader.fit(cells.of(m), components=self.view_components, rng=rng) for m in Modality}
            run = Run(cells, pair.named(held), self.setting(len(cells)), rng, hooks, pick_device(hooks.device))
            trained: dict[str, Trained] = {}
            genes = fit_genes(run, readers[Modality.ATAC], trained)
            peaks = fit_peaks(run, readers[Modality.RNA], trained)
        return CrossViewTranslator(readers, genes, peaks, trained, rna=pair.rna.space, atac=pair.atac.space)
