"""Scores as charts: dots with intervals beside their nulls, how they are spread, and who is better left out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from app.charts import FURNITURE, GOOD, INK_ON_DARK, NULL, PREDICTION, TRUTH, UNCERTAIN, finish

# What stands on a score's axis, in the legend's order: (name, shape, colour).
MARKS = (
    ("this translation", "circle", PREDICTION),
    ("this prediction", "circle", PREDICTION),
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
    measured: bool = False,
) -> Any:
    """How many genes or peaks score what; chance and the mean are ruled in. values: NaN is left out.

    measured: of measured values, not of a prediction.
    """
    colour = TRUTH if measured else PREDICTION
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
                scale=alt.Scale(domain=list(side), range=[NULL, colour]),
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
            .mark_rule(color=colour, strokeWidth=2)
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
