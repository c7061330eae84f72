"""Our recipe. Nothing needs tuning: what depends on the data is set by its size or chosen on validation cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.errors import BadSetting
from engine.training import Trained, pick_device, seeded, validation
from engine.translators.base import Hooks
from engine.translators.crossview.basis import GeneBasis
from engine.translators.crossview.genes import fit_genes
from engine.translators.crossview.inputs import Reader
from engine.translators.crossview.judging import fit_caution
from engine.translators.crossview.peaks import fit_peaks
from engine.translators.crossview.setting import Run, Setting, Strictness
from engine.translators.crossview.translator import CrossViewTranslator
from engine.types import Modality, PairedCells, Split

FEW, MANY = 700, 6_000  # training cells between which strictness falls
GENE_STEPS, SHARE_STEPS, PEAK_STEPS = (280, 200), (320, 320), (240, 190)  # ours: batches of one training, few and many
RATES = (0.006, 0.01)  # ours
MOST_HELD = 2_000  # validation cells that choose, drawn by chance from more: enough for a few numbers a network
LATENT_LIMIT = 128


@dataclass(frozen=True)
class CrossViewRecipe:
    """Everything has a default; a negative number means: by the number of training cells.

    members: networks of a direction; from ATAC to genes up to as many again predict shares.
    components: of the genes. latent: of each network of shares. rank: of what those from genes to ATAC tell together.
    hidden: units of the first layers. thin_genes, thin_peaks: share of a cell's entries dropped in training.
    gene_decay, share_decay, peak_decay: decoupled decay.
    gene_epochs, share_epochs, peak_epochs: passes over the cells; the best on validation cells is kept, of peaks the
    last. inside: dropout between the two layers. echo: weight of the second task of networks from genes to peaks, to
    tell the cell's own genes. depth_weight: share of the predicted depth's effect that is used; at 0 a peak ranks cells
    by composition alone (README, "Depth").
    """

    key: ClassVar[str] = "crossview"
    members: int = 2
    components: int = 30
    latent: int = 24
    rank: int = 16
    hidden: int = 64
    batch: int = -1
    learning_rate: float = -1.0
    gene_epochs: int = -1
    share_epochs: int = -1
    peak_epochs: int = -1
    thin_genes: float = -1.0
    thin_peaks: float = -1.0
    gene_decay: float = -1.0
    share_decay: float = -1.0
    peak_decay: float = -1.0
    inside: float = -1.0
    echo: float = -1.0
    depth_weight: float = -1.0
    view_components: int = 50  # of the SVD the linear members see

    def __post_init__(self) -> None:
        widest = max(self.members * (self.latent + 1), self.rank + 1) + self.components + 3  # with the doubt
        if min(self.members, self.hidden, self.components, self.rank) < 1 or widest > LATENT_LIMIT:
            raise BadSetting(
                f"members={self.members}, latent={self.latent}, rank={self.rank}, components={self.components} "
                "make no latent.",
                hint=f"Each one or more; members × (latent + 1) + components + 3 and rank + components + 4 within "
                f"{LATENT_LIMIT}.",
            )
        if max(self.thin_genes, self.thin_peaks, self.inside) >= 1:
            raise BadSetting(
                "thin_genes, thin_peaks and inside are shares that are dropped.", hint="Keep them below 1."
            )

    @property
    def epochs(self) -> int:
        """Passes over the cells of all networks together, as many as few cells take: what an estimate of time reads."""
        few = self.setting(FEW)
        return few.trunks * few.genes.epochs + few.compositions * few.shares.epochs + few.members * few.peaks.epochs

    def setting(self, cells: int) -> Setting:
        """Strictness falls and batches grow with the logarithm of the number of training cells."""
        many = float(np.clip(np.log(max(cells, 1) / FEW) / np.log(MANY / FEW), 0.0, 1.0))
        batch = self.batch if self.batch > 0 else int(np.clip(cells // 12, 16, 256))
        steps = max(1, cells // batch)

        def blend(asked: float, few: float, lot: float) -> float:
            return asked if asked >= 0 else float(few + (lot - few) * many)

        def pick(asked: float, few: float, lot: float) -> float:
            return asked if asked >= 0 else float(few * (lot / few) ** many)

        def epochs(asked: int, batches: tuple[int, int], most: int) -> int:
            return asked if asked > 0 else int(np.clip(round(pick(-1.0, *batches) / steps), 2, most))

        thin_peaks = pick(self.thin_peaks, 0.8, 0.7)
        return Setting(
            trunks=self.members, compositions=max(1, round(self.members * blend(-1.0, 0.5, 1.0))), members=self.members,
            rank=self.rank, components=self.components, latent=self.latent, hidden=self.hidden,
            inside=blend(self.inside, 0.25, 0.0), batch=batch,
            learning_rate=pick(self.learning_rate, *RATES),
            genes=Strictness(
                epochs(self.gene_epochs, GENE_STEPS, 25), thin_peaks, pick(self.gene_decay, 10.0, 1.0)
            ),
            shares=Strictness(
                epochs(self.share_epochs, SHARE_STEPS, 25), thin_peaks, pick(self.share_decay, 10.0, 0.3)
            ),
            peaks=Strictness(
                epochs(self.peak_epochs, PEAK_STEPS, 25), pick(self.thin_genes, 0.8, 0.6),
                pick(self.peak_decay, 15.0, 4.0), blend(self.echo, 0.0, 1.0), last=True,
            ),
            depth_weight=blend(self.depth_weight, 0.85, 0.65),
        )  # fmt: skip

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> CrossViewTranslator:
        """Everything is fitted on `split.train`; `split.valid` chooses (a tenth of train, where empty)."""
        with seeded(hooks) as rng:
            fitting, held = validation(split, rng)
            held = tuple(rng.permutation(held)[:MOST_HELD])  # in an order of its own: some choices read the first few
            cells = pair.named(fitting)
            readers = {m: Reader.fit(cells.of(m), components=self.view_components, rng=rng) for m in Modality}
            run = Run(cells, pair.named(held), self.setting(len(cells)), rng, hooks, pick_device(hooks.device))
            trained: dict[str, Trained] = {}
            basis = GeneBasis.fit(cells.rna, components=self.components, rng=rng)
            genes = fit_genes(run, readers[Modality.ATAC], basis, trained)
            peaks = fit_peaks(run, readers[Modality.RNA], basis, trained)
            caution = fit_caution(run, readers, genes, peaks)
        return CrossViewTranslator(readers, genes, peaks, caution, trained, rna=pair.rna.space, atac=pair.atac.space)
