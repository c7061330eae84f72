"""Means over seeds with intervals over cells, and paired differences between contenders, from what cells pull.

Every score is linear in the weights of cells to first order (engine.metrics.bootstrap), so the mean over seeds of a
score has the mean of the pulls, and the difference of two contenders the difference of theirs, under the same weights.
Intervals are over held-out cells: what seeds do is told apart, as the standard deviation over them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.metrics.bootstrap import LEVEL, deviations
from engine.metrics.ranks import Doubles
from engine.metrics.scores import plain

RESAMPLES = 2000  # ours


@dataclass(frozen=True, eq=False)
class Line:
    """One contender's values of one score. seeds: value by seed; pull_n: mean over seeds, None where there is none."""

    label: str
    seeds: Mapping[int, float]
    pull_n: Doubles | None

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.seeds.values())))

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds; None for one."""
        return float(np.std(list(self.seeds.values()), ddof=1)) if len(self.seeds) > 1 else None


@dataclass(frozen=True, eq=False)
class Compared:
    """All contenders on one score, under shared weights of cells. draws: of each mean's deviation, by label."""

    lines: Mapping[str, Line]
    draws: Mapping[str, Doubles]

    @classmethod
    def of(cls, lines: Sequence[Line], *, seed: int = 0) -> Compared:
        pulled = [line for line in lines if line.pull_n is not None]
        draws: dict[str, Doubles] = {}
        if pulled:
            pulls = np.stack([np.asarray(line.pull_n, dtype=np.float64) for line in pulled], axis=1)
            found = deviations(pulls, rng=np.random.default_rng(seed), resamples=RESAMPLES)
            draws = {line.label: found[:, i] for i, line in enumerate(pulled)}
        return cls({line.label: line for line in lines}, draws)

    def interval(self, label: str) -> tuple[float | None, float | None]:
        """95 % over cells, of the mean over seeds."""
        return self._around(self.lines[label].mean, self.draws.get(label))

    def spread(self, label: str) -> float | None:
        """Standard deviation over held-out cells of the mean over seeds, by the bootstrap."""
        return float(self.draws[label].std()) if label in self.draws else None

    def difference(self, a: str, b: str) -> dict[str, Any]:
        """a − b, paired: {"value", "interval"}."""
        gap = self.lines[a].mean - self.lines[b].mean
        known = a in self.draws and b in self.draws
        low, high = self._around(gap, self.draws[a] - self.draws[b] if known else None)
        return {"value": plain(gap), "interval": [low, high]}

    def best(self, labels: Sequence[str]) -> dict[str, Any]:
        """The highest mean among these, and those whose paired difference from it has 0 in its interval."""
        scored = [label for label in labels if math.isfinite(self.lines[label].mean)]
        if not scored:
            return {"label": None, "level_with": []}
        first = max(scored, key=lambda label: self.lines[label].mean)
        level = []
        for label in scored:
            if label == first:
                continue
            low, high = self.difference(first, label)["interval"]
            alike = low <= 0 <= high if low is not None else self.lines[first].mean == self.lines[label].mean
            if alike:
                level.append(label)
        return {"label": first, "level_with": level}

    @staticmethod
    def _around(value: float, draws: Doubles | None) -> tuple[float | None, float | None]:
        if draws is None or not math.isfinite(value):
            return None, None
        low, high = np.quantile(draws, [(1 - LEVEL) / 2, 0.5 + LEVEL / 2])
        return float(value + low), float(value + high)
