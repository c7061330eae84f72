"""RNA → ATAC: how many peaks a cell has open, times which ones: predicted depth × composition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import nn

from engine.layers.composition import log_partition, multinomial_loss
from engine.layers.sparse import Bags
from engine.preprocess.steps import binarised, depth_of, prefixed, unprefixed
from engine.training import Parts, Trained, train
from engine.translators.crossview.inputs import Reader
from engine.translators.crossview.linear import Linear
from engine.translators.crossview.network import Shape, Trunk, TrunkNetwork, thinned
from engine.translators.crossview.setting import Run
from engine.types import Floats

START_SPREAD = 0.01  # ours: of the head's weights; a head that starts larger fits noise of rare peaks first
TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.15, 1.3)  # ours
SHARE_FLOOR = 0.25  # ours: a peak never open in training counts as a quarter of one opening
BLOCK = 1 << 22  # cells × peaks at once
ENTRIES = 1 << 18  # cells × peaks that calibrate; enough for two numbers


class CompositionNetwork(nn.Module):
    """A trunk and a softmax over peaks whose bias is the training average plus what is learned."""

    def __init__(self, genes: int, log_share_p: Floats, shape: Shape) -> None:
        super().__init__()
        self.trunk = TrunkNetwork(genes, shape)
        self.head_pk = nn.Parameter(torch.randn(len(log_share_p), shape.latent) * START_SPREAD)
        self.shift_p = nn.Parameter(torch.zeros(len(log_share_p)))
        self.register_buffer("log_share_p", torch.from_numpy(log_share_p))

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

    def encode(self, x_ng: sp.csr_matrix) -> Floats:
        """The trunk's latent and the log of the softmax's normaliser, shape (n, k + 1)."""
        z_nk = self.trunk(x_ng)
        return np.column_stack([z_nk, self._log_partition(z_nk)]).astype(np.float32)

    def _log_partition(self, z_nk: Floats) -> Floats:
        rows = max(1, BLOCK // len(self.bias_p))
        with torch.no_grad():
            head, bias = torch.from_numpy(self.head_pk), torch.from_numpy(self.bias_p)
            parts = [
                log_partition(torch.from_numpy(z_nk[i : i + rows]), head, bias).numpy()
                for i in range(0, len(z_nk), rows)
            ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

    def log_share(self, latent_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        """Log of the share of a cell's open peaks that each chosen peak is, shape (n, len(positions))."""
        return np.asarray(
            latent_nk[:, :-1] @ self.head_pk[positions].T + self.bias_p[positions] - latent_nk[:, -1:], dtype=np.float32
        )

    def tempered(self, factor: float) -> Composition:
        """Departures from the average multiplied by `factor`."""
        return Composition(self.trunk.scaled(factor), self.head_pk, self.bias_p)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {**prefixed("trunk", self.trunk.arrays()), "head": self.head_pk, "bias": self.bias_p}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        read = dict(arrays)
        return cls(Trunk.from_arrays(unprefixed("trunk", read)), read["head"], read["bias"])


@dataclass(frozen=True, eq=False)
class PeakHead:
    """members: compositions averaged. depth: log of the number of open peaks, from the genes.

    offset, slope: how the log of expected openings follows predicted log depth, chosen on validation cells.
    """

    members: tuple[Composition, ...]
    depth: Linear
    offset: float
    slope: float

    def encode(self, reader: Reader, counts_ng: sp.csr_matrix) -> Floats:
        """Each member's latent and normaliser, then the log of expected openings, shape (n, members·(k + 1) + 1)."""
        x_ng = reader.rows(counts_ng)
        log_n = self.offset + self.slope * self.depth(reader.coordinates(counts_ng))
        return np.column_stack([*(member.encode(x_ng) for member in self.members), log_n]).astype(np.float32)

    def decode(self, latent_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        """Probability of at least one opening, 1 − exp(−expected openings), shape (n, len(positions))."""
        return _probability(self.share(latent_nk, positions), latent_nk[:, -1:])

    def share(self, latent_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        """Predicted composition, shape (n, len(positions)); over all peaks a cell's shares sum to one."""
        width = (latent_nk.shape[1] - 1) // len(self.members)
        total = np.zeros((len(latent_nk), len(positions)), dtype=np.float32)
        for i, member in enumerate(self.members):
            total += np.exp(member.log_share(latent_nk[:, i * width : (i + 1) * width], positions))
        return total / np.float32(len(self.members))

    def arrays(self) -> dict[str, NDArray[Any]]:
        out = {**prefixed("depth", self.depth.arrays()), "line": np.array([self.offset, self.slope])}
        for i, member in enumerate(self.members):
            out.update(prefixed(f"member{i}", member.arrays()))
        return out

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], members: int) -> Self:
        read = dict(arrays)
        return cls(
            tuple(Composition.from_arrays(unprefixed(f"member{i}", read)) for i in range(members)),
            Linear.from_arrays(unprefixed("depth", read)),
            *(float(v) for v in read["line"]),
        )


def fit_peaks(run: Run, reader: Reader, trained: dict[str, Trained]) -> PeakHead:
    """Everything from training cells but temperature, calibration and the epoch kept, chosen on validation cells."""
    open_np, open_held = binarised(run.cells.atac.counts), binarised(run.held.atac.counts)
    x_ng, x_held = reader.rows(run.cells.rna.counts), reader.rows(run.held.rna.counts)
    count_p = np.asarray(open_np.sum(axis=0), dtype=np.float64).ravel()
    log_share_p = np.log(np.maximum(count_p, SHARE_FLOOR) / max(count_p.sum(), 1.0)).astype(np.float32)
    members = []
    for i in range(run.setting.members):
        stage = f"rna-to-atac-{i + 1}"
        member, trained[stage] = _member(run, stage, log_share_p, (x_ng, open_np), (x_held, open_held))
        members.append(_cooled(member, x_held, open_held))
    log_depth_n = np.log(np.maximum(depth_of(open_np), 1.0))[:, None]
    depth = Linear.fit(reader.coordinates(run.cells.rna.counts), log_depth_n)
    head = PeakHead(tuple(members), depth, 0.0, 1.0)
    offset, slope = _calibrated(head, reader, run.held.rna.counts, open_held, run)
    return PeakHead(tuple(members), depth, offset, slope)


def _member(
    run: Run,
    stage: str,
    log_share_p: Floats,
    seen: tuple[sp.csr_matrix, sp.csr_matrix],
    held: tuple[sp.csr_matrix, sp.csr_matrix],
) -> tuple[Composition, Trained]:
    network = CompositionNetwork(seen[0].shape[1], log_share_p, run.setting.shape(run.setting.latent)).to(run.device)
    batch = run.setting.batch

    def step(rows: NDArray[np.int64]) -> tuple[torch.Tensor, Parts]:
        bags = Bags.of(thinned(seen[0][rows], run.setting.thin_genes, run.rng), run.device)
        target = Bags.of(seen[1][rows], run.device)
        loss = multinomial_loss(network.trunk(bags), network.head_pk, network.bias_p, target)
        return loss, {"total": float(loss.detach())}

    def validate() -> Parts:
        total, counts = 0.0, 0
        for i in range(0, held[0].shape[0], batch):
            z, target = network.trunk(Bags.of(held[0][i : i + batch], run.device)), held[1][i : i + batch]
            loss = multinomial_loss(z, network.head_pk, network.bias_p, Bags.of(target, run.device))
            total, counts = total + float(loss) * target.nnz, counts + target.nnz
        return {"total": total / max(counts, 1)}

    how = train(
        network, cells=seen[0].shape[0], schedule=run.setting.schedule(run.setting.peak_epochs, run.setting.peak_decay),
        step=step, validate=validate, rng=run.rng, hooks=run.hooks, stage=stage,
        decayed=[network.trunk.first.weight_fh],
    )  # fmt: skip
    head_pk, bias_p = (v.detach().cpu().numpy().astype(np.float32).copy() for v in (network.head_pk, network.bias_p))
    return Composition(Trunk.of(network.trunk), head_pk, bias_p), how


def _cooled(member: Composition, x_held: sp.csr_matrix, open_held: sp.csr_matrix) -> Composition:
    """The member at the temperature under which the validation cells' open peaks are likeliest."""

    def loss(factor: float) -> float:
        warm = member.tempered(factor)
        latent = warm.encode(x_held)
        seen = np.asarray(open_held @ warm.head_pk)
        fit = float((latent[:, :-1] * seen).sum() + (open_held @ warm.bias_p).sum())
        return float((depth_of(open_held) * latent[:, -1]).sum()) - fit

    return member.tempered(min(TEMPERATURES, key=loss))


def _calibrated(
    head: PeakHead, reader: Reader, counts_ng: sp.csr_matrix, open_np: sp.csr_matrix, run: Run
) -> tuple[float, float]:
    """Offset and slope of log depth with the least cross-entropy on (some) validation cells and peaks.

    The slope is then multiplied by the setting's depth_weight and the offset chosen again.
    """
    cells, peaks = open_np.shape
    positions = np.sort(run.rng.choice(peaks, min(peaks, max(64, ENTRIES // max(cells, 1))), replace=False))
    latent = head.encode(reader, counts_ng)
    share, truth = head.share(latent, positions), open_np[:, positions].toarray() > 0
    log_n = latent[:, -1:]
    centre = float(log_n.mean())

    def loss(offset: float, slope: float) -> float:
        expected = np.maximum(share * np.exp(offset + slope * (log_n - centre)), 1e-9)
        return float(np.where(truth, -np.log(-np.expm1(-expected)), expected).mean())

    def best(slope: float) -> tuple[float, float]:
        found = minimize_scalar(lambda at: loss(at, slope), bounds=(centre - 2, centre + 2), method="bounded")
        return float(found.fun), float(found.x)

    chosen = minimize_scalar(lambda slope: best(slope)[0], bounds=(0.0, 1.5), method="bounded", options={"maxiter": 12})
    slope = float(chosen.x) * run.setting.depth_weight
    return best(slope)[1] - slope * centre, slope


def _probability(share: Floats, log_n: Floats) -> Floats:
    return np.asarray(-np.expm1(-share * np.exp(np.minimum(log_n, 30.0))), dtype=np.float32)
