"""scMVP from a pair of cells to a translator: the paper's inputs, network, loss and training.

Source: Li, Fu, Wang, Zhu, Duan, Tang, Chen, Chuai, Wang & Liu 2022, Genome Biology 23:20. README.md says what the paper
leaves open and how it is read here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from engine.errors import BadSetting
from engine.training import pick_device, seeded, validation
from engine.translators.base import Hooks
from engine.translators.scmvp.components import CELLS, components_of
from engine.translators.scmvp.inputs import Inputs, Rows, mean_shares
from engine.translators.scmvp.network import ScMVPNetwork, Shape
from engine.translators.scmvp.rare import Common, PeakTiers, fit_rare
from engine.translators.scmvp.stages import Training
from engine.translators.scmvp.translator import EXTRAS, ScMVPTranslator
from engine.types import PairedCells, Split

__all__ = ["ScMVPRecipe", "ScMVPTranslator"]

WIDEST = 128 - EXTRAS  # a job's latent is at most 128 numbers
BATCHES = (64, 128)  # the released program's default, and the paper's
MANY = 2_000  # training cells from which the larger is taken  # ours


@dataclass(frozen=True)
class ScMVPRecipe:
    """Settings with the paper's numbers where it gives any.

    components: of the mixture, 0: from the effective rank of the cells' correlations. latent: dimensions of z. sweep:
    sizes of z to try instead, such as 5,10,20; the one with the least loss on validation cells is kept. batch: cells of
    a step, -1: the paper's 128, 64 where cells are few.
    epochs: at most, of both stages together. cycle: weight of the cycle's four divergences. kl_weight: of those to the
    prior. atac_weight: of the peaks' likelihood. start_epochs: of the epochs, those with the plain prior N(0, I) before
    the mixture is fitted to the latents; 0 fits it to the untrained encoder's. warmup: epochs of these over which the
    weight of the divergence to the prior grows. apart: the cycle teaches the single encoders alone, and leaves the
    joint latent and the decoders as they are. top_peaks: share of the peaks, those open in most cells, that the network
    reads and is built from; the others are told from the trained latent; 1: all are the network's. thin_genes,
    thin_peaks: share of a cell's entries hidden from the encoders while training. in_units: the peaks' target counts a
    cell's open peaks as one on average, instead of in TF-IDF's own numbers. level: the rows the encoders read are as
    long in every cell. anneal: each stage's learning rate rises and falls. patience: epochs without a better validation
    loss before a stage ends; 0: never.
    """

    key: ClassVar[str] = "scmvp"
    components: int = 0  # scMVP: given, or from the rank of the cell-cell correlation matrix
    latent: int = 10  # scMVP
    sweep: str = ""
    hidden: int = 128  # scMVP
    heads: int = 8  # scMVP, of 16 features each
    learning_rate: float = 5e-3  # scMVP
    batch: int = -1  # scMVP: 128
    epochs: int = 30  # scMVP
    cycle: float = 1.0  # scMVP
    kl_weight: float = 0.3  # scMVP: 1
    atac_weight: float = 0.3  # scMVP: 1
    start_epochs: int = 10  # ours
    warmup: int = 9  # ours
    apart: bool = True  # ours
    top_peaks: float = 0.25  # the quarter that Signac's FindTopFeatures keeps at min.cutoff "q75"
    thin_genes: float = 0.5  # ours
    thin_peaks: float = 0.5  # ours
    in_units: bool = True  # ours
    level: bool = True  # ours
    anneal: bool = True  # ours
    patience: int = 0  # ours

    def __post_init__(self) -> None:
        for latent in self.latents:
            replace(self, latent=latent, sweep="")
        if self.heads < 1 or self.hidden % self.heads:
            raise BadSetting(f"{self.hidden} hidden units are not {self.heads} heads.", hint="`--set heads=8`.")
        if not 1 <= self.latent <= WIDEST or self.components < 0 or self.start_epochs < 0 or self.warmup < 0:
            raise BadSetting(
                f"latent={self.latent}, components={self.components}, start_epochs={self.start_epochs}, "
                f"warmup={self.warmup} make no model.",
                hint=f"A latent of 1 to {WIDEST}, the others not below 0.",
            )
        if not 0 < self.top_peaks <= 1:
            raise BadSetting(f"top_peaks={self.top_peaks} leaves no peaks.", hint="Above 0, at most 1 for all.")
        for name in ("thin_genes", "thin_peaks"):
            if not 0 <= getattr(self, name) < 1:
                raise BadSetting(f"{name}={getattr(self, name)} hides nothing or all.", hint="At least 0, below 1.")

    @property
    def latents(self) -> tuple[int, ...]:
        """The sizes of `sweep`, each once. Raises BadSetting."""
        words = [word.strip() for word in self.sweep.split(",") if word.strip()]
        if not all(word.isdecimal() for word in words):
            raise BadSetting(
                f"sweep={self.sweep} names no sizes.", hint="Whole numbers with commas: `--set sweep=5,10,20`."
            )
        return tuple(dict.fromkeys(map(int, words)))

    def batch_of(self, cells: int) -> int:
        """Cells of a step. On few training cells the paper's batches leave too few steps in its 30 epochs."""
        return self.batch if self.batch > 0 else BATCHES[cells >= MANY]

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> ScMVPTranslator:
        """Everything is fitted on `split.train`; `split.valid` stops the training (a tenth of train, where empty)."""
        if not self.latents:
            return self._fitted(pair, split, hooks)
        tried: dict[int, float] = {}
        best: ScMVPTranslator | None = None
        for latent in self.latents:
            found = replace(self, latent=latent)._fitted(pair, split, hooks, prefix=f"latent-{latent}-")
            assert found.trained is not None
            if best is None or found.trained.best_loss < min(tried.values()):
                best = found
            tried[latent] = found.trained.best_loss
        assert best is not None
        best.swept = tried
        return best

    def _fitted(self, pair: PairedCells, split: Split, hooks: Hooks, prefix: str = "") -> ScMVPTranslator:
        with seeded(hooks) as rng:
            fitting, held = (Rows.named(pair, names) for names in validation(split, rng))
            common = Common.fit(fitting, self.top_peaks)
            fitting, held = common.only(fitting), common.only(held)
            recipe, device = replace(self, batch=self.batch_of(len(fitting))), pick_device(hooks.device)
            inputs = Inputs.fit(fitting, in_units=self.in_units, level=self.level)
            shape, network = self.start(fitting, inputs, rng)
            network = network.to(device)
            training = Training(recipe, network, inputs, fitting, held, device, prefix=prefix)
            trained = training.whole(rng, hooks)
            rare = fit_rare(training, common, rng, hooks)
        return ScMVPTranslator(
            network, inputs, recipe=recipe, shape=shape, rna=pair.rna.space, atac=pair.atac.space, device=device,
            trained=trained, peaks=PeakTiers(common, rare),
        )  # fmt: skip

    def start(self, cells: Rows, inputs: Inputs, rng: np.random.Generator) -> tuple[Shape, ScMVPNetwork]:
        """The network before training: components counted, decoders at the training average."""
        components = self.components or components_of(cells.sample(CELLS, rng), rng)
        genes, peaks = mean_shares(cells, inputs)
        shape = Shape(
            len(genes.share_f), len(peaks.share_f), components, self.latent, self.hidden, self.heads,
            genes.entries, peaks.entries,
        )  # fmt: skip
        network = shape.build()
        network.to_genes.start(np.log(genes.share_f))
        network.to_peaks.start(np.log(peaks.share_f))
        return shape, network
