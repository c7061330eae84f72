"""What a job took over time: one quantity a chart, its stages beneath. Pure; colours come from `charts`."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from app.charts import NULL, TEAL, WARNING, finish

HEIGHT = 190
ROOM = 0.04  # share of the time a stage needs for its name to be written over it  # ours


def over_time(
    table: pd.DataFrame, *, title: str, quantity: str, stages: pd.DataFrame, limit: float | None = None, what: str = ""
) -> Any:
    """table: columns seconds, value, stage. stages: columns stage, start, end. limit: a value to compare with."""
    last = float(max(table["seconds"].max(), stages["end"].max() if len(stages) else 0.0))
    x = alt.X("seconds:Q", title="seconds from the start", scale=alt.Scale(domain=[0, last], nice=False))
    top = max(float(table["value"].max()), limit or 0.0) * 1.18 or 1.0
    y = alt.Y("value:Q", title=quantity, scale=alt.Scale(domain=[0, top], nice=False), axis=alt.Axis(tickCount=5))
    layers = [_bands(stages, last)] if len(stages) else []
    layers.append(
        alt.Chart(table)
        .mark_area(color=TEAL, opacity=0.35, line={"color": TEAL, "strokeWidth": 2}, interpolate="step-after")
        .encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("seconds:Q", format=".0f", title="second"),
                alt.Tooltip("value:Q", format=".3~g", title=quantity),
                alt.Tooltip("stage:N"),
            ],
        )
    )
    if len(stages):
        layers.append(_names(stages, last, top))
    if limit is not None:
        layers.append(_limit(limit, what, y))
    return finish(alt.layer(*layers), title=title, height=HEIGHT)


def _bands(stages: pd.DataFrame, last: float) -> Any:
    """Every other stage on a faint ground, so that it is seen where one ends."""
    return (
        alt.Chart(stages.iloc[1::2])
        .mark_rect(color=NULL, opacity=0.12)
        .encode(x=alt.X("start:Q", scale=alt.Scale(domain=[0, last], nice=False)), x2="end:Q")
    )


def _names(stages: pd.DataFrame, last: float, top: float) -> Any:
    wide = stages[(stages["end"] - stages["start"]) >= ROOM * last * stages["stage"].str.len() / 3]
    return (
        alt.Chart(wide.assign(value=top, middle=(wide["start"] + wide["end"]) / 2))
        .mark_text(baseline="top", dy=3, fontSize=12)
        .encode(x="middle:Q", y="value:Q", text="stage:N")
    )


def _limit(limit: float, what: str, y: Any) -> Any:
    at = pd.DataFrame({"value": [limit], "what": [what]})
    return (
        alt.Chart(at)
        .mark_rule(color=WARNING, strokeWidth=2, strokeDash=[6, 4])
        .encode(y=y, tooltip=[alt.Tooltip("what:N", title=" "), alt.Tooltip("value:Q", format=".3~g")])
    )


def processors(table: pd.DataFrame, *, title: str, stages: pd.DataFrame) -> Any:
    """Processors busy; columns as `over_time` has them."""
    return over_time(table, title=title, quantity="processors busy", stages=stages)
