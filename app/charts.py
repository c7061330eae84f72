"""Tables to charts: pure functions, and the one place where a colour is written.

One meaning, one colour (Okabe–Ito): measured blue, predicted vermilion, nulls grey. Titles say the finding.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, TypedDict

import altair as alt
import numpy as np
import pandas as pd

TRUTH, PREDICTION, NULL = "#0072B2", "#D55E00", "#999999"
UNCERTAIN, GOOD, WARNING = "#CC79A7", "#009E73", "#E69F00"
# Cell types: Paul Tol's muted set and then his light one, for colour-blind eyes; none is a colour with a meaning above.
INK, INK_ON_DARK = "#4A5460", "#B4BEC8"
TITLE, TITLE_ON_DARK = "#0B1119", "#F2F6FA"  # as the words of the page
CLEAR = "rgba(0,0,0,0)"  # what lies behind shows
LABELS = (
    "#6699CC", "#CC6677", "#44AA99", "#DDAA33", "#AA4499", "#999933", "#882255", "#117733", "#88CCEE", "#EE8866",
    "#77AADD", "#BBCC33", "#FFAABB", "#AAAA00", "#661100", "#5566AA", "#99DDFF", "#EEDD88", "#44BB99", "#BB5566",
)  # fmt: skip
TEAL, PURPLE = "#0F8B8D", "#AA4499"  # two of a kind: readable on either background, apart for colour-blind eyes
GENE = "#5B6B8C"  # gene models: neither measured nor predicted
MOST_MARKS = 100_000  # above this a browser stutters: sampled or binned, and said so
MOST_SVG = 10_000  # up to here drawn as SVG, so that it can be saved as one
MOST_SAID = 500  # marks of which each is told to a screen reader; of more the chart's own words tell  # ours
MOST_DOTS = 4_000  # a scatter of more points is binned: overplotting would hide where they lie
HEIGHT = 340
FURNITURE = 165  # what title, axis and legend take of a chart's height
FADED = "#CCCCCC66"  # cells that are there, but not looked at
MEANT = {"unlike the training cells": UNCERTAIN}  # labels with a colour of their meaning


class MapLook(TypedDict, total=False):
    """How a map of cells is coloured, as `umap` takes it."""

    labels: Sequence[str] | None
    domain: tuple[float, float] | None
    unit: str
    lit: Sequence[str]
    kept: str


def umap(
    cells: pd.DataFrame,
    *,
    title: str,
    colour: str,
    labels: Sequence[str] | None = None,
    domain: tuple[float, float] | None = None,
    unit: str = "",
    lit: Sequence[str] = (),
    kept: str = "",
) -> Any:
    """A map of cells. cells: columns x, y, cell and `colour`.

    labels: every label of the data set in its fixed order, where `colour` is categorical; otherwise viridis over
    `domain`. lit: labels to keep in colour while the others turn grey. kept: a column of flags; cells without it are
    grey and lie under the others.
    """
    shown, note = _sampled(cells)
    if kept:
        shown = shown.sort_values(kept, kind="stable")
    point = float(np.clip(24_000 / max(len(shown), 1), 6, 60))
    if labels is not None:
        encoding = by_label(colour, labels, lit)
    else:
        encoding = alt.Color(
            f"{colour}:Q",
            title=unit or colour,
            scale=alt.Scale(scheme="viridis", domain=list(domain) if domain else alt.Undefined, clamp=True),
            legend=alt.Legend(orient="bottom", gradientLength=180, format=".2~f"),
        )
    kind = "N" if labels is not None else "Q"
    value = alt.Tooltip(f"{colour}:{kind}", format=".3f") if kind == "Q" else alt.Tooltip(f"{colour}:N")
    tooltip = [alt.Tooltip("cell:N"), value]
    if kept:
        encoding = alt.when(f"datum['{kept}']").then(encoding).otherwise(alt.value(FADED))
        tooltip.append(alt.Tooltip(f"{kept}:N"))
    points = (
        alt.Chart(shown)
        .mark_circle(size=point, opacity=0.85)
        .encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False)),
            color=encoding,
            tooltip=tooltip,
        )
    )
    return finish(points, title=title + note, marks=len(shown), height=HEIGHT + 70, bare=True)


def agreement(
    table: pd.DataFrame,
    *,
    title: str,
    x: str = "measured",
    y: str = "predicted",
    name: str = "name",
    unit: str = "gene",
    labels: Sequence[str] | None = None,
) -> Any:
    """Measured against predicted, a dot each; binned above MOST_DOTS. table: columns measured, predicted, `name`.

    labels: the fixed order of labels where a column `label` colours the dots.
    """
    if len(table) > MOST_DOTS:
        return _binned(table, title=title, x=x, y=y, unit=unit)
    if labels is not None:
        colour: Any = by_label("label", labels, ())
    else:
        colour = alt.value(PREDICTION)
    dots = (
        alt.Chart(table)
        .mark_circle(size=28 if len(table) > 400 else 50, opacity=0.75)
        .encode(
            x=alt.X("measured:Q", title=x),
            y=alt.Y("predicted:Q", title=y, scale=alt.Scale(zero=False)),
            color=colour,
            tooltip=[
                alt.Tooltip(f"{name}:N", title=unit),
                alt.Tooltip("measured:Q", title=x, format=".3f"),
                alt.Tooltip("predicted:Q", title=y, format=".3f"),
            ],
        )
    )
    return finish(alt.layer(_diagonal(table), dots), title=title, marks=len(table))


def groups(table: pd.DataFrame, *, title: str, quantity: str, order: Sequence[str]) -> Any:
    """Measured and predicted mean of each label, joined by a line. table: columns label, measured, predicted, cells."""
    long = table.melt(id_vars=["label", "cells"], value_vars=["measured", "predicted"], var_name="what")
    y = alt.Y("label:N", sort=list(order), title=None, axis=alt.Axis(labelLimit=140))
    joint = (
        alt.Chart(table)
        .mark_rule(color=NULL, strokeWidth=2)
        .encode(y=y, x=alt.X("measured:Q", title=quantity), x2="predicted:Q")
    )
    dots = (
        alt.Chart(long)
        .mark_point(size=130, filled=True, opacity=1)
        .encode(
            y=y,
            x=alt.X("value:Q", title=quantity, scale=alt.Scale(zero=True)),
            color=alt.Color(
                "what:N",
                title=None,
                scale=alt.Scale(domain=["measured", "predicted"], range=[TRUTH, PREDICTION]),
                legend=alt.Legend(orient="bottom"),
            ),
            shape=alt.Shape(
                "what:N", title=None, scale=alt.Scale(domain=["measured", "predicted"], range=["square", "circle"])
            ),
            tooltip=[
                alt.Tooltip("label:N"),
                alt.Tooltip("what:N", title="which"),
                alt.Tooltip("value:Q", title="mean", format=".3f"),
                alt.Tooltip("cells:Q", format=","),
            ],
        )
    )
    return finish(alt.layer(joint, dots), title=title, height=32 * len(table) + FURNITURE)


def strips(table: pd.DataFrame, *, title: str, quantity: str) -> Any:
    """Predicted values of cells measured open and measured closed, as histograms. table: state, predicted."""
    order = ["measured open", "measured closed"]
    bars = (
        alt.Chart(table[["state", "predicted"]])
        .transform_bin("bin", "predicted", bin=alt.Bin(maxbins=30))
        .transform_aggregate(cells="count()", groupby=["state", "bin", "bin_end"])
        .transform_joinaggregate(total="sum(cells)", groupby=["state"])
        .transform_calculate(share="datum.cells / datum.total")
        .mark_bar(opacity=0.65, binSpacing=0)
        .encode(
            x=alt.X("bin:Q", bin=alt.Bin(binned=True), title=quantity),
            x2="bin_end:Q",
            y=alt.Y("share:Q", title="share of cells", stack=None, axis=alt.Axis(format="%")),
            color=alt.Color(
                "state:N",
                title=None,
                scale=alt.Scale(domain=order, range=[TRUTH, NULL]),
                legend=alt.Legend(orient="bottom"),
            ),
            tooltip=[alt.Tooltip("state:N"), alt.Tooltip("cells:Q"), alt.Tooltip("share:Q", format=".1%")],
        )
    )
    return finish(bars, title=title)


def label_colours(labels: Sequence[str], lit: Sequence[str]) -> list[str]:
    """A colour for each label by its place among all of them; those that are not lit, where any is, turn grey."""
    wanted = set(lit) or set(labels)
    return [MEANT.get(name, LABELS[i % len(LABELS)]) if name in wanted else FADED for i, name in enumerate(labels)]


def by_label(field: str, labels: Sequence[str], lit: Sequence[str]) -> Any:
    """Categorical colours in the data set's fixed order: a label keeps its colour on every chart."""
    return alt.Color(
        f"{field}:N",
        title=None,
        scale=alt.Scale(domain=list(labels), range=label_colours(labels, lit)),
        legend=alt.Legend(
            orient="bottom",
            columns=3,
            symbolLimit=0,
            labelLimit=0 if MEANT.keys() & set(labels) else 110,
            symbolSize=90,
        ),
    )


def _binned(table: pd.DataFrame, *, title: str, x: str, y: str, unit: str) -> Any:
    counts, across, up = np.histogram2d(table["measured"], table["predicted"], bins=60)
    i, j = np.nonzero(counts)
    cells = pd.DataFrame(
        {"x": across[i], "x2": across[i + 1], "y": up[j], "y2": up[j + 1], "count": counts[i, j].astype(int)}
    )
    tiles = (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            x=alt.X("x:Q", bin=alt.Bin(binned=True), title=x),
            x2="x2:Q",
            y=alt.Y("y:Q", bin=alt.Bin(binned=True), title=y),
            y2="y2:Q",
            color=alt.Color(
                "count:Q",
                title=f"{unit}s",
                scale=alt.Scale(type="log", scheme="viridis"),
                legend=alt.Legend(orient="bottom", gradientLength=180, format="~s", tickCount=3),
            ),
            tooltip=[alt.Tooltip("count:Q", title=f"{unit}s", format=",")],
        )
    )
    return finish(alt.layer(tiles, _diagonal(table)), title=f"{title} ({len(table):,} {unit}s, binned)")


def _diagonal(table: pd.DataFrame) -> Any:
    """Where prediction equals measurement, over the range they share."""
    both = table[["measured", "predicted"]]
    low, high = float(both.min(axis=0).max()), float(both.max(axis=0).min())
    line = pd.DataFrame({"measured": [low, high], "predicted": [low, high]})
    return (
        alt.Chart(line).mark_line(color=NULL, strokeDash=[4, 4], strokeWidth=1).encode(x="measured:Q", y="predicted:Q")
    )


def _sampled(cells: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """At most MOST_MARKS cells, evenly spaced through the table, and the words that say so."""
    if len(cells) <= MOST_MARKS:
        return cells, ""
    keep = np.linspace(0, len(cells) - 1, MOST_MARKS).astype(int)
    return cells.iloc[keep], f" ({MOST_MARKS:,} of {len(cells):,} cells shown)"


def finish(chart: Any, *, title: str, height: int = HEIGHT, marks: int = 0, bare: bool = False) -> Any:
    """The title in lines short enough for a phone, the height, and SVG wherever it stays light."""
    lines = textwrap.wrap(title, 50) or [""]
    chart = chart.properties(
        title=alt.Title(lines, anchor="start", fontSize=14, offset=12),
        height=height + 17 * (len(lines) - 1),
        padding={"left": 4, "right": 12, "top": 4, "bottom": 6},
        usermeta={"embedOptions": {"renderer": "svg" if marks <= MOST_SVG else "canvas"}},
    )
    if marks > MOST_SAID:
        chart = chart.configure_mark(aria=False)
    return chart.configure_view(strokeWidth=0) if bare else chart


def dressed(chart: Any, *, dark: bool) -> Any:
    """The chart with its small print readable on the page's background (contrast of at least 4.5)."""
    ink = INK_ON_DARK if dark else INK
    chart = chart.configure_text(color=ink)
    return chart.configure_axis(labelColor=ink, titleColor=ink, labelFontSize=12, titleFontSize=12).configure_legend(
        labelColor=ink, titleColor=ink, labelFontSize=12, titleFontSize=12, padding=0, offset=8, rowPadding=4
    )
