"""ATAC → RNA: components of standardised genes by several trunks and a linear member, stacked on validation cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls

from engine.layers.sparse import Bags
from engine.preprocess.steps import DepthScale, Projection, prefixed, unprefixed
from engine.training import Parts, Trained, train
from engine.translators.crossview.inputs import Reader
from engine.translators.crossview.linear import Linear
from engine.translators.crossview.network import Trunk, TrunkNetwork, thinned
from engine.translators.crossview.setting import Run
from engine.types import Cells, Floats

SPREAD_FLOOR = 0.02  # ours: a gene less spread than this is not blown up
PRIOR = (0.8, 0.2)  # ours: weights of the trunks and of the linear member where validation cells say nothing
PRIOR_WEIGHT = 0.1  # ours: of a component's squared prediction


@dataclass(frozen=True, eq=False)
class GeneBasis:
    """Log-normalised genes as components of their standardised values, in units of the first component's spread.

    weight_g: one over each gene's spread among training cells. unit: spread of the first component.
    """

    scale: DepthScale
    weight_g: Floats
    basis: Projection
    unit: float

    @classmethod
    def fit(cls, cells: Cells, *, components: int, rng: np.random.Generator) -> Self:
        scale = DepthScale.fit(cells.counts)
        y_ng = scale.log_normalised(cells.counts)
        mean_g = np.asarray(y_ng.mean(axis=0), dtype=np.float64).ravel()
        square_g = np.asarray(y_ng.multiply(y_ng).mean(axis=0), dtype=np.float64).ravel()
        spread_g = np.sqrt(np.maximum(square_g - mean_g**2, 0.0))
        weight_g = (1.0 / np.maximum(spread_g, SPREAD_FLOOR)).astype(np.float32)
        standard_ng = sp.csr_matrix(y_ng @ sp.diags(weight_g))
        basis = Projection.fit(standard_ng, k=components, rng=rng, power=2, quick=True)
        first = basis.transform(standard_ng)[:, 0]
        return cls(scale, weight_g, basis, float(first.std()) or 1.0)

    def components(self, counts_ng: sp.csr_matrix) -> Floats:
        """shape (n, k)"""
        y_ng = sp.csr_matrix(self.scale.log_normalised(counts_ng) @ sp.diags(self.weight_g))
        return np.asarray(self.basis.transform(y_ng) / np.float32(self.unit), dtype=np.float32)

    def values(self, y_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        """Log-normalised values of chosen genes, shape (n, len(positions))."""
        linear = y_nk @ (self.basis.v_fk[positions].T * np.float32(self.unit)) + self.basis.mean_f[positions]
        return np.asarray(linear / self.weight_g[positions], dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            **prefixed("scale", self.scale.arrays()), **prefixed("basis", self.basis.arrays()),
            "weight": self.weight_g, "unit": np.array(self.unit),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(
            DepthScale.from_arrays(unprefixed("scale", dict(arrays))),
            arrays["weight"],
            Projection.from_arrays(unprefixed("basis", dict(arrays))),
            float(arrays["unit"]),
        )


@dataclass(frozen=True, eq=False)
class GeneHead:
    """blend_2k: of each component, how much of the trunks' mean and of the linear member is taken."""

    basis: GeneBasis
    trunks: tuple[Trunk, ...]
    linear: Linear
    blend_2k: Floats

    def encode(self, reader: Reader, counts_np: sp.csr_matrix) -> Floats:
        """Predicted components, shape (n, k)."""
        x_np = reader.rows(counts_np)
        deep_nk = np.mean([trunk(x_np) for trunk in self.trunks], axis=0)
        return np.asarray(
            self.blend_2k[0] * deep_nk + self.blend_2k[1] * self.linear(reader.coordinates(counts_np)),
            dtype=np.float32,
        )

    def decode(self, y_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        return self.basis.values(y_nk, positions)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights alone; the basis is a fitted step."""
        out = prefixed("linear", self.linear.arrays())
        for i, trunk in enumerate(self.trunks):
            out.update(prefixed(f"trunk{i}", trunk.arrays()))
        return {**out, "blend": self.blend_2k}

    @classmethod
    def from_arrays(cls, basis: GeneBasis, arrays: Mapping[str, NDArray[Any]], members: int) -> Self:
        read = dict(arrays)
        return cls(
            basis,
            tuple(Trunk.from_arrays(unprefixed(f"trunk{i}", read)) for i in range(members)),
            Linear.from_arrays(unprefixed("linear", read)),
            read["blend"],
        )


def fit_genes(run: Run, reader: Reader, trained: dict[str, Trained]) -> GeneHead:
    """Everything from training cells but the blend and the epoch kept, which are chosen on validation cells."""
    basis = GeneBasis.fit(run.cells.rna, components=run.setting.components, rng=run.rng)
    x_np, x_held = reader.rows(run.cells.atac.counts), reader.rows(run.held.atac.counts)
    y_nk, y_held = basis.components(run.cells.rna.counts), basis.components(run.held.rna.counts)
    trunks = []
    for i in range(run.setting.members):
        stage = f"atac-to-rna-{i + 1}"
        trunk, trained[stage] = _member(run, stage, (x_np, y_nk), (x_held, y_held))
        trunks.append(trunk)
    linear = Linear.fit(reader.coordinates(run.cells.atac.counts), y_nk)
    deep_held = np.mean([trunk(x_held) for trunk in trunks], axis=0)
    blend_2k = stacked(deep_held, linear(reader.coordinates(run.held.atac.counts)), y_held)
    return GeneHead(basis, tuple(trunks), linear, blend_2k)


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
    shape = run.setting.shape(run.setting.components)
    network = TrunkNetwork(seen[0].shape[1], shape).to(run.device)
    target_nk = torch.from_numpy(seen[1]).to(run.device)
    held_bags, held_nk = Bags.of(held[0], run.device), torch.from_numpy(held[1]).to(run.device)

    def step(rows: NDArray[np.int64]) -> tuple[torch.Tensor, Parts]:
        bags = Bags.of(thinned(seen[0][rows], run.setting.thin_peaks, run.rng), run.device)
        loss = (network(bags) - target_nk[torch.from_numpy(rows).to(run.device)]).square().sum(dim=1).mean()
        return loss, {"total": float(loss.detach())}

    def validate() -> Parts:
        return {"total": float((network(held_bags) - held_nk).square().sum(dim=1).mean())}

    how = train(
        network, cells=seen[0].shape[0], schedule=run.setting.schedule(run.setting.gene_epochs, run.setting.gene_decay),
        step=step, validate=validate, rng=run.rng, hooks=run.hooks, stage=stage,
    )  # fmt: skip
    return Trunk.of(network), how
