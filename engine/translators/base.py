"""What every model is: a recipe chosen before seeing data, and a translator born fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engine.errors import FeatureMismatch, UnknownFeature, WrongDirection
from engine.types import (
    CellBatch,
    Direction,
    Features,
    FeatureSpace,
    Floats,
    Latent,
    Modality,
    PairedCells,
    Prediction,
    Scale,
    Split,
)

OUTSIDE = 0.99  # ours: above this novelty a cell is called out of domain; one in a hundred validation cells is


@dataclass(frozen=True)
class Epoch:
    """One epoch of training as it is reported while it happens."""

    number: int
    of: int
    train: dict[str, float]
    valid: dict[str, float]
    stage: str = ""  # of models trained in several stages
    seconds: float = 0.0  # this epoch took
    last: bool = False  # the last epoch of its training will be kept, not the one with the lowest loss


class Checkpoints(Protocol):
    """Where a training leaves what it needs to go on after a kill; bytes by name, the last kept."""

    def load(self, name: str) -> bytes | None: ...
    def save(self, name: str, data: bytes) -> None:
        """Whole or not at all: a kill in the middle leaves the one before."""
        ...


@dataclass(frozen=True)
class Hooks:
    """What training tells the outside, how the outside stops it, and where it goes on from after a kill."""

    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    on_resume: Callable[[str, int], None] = lambda stage, epoch: None  # went on after this epoch of this stage
    should_stop: Callable[[], bool] = lambda: False
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    checkpoints: Checkpoints | None = None
    checkpoint_s: float = 20.0  # seconds between two checkpoints, at least
    extra: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Translator(Protocol):
    """A fitted model. Raw counts in its own feature spaces in, values on a declared scale out."""

    key: ClassVar[str]
    directions: frozenset[Direction]

    def space(self, modality: Modality) -> FeatureSpace:
        """The genes or peaks the model knows, in its order."""
        ...

    def scale(self, target: Modality) -> Scale:
        """What its predicted numbers of this modality mean."""
        ...

    def encode(self, batch: CellBatch) -> Latent:
        """Latent of each cell, from whichever modalities are present; shape (b, k)."""
        ...

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """Predicted values of all or some features; the same numbers whichever subset is asked for."""
        ...

    def save(self, into: Path) -> None:
        """Write `translator.json` (settings) and `weights.safetensors` into the folder."""
        ...

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        """Read what `save` wrote."""
        ...


@dataclass(frozen=True, eq=False)
class Doubt:
    """What a model says of its own limits, one number a cell, shape (n,).

    novelty: how unlike the training cells a cell is, given its depth: the share of validation cells of like depth that
    are less unlike, 0 … 1. expected: the score expected of its prediction, estimated on validation cells: Pearson
    correlation over genes, or AUROC over peaks.
    """

    novelty_n: Floats
    expected_n: Floats

    @property
    def outside_n(self) -> NDArray[np.bool_]:
        """Cells unlike what the model has seen."""
        return self.novelty_n > OUTSIDE


@runtime_checkable
class Doubting(Protocol):
    """A translator that knows where it should not be trusted."""

    def doubt(self, latent: Latent) -> Doubt:
        """For each cell of what `encode` returned."""
        ...


@runtime_checkable
class Embedding(Protocol):
    """A translator of whose latent only a part is a cell's place among others; the rest serves decoding or doubt."""

    def embedding(self, latent: Latent) -> Floats:
        """Coordinates of the cells of what `encode` returned, shape (n, k)."""
        ...


def embedding_of(translator: Translator, latent: Latent) -> Floats:
    """Coordinates of cells, shape (n, k): the whole latent, unless the model says which part."""
    return translator.embedding(latent) if isinstance(translator, Embedding) else latent.values


class Recipe(Protocol):
    """Everything chosen before seeing data; a frozen dataclass whose fields are the settings."""

    key: ClassVar[str]

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> Translator:
        """Fit on `split.train`, choose on `split.valid`, never look at `split.test`."""
        ...


def feature_positions(space: FeatureSpace, features: Features) -> NDArray[np.int64]:
    """Positions of the wanted features. Raises UnknownFeature when one is out of range."""
    if features is None:
        return np.arange(len(space), dtype=np.int64)
    if isinstance(features, slice):
        return np.arange(len(space), dtype=np.int64)[features]
    positions = np.asarray(features, dtype=np.int64)
    if positions.size and (positions.min() < 0 or positions.max() >= len(space)):
        raise UnknownFeature(f"Feature positions must lie in 0 … {len(space) - 1}.")
    return positions


def positions_of(space: FeatureSpace, names: Sequence[str]) -> NDArray[np.int64]:
    """Positions by name. Raises UnknownFeature naming the first unknown one."""
    unknown = [name for name in names if name not in space.index]
    if unknown:
        kind = "genes" if space.modality is Modality.RNA else "peaks"
        raise UnknownFeature(
            f"{len(unknown)} of {len(names)} {kind} are not predicted by this model, such as {unknown[0]}.",
            hint="`crossview models show ID --features` lists what it predicts.",
        )
    return np.array([space.index[name] for name in names], dtype=np.int64)


def require_widths(batch: CellBatch, spaces: Mapping[Modality, FeatureSpace]) -> None:
    """Refuse counts that were not aligned to the model's features: sparse products would read past their weights."""
    for modality, space in spaces.items():
        counts = batch.of(modality)
        if counts is not None and counts.shape[1] != len(space):
            raise FeatureMismatch(
                f"{counts.shape[1]:,} columns of {modality.value} where the model reads {len(space):,}.",
                hint="Align the cells to the model's features first: engine.preprocess.align.",
            )


def require_source(batch: CellBatch, directions: frozenset[Direction]) -> None:
    """Refuse a batch that gives the model nothing it can start from."""
    if not any(batch.of(direction.source) is not None for direction in directions):
        wanted = ", ".join(sorted(direction.value for direction in directions))
        raise WrongDirection(f"This model translates {wanted}; the batch has no such source.")
