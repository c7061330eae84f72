"""Tables to charts: pure functions, and the one place where a colour is written.

One meaning, one colour (Okabe–Ito): measured blue, predicted vermilion, nulls grey. Titles say the finding.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

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
MOST_DOTS = 4_000  # a scatter of more points is binned: overplotting would hide where they lie
HEIGHT = 340
FURNITURE = 165  # what title, axis and legend take of a chart's height
FADED = "#CCCCCC66"  # cells that are there, but not looked at
MEANT = {"unlike the training cells": UNCERTAIN}  # labels with a colour of their meaning

# What stands on a score's axis, in the legend's order: (name, shape, colour).
MARKS = (
    ("this translation", "circle", PREDICTION),
    ("this model", "circle", PREDICTION),
    ("joint view", "circle", PREDICTION),
    ("RNA alone", "square", NULL),
    ("ATAC alone", "diamond", NULL),
    ("average profile", "M-0.15,-1L0.15,-1L0.15,1L-0.15,1Z", NULL),
    ("depth alone", "diamond", NULL),
    ("the cell's own counts", "square", TRUTH),
    ("noise ceiling", "triangle-left", GOOD),
)


def scores(rows: pd.DataFrame, *, title: str, neutral: float, quantity: str) -> Any:
    """Dots with intervals on one axis that also carries nulls and ceiling.

    rows: one line a mark, columns label, what (a name in MARKS), value, low, high; `label` names the score and reads
    its numbers out. neutral: what chance would score.
    """
    marks = [mark for mark in MARKS if mark[0] in set(rows["what"])]
    reach = rows[["value", "low", "high"]].to_numpy(dtype=float)
    lowest, highest = min(float(np.nanmin(reach)), neutral), float(np.nanmax(reach))
    spread = max(highest - lowest, 0.05)
    domain = [lowest - 0.04 * spread, highest + 0.06 * spread]
    order = list(dict.fromkeys(rows["label"]))
    y = alt.Y(
        "label:N",
        sort=order,
        title=None,
        axis=alt.Axis(
            orient="left", labelAlign="left", labelPadding=-2, labelOffset=-18, labelLimit=0, ticks=False, domain=False
        ),
    )
    x = alt.X(
        "value:Q", title=quantity, scale=alt.Scale(domain=domain, nice=False, zero=False), axis=alt.Axis(tickCount=6)
    )
    base = alt.Chart(rows)
    # A stroke a row, not a line down the chart: that would run through the names.
    chance = (
        alt.Chart(pd.DataFrame({"value": neutral, "label": order}))
        .mark_tick(color=NULL, orient="vertical", size=24, thickness=1)
        .encode(x=x, y=y)
    )
    interval = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(color=PREDICTION, strokeWidth=3, strokeCap="round", opacity=0.55)
        .encode(y=y, x=alt.X("low:Q", title=quantity), x2="high:Q")
    )
    dots = base.mark_point(size=150, filled=True, opacity=1, strokeWidth=2.5).encode(
        y=y,
        x=x,
        color=alt.Color(
            "what:N",
            title=None,
            scale=alt.Scale(domain=[m[0] for m in marks], range=[m[2] for m in marks]),
            legend=alt.Legend(orient="bottom", direction="horizontal", columns=2, symbolSize=110, labelLimit=0),
        ),
        shape=alt.Shape(
            "what:N", title=None, scale=alt.Scale(domain=[m[0] for m in marks], range=[m[1] for m in marks])
        ),
        stroke=alt.Stroke(  # a tick has no inside to fill
            "what:N", title=None, scale=alt.Scale(domain=[m[0] for m in marks], range=[m[2] for m in marks])
        ),
        tooltip=[
            alt.Tooltip("label:N", title="score"),
            alt.Tooltip("what:N", title="of"),
            alt.Tooltip("value:Q", title="value", format=".3f"),
            alt.Tooltip("low:Q", title="from", format=".3f"),
            alt.Tooltip("high:Q", title="to", format=".3f"),
        ],
    )
    return finish(alt.layer(chance, interval, dots), title=title, height=52 * len(order) + FURNITURE)


def histogram(
    values: Sequence[float] | np.ndarray[Any, Any],
    *,
    title: str,
    quantity: str,
    unit: str,
    neutral: float,
    bins: int = 40,
) -> Any:
    """How many genes or peaks score what; chance and the mean are ruled in. values: NaN is left out."""
    data = np.asarray(values, dtype=float)
    data = data[np.isfinite(data)]
    counts, edges = np.histogram(data, bins=bins) if len(data) else (np.zeros(1), np.array([neutral, neutral + 1]))
    side = f"at or below {neutral:g}", f"above {neutral:g}"
    table = pd.DataFrame(
        {
            "from": edges[:-1],
            "to": edges[1:],
            "count": counts.astype(int),
            "side": np.where((edges[:-1] + edges[1:]) / 2 > neutral, side[1], side[0]),
        }
    )
    bars = (
        alt.Chart(table)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("from:Q", bin=alt.Bin(binned=True), title=quantity, axis=alt.Axis(format=".2~f", tickCount=7)),
            x2="to:Q",
            y=alt.Y("count:Q", title=f"number of {unit}s"),
            color=alt.Color(
                "side:N",
                title=None,
                scale=alt.Scale(domain=list(side), range=[NULL, PREDICTION]),
                legend=alt.Legend(orient="bottom"),
            ),
            tooltip=[
                alt.Tooltip("from:Q", format=".3f"),
                alt.Tooltip("to:Q", format=".3f"),
                alt.Tooltip("count:Q", title=f"{unit}s", format=","),
            ],
        )
    )
    rules = [alt.Chart(pd.DataFrame({"at": [neutral]})).mark_rule(color=NULL, strokeDash=[4, 4]).encode(x="at:Q")]
    if len(data):
        mean = pd.DataFrame({"at": [float(data.mean())], "what": ["mean"]})
        rules.append(
            alt.Chart(mean)
            .mark_rule(color=PREDICTION, strokeWidth=2)
            .encode(x="at:Q", tooltip=[alt.Tooltip("at:Q", title="mean", format=".3f")])
        )
    return finish(alt.layer(bars, *rules), title=title)


# Orders in which cells are left out: (name, colour, dash), told apart without colour too.
ORDERS = (
    ("the least certain first", UNCERTAIN, [1, 0]),
    ("the shallowest first", INK_ON_DARK, [6, 3]),
    ("at random", NULL, [2, 3]),
)


def abstention(curves: pd.DataFrame, *, title: str, quantity: str, share: float = 0.0) -> Any:
    """Mean score of the kept cells by share left out. curves: columns share, mean, what (a name in ORDERS).

    share: where the slider stands; ruled in, and a dot on the first curve, where anything is left out.
    """
    lines = [line for line in ORDERS if line[0] in set(curves["what"])]
    names = [line[0] for line in lines]
    legend = alt.Legend(orient="bottom", columns=1, labelLimit=0, symbolType="stroke", symbolSize=300)
    x = alt.X("share:Q", title="share of the cells left out", axis=alt.Axis(format="%"))
    y = alt.Y("mean:Q", title=quantity, scale=alt.Scale(zero=False), axis=alt.Axis(format=".3~f", tickCount=6))
    tooltip = [
        alt.Tooltip("what:N", title="left out"),
        alt.Tooltip("share:Q", title="share left out", format=".0%"),
        alt.Tooltip("mean:Q", title="mean of the kept", format=".3f"),
    ]
    drawn = (
        alt.Chart(curves)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "what:N", title=None, scale=alt.Scale(domain=names, range=[c for _, c, _ in lines]), legend=legend
            ),
            strokeDash=alt.StrokeDash(
                "what:N", title=None, scale=alt.Scale(domain=names, range=[d for _, _, d in lines]), legend=legend
            ),
            order="share:Q",
            tooltip=tooltip,
        )
    )
    layers = [drawn]
    mine = curves[curves["what"] == ORDERS[0][0]]
    if share > 0 and len(mine):
        here = mine.iloc[[int((mine["share"] - share).abs().argmin())]]
        layers.append(alt.Chart(here).mark_rule(color=UNCERTAIN, strokeDash=[4, 4]).encode(x=x))
        layers.append(
            alt.Chart(here)
            .mark_point(size=110, filled=True, color=UNCERTAIN, opacity=1)
            .encode(x=x, y=y, tooltip=tooltip)
        )
    return finish(alt.layer(*layers), title=title)


def roc(curve: pd.DataFrame, *, title: str) -> Any:
    """False against true positive rate. curve: columns false_positive, true_positive, and what (a name in MARKS)."""
    kinds = [mark for mark in MARKS if mark[0] in set(curve["what"])]
    scale = alt.Scale(domain=[0, 1])
    line = (
        alt.Chart(curve)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=alt.X("false_positive:Q", title="false positive rate", scale=scale),
            y=alt.Y("true_positive:Q", title="true positive rate", scale=scale),
            color=alt.Color(
                "what:N",
                title=None,
                scale=alt.Scale(domain=[k[0] for k in kinds], range=[k[2] for k in kinds]),
                legend=alt.Legend(orient="bottom"),
            ),
            strokeDash=alt.StrokeDash(
                "what:N",
                legend=None,
                scale=alt.Scale(domain=[k[0] for k in kinds], range=[[1, 0], [5, 3], [2, 2], [1, 1]]),
            ),
            order="false_positive:Q",
            tooltip=[
                alt.Tooltip("false_positive:Q", title="false positive rate", format=".3f"),
                alt.Tooltip("true_positive:Q", title="true positive rate", format=".3f"),
            ],
        )
    )
    chance = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    diagonal = alt.Chart(chance).mark_line(color=NULL, strokeDash=[4, 4], strokeWidth=1).encode(x="x:Q", y="y:Q")
    return finish(alt.layer(diagonal, line), title=title)


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
    return chart.configure_view(strokeWidth=0) if bare else chart


def dressed(chart: Any, *, dark: bool) -> Any:
    """The chart with its small print readable on the page's background (contrast of at least 4.5)."""
    ink = INK_ON_DARK if dark else INK
    chart = chart.configure_text(color=ink)
    return chart.configure_axis(labelColor=ink, titleColor=ink, labelFontSize=12, titleFontSize=12).configure_legend(
        labelColor=ink, titleColor=ink, labelFontSize=12, titleFontSize=12, padding=0, offset=8, rowPadding=4
    )
