"""What a scorecard holds: each score with its interval, its nulls beside it, and the tables behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.metrics.bootstrap import deviations, interval
from engine.metrics.calibration import Calibration
from engine.metrics.curves import Curve
from engine.metrics.ranks import Doubles
from engine.types import Modality

Table = dict[str, NDArray[Any]]
ProgressHook = Callable[[int, int], None]

MAIN = {Modality.RNA: "gene_pearson", Modality.ATAC: "peak_auroc_depth_adjusted"}
BOUNDS = {"pearson": (-1.0, 1.0), "spearman": (-1.0, 1.0), "skill": (-math.inf, 1.0)}
HISTOGRAM_BINS = 40


@dataclass(frozen=True)
class Gain:
    """How far a score lies above a null's, with the paired 95 % interval over cells."""

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Score:
    """One number of the scorecard.

    interval: 95 % over cells. n: cells scored. averaged: what the mean runs over (genes, peaks, cells, or entries).
    chance: what a constant prediction gets, or a random one where that is more (average precision of few positives).
    nulls, gains: by the null's name. undefined: how many of the averaged had no score of their own and counted as
    chance (per cell, for openings: were left out).
    """

    value: float
    interval: tuple[float, float]
    n: int
    averaged: int
    chance: float
    undefined: int = 0
    nulls: Mapping[str, float] = field(default_factory=dict)
    gains: Mapping[str, Gain] = field(default_factory=dict)

    @property
    def clears_nulls(self) -> bool:
        """Whether it is above chance and above every null, by the lower ends of the intervals."""
        return self.interval[0] > self.chance and all(gain.interval[0] > 0 for gain in self.gains.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "value": plain(self.value),
            "interval": plain(self.interval),
            "n": self.n,
            "averaged": self.averaged,
            "chance": plain(self.chance),
            "undefined": self.undefined,
            "nulls": plain(self.nulls),
            "gains": {k: {"value": plain(g.value), "interval": plain(g.interval)} for k, g in self.gains.items()},
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Score:
        return cls(
            value=_number(given["value"]),
            interval=_pair(given["interval"]),
            n=int(given["n"]),
            averaged=int(given["averaged"]),
            chance=_number(given["chance"]),
            undefined=int(given["undefined"]),
            nulls={k: _number(v) for k, v in given["nulls"].items()},
            gains={k: Gain(_number(g["value"]), _pair(g["interval"])) for k, g in given["gains"].items()},
        )


@dataclass(frozen=True)
class Histogram:
    """How many genes or peaks lie where. edges: one more than counts. nulls: counts by the null's name."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    nulls: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return plain({"edges": self.edges, "counts": self.counts, "nulls": self.nulls})  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Histogram:
        nulls = {k: tuple(int(v) for v in counts) for k, counts in given["nulls"].items()}
        return cls(tuple(float(v) for v in given["edges"]), tuple(int(v) for v in given["counts"]), nulls)


@dataclass(frozen=True, eq=False)
class Scores:
    """The scorecard of one prediction.

    counts: genes_scored, genes_undefined, nonfinite, base_rate …
    features, cells: tables by column (one row a scored gene or peak; one row a cell); they do not travel in `as_dict`.
    pulls: what each cell pulls on each score, shape (n,): differences between predictions of the same cells are paired
    by them. brier_n: squared error of each cell summed over features, where all values were probabilities.
    spread: mean over features of predicted over true variance between cells; far below 1 means over-smoothed.
    """

    modality: Modality
    n_cells: int
    n_features: int
    scores: Mapping[str, Score]
    counts: Mapping[str, float]
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    curve: Curve | None = None
    calibration: Calibration | None = None
    spread: float = math.nan
    notes: tuple[str, ...] = ()
    features: Table = field(default_factory=dict, repr=False)
    cells: Table = field(default_factory=dict, repr=False)
    pulls: Mapping[str, Doubles] = field(default_factory=dict, repr=False)
    brier_n: Doubles | None = field(default=None, repr=False)

    @property
    def main(self) -> str:
        """Name of the score that tells about regulation."""
        return MAIN[self.modality]

    def as_dict(self) -> dict[str, Any]:
        """Everything but the tables, ready for JSON."""
        return {
            "modality": self.modality.value,
            "n_cells": self.n_cells,
            "n_features": self.n_features,
            "main": self.main,
            "scores": {name: score.as_dict() for name, score in self.scores.items()},
            "counts": plain(self.counts),
            "histograms": {name: histogram.as_dict() for name, histogram in self.histograms.items()},
            "curve": self.curve.as_dict() if self.curve else None,
            "calibration": self.calibration.as_dict() if self.calibration else None,
            "spread": plain(self.spread),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Scores:
        """The scorecard without its tables."""
        return cls(
            modality=Modality(given["modality"]),
            n_cells=int(given["n_cells"]),
            n_features=int(given["n_features"]),
            scores={name: Score.from_dict(score) for name, score in given["scores"].items()},
            counts={
                name: value if isinstance(value, int) else _number(value) for name, value in given["counts"].items()
            },
            histograms={name: Histogram.from_dict(h) for name, h in given["histograms"].items()},
            curve=Curve.from_dict(given["curve"]) if given["curve"] else None,
            calibration=Calibration.from_dict(given["calibration"]) if given["calibration"] else None,
            spread=_number(given["spread"]),
            notes=tuple(given["notes"]),
        )


@dataclass(frozen=True, eq=False)
class Figure:
    """A score before its interval. pull: its derivative by each cell's weight, shape (n,)."""

    value: float
    pull: Doubles
    averaged: int
    undefined: int = 0
    chance: float = 0.0


def averaged(values: Doubles, pull: Doubles, *, chance: float) -> Figure:
    """Mean over features where the undefined count as chance. values: shape (m,); pull: summed over them, (n,)."""
    bad = int(np.isnan(values).sum())
    if len(values) == 0:
        return Figure(math.nan, pull, 0, 0, chance)
    return Figure(
        float(np.where(np.isnan(values), chance, values).mean()), pull / len(values), len(values), bad, chance
    )


def over_cells(values_n: Doubles, *, chance: float, skip_undefined: bool = False) -> Figure:
    """Mean over cells; the undefined count as chance, or are left out."""
    bad = np.isnan(values_n)
    if len(values_n) == 0 or (skip_undefined and bad.all()):
        return Figure(math.nan, np.zeros(len(values_n)), 0, int(bad.sum()), chance)
    used = ~bad if skip_undefined else np.ones(len(values_n), dtype=bool)
    filled = np.where(bad, chance, values_n)
    mean = float(filled[used].mean())
    pull = np.where(used, filled - mean, 0.0) / used.sum()
    return Figure(mean, pull, int(used.sum()), int(bad.sum()), chance)


def with_intervals(
    figures: Mapping[str, Figure],
    nulls: Mapping[str, Mapping[str, Figure]],
    *,
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, Score]:
    """Each figure with its interval and its gains over each null's figure of the same name, under shared weights."""
    columns = [figure.pull for figure in figures.values()]
    columns += [f.pull - nulls[null][name].pull for null in nulls for name, f in figures.items() if name in nulls[null]]
    if not columns:
        return {}
    draws = iter(deviations(np.stack(columns, axis=1), rng=rng, resamples=resamples).T)
    n = len(columns[0])
    intervals = {name: _interval(name, figure.value, next(draws), n) for name, figure in figures.items()}
    gains: dict[str, dict[str, Gain]] = {name: {} for name in figures}
    for null, theirs in nulls.items():
        for name, figure in figures.items():
            if name in theirs:
                gap = figure.value - theirs[name].value
                gains[name][null] = Gain(gap, interval(gap, next(draws), bounds=(-math.inf, math.inf)))
    return {
        name: Score(
            value=figure.value,
            interval=intervals[name],
            n=n,
            averaged=figure.averaged,
            chance=figure.chance,
            undefined=figure.undefined,
            nulls={null: theirs[name].value for null, theirs in nulls.items() if name in theirs},
            gains=gains[name],
        )
        for name, figure in figures.items()
    }


def _interval(name: str, value: float, draws: Doubles, n: int) -> tuple[float, float]:
    bounds = BOUNDS.get(name.rsplit("_", 1)[-1], (0.0, 1.0))
    if n < 2 and np.isfinite(value):
        return bounds  # one cell says nothing about others
    return interval(value, draws, bounds=bounds)


def histogram(values: Doubles, nulls: Mapping[str, Doubles], *, low: float, high: float) -> Histogram:
    """Counts in equal bins; the undefined are left out."""
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)

    def counted(given: Doubles) -> tuple[int, ...]:
        return tuple(int(c) for c in np.histogram(given[~np.isnan(given)], bins=edges)[0])

    return Histogram(
        tuple(round(float(e), 6) for e in edges), counted(values), {name: counted(v) for name, v in nulls.items()}
    )


@dataclass(eq=False)
class Steps:
    """Tells a hook how far the work is. total: cells and features to pass over, all sources together."""

    total: int
    hook: ProgressHook | None
    done: int = 0

    def advance(self, count: int) -> None:
        self.done += count
        if self.hook is not None:
            self.hook(min(self.done, self.total), self.total)


def plain(value: Any) -> Any:
    """The value in JSON's own types; numbers that are not finite become None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    return value


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _pair(value: Any) -> tuple[float, float]:
    return (_number(value[0]), _number(value[1]))
