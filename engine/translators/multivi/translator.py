"""A trained MultiVI read out: one modality's latent mean in, composition of the other decoded, any feature alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.errors import BadBundle
from engine.preprocess.steps import DepthScale, binarised, depth_of
from engine.training import Trained, pick_device
from engine.translators.base import feature_positions
from engine.translators.baselines.common import Spaces
from engine.translators.multivi.network import Shape, dense, one_batch
from engine.translators.state import State
from engine.types import CellBatch, Features, FeatureSpace, Floats, Latent, Modality, Prediction

ROWS = 256  # cells that are dense at once
FACTOR_MARGIN = 1e-4  # ours


@dataclass(frozen=True)
class Library:
    """The library's depth factor d in (0, 1) of a cell whose peaks were not measured.

    logit(d) = offset + slope · log1p(RNA depth), clipped to what training cells had; slope 0: the training mean.
    """

    offset: float
    slope: float
    low: float
    high: float

    @classmethod
    def fit(cls, factor_n: Floats, counts_ng: sp.csr_matrix, *, by_source: bool) -> Library:
        d_n = np.clip(factor_n.astype(np.float64), FACTOR_MARGIN, 1 - FACTOR_MARGIN)
        low, high = (float(v) for v in np.quantile(d_n, [0.005, 0.995]))
        mean = float(d_n.mean())
        log_n = np.log1p(depth_of(counts_ng).astype(np.float64))
        if not by_source or log_n.std() < 1e-9:
            return cls(float(np.log(mean / (1 - mean))), 0.0, low, high)
        slope, offset = np.polyfit(log_n, np.log(d_n / (1 - d_n)), 1)
        return cls(float(offset), float(slope), low, high)

    def factor(self, counts_ng: sp.csr_matrix) -> Floats:
        logit_n = self.offset + self.slope * np.log1p(depth_of(counts_ng).astype(np.float64))
        return np.clip(1 / (1 + np.exp(-logit_n)), self.low, self.high).astype(np.float32)


class MultiVITranslator(Spaces):
    """The latent is the library's latent mean and two numbers more.

    They are the log of the sum over genes that makes the decoded composition sum to one, so that a gene can be decoded
    alone, and the depth factor d of the cell's peaks.
    """

    key: ClassVar[str] = "multivi"

    def __init__(
        self,
        network: nn.Module,
        *,
        shape: Shape,
        scale: DepthScale,
        library: Library,
        rna: FeatureSpace,
        atac: FeatureSpace,
        device: torch.device,
        trained: Trained | None = None,
    ) -> None:
        super().__init__(rna, atac)
        self._network: Any = network.to(device).eval()
        self._shape, self._depth, self._library, self._device = shape, scale, library, device
        self.trained = trained

    @torch.no_grad()
    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, k + 2). Raises FeatureMismatch when the columns are not the model's features."""
        self.require(batch)
        found = []
        factor_b: Floats | None = None
        if batch.rna is not None:
            found.append(latent_mean(self._network.z_encoder_expression, batch.rna))
            factor_b = self._library.factor(batch.rna)
        if batch.atac is not None:
            peaks = binarised(batch.atac)
            found.append(latent_mean(self._network.z_encoder_accessibility, peaks))
            factor_b = library_factor(self._network, peaks)
        assert factor_b is not None
        z_bk: Floats = np.mean(np.stack(found), axis=0, dtype=np.float32)
        values = np.column_stack([z_bk, self._log_normaliser(z_bk), factor_b]).astype(np.float32)
        return Latent(values, frozenset(m for m in Modality if batch.of(m) is not None))

    def embedding(self, latent: Latent) -> Floats:
        """z of each cell, without the normaliser and the depth factor; shape (n, k)."""
        return latent.values[:, :-2]

    @torch.no_grad()
    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """log1p of the decoded composition at the training median depth, or the probability of each peak being open."""
        space = self.space(target)
        positions = feature_positions(space, features)
        values = self._genes(latent, positions) if target is Modality.RNA else self._peaks(latent, positions)
        return Prediction(values, target, self.scale(target), space.names[positions])

    def _genes(self, latent: Latent, positions: NDArray[np.int64]) -> Floats:
        decoder = self._network.z_decoder_expression
        logit = _columns(self._hidden(decoder, latent), decoder.px_scale_decoder[0], positions)
        log_normaliser = torch.from_numpy(latent.values[:, -2:-1].copy()).to(self._device)
        out: Floats = torch.log1p((logit - log_normaliser).exp_().mul_(self._depth.median)).cpu().numpy()
        return out

    def _peaks(self, latent: Latent, positions: NDArray[np.int64]) -> Floats:
        decoder = self._network.z_decoder_accessibility
        open_p = torch.sigmoid(_columns(self._hidden(decoder, latent), decoder.output[0], positions))
        open_p *= torch.from_numpy(latent.values[:, -1:].copy()).to(self._device)
        if self._network.region_factors is not None:
            open_p *= torch.sigmoid(self._network.region_factors)[positions]
        out: Floats = open_p.cpu().numpy()
        return out

    def _hidden(self, decoder: Any, latent: Latent) -> Tensor:
        z_nk = torch.from_numpy(np.ascontiguousarray(latent.values[:, :-2], dtype=np.float32)).to(self._device)
        out: Tensor = decoder.px_decoder(z_nk, one_batch(len(z_nk), self._device))
        return out

    def _log_normaliser(self, z_bk: Floats) -> Floats:
        decoder = self._network.z_decoder_expression
        sums = [np.zeros(0, dtype=np.float32)]
        for start in range(0, len(z_bk), ROWS):
            z = torch.from_numpy(z_bk[start : start + ROWS]).to(self._device)
            logit = decoder.px_scale_decoder[0](decoder.px_decoder(z, one_batch(len(z), self._device)))
            sums.append(torch.logsumexp(logit, dim=1).cpu().numpy())
        return np.concatenate(sums)

    def save(self, into: Path) -> None:
        settings = {
            "shape": asdict(self._shape),
            "library": asdict(self._library),
            "features": {m.value: self.space(m).digest for m in Modality},
            "trained": asdict(self.trained) if self.trained else None,
        }
        weights = {name: value.cpu().numpy() for name, value in self._network.state_dict().items()}
        State(settings, self._depth.arrays(), weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        """Raises MissingExtra without scvi-tools, BadBundle where the features are not those it was trained on."""
        state = State.read(source)
        for space in (rna, atac):
            if state.settings["features"][space.modality.value] != space.digest:
                raise BadBundle(
                    f"The {len(space):,} {space.modality.value} features are not the ones this model was trained on.",
                    hint="Fetch the model again.",
                )
        shape = Shape(**state.settings["shape"])
        with torch.random.fork_rng(devices=[]):  # the numbers drawn to build it are thrown away
            network = shape.build()
        network.load_state_dict({name: torch.from_numpy(array) for name, array in state.weights.items()})
        return cls(
            network, shape=shape, scale=DepthScale.from_arrays(state.steps),
            library=Library(**state.settings["library"]), rna=rna, atac=atac, device=pick_device(device),
            trained=Trained(**state.settings["trained"]) if state.settings["trained"] else None,
        )  # fmt: skip


def latent_mean(encoder: Any, x_nf: sp.csr_matrix) -> Floats:
    """The mean of each cell's latent, without drawing from it, shape (n, k)."""
    return _by_rows(lambda x, index: encoder.mean_encoder(encoder.encoder(x, index)), x_nf, _device(encoder))


@torch.no_grad()
def library_factor(network: Any, open_np: sp.csr_matrix) -> Floats:
    """The depth factor the network reads from each cell's open peaks, shape (n,)."""
    network.eval()
    return _by_rows(network.l_encoder_accessibility, open_np, _device(network))[:, 0]


def _by_rows(read: Callable[[Tensor, Tensor], Tensor], x_nf: sp.csr_matrix, device: torch.device) -> Floats:
    found = []
    for start in range(0, x_nf.shape[0], ROWS):
        x = dense(x_nf[start : start + ROWS], device)
        found.append(read(x, one_batch(len(x), device)).cpu().numpy())
    out: Floats = np.concatenate(found)
    return out


def _columns(h_nh: Tensor, layer: Any, positions: NDArray[np.int64]) -> Tensor:
    chosen = torch.from_numpy(positions).to(h_nh.device)
    return torch.addmm(layer.bias[chosen], h_nh, layer.weight[chosen].T)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
