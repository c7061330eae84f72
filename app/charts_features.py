"""Charts of one gene or peak, and of predicted probabilities. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from app.charts import FURNITURE, NULL, PREDICTION, TRUTH, finish

WHAT = alt.Scale(domain=["measured", "predicted"], range=[TRUTH, PREDICTION])
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NAMES = ("p5", "p25", "median", "p75", "p95")


def quantiles(table: pd.DataFrame, label: str) -> pd.DataFrame:
    """A row a label and what (measured, predicted): quantiles over its cells, and how many they are."""
    rows = []
    for what in ("measured", "predicted"):
        if what not in table:
            continue
        for name, values in table.dropna(subset=[what]).groupby(label, sort=True, observed=True)[what]:
            found = dict(zip(NAMES, values.quantile(list(QUANTILES)).tolist(), strict=True))
            rows.append({"label": str(name), "what": what, **found, "cells": len(values)})
    return pd.DataFrame(rows, columns=["label", "what", *NAMES, "cells"])


def spreads(table: pd.DataFrame, *, title: str, quantity: str) -> Any:
    """Where the cells of each label lie: the middle half, nine in ten, the median. table: as `quantiles` gives it."""
    y = alt.Y("label:N", sort="ascending", title=None, axis=alt.Axis(labelLimit=140))
    there = [what for what in ("measured", "predicted") if what in set(table["what"])]
    apart = alt.YOffset("what:N", scale=alt.Scale(domain=there, paddingInner=0.3))
    colour = alt.Color("what:N", title=None, scale=WHAT, legend=alt.Legend(orient="bottom", values=there))
    tooltip = [
        alt.Tooltip("label:N"),
        alt.Tooltip("what:N", title="which"),
        *(alt.Tooltip(f"{name}:Q", format=".3f") for name in NAMES),
        alt.Tooltip("cells:Q", format=","),
    ]
    base = alt.Chart(table).encode(y=y, yOffset=apart, color=colour, tooltip=tooltip)
    line = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("p5:Q", title=quantity), x2="p95:Q")
    bar = base.mark_bar(opacity=0.55, height=alt.RelativeBandSize(0.8)).encode(
        x=alt.X("p25:Q", title=quantity), x2="p75:Q"
    )
    middle = base.mark_tick(thickness=3, size=11).encode(x=alt.X("median:Q", title=quantity))
    height = 40 * table["label"].nunique() + FURNITURE
    return finish(alt.layer(line, bar, middle), title=title, height=height)


def reliability(table: pd.DataFrame, *, title: str, unit: str = "cell", log: bool = False) -> Any:
    """Predicted probability against the share observed open. table: predicted, observed, low, high, cells.

    log: both axes logarithmic, where most probabilities are small.
    """
    both = table[["predicted", "observed"]]
    top = float(both.max().max()) * 1.15 or 1.0
    low = max(float(both[both > 0].min().min()) * 0.7, 1e-6) if log else 0.0
    domain = [low, min(top, 1.0)]
    scale = alt.Scale(type="log", domain=domain, clamp=True) if log else alt.Scale(domain=domain)
    axis = alt.Axis(format="~p", tickCount=5)
    x = alt.X("predicted:Q", title="predicted probability open", scale=scale, axis=axis)
    y = alt.Y("observed:Q", title="share observed open", scale=scale, axis=axis)
    ends = pd.DataFrame({"predicted": domain, "observed": domain})
    perfect = alt.Chart(ends).mark_line(color=NULL, strokeDash=[4, 4], strokeWidth=1).encode(x=x, y=y)
    base = alt.Chart(table)
    tooltip = [
        alt.Tooltip("predicted:Q", format=".3f"),
        alt.Tooltip("observed:Q", title="observed open", format=".3f"),
        alt.Tooltip("low:Q", title="from", format=".3f"),
        alt.Tooltip("high:Q", title="to", format=".3f"),
        alt.Tooltip("cells:Q", title=f"{unit}s", format=","),
    ]
    interval = base.mark_rule(color=PREDICTION, opacity=0.5, strokeWidth=2).encode(
        x=x, y=alt.Y("low:Q", title="share observed open", scale=scale, axis=axis), y2="high:Q"
    )
    line = base.mark_line(color=PREDICTION, strokeWidth=1.5, opacity=0.6).encode(x=x, y=y, order="predicted:Q")
    dots = base.mark_point(color=PREDICTION, filled=True, size=70, opacity=1).encode(x=x, y=y, tooltip=tooltip)
    return finish(alt.layer(perfect, interval, line, dots), title=title)


def heat(
    table: pd.DataFrame, *, title: str, unit: str, rows: Sequence[str], columns: Sequence[str],
    domain: tuple[float, float],
) -> Any:  # fmt: skip
    """Groups or cells (rows) × genes or peaks (columns). table: row, feature, value, cells."""
    cells = (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X(
                "feature:N", sort=list(columns), title=None,
                axis=alt.Axis(labelAngle=-50, labelLimit=150, labelOverlap=False),
            ),
            y=alt.Y("row:N", sort=list(rows), title=None, axis=alt.Axis(labelLimit=140)),
            color=alt.Color(
                "value:Q", title=unit, scale=alt.Scale(scheme="viridis", domain=list(domain), clamp=True),
                legend=alt.Legend(orient="bottom", gradientLength=180, format=".2~f"),
            ),
            tooltip=[
                alt.Tooltip("row:N", title="cells"), alt.Tooltip("feature:N", title="gene or peak"),
                alt.Tooltip("value:Q", format=".3f"), alt.Tooltip("cells:Q", title="number of cells", format=","),
            ],
        )
    )  # fmt: skip
    tall = max(16 if len(rows) > 20 else 26, 0) * len(rows)
    return finish(cells, title=title, height=tall + FURNITURE + 40, marks=len(table))
