"""A trained scMVP: either modality or both in, the latent out, any gene or peak imputed or translated."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.preprocess.steps import prefixed
from engine.training import Trained, pick_device
from engine.translators.base import feature_positions
from engine.translators.baselines.common import Spaces
from engine.translators.scmvp.inputs import Inputs, Size, size_of
from engine.translators.scmvp.network import Decoder, ScMVPNetwork, Shape
from engine.translators.scmvp.posterior import ROWS, posterior
from engine.translators.scmvp.rare import Common, PeakTiers
from engine.translators.state import State
from engine.types import CellBatch, Features, FeatureSpace, Floats, Latent, Modality, Prediction

if TYPE_CHECKING:
    from engine.translators.scmvp.recipe import ScMVPRecipe

EXTRAS = 4  # columns of a latent beside z
CARRIED = 1e-3  # what those are multiplied by, so that distances between cells are those of z  # ours
EXTENSION = (
    "Translation from one modality is this project's extension of scMVP: the paper's single-modality encoders close "
    "its cycle and were not published as translators. The joint embedding and the imputation of both are the paper's."
)


class ScMVPTranslator(Spaces):
    """The latent is the mean of q(z|x, y), or of the single encoder's where one modality is given, and four numbers.

    They are the logarithms of what makes the decoded shares of genes and of peaks sum to one, of the cell's TF-IDF sum,
    and of its open peaks, each times a thousandth. `embedding` is z alone.
    """

    key: ClassVar[str] = "scmvp"

    def __init__(
        self,
        network: ScMVPNetwork,
        inputs: Inputs,
        *,
        recipe: ScMVPRecipe,
        shape: Shape,
        rna: FeatureSpace,
        atac: FeatureSpace,
        device: torch.device,
        trained: Trained | None = None,
        peaks: PeakTiers | None = None,
    ) -> None:
        super().__init__(rna, atac)
        self._tiers = peaks or PeakTiers(Common.all_of(len(atac)), None)
        self._network = network.to(device).eval()
        self._inputs, self._recipe, self._shape, self._device = inputs, recipe, shape, device
        self.trained = trained
        self.swept: dict[int, float] = {}  # loss on validation cells by size of z, where several were tried

    @property
    def notes(self) -> tuple[str, ...]:
        """What its card must say of how it was made."""
        said = ", ".join(f"{latent}: {loss:.2f}" for latent, loss in self.swept.items())
        swept = (f"{self._shape.latent} dimensions of z, by the loss on validation cells ({said}).",) if said else ()
        common, rare = len(self._tiers.common.common_p), len(self._tiers.common.rare_p)
        tiers = (f"The {common:,} peaks open in most cells shape the latent; {rare:,} others are told from it.",)
        return (f"{self._shape.components} mixture components.", *swept, *(tiers if rare else ()), EXTENSION)

    @torch.no_grad()
    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, k + 4). Raises FeatureMismatch when the columns are not the model's features."""
        self.require(batch)
        parts = [
            self._encoded(*(None if x is None else x[a : a + ROWS] for x in (batch.rna, batch.atac)))
            for a in range(0, len(batch), ROWS)
        ]
        values = np.concatenate(parts) if parts else np.zeros((0, self._shape.latent + EXTRAS), dtype=np.float32)
        return Latent(values, frozenset(m for m in Modality if batch.of(m) is not None))

    def _encoded(self, rna_bg: sp.csr_matrix | None, atac_bp: sp.csr_matrix | None) -> Floats:
        atac_bp = None if atac_bp is None else self._tiers.common.read(atac_bp)
        z_bk = posterior(self._network, self._inputs, rna_bg, atac_bp, self._device).mean
        if atac_bp is not None:
            size = size_of(self._inputs.tfidf.transform(atac_bp))
        else:
            assert rna_bg is not None
            size = self._inputs.sizes.predict(rna_bg)
        normalisers = (torch.logsumexp(decoder.share(h), dim=1).cpu().numpy() for decoder, h in self._trunks(z_bk))
        logs = (np.log(np.maximum(v, 1.0)) for v in (size.total, size.opened))
        extras = np.column_stack([*normalisers, *logs]) * CARRIED
        return np.column_stack([z_bk.cpu().numpy(), extras]).astype(np.float32)

    def embedding(self, latent: Latent) -> Floats:
        """z of each cell, shape (n, k)."""
        return latent.values[:, :-EXTRAS]

    @torch.no_grad()
    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """log1p of the NB mean at the training median depth, or the probability of a peak being open."""
        space = self.space(target)
        positions = feature_positions(space, features)
        values = self._genes(latent, positions) if target is Modality.RNA else self._peaks(latent, positions)
        return Prediction(values, target, self.scale(target), space.names[positions])

    def _genes(self, latent: Latent, positions: NDArray[np.int64]) -> Floats:
        share_bf = self._shares(latent, 0, positions)
        out: Floats = np.log1p(share_bf * np.float32(self._inputs.scale.median))
        return out

    def _peaks(self, latent: Latent, positions: NDArray[np.int64]) -> Floats:
        """The network's own peaks and those told from it, in the order asked for."""
        size = Size(*(np.exp(latent.values[:, i] / CARRIED) for i in (-1, -2)))
        rare = self._tiers.rare
        if rare is None:
            return self._common(latent, size, positions)
        common_p, rare_p = self._tiers.common.common_p, self._tiers.common.rare_p
        is_rare = np.isin(positions, rare_p)
        out = np.empty((len(latent.values), len(positions)), dtype=np.float32)
        out[:, ~is_rare] = self._common(latent, size, np.searchsorted(common_p, positions[~is_rare]))
        h_nh = self._trunks(torch.from_numpy(np.ascontiguousarray(self.embedding(latent))).to(self._device))[1][1]
        which = np.searchsorted(rare_p, positions[is_rare])
        out[:, is_rare] = rare.chance(h_nh.cpu().numpy(), size.opened, which)
        return out

    def _common(self, latent: Latent, size: Size, positions: NDArray[np.int64]) -> Floats:
        """1 − exp(−rate/worth): the Poisson rate counted in open peaks, and what it says of at least one."""
        rate_bf = self._shares(latent, 1, positions) * self._inputs.total(size)[:, None]
        out: Floats = -np.expm1(-rate_bf / self._inputs.worth(size, positions))
        return out

    def _shares(self, latent: Latent, which: int, positions: NDArray[np.int64]) -> Floats:
        z_nk = torch.from_numpy(np.ascontiguousarray(self.embedding(latent))).to(self._device)
        log_normaliser = torch.from_numpy(latent.values[:, [which - EXTRAS]] / np.float32(CARRIED)).to(self._device)
        decoder, h_nh = self._trunks(z_nk)[which]
        chosen = torch.from_numpy(positions).to(self._device)
        logit = torch.addmm(decoder.share.bias[chosen], h_nh, decoder.share.weight[chosen].T)
        out: Floats = (logit - log_normaliser).exp_().cpu().numpy()
        return out

    def _trunks(self, z_nk: Tensor) -> list[tuple[Decoder, Tensor]]:
        belonging_nc = self._network.prior.log_belonging(z_nk).exp()
        return [(d, d.trunk(z_nk, belonging_nc)) for d in (self._network.to_genes, self._network.to_peaks)]

    def save(self, into: Path) -> None:
        settings = {
            "recipe": asdict(self._recipe),
            "shape": asdict(self._shape),
            "trained": asdict(self.trained) if self.trained else None,
        }
        weights = {name: value.cpu().numpy() for name, value in self._network.state_dict().items()}
        if self._tiers.rare is not None:
            weights |= prefixed("rare", self._tiers.rare.arrays())
        State(settings, {**self._inputs.arrays(), **self._tiers.arrays()}, weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        from engine.translators.scmvp.recipe import ScMVPRecipe

        state = State.read(source)
        shape = Shape(**state.settings["shape"])
        with torch.random.fork_rng(devices=[]):  # the numbers drawn to build it are thrown away
            network = shape.build()
        network.load_state_dict(
            {name: torch.from_numpy(array) for name, array in state.weights.items() if not name.startswith("rare.")}
        )
        return cls(
            network, Inputs.from_arrays(state.steps), recipe=ScMVPRecipe(**state.settings["recipe"]), shape=shape,
            rna=rna, atac=atac, device=pick_device(device),
            trained=Trained(**state.settings["trained"]) if state.settings["trained"] else None,
            peaks=PeakTiers.of(state, len(atac)),
        )  # fmt: skip
