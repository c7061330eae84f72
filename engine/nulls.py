"""What a model must beat to have said anything: the average profile, and the average profile times depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.preprocess.steps import Arrays, DepthScale, binarised, depth_of, prefixed, unprefixed
from engine.types import Direction, Floats, Modality, PairedCells

NULLS = ("mean", "depth")


@dataclass(frozen=True, eq=False)
class TargetNull:
    """The nulls of one direction, fitted on training cells.

    mean_f: training mean of the target on its scored scale, shape (f,).
    intercept, slope: log level of a cell (its row mean over the average row mean) on log source depth.
    """

    mean_f: Floats
    intercept: float
    slope: float

    def level(self, source_depth_n: NDArray[Any]) -> Floats:
        """Predicted level of each cell, 1 = average, shape (n,)."""
        log_depth_n = np.log(np.maximum(np.asarray(source_depth_n, dtype=np.float64), 1.0))
        return np.exp(np.clip(self.intercept + self.slope * log_depth_n, -3.0, 3.0)).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.mean_f, "line": np.array([self.intercept, self.slope], dtype=np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(arrays["mean"].astype(np.float32), float(arrays["line"][0]), float(arrays["line"][1]))


class RankOne:
    """level × mean as a source of rows and columns; never held whole."""

    def __init__(self, mean_f: Floats, level_n: Floats) -> None:
        self._mean_f, self._level_n = mean_f, level_n

    def rows(self, start: int, stop: int) -> Floats:
        return self._level_n[start:stop, None] * self._mean_f[None, :]

    def columns(self, positions: NDArray[np.int64]) -> Floats:
        return self._level_n[:, None] * self._mean_f[None, positions]


@dataclass(frozen=True, eq=False)
class Nulls:
    """The nulls of both directions, as every bundle carries them."""

    rna: TargetNull
    atac: TargetNull

    @classmethod
    def fit(cls, train: PairedCells) -> Self:
        rna_nf = DepthScale.fit(train.rna.counts).log_normalised(train.rna.counts)
        atac_nf = binarised(train.atac.counts)
        return cls(
            fit_target(rna_nf, depth_of(train.atac.counts)),
            fit_target(atac_nf, depth_of(train.rna.counts)),
        )

    def of(self, target: Modality) -> TargetNull:
        return self.rna if target is Modality.RNA else self.atac

    def source(
        self,
        name: str,
        direction: Direction,
        source_depth_n: NDArray[Any],
        positions: NDArray[np.int64] | None = None,
    ) -> RankOne:
        """The null's prediction for cells of this source depth; `positions` picks features. name: one of NULLS."""
        null = self.of(direction.target)
        level_n = null.level(source_depth_n) if name == "depth" else np.ones(len(source_depth_n), dtype=np.float32)
        return RankOne(null.mean_f if positions is None else null.mean_f[positions], level_n)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {**prefixed("null.rna", self.rna.arrays()), **prefixed("null.atac", self.atac.arrays())}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(
            TargetNull.from_arrays(unprefixed("null.rna", arrays)),
            TargetNull.from_arrays(unprefixed("null.atac", arrays)),
        )


def fit_target(target_nf: Any, source_depth_n: Floats) -> TargetNull:
    """target_nf: on the scored scale. source_depth_n: of the same cells, shape (n,)."""
    mean_f = np.asarray(target_nf.mean(axis=0), dtype=np.float32).ravel()
    row_n = np.asarray(target_nf.mean(axis=1), dtype=np.float64).ravel()
    used_n = (row_n > 0) & (source_depth_n > 0)
    if used_n.sum() < 3 or np.ptp(np.log(source_depth_n[used_n])) < 1e-9:
        return TargetNull(mean_f, 0.0, 0.0)
    log_level_n = np.log(row_n[used_n] / row_n[used_n].mean())
    slope, intercept = np.polyfit(np.log(source_depth_n[used_n].astype(np.float64)), log_level_n, 1)
    return TargetNull(mean_f, float(intercept), float(slope))
