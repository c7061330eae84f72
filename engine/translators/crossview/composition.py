"""A network that says what share of a cell's counts each feature has: a trunk and a softmax over all features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import nn

from engine.layers.composition import log_partition, multinomial_loss
from engine.layers.sparse import Bags
from engine.preprocess.steps import prefixed, unprefixed
from engine.training import Parts, Trained, train
from engine.translators.crossview.network import Shape, Trunk, TrunkNetwork, halved, thinned
from engine.translators.crossview.rarity import FLOOR
from engine.translators.crossview.setting import Run, Strictness
from engine.types import Floats

START_SPREAD = 0.01  # ours: of the head's weights; a head that starts larger fits noise of rare features first
TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.15, 1.3)  # ours
BLOCK = 1 << 22  # cells × features at once
FEW_HELD = 400  # validation cells that choose epoch and temperature; enough for two numbers  # ours


class CompositionNetwork(nn.Module):
    """A trunk, a softmax whose bias is the training average plus what is learned, and another over what is read."""

    def __init__(self, log_read_f: Floats, log_share_p: Floats, shape: Shape) -> None:
        super().__init__()
        features = len(log_read_f)
        self.trunk = TrunkNetwork(features, shape)
        self.head_pk = nn.Parameter(torch.randn(len(log_share_p), shape.latent) * START_SPREAD)
        self.shift_p = nn.Parameter(torch.zeros(len(log_share_p)))
        self.echo_fk = nn.Parameter(torch.randn(features, shape.latent) * START_SPREAD)
        self.register_buffer("log_share_p", torch.from_numpy(log_share_p))
        self.register_buffer("log_read_f", torch.from_numpy(log_read_f))

    @property
    def bias_p(self) -> torch.Tensor:
        share: torch.Tensor = self.get_buffer("log_share_p")
        return share + self.shift_p


@dataclass(frozen=True, eq=False)
class Composition:
    """One member. head_pk: shape (p, k). bias_p: log share of a cell whose latent is zero, up to a constant."""

    trunk: Trunk
    head_pk: Floats
    bias_p: Floats

    def encode(self, x_nf: sp.csr_matrix, prior: Prior | None = None) -> Floats:
        """The trunk's latent and the log of the softmax's normaliser, shape (n, k + 1)."""
        z_nk = self.trunk(x_nf)
        return np.column_stack([z_nk, self.log_partition(z_nk, prior)]).astype(np.float32)

    def log_partition(self, z_nk: Floats, prior: Prior | None = None) -> Floats:
        """Shape (n,)."""
        rows = max(1, BLOCK // len(self.bias_p))
        head_pk = self.head_pk
        if prior is not None:
            z_nk, head_pk = np.hstack([z_nk, prior.given_nr]), np.hstack([head_pk, prior.weight_pr])
        with torch.no_grad():
            head, bias = torch.from_numpy(head_pk), torch.from_numpy(self.bias_p)
            parts = [
                log_partition(torch.from_numpy(z_nk[i : i + rows]), head, bias).numpy()
                for i in range(0, len(z_nk), rows)
            ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

    def log_share(self, latent_nk: Floats, positions: NDArray[np.int64], prior: Prior | None = None) -> Floats:
        """Log of the share of a cell's counts that each chosen feature has, shape (n, len(positions))."""
        out = latent_nk[:, :-1] @ self.head_pk[positions].T + self.bias_p[positions] - latent_nk[:, -1:]
        if prior is not None:
            out += prior.given_nr @ prior.weight_pr[positions].T
        return np.asarray(out, dtype=np.float32)

    def misfit(self, z_nk: Floats, counts_np: sp.csr_matrix, prior: Prior | None = None) -> float:
        """Negative log-likelihood of all counts together."""
        seen = float((z_nk * np.asarray(counts_np @ self.head_pk)).sum() + (counts_np @ self.bias_p).sum())
        if prior is not None:
            seen += float((prior.given_nr * np.asarray(counts_np @ prior.weight_pr)).sum())
        depth_n = np.asarray(counts_np.sum(axis=1)).ravel()
        return float((depth_n * self.log_partition(z_nk, prior)).sum()) - seen

    def tempered(self, factor: float) -> Composition:
        """Departures from the average multiplied by `factor`."""
        return Composition(self.trunk.scaled(factor), self.head_pk, self.bias_p)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {**prefixed("trunk", self.trunk.arrays()), "head": self.head_pk.astype(np.float16), "bias": self.bias_p}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        read = dict(arrays)
        return cls(Trunk.from_arrays(unprefixed("trunk", read)), read["head"].astype(np.float32), read["bias"])


@dataclass(frozen=True, eq=False)
class Prior:
    """What is added to every member's outputs: given_nr @ weight_prᵀ. Of the cells at hand, shape (n, r)."""

    given_nr: Floats
    weight_pr: Floats

    def scaled(self, factor: float) -> Prior:
        return Prior(self.given_nr, self.weight_pr * np.float32(factor))


def mean_share(
    members: tuple[Composition, ...], latent_nk: Floats, positions: NDArray[np.int64], prior: Prior | None = None
) -> Floats:
    """Shares averaged over members whose latents stand side by side, shape (n, len(positions))."""
    width = latent_nk.shape[1] // len(members)
    total = np.zeros((len(latent_nk), len(positions)), dtype=np.float32)
    for i, member in enumerate(members):
        total += np.exp(member.log_share(latent_nk[:, i * width : (i + 1) * width], positions, prior))
    return total / np.float32(len(members))


def fit_composition(
    run: Run,
    stage: str,
    strictness: Strictness,
    seen: tuple[sp.csr_matrix, sp.csr_matrix],
    held: tuple[sp.csr_matrix, sp.csr_matrix],
) -> tuple[Composition, Trained]:
    """Trained by the multinomial likelihood of the second of each pair given the first, at its own best temperature.

    With an echo the latent must tell the first as well: what it learns of the cell's state from all that is read keeps
    it from learning the noise of the second.
    """
    held = held[0][:FEW_HELD], held[1][:FEW_HELD]
    shape, batch = run.setting.shape(run.setting.latent), run.setting.batch
    network = CompositionNetwork(_log_share(seen[0]), _log_share(seen[1]), shape).to(run.device)

    def step(rows: NDArray[np.int64]) -> tuple[torch.Tensor, Parts]:
        read = seen[0][rows]
        z = network.trunk(Bags.of(thinned(read, strictness.thin, run.rng), run.device))
        loss = multinomial_loss(z, network.head_pk, network.bias_p, Bags.of(seen[1][rows], run.device))
        parts = {"total": float(loss.detach())}
        if strictness.echo:
            log_read_f = network.get_buffer("log_read_f")
            echo = multinomial_loss(z, network.echo_fk, log_read_f, Bags.of(read, run.device))
            loss, parts["echo"] = loss + strictness.echo * echo, float(echo.detach())
        return loss, parts

    def validate() -> Parts:
        total, counts = 0.0, 0.0
        for i in range(0, held[0].shape[0], batch):
            z, target = network.trunk(Bags.of(held[0][i : i + batch], run.device)), held[1][i : i + batch]
            loss, sum_ = multinomial_loss(z, network.head_pk, network.bias_p, Bags.of(target, run.device)), target.sum()
            total, counts = total + float(loss) * float(sum_), counts + float(sum_)
        return {"total": total / max(counts, 1.0)}

    how = train(
        network, cells=seen[0].shape[0], schedule=run.setting.schedule(strictness), step=step, validate=validate,
        rng=run.rng, hooks=run.hooks, stage=stage, decayed=[network.trunk.first.weight_fh],
    )  # fmt: skip
    head_pk, bias_p = (v.detach().cpu().numpy().astype(np.float32).copy() for v in (network.head_pk, network.bias_p))
    member = Composition(Trunk.of(network.trunk), halved(head_pk), bias_p)
    z_nk = member.trunk(held[0])
    return member.tempered(min(TEMPERATURES, key=lambda t: member.misfit(z_nk * np.float32(t), held[1]))), how


def _log_share(counts_nf: sp.csr_matrix) -> Floats:
    """Log of each feature's share of all counts, shape (f,)."""
    count_f = np.asarray(counts_nf.sum(axis=0), dtype=np.float64).ravel()
    return np.asarray(np.log(np.maximum(count_f, FLOOR) / max(count_f.sum(), 1.0)), dtype=np.float32)
