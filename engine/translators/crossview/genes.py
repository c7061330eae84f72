"""ATAC → RNA: trunks and a linear member on components of standardised genes, and compositions, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls

from engine.layers.sparse import Bags
from engine.preprocess.steps import prefixed, unprefixed
from engine.training import Parts, Trained, train
from engine.translators.crossview.basis import GeneBasis
from engine.translators.crossview.composition import Composition, fit_composition, mean_share
from engine.translators.crossview.inputs import Reader
from engine.translators.crossview.linear import Linear
from engine.translators.crossview.network import Trunk, TrunkNetwork, thinned
from engine.translators.crossview.setting import Run
from engine.types import Floats

PRIOR = (0.8, 0.2)  # ours: weights of the trunks and of the linear member where validation cells say nothing
PRIOR_WEIGHT = 0.1  # ours: of a component's squared prediction
ENTRIES = 1 << 20  # cells × genes that weigh the two kinds of members against each other; enough for one number


@dataclass(frozen=True, eq=False)
class GeneHead:
    """Two predictions averaged: a stack on components, and compositions of a cell's log-normalised values.

    blend_2k: of each component, how much of the trunks' mean and of the linear member is taken. total: what a cell's
    log-normalised values sum to. share: weight of the compositions, 0 … 1.
    """

    basis: GeneBasis
    trunks: tuple[Trunk, ...]
    linear: Linear
    blend_2k: Floats
    compositions: tuple[Composition, ...]
    total: float
    share: float

    def encode(self, reader: Reader, counts_np: sp.csr_matrix) -> Floats:
        """Predicted components, then each composition's latent and normaliser, shape (n, k + members·(latent + 1))."""
        x_np = reader.rows(counts_np)
        return np.hstack([
            self._stacked(x_np, reader.coordinates(counts_np)), *(member.encode(x_np) for member in self.compositions)
        ]).astype(np.float32)  # fmt: skip

    def _stacked(self, x_np: sp.csr_matrix, coordinates_nk: Floats) -> Floats:
        deep_nk = np.mean([trunk(x_np) for trunk in self.trunks], axis=0)
        return np.asarray(self.blend_2k[0] * deep_nk + self.blend_2k[1] * self.linear(coordinates_nk), dtype=np.float32)

    def decode(self, latent_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        """Log-normalised values of chosen genes, shape (n, len(positions))."""
        linear_ng, shared_ng = self.both(latent_nk, positions)
        return np.asarray((1 - self.share) * linear_ng + self.share * shared_ng, dtype=np.float32)

    def both(self, latent_nk: Floats, positions: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """What the stack says and what the compositions say, each of shape (n, len(positions))."""
        k = self.blend_2k.shape[1]
        shared_ng = mean_share(self.compositions, latent_nk[:, k:], positions) * np.float32(self.total)
        return self.basis.values(latent_nk[:, :k], positions), shared_ng

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights alone; the basis is a fitted step."""
        out = prefixed("linear", self.linear.arrays())
        for i, trunk in enumerate(self.trunks):
            out.update(prefixed(f"trunk{i}", trunk.arrays()))
        for i, member in enumerate(self.compositions):
            out.update(prefixed(f"composition{i}", member.arrays()))
        return {**out, "blend": self.blend_2k, "mix": np.array([self.total, self.share])}

    @classmethod
    def from_arrays(cls, basis: GeneBasis, arrays: Mapping[str, NDArray[Any]], members: tuple[int, int]) -> Self:
        """members: number of trunks and of compositions."""
        read = dict(arrays)
        return cls(
            basis,
            tuple(Trunk.from_arrays(unprefixed(f"trunk{i}", read)) for i in range(members[0])),
            Linear.from_arrays(unprefixed("linear", read)),
            read["blend"],
            tuple(Composition.from_arrays(unprefixed(f"composition{i}", read)) for i in range(members[1])),
            *(float(v) for v in read["mix"]),
        )


def fit_genes(run: Run, reader: Reader, basis: GeneBasis, trained: dict[str, Trained]) -> GeneHead:
    """Everything from training cells but the epoch kept and how members are put together: validation cells choose."""
    x_np, x_held = reader.rows(run.cells.atac.counts), reader.rows(run.held.atac.counts)
    y_nk, y_held = basis.components(run.cells.rna.counts), basis.components(run.held.rna.counts)
    values_ng, values_held = (basis.scale.log_normalised(c.rna.counts) for c in (run.cells, run.held))
    trunks, compositions = [], []
    for i in range(run.setting.trunks):
        stage = f"atac-to-rna-{i + 1}"
        trunk, trained[stage] = _member(run, stage, (x_np, y_nk), (x_held, y_held))
        trunks.append(trunk)
    for i in range(run.setting.compositions):
        stage = f"atac-to-rna-shares-{i + 1}"
        member, trained[stage] = fit_composition(
            run, stage, run.setting.shares, (x_np, values_ng), (x_held, values_held)
        )
        compositions.append(member)
    linear = Linear.fit(reader.coordinates(run.cells.atac.counts), y_nk)
    deep_held = np.mean([trunk(x_held) for trunk in trunks], axis=0)
    blend_2k = stacked(deep_held, linear(reader.coordinates(run.held.atac.counts)), y_held)
    total = float(values_ng.sum()) / max(values_ng.shape[0], 1)
    head = GeneHead(basis, tuple(trunks), linear, blend_2k, tuple(compositions), total, 0.5)
    return replace(head, share=_share(head, reader, run, values_held))


def _share(head: GeneHead, reader: Reader, run: Run, values_ng: sp.csr_matrix) -> float:
    """Weight of the compositions with the least squared error of standardised genes on validation cells."""
    positions = run.some(values_ng.shape[1], ENTRIES)
    linear_ng, shared_ng = head.both(head.encode(reader, run.held.atac.counts), positions)
    weight_g = head.basis.weight_g[positions]
    apart_ng = (shared_ng - linear_ng) * weight_g
    wanted_ng = (values_ng[:, positions].toarray() - linear_ng) * weight_g
    return float(np.clip((apart_ng * wanted_ng).sum() / max(float(np.square(apart_ng).sum()), 1e-12), 0.0, 1.0))


def stacked(deep_nk: Floats, linear_nk: Floats, y_nk: Floats) -> Floats:
    """Non-negative weights of two predictions of each component (Breiman 1996, stacking), shape (2, k).

    Pulled towards `PRIOR`; a component that neither predicts comes out near zero, which sets the rank.
    """
    out = np.zeros((2, y_nk.shape[1]))
    for j in range(y_nk.shape[1]):
        both = np.column_stack([deep_nk[:, j], linear_nk[:, j]]).astype(np.float64)
        pull = np.sqrt(PRIOR_WEIGHT * float((both**2).sum(axis=0).mean()))
        rows = np.vstack([both, pull * np.eye(2)])
        out[:, j], _ = nnls(rows, np.concatenate([y_nk[:, j].astype(np.float64), pull * np.array(PRIOR)]))
    return out.astype(np.float32)


def _member(
    run: Run, stage: str, seen: tuple[sp.csr_matrix, Floats], held: tuple[sp.csr_matrix, Floats]
) -> tuple[Trunk, Trained]:
    shape, strictness = run.setting.shape(run.setting.components), run.setting.genes
    network = TrunkNetwork(seen[0].shape[1], shape).to(run.device)
    target_nk = torch.from_numpy(seen[1]).to(run.device)
    held_bags, held_nk = Bags.of(held[0], run.device), torch.from_numpy(held[1]).to(run.device)

    def step(rows: NDArray[np.int64]) -> tuple[torch.Tensor, Parts]:
        bags = Bags.of(thinned(seen[0][rows], strictness.thin, run.rng), run.device)
        loss = (network(bags) - target_nk[torch.from_numpy(rows).to(run.device)]).square().sum(dim=1).mean()
        return loss, {"total": float(loss.detach())}

    def validate() -> Parts:
        return {"total": float((network(held_bags) - held_nk).square().sum(dim=1).mean())}

    how = train(
        network, cells=seen[0].shape[0], schedule=run.setting.schedule(strictness), step=step, validate=validate,
        rng=run.rng, hooks=run.hooks, stage=stage,
    )  # fmt: skip
    return Trunk.of(network), how
