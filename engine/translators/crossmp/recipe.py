"""CrossMP from a pair of cells to a translator: the paper's preprocessing, network, losses and training.

Source: Lyu, Dahal, Zeng, Wang, Xu & Joshi 2024, §2.1–2.3. Where the paper is silent our choice is marked `ours`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from engine.preprocess.steps import binarised, prefixed, unprefixed
from engine.training import Parts, Schedule, Trained, pick_device, seeded, train
from engine.translators.base import Hooks, feature_positions, require_source
from engine.translators.baselines.common import Spaces
from engine.translators.crossmp.inputs import AtacInputs, Bags, Blocks, RnaInputs, blocks_of, regulatory_potential
from engine.translators.crossmp.losses import (
    LOG_MEAN_BOUND,
    Loss,
    SparseTarget,
    binary_cross_entropy,
    latent_divergence,
    negative_binomial,
)
from engine.translators.crossmp.network import CrossMPNetwork, Sizes
from engine.translators.state import State
from engine.types import (
    CellBatch,
    Features,
    FeatureSpace,
    Floats,
    Latent,
    Modality,
    PairedCells,
    Prediction,
    Split,
)

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
        count = len(self._rna.significant_g)
        return (
            f"Significant genes: the {count:,} most variable of the training cells, since no spliced and unspliced "
            "counts were given for the paper's velocity ranking.",
        )

    @torch.no_grad()
    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, 16)"""
        require_source(batch, self.directions)
        found = []
        if batch.rna is not None:
            found.append(self._feeder.encode_rna(self._network, batch.rna))
        if batch.atac is not None:
            if self._folded_ph is None:
                self._folded_ph = self._feeder.folded(self._network)
            found.append(self._feeder.encode_atac(self._network, binarised(batch.atac), self._folded_ph))
        z_bk = torch.stack(found).mean(dim=0).cpu().numpy().astype(np.float32)
        return Latent(z_bk, frozenset(m for m in Modality if batch.of(m) is not None))

    @torch.no_grad()
    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """log1p of the expected size-normalised counts, or the probability of each peak being open."""
        space = self.space(target)
        positions = feature_positions(space, features)
        z_nk = torch.from_numpy(np.ascontiguousarray(latent.values, dtype=np.float32)).to(self._device)
        values = self._genes(z_nk, positions) if target is Modality.RNA else self._peaks(z_nk, positions)
        return Prediction(values, target, self.scale(target), space.names[positions])

    def _genes(self, z_nk: torch.Tensor, positions: NDArray[np.int64]) -> Floats:
        decoder = self._network.to_rna
        chosen = torch.from_numpy(positions).to(self._device)
        log_mean = torch.addmm(decoder.mean.bias[chosen], decoder.trunk(z_nk), decoder.mean.weight[chosen].T)
        out: Floats = torch.log1p(log_mean.clamp(-LOG_MEAN_BOUND, LOG_MEAN_BOUND).exp()).cpu().numpy()
        return out

    def _peaks(self, z_nk: torch.Tensor, positions: NDArray[np.int64]) -> Floats:
        decoder = self._network.to_atac
        h_nck = decoder.trunk(z_nk)
        out = np.empty((len(z_nk), len(positions)), dtype=np.float32)
        block_f = self._blocks.block_f[positions]
        for c in np.unique(block_f):
            where = np.flatnonzero(block_f == c)
            place = torch.from_numpy(self._place_p[positions[where]]).to(self._device)
            logit = torch.addmm(decoder.bias_p[place], h_nck[:, int(c)], decoder.weight_pk[place].T)
            out[:, where] = torch.sigmoid(logit).cpu().numpy()
        return out

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
        state = State.read(source)
        recipe = CrossMPRecipe(**state.settings["recipe"])
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


@dataclass(frozen=True, eq=False)
class Feeder:
    """Turns sparse rows into what the encoders read, on the right device."""

    rna: RnaInputs
    atac: AtacInputs
    blocks: Blocks
    device: torch.device

    def encode_rna(self, network: CrossMPNetwork, counts_bg: sp.csr_matrix) -> torch.Tensor:
        return self.encode_difference(network, self.rna.difference(counts_bg))

    def encode_difference(self, network: CrossMPNetwork, difference_bg: sp.csr_matrix) -> torch.Tensor:
        zero_g = self.rna.zscore.zero_f
        chosen = self.rna.significant_g
        return network.encode_rna(
            Bags.of(difference_bg, self.device),
            torch.from_numpy(zero_g).to(self.device),
            Bags.of(sp.csr_matrix(difference_bg[:, chosen]), self.device),
            torch.from_numpy(zero_g[chosen]).to(self.device),
        )

    def folded(self, network: CrossMPNetwork) -> torch.Tensor:
        """The activity encoder's first layer seen from the peaks, shape (p, 32)."""
        out: torch.Tensor = network.activity.first(Bags.of(self.atac.potential_pg, self.device))
        return out

    def encode_atac(
        self, network: CrossMPNetwork, open_bp: sp.csr_matrix, folded_ph: torch.Tensor | None = None
    ) -> torch.Tensor:
        bags = Bags.by_block(open_bp, self.blocks, self.device)
        factor_b = torch.from_numpy(self.atac.factor(open_bp)).to(self.device)
        return network.encode_atac(bags, self.folded(network) if folded_ph is None else folded_ph, factor_b)

    def genes(self, scaled_bg: sp.csr_matrix) -> SparseTarget:
        return self._target(sp.coo_matrix(scaled_bg))

    def peaks(self, open_bp: sp.csr_matrix) -> SparseTarget:
        """Columns in the decoder's order, chromosome by chromosome."""
        return self._target(sp.coo_matrix(open_bp[:, self.blocks.order_f]))

    def _target(self, x: sp.coo_matrix) -> SparseTarget:
        row, column = (torch.from_numpy(v.astype(np.int64)).to(self.device) for v in (x.row, x.col))
        return SparseTarget(row, column, torch.from_numpy(x.data.astype(np.float32)).to(self.device))


@dataclass(frozen=True)
class CrossMPRecipe:
    """Settings with the paper's defaults.

    significant_genes: how many genes the second RNA encoder reads. half: keep wide weights in 16 bits when saved.
    start_from_mean: decoders' last biases begin at the training average, which the paper does not say.
    """

    key: ClassVar[str] = "crossmp"
    latent: int = 16  # CrossMP §2.2
    hidden_rna: int = 64  # CrossMP §2.2
    hidden_chromosome: int = 32  # CrossMP §2.2
    per_chromosome: int = 16  # CrossMP §2.2
    weight_bce: float = 1.33  # λ1, CrossMP §2.3 (our reading of which is which)
    weight_kl: float = 1.0  # λ2, CrossMP §2.3
    learning_rate: float = 0.01  # CrossMP §2.3
    batch: int = 512  # CrossMP §2.3
    patience: int = 25  # CrossMP §2.3
    epochs: int = 300  # the authors' script
    weight_decay: float = 0.0
    significant_genes: int = 2000  # ours: the paper gives no number
    start_from_mean: bool = True  # ours
    half: bool = False  # ours

    def network(self, rna_inputs: RnaInputs, blocks: Blocks, *, genes: int) -> CrossMPNetwork:
        sizes = Sizes(self.hidden_rna, self.hidden_chromosome, self.per_chromosome, self.latent)
        return CrossMPNetwork(genes=genes, significant=len(rna_inputs.significant_g), blocks=blocks, sizes=sizes)

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> CrossMPTranslator:
        """Everything is fitted on `split.train`; `split.valid` stops the training (a tenth of train, where empty)."""
        with seeded(hooks) as rng:
            fitting, held = _validation(split, rng)
            cells = pair.named(fitting)
            rna_inputs = RnaInputs.fit(cells, significant=self.significant_genes)
            genome = pair.rna.space.genome or pair.atac.space.genome
            potential = regulatory_potential(pair.atac.space, pair.rna.space, genome)
            atac_inputs = _rounded(AtacInputs.fit(cells, potential))
            blocks = blocks_of(pair.atac.space)
            device = pick_device(hooks.device)
            network = self.network(rna_inputs, blocks, genes=len(pair.rna.space))
            feeder = Feeder(rna_inputs, atac_inputs, blocks, device)
            if self.start_from_mean:
                _start_from_mean(network, feeder, cells)
            network.to(device)
            trained = self._train(network, feeder, cells, pair.named(held), rng, hooks)
            if self.half:
                _round_to_half(network)
        return CrossMPTranslator(
            network, rna_inputs, atac_inputs, recipe=self, rna=pair.rna.space, atac=pair.atac.space, device=device,
            trained=trained,
        )  # fmt: skip

    def _train(
        self,
        network: CrossMPNetwork,
        feeder: Feeder,
        cells: PairedCells,
        held: PairedCells,
        rng: np.random.Generator,
        hooks: Hooks,
    ) -> Trained:
        schedule = Schedule(self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay)
        seen, unseen = Prepared.of(cells, feeder), Prepared.of(held, feeder)

        def step(rows: np.ndarray) -> tuple[torch.Tensor, Parts]:
            loss = self.loss(network, feeder, seen.rows(rows))
            return loss.total, loss.parts()

        def validate() -> Parts:
            sums: Parts = {}
            for start in range(0, len(held), self.batch):
                rows = np.arange(start, min(start + self.batch, len(held)))
                for name, value in self.loss(network, feeder, unseen.rows(rows)).parts().items():
                    sums[name] = sums.get(name, 0.0) + value * len(rows) / len(held)
            return sums

        return train(network, cells=len(cells), schedule=schedule, step=step, validate=validate, rng=rng, hooks=hooks)

    def loss(self, network: CrossMPNetwork, feeder: Feeder, cells: Prepared) -> Loss:
        """The four paths: each latent decoded into both modalities (CrossMP §2.3)."""
        z_r = feeder.encode_difference(network, cells.difference)
        z_a = feeder.encode_atac(network, cells.open)
        genes, peaks = feeder.genes(cells.scaled), feeder.peaks(cells.open)
        nb_rr = negative_binomial(network.to_rna(z_r), genes)
        nb_ar = negative_binomial(network.to_rna(z_a), genes)
        bce_aa = binary_cross_entropy(network.to_atac(z_a), peaks)
        bce_ra = binary_cross_entropy(network.to_atac(z_r), peaks)
        kl = latent_divergence(z_r, z_a)
        total = nb_rr + nb_ar + self.weight_bce * (bce_aa + bce_ra) + self.weight_kl * kl
        return Loss(total, nb_rr, nb_ar, bce_aa, bce_ra, kl)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A pair preprocessed once: sparse z-score differences, size-normalised counts, open peaks."""

    difference: sp.csr_matrix
    scaled: sp.csr_matrix
    open: sp.csr_matrix

    @classmethod
    def of(cls, pair: PairedCells, feeder: Feeder) -> Self:
        counts = pair.rna.counts
        return cls(feeder.rna.difference(counts), feeder.rna.scale.scaled(counts), binarised(pair.atac.counts))

    def rows(self, rows: np.ndarray) -> Prepared:
        return Prepared(self.difference[rows], self.scaled[rows], self.open[rows])


def _validation(split: Split, rng: np.random.Generator) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if split.valid:
        return split.train, split.valid
    order = rng.permutation(len(split.train))
    cut = max(1, len(order) // 10)
    return tuple(split.train[i] for i in np.sort(order[cut:])), tuple(split.train[i] for i in np.sort(order[:cut]))


def _start_from_mean(network: CrossMPNetwork, feeder: Feeder, cells: PairedCells) -> None:
    n = len(cells)
    mean_g = np.asarray(feeder.rna.scale.scaled(cells.rna.counts).mean(axis=0), dtype=np.float64).ravel()
    share_p = np.asarray(binarised(cells.atac.counts).mean(axis=0), dtype=np.float64).ravel()[feeder.blocks.order_f]
    share_p = np.clip(share_p, 0.5 / n, 1 - 0.5 / n)
    with torch.no_grad():
        network.to_rna.mean.bias.copy_(torch.from_numpy(np.log(np.maximum(mean_g, 0.1 / n))))
        network.to_rna.mean.weight.mul_(0.1)
        network.to_atac.bias_p.copy_(torch.from_numpy(np.log(share_p / (1 - share_p))))
        network.to_atac.weight_pk.mul_(0.1)


def _round_to_half(network: CrossMPNetwork) -> None:
    """What will be stored in 16 bits is rounded now, so that the saved model is this one."""
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.numel() > HALF_ABOVE and value.dtype == torch.float32:
                value.copy_(value.half().float())


def _rounded(inputs: AtacInputs) -> AtacInputs:
    """The potential to 16 bits: three digits are more than the model of it is worth, and the file halves."""
    potential = inputs.potential_pg.copy()
    potential.data = potential.data.astype(np.float16).astype(np.float32)
    return AtacInputs(inputs.scale, potential)
