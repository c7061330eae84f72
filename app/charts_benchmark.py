"""Models side by side: standings, win matrix, costs. Pure; colours come from `charts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from app.charts import FURNITURE, GOOD, NULL, PREDICTION, WARNING, finish

CEILING = "noise ceiling"
_MARKED = {"good": GOOD, "null": NULL}
_SIGNS = {"better": "▲", "level": "=", "worse": "▼"}
_STANDINGS = ("better", "level", "worse")
_STANDING_WORDS = {
    "better": "row better than column, beyond chance",
    "level": "could be chance",
    "worse": "row worse than column, beyond chance",
}
ROW = 34


def standings(
    table: pd.DataFrame,
    seeds: pd.DataFrame,
    *,
    title: str,
    quantity: str,
    marked: Sequence[tuple[str, float, str]],
    domain: tuple[float, float] | None = None,
) -> Any:
    """A dot with its interval for each model, each seed as a small tick, yardsticks and ceiling as lines.

    table: label, value, low, high, the best first. seeds: label, seed, value. marked: (name, value, "null" | "good").
    domain: of the axis, where several charts shall share one.
    """
    order = list(table["label"])
    low, high = domain or reach(table, marked)
    x = alt.X("value:Q", title=quantity, scale=alt.Scale(domain=[low, high], nice=False), axis=alt.Axis(tickCount=5))
    y = alt.Y("label:N", sort=order, title=None, axis=alt.Axis(labelLimit=130, ticks=False, domain=False))
    base = alt.Chart(table)
    interval = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(color=PREDICTION, strokeWidth=3, strokeCap="round", opacity=0.55)
        .encode(y=y, x=alt.X("low:Q", title=quantity), x2="high:Q")
    )
    dots = base.mark_point(size=130, filled=True, opacity=1, color=PREDICTION).encode(
        y=y,
        x=x,
        tooltip=[
            alt.Tooltip("label:N", title="model"),
            alt.Tooltip("value:Q", title="mean over seeds", format=".3f"),
            alt.Tooltip("low:Q", title="from", format=".3f"),
            alt.Tooltip("high:Q", title="to", format=".3f"),
        ],
    )
    ticks = (
        alt.Chart(seeds[seeds["label"].isin(order)])
        .mark_tick(color=PREDICTION, orient="vertical", size=20, thickness=1.5, opacity=0.8)
        .encode(y=y, x=x, tooltip=[alt.Tooltip("label:N"), alt.Tooltip("seed:N"), alt.Tooltip("value:Q", format=".3f")])
    )
    layers = [*_lines(marked, x), interval, ticks, dots]
    return finish(alt.layer(*layers), title=title, height=ROW * max(len(order), 1) + FURNITURE - 20)


def reach(table: pd.DataFrame, marked: Sequence[tuple[str, float, str]]) -> tuple[float, float]:
    """From the lowest to the highest of everything drawn, with some air."""
    values = table[["value", "low", "high"]].to_numpy(dtype=float).ravel()
    values = np.append(values[np.isfinite(values)], [value for _, value, _ in marked])
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    air = 0.06 * max(high - low, 0.02)
    return low - air, high + air


_DASHES = ([1, 0], [6, 3], [2, 2])


def _lines(marked: Sequence[tuple[str, float, str]], x: Any) -> list[Any]:
    """Yardsticks and ceiling down the chart, named in a legend; lines of different dashes, whatever the colour."""
    if not marked:
        return []
    names = [name for name, _, _ in marked]
    frame = pd.DataFrame([{"what": name, "value": value} for name, value, _ in marked])
    dashes = [[4, 3] if kind == "good" else _DASHES[i % len(_DASHES)] for i, (_, _, kind) in enumerate(marked)]
    legend = alt.Legend(orient="bottom", columns=2, labelLimit=0, symbolType="stroke", symbolSize=300)
    rules = (
        alt.Chart(frame)
        .mark_rule(strokeWidth=2)
        .encode(
            x=x,
            color=alt.Color(
                "what:N",
                title=None,
                legend=legend,
                scale=alt.Scale(domain=names, range=[_MARKED[kind] for _, _, kind in marked]),
            ),
            strokeDash=alt.StrokeDash("what:N", title=None, legend=legend, scale=alt.Scale(domain=names, range=dashes)),
            tooltip=[alt.Tooltip("what:N", title=" "), alt.Tooltip("value:Q", format=".3f")],
        )
    )
    return [rules]


def win_matrix(pairs: pd.DataFrame, order: Sequence[str], *, title: str) -> Any:
    """Each row against each column: ▲ better, ▼ worse, = could be chance. pairs: a, b, value, low, high, standing."""
    table = pairs.assign(sign=pairs["standing"].map(_SIGNS), words=pairs["standing"].map(_STANDING_WORDS))
    words = [_STANDING_WORDS[name] for name in _STANDINGS]
    x = alt.X(
        "b:N",
        sort=list(order),
        title="against",
        axis=alt.Axis(labelAngle=-40, labelLimit=110, labelOverlap=False, orient="top"),
    )
    y = alt.Y("a:N", sort=list(order), title=None, axis=alt.Axis(labelLimit=110))
    tooltip = [
        alt.Tooltip("a:N", title="model"),
        alt.Tooltip("b:N", title="against"),
        alt.Tooltip("value:Q", title="difference", format="+.3f"),
        alt.Tooltip("low:Q", title="from", format="+.3f"),
        alt.Tooltip("high:Q", title="to", format="+.3f"),
    ]
    tiles = (
        alt.Chart(table)
        .mark_rect(opacity=0.35, stroke="white", strokeWidth=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "words:N",
                title=None,
                scale=alt.Scale(domain=words, range=[GOOD, NULL, WARNING]),
                legend=alt.Legend(orient="bottom", columns=1, labelLimit=0),
            ),
            tooltip=tooltip,
        )
    )
    signs = alt.Chart(table).mark_text(fontSize=13).encode(x=x, y=y, text="sign:N", tooltip=tooltip)
    return finish(alt.layer(tiles, signs), title=title, height=30 * max(len(order), 1) + FURNITURE + 40)


def costs(table: pd.DataFrame, *, title: str, cost: str, words: str, unit: str, quantity: str) -> Any:
    """What a model costs against what it scores. table: label, value, null and the column `cost`."""
    shown = table[table[cost].notna() & table["value"].notna() & (table[cost] > 0)].assign(
        what=np.where(table.loc[table[cost].notna() & table["value"].notna() & (table[cost] > 0), "null"].astype(bool),
                      "yardstick", "model")
    )  # fmt: skip
    x = alt.X(f"{cost}:Q", title=f"{words} ({unit}, log scale)", scale=alt.Scale(type="log", padding=30),
              axis=alt.Axis(format="~g", tickCount=4))  # fmt: skip
    y = alt.Y("value:Q", title=quantity, scale=alt.Scale(zero=False, padding=18), axis=alt.Axis(tickCount=5))
    points = (
        alt.Chart(shown)
        .mark_point(size=130, filled=True, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "what:N",
                title=None,
                scale=alt.Scale(domain=["model", "yardstick"], range=[PREDICTION, NULL]),
                legend=alt.Legend(orient="bottom"),
            ),
            shape=alt.Shape(
                "what:N", title=None, scale=alt.Scale(domain=["model", "yardstick"], range=["circle", "diamond"])
            ),
            tooltip=[
                alt.Tooltip("label:N", title="model"),
                alt.Tooltip("value:Q", title=quantity, format=".3f"),
                alt.Tooltip("train_s:Q", title="s to train", format=".3~s"),
                alt.Tooltip("predict_s:Q", title="s to translate", format=".3~s"),
                alt.Tooltip("peak_mb:Q", title="MB at most", format=",.0f"),
            ],
        )
    )
    # Halos would need a second colour: names stand above their dots and move aside by turns.
    order = shown.sort_values("value").reset_index(drop=True)
    halves = [order.iloc[i::2] for i in (0, 1)]
    names = [
        alt.Chart(half).mark_text(dy=dy, fontSize=11).encode(x=x, y=y, text="label:N")
        for half, dy in zip(halves, (-13, 15), strict=True)
    ]
    return finish(alt.layer(points, *names), title=title, height=380)
