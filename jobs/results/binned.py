"""A gene or peak on the map of a job of any size: decoded for every cell, sent as the squares of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from engine.types import Direction, Latent, Modality
from jobs.errors import BadRequest, NotFound
from jobs.results.decoders import kept_name
from jobs.results.latents import LATENT, PLACE

if TYPE_CHECKING:
    from jobs.results.read import Results
    from jobs.spec import ScoredSpec

BINS, MOST_BINS = 140, 400  # along a side  # ours
BLOCK = 2**15  # cells decoded at once  # ours
MAPS = {"prediction": "X_umap", "truth": "X_umap_truth", "input": "X_umap_input"}
KEPT = 2  # jobs whose latents stay at hand: 256 MB where each has a million cells of 32 numbers  # ours


class BinnedView(BaseModel):
    """Squares of a map that hold cells. x, y: their middles; count: cells in each; mean: of the predicted values.

    side: of a square, in the map's own units, along x and along y. low, high: of all cells, from the first to the 99th
    percentile. cells: that lie on this map; of: all of the job.
    """

    model_config = ConfigDict(frozen=True)

    job: str
    direction: Direction
    map: str
    feature: str
    scale: str
    cells: int
    of: int
    side: tuple[float, float]
    x: tuple[float, ...]
    y: tuple[float, ...]
    count: tuple[int, ...]
    mean: tuple[float, ...]
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Drawn:
    """latent: of all cells. at: by map, the cells on it and their places, shapes (m,) and (m, 2)."""

    latent: Latent
    at: dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]]


@dataclass(frozen=True, eq=False)
class Grid:
    """Squares over a map. flat: of each cell its square, shape (m,). held: squares with cells; count: how many.

    x, y: middles of those, and side of a square along both, in the map's units.
    """

    flat: NDArray[np.int64]
    held: NDArray[np.int64]
    count: NDArray[np.int64]
    side: tuple[float, float]
    x: tuple[float, ...]
    y: tuple[float, ...]

    @classmethod
    def over(cls, xy_m2: NDArray[np.float32], bins: int) -> Grid:
        low, high = xy_m2.min(axis=0).astype(float), xy_m2.max(axis=0).astype(float)
        side = np.maximum((high - low) / bins, 1e-9)
        place_m2 = np.minimum(((xy_m2 - low) / side).astype(np.int64), bins - 1)
        flat_m = place_m2[:, 1] * bins + place_m2[:, 0]
        count = np.bincount(flat_m, minlength=bins * bins)
        held = np.flatnonzero(count)
        return cls(
            flat_m, held, count[held], (float(side[0]), float(side[1])),
            _short(low[0] + (held % bins + 0.5) * side[0]), _short(low[1] + (held // bins + 0.5) * side[1]),
        )  # fmt: skip

    def of(self, values_m: NDArray[np.float32]) -> dict[str, Any]:
        """The squares as they are sent, with the means of the cells' values, shape (m,)."""
        total = np.bincount(self.flat, weights=values_m, minlength=int(self.held[-1]) + 1)[self.held]
        return {
            "side": self.side, "x": self.x, "y": self.y, "count": tuple(self.count.tolist()),
            "mean": _short(total / self.count),
        }  # fmt: skip


class Binned:
    """Of finished translations."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self._drawn = lru_cache(maxsize=KEPT)(self._load)
        self._grid = lru_cache(maxsize=2 * KEPT)(self._laid)
        self._values = lru_cache(maxsize=8)(self._decode)

    def feature(
        self, id: str, direction: Direction, feature: str, *, map: str = "prediction", bins: int = BINS
    ) -> BinnedView:
        """Raises NotFound for a map that was not drawn, UnknownFeature, BadRequest and kin."""
        row, spec = self.results.translated(id, direction)
        if map not in MAPS or not 2 <= bins <= MOST_BINS:
            raise BadRequest(
                f"{bins} squares a side of the map {map[:40]!r} were asked for.",
                hint=f"Ask for 2 to {MOST_BINS} of {', '.join(MAPS)}.",
            )
        with self.results.turn:
            drawn = self._drawn(row.id, row.attempt, direction, kept_name(spec))
            if map not in drawn.at:
                raise NotFound(f"This job has no map of the {map}.", hint="Submit it with maps (`umap`).")
            values_n, scale = self._values(row.id, row.attempt, direction, spec, feature)
            grid = self._grid(row.id, row.attempt, direction, kept_name(spec), map, bins)
        cells_m, _ = drawn.at[map]
        values_m = values_n[cells_m]
        low, high = (float(v) for v in np.percentile(values_m, (1, 99)))
        return BinnedView(
            job=row.id, direction=direction, map=map, feature=feature, scale=scale, cells=len(cells_m),
            of=len(values_n), low=low, high=high, **grid.of(values_m),
        )  # fmt: skip

    def _load(self, id: str, attempt: int, direction: Direction, name: str) -> Drawn:
        return read_drawn(self.results.open_artifact(id, f"{direction.value}/{name}"), direction.source)

    def _laid(self, id: str, attempt: int, direction: Direction, name: str, map: str, bins: int) -> Grid:
        return Grid.over(self._drawn(id, attempt, direction, name).at[map][1], bins)

    def _decode(
        self, id: str, attempt: int, direction: Direction, spec: ScoredSpec, feature: str
    ) -> tuple[NDArray[np.float32], str]:
        from engine.translators.base import positions_of

        decoder = self.results.decoder(spec)
        (position,) = positions_of(decoder.space(direction.target), [feature])
        latent = self._drawn(id, attempt, direction, kept_name(spec)).latent
        parts: list[NDArray[np.float32]] = []
        scale = ""
        for start in range(0, len(latent), BLOCK):
            rows = slice(start, min(start + BLOCK, len(latent)))
            found = decoder.decode(latent.rows(rows), direction.target, [int(position)])
            parts.append(np.asarray(found.values[:, 0], dtype=np.float32))
            scale = found.scale.value
        return np.concatenate(parts), scale


def read_drawn(path: Path, source: Modality) -> Drawn:
    """Latents and places of `<direction>/latent.h5ad`; the cells' names stay on disk."""
    import h5py

    with h5py.File(path, "r") as file:
        values = np.asarray(file["obsm"][LATENT if LATENT in file["obsm"] else PLACE][()], dtype=np.float32)
        at = {}
        for name, key in MAPS.items():
            if key in file["obsm"]:
                xy_n2 = np.asarray(file["obsm"][key][()], dtype=np.float32)
                there = np.flatnonzero(np.isfinite(xy_n2).all(axis=1))
                if there.size:
                    at[name] = there, xy_n2[there]
    return Drawn(Latent(values, frozenset({source})), at)


def _short(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{v:.5g}") for v in values.tolist())
