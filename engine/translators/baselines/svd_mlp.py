"""`svd-mlp`: source SVD, a small multilayer perceptron, target SVD, and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.errors import BadSetting
from engine.preprocess.steps import prefixed, unprefixed
from engine.training import Parts, Schedule, Trained, pick_device, seeded, train, validation
from engine.translators.base import Hooks, feature_positions
from engine.translators.baselines.common import SourceView, TargetView, Viewed, across
from engine.translators.state import State
from engine.types import (
    Direction,
    Features,
    FeatureSpace,
    Floats,
    Latent,
    Modality,
    PairedCells,
    Prediction,
    Split,
)


class Perceptron(nn.Module):
    """Linear, BatchNorm, ReLU, dropout, twice; then linear."""

    def __init__(self, inputs: int, outputs: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(hidden), nn.BatchNorm1d(hidden)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, z_nk: torch.Tensor) -> torch.Tensor:
        h: torch.Tensor = z_nk
        for linear, norm in zip(self.linears, self.norms, strict=False):
            h = self.dropout(torch.relu(norm(linear(h))))
        out: torch.Tensor = self.linears[-1](h)
        return out


@dataclass(frozen=True, eq=False)
class Layers:
    """A trained perceptron as plain arrays: BatchNorm folded into the weights, ReLU between the layers."""

    weights: tuple[Floats, ...]
    offsets: tuple[Floats, ...]

    @classmethod
    def of(cls, network: Perceptron) -> Self:
        weights, offsets = [], []
        for i, linear in enumerate(network.linears):
            assert isinstance(linear, nn.Linear)
            w, b = linear.weight.detach().cpu().double(), linear.bias.detach().cpu().double()
            if i < len(network.norms):
                w, b = _folded(w, b, network.norms[i])
            weights.append(np.ascontiguousarray(w.T.numpy(), dtype=np.float32))
            offsets.append(b.numpy().astype(np.float32))
        return cls(tuple(weights), tuple(offsets))

    def __call__(self, z_nk: Floats) -> Floats:
        h = z_nk
        for i, (weight, offset) in enumerate(zip(self.weights, self.offsets, strict=True)):
            h = h @ weight + offset
            if i < len(self.weights) - 1:
                h = np.maximum(h, 0)
        return h

    def arrays(self) -> dict[str, NDArray[Any]]:
        named = {f"weight{i}": w for i, w in enumerate(self.weights)}
        return {**named, **{f"offset{i}": b for i, b in enumerate(self.offsets)}}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        count = len(arrays) // 2
        return cls(tuple(arrays[f"weight{i}"] for i in range(count)), tuple(arrays[f"offset{i}"] for i in range(count)))


def _folded(w: torch.Tensor, b: torch.Tensor, norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight.detach().cpu().double() / (norm.running_var.cpu().double() + norm.eps).sqrt()
    return w * gain[:, None], (b - norm.running_mean.cpu().double()) * gain + norm.bias.detach().cpu().double()


class SvdMlpTranslator(Viewed):
    """The latent is the source's SVD coordinates and log depth; networks of each direction are averaged."""

    key: ClassVar[str] = "svd-mlp"

    def __init__(
        self,
        views: dict[Modality, SourceView],
        targets: dict[Modality, TargetView],
        members: dict[Direction, tuple[Layers, ...]],
        trained: dict[str, Trained],
        rna: FeatureSpace,
        atac: FeatureSpace,
    ) -> None:
        super().__init__(views, rna, atac)
        self._targets, self._members, self.trained = targets, members, trained

    @property
    def notes(self) -> tuple[str, ...]:
        """What its card must say of how it was made."""
        return tuple(f"{stage}: epoch {t.best_epoch} of {t.epochs} was kept." for stage, t in self.trained.items())

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """Genes may come out slightly below zero; peaks are mapped to probabilities."""
        space = self.space(target)
        positions = feature_positions(space, features)
        members = self._members[across(latent, target)]
        y_nj = np.asarray(np.mean([layers(latent.values) for layers in members], axis=0), dtype=np.float32)
        values = self._targets[target].values(y_nj, positions)
        return Prediction(values, target, self.scale(target), space.names[positions])

    def save(self, into: Path) -> None:
        steps, weights = {}, {}
        for m in Modality:
            steps.update(prefixed(f"{m.value}.source", self._views[m].arrays()))
            steps.update(prefixed(f"{m.value}.target", self._targets[m].arrays()))
        for direction, members in self._members.items():
            for i, layers in enumerate(members):
                weights.update(prefixed(_stage(direction, i), layers.arrays()))
        State({"trained": {stage: asdict(t) for stage, t in self.trained.items()}}, steps, weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        state = State.read(source)
        trained = {stage: Trained(**t) for stage, t in state.settings["trained"].items()}
        count = len(trained) // len(Direction)
        return cls(
            {m: SourceView.from_arrays(m, unprefixed(f"{m.value}.source", state.steps)) for m in Modality},
            {m: TargetView.from_arrays(m, unprefixed(f"{m.value}.target", state.steps)) for m in Modality},
            {
                d: tuple(Layers.from_arrays(unprefixed(_stage(d, i), state.weights)) for i in range(count))
                for d in Direction
            },
            trained,
            rna,
            atac,
        )


def _stage(direction: Direction, member: int) -> str:
    return f"{direction.value}-{member + 1}"


@dataclass(frozen=True)
class SvdMlpRecipe:
    """components, target_components: of the two SVDs. seeds: networks averaged a direction.

    The published settings are `dropout=0, learning_rate=0.01, epochs=25, patience=25`; the defaults did better on the
    validation cells of both sets they were tried on.
    """

    key: ClassVar[str] = "svd-mlp"
    components: int = 50  # LS_Lab
    target_components: int = 50  # LS_Lab
    hidden: int = 400  # LS_Lab
    dropout: float = 0.5  # ours; LS_Lab 0
    learning_rate: float = 0.003  # ours; LS_Lab 0.01
    weight_decay: float = 0.0
    batch: int = 100  # LS_Lab
    epochs: int = 60  # ours; LS_Lab 25
    patience: int = 10  # ours; LS_Lab none
    seeds: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.dropout < 1 and self.seeds >= 1 and self.hidden >= 1):
            raise BadSetting(
                f"dropout={self.dropout}, seeds={self.seeds}, hidden={self.hidden} make no network.",
                hint="A dropout from 0 to below 1, at least one seed and one hidden unit.",
            )

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> SvdMlpTranslator:
        """Everything is fitted on `split.train`; `split.valid` stops the training (a tenth of train, where empty)."""
        with seeded(hooks) as rng:
            fitting, held = validation(split, rng)
            cells, unseen = pair.named(fitting), pair.named(held)
            views = {m: SourceView.fit(cells.of(m), k=self.components, rng=rng) for m in Modality}
            targets = {m: TargetView.fit(cells.of(m), k=self.target_components, rng=rng) for m in Modality}
            members: dict[Direction, tuple[Layers, ...]] = {}
            trained: dict[str, Trained] = {}
            for direction in Direction:
                view, target = views[direction.source], targets[direction.target]
                seen = Pairs.of(cells, direction, view, target)
                kept = Pairs.of(unseen, direction, view, target)
                found = []
                for i in range(self.seeds):
                    layers, how = self._member(seen, kept, _stage(direction, i), rng, hooks)
                    found.append(layers)
                    trained[_stage(direction, i)] = how
                members[direction] = tuple(found)
        return SvdMlpTranslator(views, targets, members, trained, pair.rna.space, pair.atac.space)

    def _member(
        self, seen: Pairs, held: Pairs, stage: str, rng: np.random.Generator, hooks: Hooks
    ) -> tuple[Layers, Trained]:
        device = pick_device(hooks.device)
        network = Perceptron(seen.z_nk.shape[1], seen.y_nj.shape[1], hidden=self.hidden, dropout=self.dropout)
        network.to(device)
        z, y = seen.z_nk.to(device), seen.y_nj.to(device)
        z_held, y_held = held.z_nk.to(device), held.y_nj.to(device)

        def step(rows: np.ndarray) -> tuple[torch.Tensor, Parts]:
            chosen = torch.from_numpy(rows).to(device)
            loss = nn.functional.mse_loss(network(z[chosen]), y[chosen])
            return loss, {"total": float(loss.detach())}

        def validate() -> Parts:
            return {"total": float(nn.functional.mse_loss(network(z_held), y_held))}

        schedule = Schedule(self.epochs, self.patience, self.batch, self.learning_rate, weight_decay=self.weight_decay)
        how = train(
            network, cells=len(z), schedule=schedule, step=step, validate=validate, rng=rng, hooks=hooks, stage=stage
        )
        return Layers.of(network), how


@dataclass(frozen=True, eq=False)
class Pairs:
    """Source and target coordinates of the same cells. z_nk: shape (n, k). y_nj: shape (n, j)."""

    z_nk: torch.Tensor
    y_nj: torch.Tensor

    @classmethod
    def of(cls, pair: PairedCells, direction: Direction, view: SourceView, target: TargetView) -> Self:
        z_nk = view.coordinates(pair.of(direction.source).counts)
        return cls(torch.from_numpy(z_nk), torch.from_numpy(target.coordinates(pair.of(direction.target))))
