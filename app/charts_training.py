"""The curve of a training: one chart a stage. Pure; colours come from `charts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from app.charts import GOOD, NULL, PREDICTION, WARNING, finish
from app.curve import TRAIN, VALID

LINES = ((TRAIN, NULL, [5, 3]), (VALID, PREDICTION, [1, 0]))  # (what, colour, dash): told apart without colour too
KEPT, RESUMED = "the epoch that is kept", "went on after a stop"
HEIGHT = 300


def losses(
    points: pd.DataFrame,
    *,
    title: str,
    quantity: str,
    kept: int | None,
    resumed: Sequence[int] = (),
    log: bool = False,
    last: int | None = None,
) -> Any:
    """Loss by epoch on both sides. points: columns epoch, what, value. kept, resumed: epochs to mark.

    log: only where every value is positive. last: the right end of the axis, so that a live chart does not jump.
    """
    log = log and bool((points["value"] > 0).all())
    shown = [line for line in LINES if line[0] in set(points["what"])]
    right = max(last or 1, int(points["epoch"].max()) if len(points) else 1, 2)
    x = alt.X("epoch:Q", title="epoch", scale=alt.Scale(domain=[1, right], nice=False), axis=alt.Axis(tickMinStep=1))
    y = alt.Y(
        "value:Q",
        title=f"{quantity}{', log scale' if log else ''}",
        scale=alt.Scale(type="log" if log else "linear", zero=False),
        axis=alt.Axis(format="~g", tickCount=6),
    )
    lines = (
        alt.Chart(points)
        .mark_line(strokeWidth=2.2, point=len(points) <= 2)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "what:N",
                title=None,
                scale=alt.Scale(domain=[s[0] for s in shown], range=[s[1] for s in shown]),
                legend=alt.Legend(orient="bottom", columns=1, labelLimit=0, symbolType="stroke", symbolSize=300),
            ),
            strokeDash=alt.StrokeDash(
                "what:N",
                title=None,
                scale=alt.Scale(domain=[s[0] for s in shown], range=[s[2] for s in shown]),
                legend=alt.Legend(orient="bottom", columns=1, labelLimit=0, symbolType="stroke", symbolSize=300),
            ),
            tooltip=[
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("what:N", title="loss on"),
                alt.Tooltip("value:Q", title=quantity, format=".4~g"),
            ],
        )
    )
    layers = [*(_rule(e, x) for e in resumed), lines]
    if kept is not None:
        layers.append(_kept(points, kept, x, y))
    return finish(alt.layer(*layers), title=title, height=HEIGHT)


def _rule(epoch: int, x: Any) -> Any:
    at = pd.DataFrame({"epoch": [epoch], "what": [RESUMED]})
    return (
        alt.Chart(at)
        .mark_rule(color=WARNING, strokeWidth=2, strokeDash=[2, 3])
        .encode(x=x, tooltip=[alt.Tooltip("what:N", title=" "), alt.Tooltip("epoch:Q", title="after epoch")])
    )


def _kept(points: pd.DataFrame, epoch: int, x: Any, y: Any) -> Any:
    """A ring on the line of the cells held back, where there is a value at that epoch."""
    there = points[(points["epoch"] == epoch) & (points["what"] == VALID)].assign(mark=KEPT)
    return (
        alt.Chart(there)
        .mark_point(size=170, strokeWidth=3, color=GOOD, filled=False)
        .encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("mark:N", title=" "),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("value:Q", title="loss", format=".4~g"),
            ],
        )
    )
