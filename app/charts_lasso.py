"""Maps of cells on which any shape can be drawn: Plotly's figures as plain dictionaries, without WebGL. Pure."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.charts import CLEAR, FADED, HEIGHT, INK, INK_ON_DARK, TITLE, TITLE_ON_DARK, label_colours
from app.charts_cells import binned_note, tiles
from app.marking import Boxed, Shape

MOST_DOTS = 2_000  # above this tiles, as one picture: dots are slow as SVG, and WebGL is not everywhere  # ours
CONFIG = {"modeBarButtons": [["lasso2d", "select2d", "resetScale2d"]], "displayModeBar": True, "displaylogo": False}
LONGEST = 19  # letters of a label in the legend
WIDEST, LINE = 38, 18  # letters of a line of the title, beside the buttons on a phone; its height in pixels
EDGE = 0.03  # of the map's width and height, around the outermost cells


@dataclass(frozen=True, slots=True)
class _Scale:
    """How numbers become colours. low, high: None for those of the numbers."""

    colours: str | list[list[Any]]
    low: float | None
    high: float | None


def cell_map(
    cells: pd.DataFrame,
    *,
    title: str,
    colour: str,
    labels: Sequence[str] | None = None,
    domain: tuple[float, float] | None = None,
    unit: str = "",
    lit: Sequence[str] = (),
    kept: str = "",
    shape: Shape | None = None,
    dark: bool = False,
) -> dict[str, Any]:
    """As charts_cells.cell_map, to be marked by a lasso or a box. shape: drawn on it already.

    dark: whether the page is; the words and the shape must be seen on it.
    """
    ink = INK_ON_DARK if dark else INK
    scale = _scale(labels, lit, domain)
    bar = {"showscale": False} if labels is not None else _bar(unit or colour, ink)
    binned = len(cells) > MOST_DOTS
    data = (_tiles if binned else _dots)(cells, colour, labels=labels, kept=kept, scale=scale, bar=bar)
    if labels is not None:
        data += _legend(labels, lit)
    if binned:
        title += binned_note(len(cells), labels)
    lines = textwrap.wrap(title, WIDEST) or [""]
    layout = {
        "template": {},
        "height": HEIGHT + 70 + LINE * (len(lines) - 1),
        "annotations": [_title(lines, TITLE_ON_DARK if dark else TITLE)],
        "margin": {"l": 4, "r": 12, "t": 22 + LINE * len(lines), "b": 0},
        "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR,
        "xaxis": {"visible": False, "range": _range(cells["x"])},
        "yaxis": {"visible": False, "range": _range(cells["y"])},
        "dragmode": "lasso", "hovermode": "closest",
        "newselection": {"line": {"color": ink, "width": 2, "dash": "dot"}},
        "modebar": {"color": ink, "activecolor": ink, "bgcolor": CLEAR},
        "legend": {
            "orientation": "h", "x": 0, "y": 0, "yanchor": "top", "indentation": -8, "entrywidth": 124,
            "maxheight": 0.4, "itemclick": False, "itemdoubleclick": False, "font": {"size": 12, "color": ink},
        },
        "shapes": [_outline(shape, ink)] if shape is not None else [],
    }  # fmt: skip
    return {"data": data, "layout": layout}


def _scale(labels: Sequence[str] | None, lit: Sequence[str], domain: tuple[float, float] | None) -> _Scale:
    if labels is None:
        low, high = domain or (None, None)
        return _Scale("Viridis", low, high)
    colours = label_colours(labels, lit) or [FADED]
    steps = [[edge / len(colours), each] for i, each in enumerate(colours) for edge in (i, i + 1)]
    return _Scale(steps, -0.5, len(colours) - 0.5)


def _dots(
    cells: pd.DataFrame, colour: str, *, labels: Sequence[str] | None, kept: str, scale: _Scale, bar: dict[str, Any]
) -> list[dict[str, Any]]:
    """A circle a cell; the grey ones lie under the others."""
    values, words = _values(cells[colour], labels), _words(cells[colour], labels)
    x, y, names = cells["x"].to_numpy(dtype=float), cells["y"].to_numpy(dtype=float), _escaped(cells["cell"])
    seen = np.isfinite(values) & (cells[kept].to_numpy(dtype=bool) if kept else True)
    size = 2 * float(np.sqrt(np.clip(24_000 / max(len(cells), 1), 6, 60) / np.pi))  # as charts.umap: an area there
    coloured = {
        "color": values[seen], "colorscale": scale.colours, "cmin": scale.low, "cmax": scale.high, "opacity": 0.85,
    } | bar  # fmt: skip
    return [
        {
            "type": "scatter", "mode": "markers", "x": x[here], "y": y[here], "showlegend": False,
            "marker": {"size": size, "line": {"width": 0}, **marker}, "customdata": names[here], "text": words[here],
            "hovertemplate": "%{customdata}<br>%{text}<extra></extra>",
        }
        for here, marker in ((~seen, {"color": FADED}), (seen, coloured))
    ]  # fmt: skip


def _tiles(
    cells: pd.DataFrame, colour: str, *, labels: Sequence[str] | None, kept: str, scale: _Scale, bar: dict[str, Any]
) -> list[dict[str, Any]]:
    """A picture of at most TILES × TILES tiles; the grey ones first."""
    table = tiles(cells, colour, labels=labels, kept=kept)
    if table.empty:
        return _dots(cells.head(0), colour, labels=labels, kept=kept, scale=scale, bar=bar)
    values, words, counts = _values(table[colour], labels), _words(table[colour], labels), table["cells"].to_numpy()
    wide, high = (float((table[b] - table[a]).iloc[0]) for a, b in (("x", "x2"), ("y", "y2")))
    column = np.rint((table["x"] - table["x"].min()) / wide).astype(int).to_numpy()
    row = np.rint((table["y"] - table["y"].min()) / high).astype(int).to_numpy()
    shape = int(row.max()) + 1, int(column.max()) + 1
    seen = table[kept].to_numpy(dtype=bool) if kept else np.ones(len(table), dtype=bool)
    drawn = []
    for here, colours in ((~seen, _Scale([[0, FADED], [1, FADED]], 0, 1)), (seen, scale)):
        at = row[here], column[here]
        drawn.append(
            {
                "type": "heatmap", "z": _grid(shape, at, values[here], empty=np.float32(np.nan)),
                "x0": float(table["x"].min()) + wide / 2, "dx": wide,
                "y0": float(table["y"].min()) + high / 2, "dy": high, "colorscale": colours.colours,
                "zmin": colours.low, "zmax": colours.high, "text": _grid(shape, at, words[here], empty=""),
                "customdata": _grid(shape, at, counts[here], empty=0), "hoverongaps": False,
                "hovertemplate": "%{text}<br>%{customdata:,} cells<extra></extra>",
                **(bar if colours is scale else {"showscale": False}),
            }
        )  # fmt: skip
    return drawn


def _grid(shape: tuple[int, int], at: tuple[Any, Any], values: Any, *, empty: Any) -> Any:
    grid = np.full(shape, empty, dtype=object if isinstance(empty, str) else np.asarray(empty).dtype)
    grid[at] = values
    return grid


def _legend(labels: Sequence[str], lit: Sequence[str]) -> list[dict[str, Any]]:
    """A circle without a place for each label, in the fixed order."""
    return [
        {
            "type": "scatter", "mode": "markers", "x": [None], "y": [None], "hoverinfo": "skip",
            "name": _plain(name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"),
            "marker": {"size": 10, "color": colour},
        }
        for name, colour in zip(labels, label_colours(labels, lit), strict=True)
    ]  # fmt: skip


def _bar(unit: str, ink: str) -> dict[str, Any]:
    """What the colours of numbers mean, along the lower edge."""
    small = {"size": 12, "color": ink}
    return {
        "showscale": True,
        "colorbar": {
            "orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "len": 190, "lenmode": "pixels",
            "thickness": 12, "outlinewidth": 0, "nticks": 5, "tickfont": small, "xpad": 4,
            "title": {"text": _plain(unit), "side": "top", "font": small},
        },
    }  # fmt: skip


def _title(lines: Sequence[str], colour: str) -> dict[str, Any]:
    """Over the map, its last line nearest: Plotly's own title, of several lines, is cut off at the top."""
    return {
        "text": f"<b>{'<br>'.join(map(_plain, lines))}</b>", "font": {"size": 14, "color": colour}, "align": "left",
        "showarrow": False, "x": 0, "xref": "paper", "xanchor": "left", "y": 1, "yref": "paper", "yanchor": "bottom",
        "yshift": 10,
    }  # fmt: skip


def _outline(shape: Shape, ink: str) -> dict[str, Any]:
    line = {"color": ink, "width": 2, "dash": "dot"}
    if isinstance(shape, Boxed):
        (x0, x1), (y0, y1) = shape.x, shape.y
        return {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "line": line}
    path = "L".join(f"{x:.4g},{y:.4g}" for x, y in shape.corners)
    return {"type": "path", "path": f"M{path}Z", "line": line}


def _range(values: pd.Series[float]) -> list[float]:
    low, high = float(values.min()), float(values.max())
    spare = EDGE * (high - low) or 1.0
    return [low - spare, high + spare]


def _values(column: pd.Series[Any], labels: Sequence[str] | None) -> NDArray[np.float64]:
    """The numbers, or each label's place among all; NaN where there is none."""
    if labels is None:
        return column.to_numpy(dtype=float)
    places = pd.Categorical(column.astype(str), categories=list(labels)).codes.astype(float)
    return np.where(places < 0, np.nan, places)


def _words(column: pd.Series[Any], labels: Sequence[str] | None) -> NDArray[np.object_]:
    if labels is not None:
        return _escaped(column)
    return column.map("{:.3f}".format).to_numpy(dtype=object)


def _escaped(column: pd.Series[Any]) -> NDArray[np.object_]:
    """Names came with the cells: what Plotly would read as a tag or a link stands there as it was written."""
    kinds = pd.Categorical(column.astype(str))
    names: NDArray[np.object_] = np.array([_plain(name) for name in kinds.categories], dtype=object)[kinds.codes]
    return names


def _plain(text: str) -> str:
    return html.escape(text, quote=False)
