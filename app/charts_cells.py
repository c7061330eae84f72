"""Maps of cells: dots, or tiles where there are too many to tell apart; a box can be drawn on either. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import altair as alt
import numpy as np
import pandas as pd

from app import charts
from app.charts import FADED, HEIGHT, MapLook, finish

DOTS = 20_000  # cells up to which each is drawn: two maps of 50,000 keep a browser busy for four seconds  # ours
TILES = 100  # along each side of a map that is binned: about five pixels each  # ours
BOX = "box"
SAID = "said"  # what a tile holds, in words


def cell_map(cells: pd.DataFrame, *, title: str, colour: str, box: bool = False, **look: Unpack[MapLook]) -> Any:
    """As charts.umap; above DOTS cells binned. box: whether one can be drawn, to mark cells."""
    draw = charts.umap if len(cells) <= DOTS else _binned
    chart = draw(cells, title=title, colour=colour, **look)
    return chart.add_params(alt.selection_interval(name=BOX, encodings=["x", "y"])) if box else chart


def tiles(cells: pd.DataFrame, colour: str, *, labels: Sequence[str] | None, kept: str = "") -> pd.DataFrame:
    """Columns x, x2, y, y2, cells, and `colour`: the mean of a tile's cells, or their most frequent label.

    kept: a column of flags; a tile is of its kept cells where it has any, and says so in the column of that name.
    """
    known = cells[np.isfinite(cells["x"]) & np.isfinite(cells["y"]) & cells[colour].notna()]
    if kept and bool(known[kept].any()):
        place, edges = _placed(known)
        has_kept = np.bincount(place[known[kept].to_numpy(dtype=bool)], minlength=TILES * TILES) > 0
        use = known[kept].to_numpy(dtype=bool) | ~has_kept[place]
        known, place = known[use], place[use]
    else:
        place, edges = _placed(known)
    count = np.bincount(place, minlength=TILES * TILES)
    used = np.flatnonzero(count)
    i, j = used // TILES, used % TILES
    table = pd.DataFrame(
        {"x": edges[0][i], "x2": edges[0][i + 1], "y": edges[1][j], "y2": edges[1][j + 1], "cells": count[used]}
    )
    if labels is not None:
        codes = pd.Categorical(known[colour].astype(str), categories=list(labels)).codes.astype(np.int64)
        held = np.bincount(place[codes >= 0] * len(labels) + codes[codes >= 0], minlength=TILES**2 * len(labels))
        most = held.reshape(-1, len(labels))[used].argmax(axis=1)
        table[colour] = np.array(list(labels), dtype=object)[most]
    else:
        total = np.bincount(place, weights=known[colour].to_numpy(dtype=float), minlength=TILES * TILES)
        table[colour] = total[used] / count[used]
    if kept:
        flags = np.bincount(place, weights=known[kept].to_numpy(dtype=float), minlength=TILES * TILES)
        table[kept] = flags[used] > 0
    return table


def binned_note(cells: int, labels: Sequence[str] | None) -> str:
    """What a title says of tiles."""
    return f" ({cells:,} cells, binned: {'most frequent label' if labels is not None else 'mean'} of each tile)"


def _placed(cells: pd.DataFrame) -> tuple[Any, tuple[Any, Any]]:
    """The tile of each cell, and the edges along x and y."""
    edges, parts = [], []
    for name in ("x", "y"):
        values = cells[name].to_numpy(dtype=float)
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        edge = np.linspace(low, high if high > low else low + 1.0, TILES + 1)
        edges.append(edge)
        parts.append(np.clip(((values - edge[0]) / (edge[1] - edge[0])).astype(np.int64), 0, TILES - 1))
    return parts[0] * TILES + parts[1], (edges[0], edges[1])


def _binned(
    cells: pd.DataFrame, *, title: str, colour: str, labels: Sequence[str] | None = None,
    domain: tuple[float, float] | None = None, unit: str = "", lit: Sequence[str] = (), kept: str = "",
) -> Any:  # fmt: skip
    table = tiles(cells, colour, labels=labels, kept=kept)
    if labels is not None:
        encoding: Any = charts.by_label(colour, labels, lit)
    else:
        encoding = alt.Color(
            f"{colour}:Q", title=unit or colour,
            scale=alt.Scale(scheme="viridis", domain=list(domain) if domain else alt.Undefined, clamp=True),
            legend=alt.Legend(orient="bottom", gradientLength=180, format=".2~f"),
        )  # fmt: skip
    if kept:
        encoding = alt.when(f"datum['{kept}']").then(encoding).otherwise(alt.value(FADED))
    # Said here, once: the browser would put each tile's words together as it draws it, which takes longer than drawing.
    found = table[colour] if labels is not None else table[colour].map("mean {:.3f}".format)
    what = found if labels is None else "mostly " + found.astype(str)
    words = table["cells"].map("{:,} cells, ".format) + what
    drawn = (
        alt.Chart(table.drop(columns="cells").assign(**{SAID: words}))
        .mark_rect(strokeWidth=0)
        .encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)), x2="x2:Q",
            y=alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False)), y2="y2:Q", color=encoding,
            tooltip=alt.Tooltip(f"{SAID}:N"),
        )
    )  # fmt: skip
    return finish(drawn, title=title + binned_note(len(cells), labels), marks=len(table), height=HEIGHT + 70, bare=True)
