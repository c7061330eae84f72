"""Cells left out because the model is least certain of them: what it brings, in numbers, sentences and a chart's table.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app import columns, readings
from app.charts_scores import ORDERS
from app.present import count, number, plural
from jobs.names import Direction
from jobs.results.certainty import abstention, certainty, kept

if TYPE_CHECKING:
    from jobs.results.certainty import Abstention

POINTS = 200  # of a drawn curve
CERTAIN, DEEP, RANDOM = (name for name, _, _ in ORDERS)


@dataclass(frozen=True, eq=False)
class LeavingOut:
    """One setting of the slider, over the table of cells of one direction.

    kept: flags, shape (n,). certainty: ranks, the least certain lowest; shape (n,). measured: whether the score is the
    cell's own, against its measurement, or the expected.
    depth: counts of the source, shape (n,), where the order by depth can be judged.
    """

    kept: NDArray[np.bool_]
    score: NDArray[np.float64]
    certainty: NDArray[np.float64]
    depth: NDArray[np.float64] | None
    words: str
    measured: bool

    @property
    def gone(self) -> int:
        return int((~self.kept).sum())

    @property
    def quantity(self) -> str:
        """What is averaged, as an axis names it."""
        return f"mean {self.words} of the kept cells"

    @cached_property
    def by_certainty(self) -> Abstention:
        return abstention(self.score, self.certainty)

    @cached_property
    def by_depth(self) -> Abstention | None:
        return None if self.depth is None else abstention(self.score, self.depth)

    @property
    def sentence(self) -> str:
        """Leaving out 12 of 48 cells raises the mean correlation per cell from 0.31 to 0.35; …"""
        n = len(self.kept)
        if not self.gone:
            return "No cell is left out: they are too few, or the model is equally certain of the least certain ones."
        before, after = self.by_certainty.everything, self.by_certainty.after(self.gone)
        said = (
            f"Leaving out {count(self.gone)} of {plural(n, 'cell')} {_change(f'the mean {self.words}', before, after)}"
        )
        if not self.measured:
            return f"{said}. There is no measurement to check that with."
        other = self.by_depth
        return (
            f"{said}; leaving out the shallowest would give {_three(other.after(self.gone))}." if other else f"{said}."
        )

    @property
    def title(self) -> str:
        """The finding of the whole curve: the more certain half against all cells, and against the deeper half."""
        half = len(self.kept) // 2
        everything = self.by_certainty.everything
        if not np.isfinite(everything):
            return f"No cell has a {self.words} of its own"
        said = f"{self.words[0].upper()}{self.words[1:]}: {_three(everything)} over all cells, "
        said += f"{_three(self.by_certainty.after(half))} over the more certain half"
        return said + (f", {_three(self.by_depth.after(half))} over the deeper half" if self.by_depth else "")

    @property
    def unscored(self) -> int:
        """Cells that count in no mean."""
        return int((~np.isfinite(self.score)).sum())

    def curves(self) -> pd.DataFrame:
        """The chart's table: columns share, mean, what; each curve thinned to POINTS, with the slider's place."""
        found = {CERTAIN: self.by_certainty, DEEP: self.by_depth if self.measured else None}
        parts = [_drawn(curve, name, self.gone) for name, curve in found.items() if curve is not None]
        ends = self.by_certainty.share_m[[0, -1]]
        flat = pd.DataFrame({"share": ends, "mean": self.by_certainty.everything, "what": RANDOM})
        return pd.concat([*parts, flat], ignore_index=True).dropna()


def leaving_out(cells: pd.DataFrame, direction: Direction, *, percent: int, scored: bool) -> LeavingOut | None:
    """None where the cells' table has no expected score. cells: as `Result.cells` gives them."""
    if readings.EXPECTED not in columns.doubts(cells) or cells.empty:
        return None
    column, words = readings.CELL_SCORES[direction]
    expected = cells[readings.EXPECTED].to_numpy(dtype=float)
    novelty = cells[readings.NOVELTY] if readings.NOVELTY in cells else np.zeros(len(cells))
    order = certainty(expected, np.asarray(novelty, dtype=float))
    measured = scored and column in cells and bool(cells[column].notna().any())
    depth = cells["source_depth"].to_numpy(dtype=float) if measured and "source_depth" in cells else None
    return LeavingOut(
        kept(order, percent / 100) if percent else np.ones(len(cells), dtype=bool),
        cells[column].to_numpy(dtype=float) if measured else expected,
        order,
        depth,
        words if measured else f"expected {words}",
        measured,
    )


def _drawn(curve: Abstention, name: str, place: int) -> pd.DataFrame:
    steps = np.unique(np.append(np.linspace(0, len(curve.mean_m) - 1, POINTS).astype(int), place))
    steps = steps[steps < len(curve.mean_m)]
    return pd.DataFrame({"share": curve.share_m[steps], "mean": curve.mean_m[steps], "what": name})


def _change(what: str, before: float, after: float) -> str:
    """raises the mean … from 0.312 to 0.352"""
    if not (np.isfinite(before) and np.isfinite(after)):
        return f"leaves no {what.removeprefix('the ')} to speak of"
    if _three(before) == _three(after):
        return f"leaves {what} at {_three(before)}"
    return f"{'raises' if after > before else 'lowers'} {what} from {_three(before)} to {_three(after)}"


def _three(value: float) -> str:
    return number(value, digits=3)
