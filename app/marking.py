"""Groups of cells as an address holds them: values of labels, boxes and free shapes drawn on a map. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app import outline, present

MAPS = {"truth": "measured", "prediction": "predicted"}
LABEL = "label"
BETWEEN = "_"  # x and y of a corner


@dataclass(frozen=True, slots=True)
class Labelled:
    """The cells whose label in `column` is `value`."""

    column: str
    value: str


@dataclass(frozen=True, slots=True)
class Boxed:
    """The cells in a box on one of the maps."""

    map: str
    x: tuple[float, float]
    y: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The cells in a shape drawn by hand on one of the maps. corners: (x, y) in their order, of four digits."""

    map: str
    corners: tuple[outline.Corner, ...]


Shape = Boxed | Drawn
Part = Labelled | Shape


def text_of(part: Part) -> str:
    """label:cell_type=H1, or truth:-1.2,3.4,0,2.5 (a box, from and to along x, then along y), or truth:0_0,2_0,1_3.5.

    The last is a shape by its corners.
    """
    if isinstance(part, Labelled):
        return f"{LABEL}:{quote(part.column, safe='')}={part.value}"
    if isinstance(part, Drawn):
        return f"{part.map}:" + ",".join(f"{x:.4g}{BETWEEN}{y:.4g}" for x, y in part.corners)
    return f"{part.map}:" + ",".join(f"{value:.5g}" for value in (*part.x, *part.y))


def part_of(text: str) -> Part | None:
    """What the text names; None where it is no such text."""
    kind, _, rest = text.partition(":")
    if kind == LABEL and "=" in rest:
        column, _, value = rest.partition("=")
        return Labelled(unquote(column), value)
    if kind not in MAPS:
        return None
    if BETWEEN in rest:
        return _shape(kind, rest)
    numbers = _numbers(rest, ",", of=4)
    if numbers is None:
        return None
    x0, x1, y0, y1 = numbers
    return Boxed(kind, (min(x0, x1), max(x0, x1)), (min(y0, y1), max(y0, y1)))


def _shape(map: str, text: str) -> Drawn | None:
    given = text.split(",", outline.MOST_CORNERS)  # one more than may be is enough to refuse it
    corners = [tuple(pair) for each in given if (pair := _numbers(each, BETWEEN, of=2)) is not None]
    if len(corners) < len(given) or not 3 <= len(corners) <= outline.MOST_CORNERS:
        return None
    return Drawn(map, tuple((x, y) for x, y in corners))


def _numbers(text: str, between: str, *, of: int) -> list[float] | None:
    """As many finite numbers as there must be; None where the text holds something else."""
    try:
        numbers = [float(each) for each in text.split(between)]
    except ValueError:
        return None
    return numbers if len(numbers) == of and np.isfinite(numbers).all() else None


def shape_of(map: str, selection: Mapping[str, Any]) -> Shape | None:
    """What was drawn on the map, as its chart tells it: Vega's box, or the last box or lasso of Plotly's."""
    boxes, lassos = selection.get("box") or (), selection.get("lasso") or ()
    if lassos:
        corners = outline.simplified(lassos[-1]["x"], lassos[-1]["y"])
        return Drawn(map, corners) if corners else None
    box = boxes if isinstance(boxes, Mapping) else boxes[-1] if boxes else {}
    if "x" not in box or "y" not in box:
        return None
    (x0, x1), (y0, y1) = sorted(float(v) for v in box["x"]), sorted(float(v) for v in box["y"])
    return Boxed(map, (x0, x1), (y0, y1))


def cells_of(texts: Iterable[str], cells: pd.DataFrame) -> NDArray[np.bool_]:
    """Which cells any of the texts names. cells: as a result gives them, with labels and both maps."""
    found = np.zeros(len(cells), dtype=bool)
    for part in map(part_of, texts):
        if isinstance(part, Labelled) and part.column in cells:
            found |= (cells[part.column].astype(str) == part.value).to_numpy(dtype=bool)
        elif isinstance(part, Boxed | Drawn) and f"{part.map}_umap_1" in cells:
            x = cells[f"{part.map}_umap_1"].to_numpy(dtype=float)
            y = cells[f"{part.map}_umap_2"].to_numpy(dtype=float)
            found |= _in(part, x, y)
    return found


def _in(shape: Shape, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    if isinstance(shape, Drawn):
        return outline.inside(shape.corners, x, y)
    return (x >= shape.x[0]) & (x <= shape.x[1]) & (y >= shape.y[0]) & (y <= shape.y[1])


def words(text: str) -> str:
    """cell_type=H1 -> "H1 (cell type)"; a box or a lasso by its map."""
    part = part_of(text)
    if isinstance(part, Labelled):
        return f"{part.value} ({part.column.replace('_', ' ')})"
    return f"a {_kind(part)} on the {MAPS[part.map]} map" if part else text


def _kind(shape: Shape) -> str:
    return "lasso" if isinstance(shape, Drawn) else "box"


def called(texts: Sequence[str]) -> str:
    return " + ".join(words(text) for text in texts)


def offered(cells: pd.DataFrame, labels: Sequence[str], *, also: Iterable[str]) -> list[str]:
    """What a group can be made of: every value of every label, and the boxes and shapes that are there already."""
    found = [
        text_of(Labelled(column, str(value))) for column in labels for value in sorted(cells[column].dropna().unique())
    ]
    shapes = [text for text in also if isinstance(part_of(text), Boxed | Drawn)]
    return list(dict.fromkeys([*shapes, *found]))


def parted(cells: pd.DataFrame, a: Sequence[str], b: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """Cells of A, cells of B (all others where B names none), and how many B lost because they are in A."""
    in_a = cells_of(a, cells)
    if not b:
        return in_a, ~in_a, 0
    in_b = cells_of(b, cells)
    return in_a, in_b & ~in_a, int((in_a & in_b).sum())


def marked_words(n: int, of: int, text: str) -> str:
    part = part_of(text)
    where = f" in the {_kind(part)} on the {MAPS[part.map]} map" if isinstance(part, Boxed | Drawn) else ""
    return f"**{present.count(n)} of {present.plural(of, 'cell')}** marked{where}, lit on both maps."
