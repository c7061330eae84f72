"""Cells in, latents out; latents in, any feature out: the two halves of every translation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.errors import WrongDirection
from engine.preprocess.steps import depth_of
from engine.types import CellBatch, Cells, Direction, Floats, Latent, Modality, Names

if TYPE_CHECKING:
    from engine.preprocess.align import Alignment


@dataclass(frozen=True, eq=False)
class Encoded:
    """What is kept of translated cells. source_depth_n: counts in the model's features, shape (n,)."""

    latent: Latent
    source_depth_n: Floats
    barcodes: Names

    def __len__(self) -> int:
        return len(self.latent)

    def rows(self, which: Sequence[int] | NDArray[Any] | slice) -> Encoded:
        return Encoded(self.latent.rows(which), self.source_depth_n[which], self.barcodes[which])


def require_direction(bundle: Bundle, direction: Direction) -> None:
    """Raises WrongDirection when the model does not translate this way."""
    if direction not in bundle.translator.directions:
        known = ", ".join(bundle.manifest.directions)
        raise WrongDirection(
            f"{bundle.manifest.id} does not translate {direction.value}.", hint=f"It translates {known}."
        )


def encode_cells(bundle: Bundle, cells: Cells, alignment: Alignment, *, block: int = 2048) -> Encoded:
    """Latents of raw cells in their own feature order; `alignment` leads to the model's features."""
    latents, depths = [], []
    for start in range(0, len(cells), block):
        counts = alignment.apply(cells.counts[start : start + block])
        latents.append(bundle.translator.encode(CellBatch(**{cells.modality.value: counts})))
        depths.append(depth_of(counts))
    latent = Latent(np.concatenate([z.values for z in latents]), latents[0].source)
    return Encoded(latent, np.concatenate(depths), cells.barcodes)


def concat_encoded(parts: Sequence[Encoded]) -> Encoded:
    """Parts in the order given, as one."""
    return Encoded(
        Latent(np.concatenate([p.latent.values for p in parts]), parts[0].latent.source),
        np.concatenate([p.source_depth_n for p in parts]),
        np.concatenate([p.barcodes for p in parts]),
    )


class DecodedSource:
    """A prediction that is decoded anew, by rows or by columns, each time it is asked for; never held whole.

    positions: the features it consists of, in the model's target space (default: all).
    """

    def __init__(
        self, bundle: Bundle, encoded: Encoded, target: Modality, positions: NDArray[np.int64] | None = None
    ) -> None:
        self._translator, self._latent, self._target = bundle.translator, encoded.latent, target
        self.positions = np.arange(len(bundle.space(target))) if positions is None else positions
        self.shape = (len(encoded), len(self.positions))

    def rows(self, start: int, stop: int) -> Floats:
        """shape (stop − start, f)"""
        return self._translator.decode(self._latent.rows(slice(start, stop)), self._target, self.positions).values

    def columns(self, positions: NDArray[np.int64]) -> Floats:
        """shape (n, len(positions))"""
        return self._translator.decode(self._latent, self._target, self.positions[positions]).values
