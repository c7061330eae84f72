"""A map of more cells than a browser can draw: squares, coloured by the mean of their cells. Pure."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from app.charts import HEIGHT, finish


def squares(
    table: pd.DataFrame, *, title: str, side: tuple[float, float], domain: tuple[float, float], unit: str
) -> Any:
    """table: columns x, y (middles), count, mean. side: of a square along x and along y."""
    wide, high = side[0] / 2, side[1] / 2
    edges = table.assign(
        x1=table["x"] - wide, x2=table["x"] + wide, y1=table["y"] - high, y2=table["y"] + high
    )  # fmt: skip
    chart = (
        alt.Chart(edges)
        .mark_rect()
        .encode(
            x=alt.X("x1:Q", axis=None, scale=alt.Scale(zero=False)),
            x2="x2:Q",
            y=alt.Y("y1:Q", axis=None, scale=alt.Scale(zero=False)),
            y2="y2:Q",
            color=alt.Color(
                "mean:Q",
                title=unit,
                scale=alt.Scale(scheme="viridis", domain=list(domain), clamp=True),
                legend=alt.Legend(orient="bottom", gradientLength=180, format=".2~f"),
            ),
            tooltip=[alt.Tooltip("mean:Q", format=".3f", title=f"mean {unit}"), alt.Tooltip("count:Q", title="cells")],
        )
    )
    return finish(chart, title=title, marks=len(table), height=HEIGHT + 70, bare=True)
