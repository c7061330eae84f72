"""Groups of cells as an address holds them: values of labels, and boxes drawn on a map. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app import present

MAPS = {"truth": "measured", "prediction": "predicted"}
LABEL = "label"


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


Part = Labelled | Boxed


def text_of(part: Part) -> str:
    """label:cell_type=H1, or truth:-1.2,3.4,0,2.5 (from and to along x, then along y)."""
    if isinstance(part, Labelled):
        return f"{LABEL}:{quote(part.column, safe='')}={part.value}"
    return f"{part.map}:" + ",".join(f"{value:.5g}" for value in (*part.x, *part.y))


def part_of(text: str) -> Part | None:
    """What the text names; None where it is no such text."""
    kind, _, rest = text.partition(":")
    if kind == LABEL and "=" in rest:
        column, _, value = rest.partition("=")
        return Labelled(unquote(column), value)
    if kind not in MAPS:
        return None
    try:
        x0, x1, y0, y1 = (float(number) for number in rest.split(","))
    except ValueError:
        return None
    if not np.isfinite([x0, x1, y0, y1]).all():
        return None
    return Boxed(kind, (min(x0, x1), max(x0, x1)), (min(y0, y1), max(y0, y1)))


def cells_of(texts: Iterable[str], cells: pd.DataFrame) -> NDArray[np.bool_]:
    """Which cells any of the texts names. cells: as a result gives them, with labels and both maps."""
    found = np.zeros(len(cells), dtype=bool)
    for part in map(part_of, texts):
        if isinstance(part, Labelled) and part.column in cells:
            found |= (cells[part.column].astype(str) == part.value).to_numpy(dtype=bool)
        elif isinstance(part, Boxed) and f"{part.map}_umap_1" in cells:
            x = cells[f"{part.map}_umap_1"].to_numpy(dtype=float)
            y = cells[f"{part.map}_umap_2"].to_numpy(dtype=float)
            found |= (x >= part.x[0]) & (x <= part.x[1]) & (y >= part.y[0]) & (y <= part.y[1])
    return found


def words(text: str) -> str:
    """cell_type=H1 -> "H1 (cell type)"; a box by its map."""
    part = part_of(text)
    if isinstance(part, Labelled):
        return f"{part.value} ({part.column.replace('_', ' ')})"
    return f"a box on the {MAPS[part.map]} map" if part else text


def called(texts: Sequence[str]) -> str:
    return " + ".join(words(text) for text in texts)


def offered(cells: pd.DataFrame, labels: Sequence[str], *, also: Iterable[str]) -> list[str]:
    """What a group can be made of: every value of every label, and the boxes that are there already."""
    found = [
        text_of(Labelled(column, str(value))) for column in labels for value in sorted(cells[column].dropna().unique())
    ]
    boxes = [text for text in also if isinstance(part_of(text), Boxed)]
    return list(dict.fromkeys([*boxes, *found]))


def parted(cells: pd.DataFrame, a: Sequence[str], b: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """Cells of A, cells of B (all others where B names none), and how many B lost because they are in A."""
    in_a = cells_of(a, cells)
    if not b:
        return in_a, ~in_a, 0
    in_b = cells_of(b, cells)
    return in_a, in_b & ~in_a, int((in_a & in_b).sum())


def marked_words(n: int, of: int, text: str) -> str:
    part = part_of(text)
    where = f" in the box on the {MAPS[part.map]} map" if isinstance(part, Boxed) else ""
    return f"**{present.count(n)} of {present.plural(of, 'cell')}** marked{where}, lit on both maps."
