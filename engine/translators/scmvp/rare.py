"""Peaks that open too rarely to shape the latent: told from it once it is trained.

The paper leaves out rare peaks before it trains. Here every peak is imputed: the commonest are the network's, and each
of the others is a Poisson regression on the last units of the trained decoder of peaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.layers.composition import poisson_loss
from engine.layers.sparse import Bags
from engine.preprocess.steps import binarised, depth_of, unprefixed
from engine.training import Parts, Schedule, train
from engine.translators.base import Hooks
from engine.translators.scmvp.inputs import ROWS, Rows
from engine.translators.scmvp.posterior import posterior
from engine.translators.state import State
from engine.types import Floats

if TYPE_CHECKING:
    from engine.translators.scmvp.stages import Training

FEWEST = 2_000  # peaks that are always the network's  # ours
EPOCHS = 8  # ours
DECAY = 3.0  # decoupled, of the weights: what one peak's few openings say is noise for the most part  # ours
UNSEEN = 0.1  # openings a peak starts from that no training cell had  # ours


@dataclass(frozen=True, eq=False)
class Common:
    """common_p: places of the peaks the network is built from, ascending. rare_p: of all others."""

    common_p: NDArray[np.int64]
    rare_p: NDArray[np.int64]

    @classmethod
    def all_of(cls, peaks: int) -> Self:
        return cls(np.arange(peaks), np.zeros(0, dtype=np.int64))

    @classmethod
    def fit(cls, cells: Rows, share: float) -> Self:
        """The share of the peaks open in any of these cells that are open in most of them; `FEWEST` at least."""
        open_p = np.zeros(len(cells.pair.atac.space))
        for start in range(0, len(cells), ROWS):
            atac = cells.all_peaks(np.arange(start, min(start + ROWS, len(cells))))
            open_p += np.bincount(atac.indices[atac.data > 0], minlength=len(open_p))
        wanted = max(FEWEST, round(share * int((open_p > 0).sum())))
        if share >= 1 or wanted >= len(open_p):
            return cls.all_of(len(open_p))
        order = np.argsort(-open_p, kind="stable")
        return cls(np.sort(order[:wanted]), np.sort(order[wanted:]))

    def only(self, cells: Rows) -> Rows:
        """The same cells; of their peaks, those the network reads."""
        return replace(cells, common_p=self.common_p) if len(self.rare_p) else cells

    def read(self, atac_bp: sp.csr_matrix) -> sp.csr_matrix:
        """The columns the network reads."""
        return sp.csr_matrix(atac_bp[:, self.common_p]) if len(self.rare_p) else atac_bp


@dataclass(frozen=True, eq=False)
class RareHead:
    """Openings expected of a peak: those of the common peaks times exp(h·w + b). weight_ph, bias_p: w and b."""

    weight_ph: Floats
    bias_p: Floats

    def chance(self, h_nh: Floats, opened_n: Floats, which: NDArray[np.int64]) -> Floats:
        """Of at least one opening, shape (n, len(which)). opened_n: common peaks open in each cell."""
        log_rate = h_nh @ self.weight_ph[which].T + self.bias_p[which]
        return np.asarray(-np.expm1(-np.exp(log_rate) * np.maximum(opened_n, 1.0)[:, None]), dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"weight": self.weight_ph.astype(np.float16), "bias": self.bias_p}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["weight"].astype(np.float32), arrays["bias"])


@dataclass(frozen=True, eq=False)
class PeakTiers:
    """common: which peaks are the network's. rare: how the others are told, None where there are none."""

    common: Common
    rare: RareHead | None

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        return {"common": self.common.common_p, "rare": self.common.rare_p} if self.rare else {}

    @classmethod
    def of(cls, state: State, peaks: int) -> Self:
        """Of a saved model; all peaks are the network's where it says nothing of it."""
        if "common" not in state.steps:
            return cls(Common.all_of(peaks), None)
        common = Common(state.steps["common"].astype(np.int64), state.steps["rare"].astype(np.int64))
        return cls(common, RareHead.from_arrays(unprefixed("rare", state.weights)))


class RareNetwork(nn.Module):
    """Begins at each peak's average among the training cells."""

    def __init__(self, log_share_p: NDArray[np.float64], hidden: int) -> None:
        super().__init__()
        self.weight_ph = nn.Parameter(torch.zeros(len(log_share_p), hidden))
        self.bias_p = nn.Parameter(torch.from_numpy(log_share_p.astype(np.float32)))


@dataclass(frozen=True, eq=False)
class _Cells:
    """z_nk: means of the joint latent. opened_n: common peaks open. open_np: the rare peaks of these cells."""

    z_nk: Tensor
    opened_n: Floats
    rows: Rows
    rare_p: NDArray[np.int64]

    @classmethod
    @torch.no_grad()
    def of(cls, training: Training, rows: Rows, rare_p: NDArray[np.int64]) -> Self:
        z, opened = [], []
        for rna, atac in rows.blocks():
            z.append(posterior(training.network, training.inputs, rna, atac, training.device).mean)
            opened.append(np.maximum(depth_of(binarised(atac)), 1.0))
        return cls(torch.cat(z), np.concatenate(opened), rows, rare_p)

    def open(self, rows: NDArray[np.int64]) -> sp.csr_matrix:
        return binarised(sp.csr_matrix(self.rows.all_peaks(rows)[:, self.rare_p]))


def fit_rare(training: Training, common: Common, rng: np.random.Generator, hooks: Hooks) -> RareHead | None:
    """A last stage, from the joint latents of a network whose training has ended and which stays as it is.

    None where no peak is rare.
    """
    if not len(common.rare_p):
        return None
    network, device, batch = training.network, training.device, training.recipe.batch
    network.eval()
    seen, held = (_Cells.of(training, rows, common.rare_p) for rows in (training.cells, training.held))
    head = RareNetwork(np.log(_shares(seen)), network.to_peaks.share.in_features).to(device)

    def loss_of(some: _Cells, rows: NDArray[np.int64]) -> Tensor:
        with torch.no_grad():
            z_bk = some.z_nk[torch.from_numpy(rows).to(device)]
            h_bh = network.to_peaks.trunk(z_bk, network.prior.log_belonging(z_bk).exp())
        log_size_b = torch.from_numpy(np.log(some.opened_n[rows])).to(device)
        return poisson_loss(h_bh, head.weight_ph, head.bias_p, log_size_b, Bags.of(some.open(rows), device))

    def step(rows: NDArray[np.int64]) -> tuple[Tensor, Parts]:
        loss = loss_of(seen, rows)
        return loss, {"total": float(loss.detach())}

    def validate() -> Parts:
        blocks = [np.arange(a, min(a + batch, len(held.rows))) for a in range(0, len(held.rows), batch)]
        return {"total": sum(float(loss_of(held, rows)) * len(rows) for rows in blocks) / max(len(held.rows), 1)}

    schedule = Schedule(EPOCHS, EPOCHS, batch, training.recipe.learning_rate, clip=0.0, decay=DECAY, anneal=True)
    train(
        head, cells=len(seen.rows), schedule=schedule, step=step, validate=validate, rng=rng, hooks=hooks,
        stage=training.prefix + "rare", decayed=[head.weight_ph],
    )  # fmt: skip
    weight_ph, bias_p = (v.detach().cpu().numpy().astype(np.float32).copy() for v in (head.weight_ph, head.bias_p))
    return RareHead(weight_ph.astype(np.float16).astype(np.float32), bias_p)


def _shares(seen: _Cells) -> NDArray[np.float64]:
    """Openings of each rare peak for one of the common peaks."""
    open_p = np.zeros(len(seen.rare_p))
    for start in range(0, len(seen.rows), ROWS):
        found = seen.open(np.arange(start, min(start + ROWS, len(seen.rows))))
        open_p += np.bincount(found.indices, minlength=len(open_p))
    return np.maximum(open_p, UNSEEN) / float(seen.opened_n.sum())
