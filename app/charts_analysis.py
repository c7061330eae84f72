"""Results of analyses as charts. Pure; colours come from `charts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from app.charts import (
    FURNITURE,
    LABELS,
    NULL,
    PREDICTION,
    PURPLE,
    TEAL,
    TRUTH,
    WARNING,
    finish,
)

Kind = tuple[str, str, str]  # name in the legend, shape, colour
TICK = "M-0.15,-1L0.15,-1L0.15,1L-0.15,1Z"
PROFILE_KINDS: tuple[Kind, ...] = (
    ("imputed", "circle", PREDICTION),
    ("measured", "square", TRUTH),
    ("average training cell", TICK, NULL),
    ("average cell", "diamond", NULL),
    ("by chance", TICK, NULL),
)
ROW, HEIGHT_SQUARE = 48, 420
MOST_FOLD = 10  # log₂: what one group lacks altogether has no finite fold  # ours
NAME_WIDE, NAME_HIGH = 0.2, 0.05  # shares of a chart that a name takes
MOST_POINTS = 2_000  # dots of a scatter whose middle says little  # ours
PROXIMAL, DISTAL = TEAL, PURPLE


def marks(
    rows: pd.DataFrame, *, title: str, quantity: str, neutral: float, kinds: Sequence[Kind], named: bool = True
) -> Any:
    """Dots with their intervals, a line a label, on one axis.

    rows: label, what (a name in kinds), value, low, high. named: with a legend; without where labels say it all.
    """
    shown = [kind for kind in kinds if kind[0] in set(rows["what"])]
    order = list(dict.fromkeys(rows["label"]))
    reach = rows[["value", "low", "high"]].to_numpy(dtype=float)
    lowest, highest = min(float(np.nanmin(reach)), neutral), max(float(np.nanmax(reach)), neutral)
    spread = max(highest - lowest, 0.05)
    x = alt.X(
        "value:Q", title=quantity, axis=alt.Axis(tickCount=6),
        scale=alt.Scale(domain=[lowest - 0.04 * spread, highest + 0.06 * spread], nice=False, zero=False),
    )  # fmt: skip
    y = alt.Y(
        "label:N", sort=order, title=None,
        axis=alt.Axis(
            orient="left", labelAlign="left", labelPadding=-2, labelOffset=-17, labelLimit=0, ticks=False, domain=False
        ),
    )  # fmt: skip
    names, colours = [k[0] for k in shown], [k[2] for k in shown]
    legend = (
        None
        if not named or len(shown) == 1
        else alt.Legend(
            orient="bottom", direction="horizontal", columns=2, symbolSize=110, symbolOpacity=1, labelLimit=0
        )
    )
    colour = alt.Color("what:N", title=None, scale=alt.Scale(domain=names, range=colours), legend=legend)
    chance = (
        alt.Chart(pd.DataFrame({"value": neutral, "label": order}))
        .mark_tick(color=NULL, orient="vertical", size=16, thickness=1)
        .encode(x=x, y=y)
    )
    base = alt.Chart(rows)
    interval = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=3, strokeCap="round", opacity=0.55)
        .encode(y=y, x=alt.X("low:Q", title=quantity), x2="high:Q", color=colour)
    )
    dots = base.mark_point(size=120, filled=True, opacity=1, strokeWidth=2).encode(
        x=x, y=y, color=colour,
        shape=alt.Shape(
            "what:N", title=None, legend=legend, scale=alt.Scale(domain=names, range=[k[1] for k in shown])
        ),
        stroke=alt.Stroke("what:N", title=None, scale=alt.Scale(domain=names, range=colours), legend=legend),
        tooltip=[
            alt.Tooltip("label:N", title="of"), alt.Tooltip("what:N", title="which"),
            alt.Tooltip("value:Q", title="value", format=".3f"), alt.Tooltip("low:Q", title="from", format=".3f"),
            alt.Tooltip("high:Q", title="to", format=".3f"),
        ],
    )  # fmt: skip
    # A layer without marks is a picture that nobody can describe to who does not see it.
    layers = [chance, *([interval] if rows["low"].notna().any() else []), dots]
    return finish(alt.layer(*layers), title=title, height=ROW * len(order) + FURNITURE - (30 if named else 70))


def purity(table: pd.DataFrame, *, title: str) -> Any:
    """How much of each label its own groups find, and how pure they are. table: label, purity, found, cells."""
    long = table.melt(id_vars=["label", "cells"], value_vars=["found", "purity"], var_name="measure")
    words = {"found": "share of its cells found", "purity": "purity of its groups"}
    long["what"] = long["measure"].map(words)
    y = alt.Y("label:N", sort=list(table["label"]), title=None, axis=alt.Axis(labelLimit=120))
    joined = (
        alt.Chart(table).mark_rule(color=NULL, strokeWidth=2).encode(y=y, x=alt.X("found:Q", title=None), x2="purity:Q")
    )
    scale = alt.Scale(domain=list(words.values()), range=[TEAL, PURPLE])
    legend = alt.Legend(orient="bottom", labelLimit=0)
    dots = (
        alt.Chart(long)
        .mark_point(size=110, filled=True, opacity=1)
        .encode(
            y=y,
            x=alt.X("value:Q", title="share", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color("what:N", title=None, scale=scale, legend=legend),
            shape=alt.Shape(
                "what:N", title=None, scale=alt.Scale(domain=list(words.values()), range=["circle", "square"])
            ),
            tooltip=[
                alt.Tooltip("label:N"),
                alt.Tooltip("what:N"),
                alt.Tooltip("value:Q", format=".0%"),
                alt.Tooltip("cells:Q", format=","),
            ],
        )
    )
    return finish(alt.layer(joined, dots), title=title, height=26 * len(table) + FURNITURE - 30)


def recovery(curve: pd.DataFrame, *, title: str) -> Any:
    """Precision by recall of a label's open peaks. curve: recall, precision, what (a name in PROFILE_KINDS)."""
    shown = [kind for kind in PROFILE_KINDS if kind[0] in set(curve["what"])]
    names = [k[0] for k in shown]
    dashes = [[1, 0] if k[2] != NULL else [6, 3] if i % 2 else [2, 2] for i, k in enumerate(shown)]
    legend = alt.Legend(orient="bottom", columns=2, labelLimit=0, symbolType="stroke", symbolSize=300)
    lines = (
        alt.Chart(curve)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=alt.X("recall:Q", title="share of the kind's open peaks found", axis=alt.Axis(format="%", tickCount=5)),
            y=alt.Y("precision:Q", title="share of the list that is right", axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color(
                "what:N", title=None, legend=legend, scale=alt.Scale(domain=names, range=[k[2] for k in shown])
            ),
            strokeDash=alt.StrokeDash(
                "what:N", title=None, legend=legend, scale=alt.Scale(domain=names, range=dashes)
            ),
            order="recall:Q",
            tooltip=[
                alt.Tooltip("what:N", title="which"),
                alt.Tooltip("recall:Q", format=".0%"),
                alt.Tooltip("precision:Q", format=".1%"),
            ],
        )
    )  # fmt: skip
    return finish(lines, title=title)


def depths(clusters: pd.DataFrame, cells: pd.DataFrame, *, title: str, away: float) -> Any:
    """Groups by depth, a dot each, over their cells; the corner of little RNA and much ATAC is marked.

    clusters: name, cells, rna_z, atac_z, rna_depth, atac_depth, abnormal. cells: rna_z, atac_z.
    """
    keep = np.linspace(0, len(cells) - 1, min(len(cells), MOST_POINTS)).astype(int)
    both = pd.concat([clusters[["rna_z", "atac_z"]], cells[["rna_z", "atac_z"]].iloc[keep]]).clip(-6, 6)
    x = alt.X("rna_z:Q", title="RNA depth, deviations from the other cells", scale=alt.Scale(zero=False, clamp=True))
    y = alt.Y("atac_z:Q", title="ATAC depth, deviations", scale=alt.Scale(zero=False, clamp=True))
    low, high = float(both["rna_z"].min()), float(both["atac_z"].max())
    corner = pd.DataFrame({"rna_z": [low], "x2": [-away], "atac_z": [away], "y2": [high]})
    box = alt.Chart(corner).mark_rect(color=WARNING, opacity=0.14).encode(x=x, x2="x2:Q", y=y, y2="y2:Q")
    words = corner.assign(text="little RNA, much ATAC")
    said = alt.Chart(words).mark_text(align="left", baseline="top", dx=4, dy=4, fontSize=11).encode(
        x=x, y=alt.Y("y2:Q"), text="text:N"
    )  # fmt: skip
    cloud = (
        alt.Chart(cells.iloc[keep][["rna_z", "atac_z"]].clip(-6, 6))
        .mark_circle(size=9, color=NULL, opacity=0.35)
        .encode(x=x, y=y)
    )
    named = clusters.assign(which=np.where(clusters["abnormal"].astype(bool), "called", "as usual"))
    colour = alt.Color(
        "which:N", title=None, scale=alt.Scale(domain=["as usual", "called"], range=[TRUTH, WARNING]),
        legend=alt.Legend(orient="bottom"),
    )  # fmt: skip
    dots = (
        alt.Chart(named)
        .mark_circle(opacity=0.9)
        .encode(
            x=x, y=y, color=colour,
            size=alt.Size("cells:Q", scale=alt.Scale(range=[40, 500]), legend=None),
            tooltip=[
                alt.Tooltip("name:N", title="group"), alt.Tooltip("cells:Q", format=","),
                alt.Tooltip("rna_depth:Q", title="RNA counts, median", format=",.0f"),
                alt.Tooltip("atac_depth:Q", title="ATAC counts, median", format=",.0f"),
                alt.Tooltip("rna_z:Q", title="RNA deviations", format=".2f"),
                alt.Tooltip("atac_z:Q", title="ATAC deviations", format=".2f"),
            ],
        )
    )  # fmt: skip
    told = _spaced(named.sort_values("abnormal", ascending=False, kind="stable"), "rna_z", "atac_z")
    names = alt.Chart(told).mark_text(dy=-16, fontSize=11, fontWeight="bold").encode(x=x, y=y, text="name:N")
    return finish(
        alt.layer(box, cloud, dots, names, said), title=title, marks=len(keep) + len(clusters), height=HEIGHT_SQUARE
    )  # fmt: skip


def volcano(table: pd.DataFrame, *, title: str, thing: str, top: Sequence[str]) -> Any:
    """Effect and score of every gene or peak of one group; the strongest are named.

    table: feature, log2_fold, score, q, what ("higher here" | "lower here" | "not told apart"). top: names to write.
    """
    kinds = ("higher here", "lower here", "not told apart")
    table = table.assign(log2_fold=table["log2_fold"].clip(-MOST_FOLD, MOST_FOLD))
    x = alt.X("log2_fold:Q", title=f"log₂ fold change, against all other cells (cut at ±{MOST_FOLD})")
    y = alt.Y("score:Q", title="score of the test")
    dots = (
        alt.Chart(table)
        .mark_circle(size=26, opacity=0.75)
        .encode(
            x=x, y=y,
            color=alt.Color(
                "what:N", title=None, scale=alt.Scale(domain=list(kinds), range=[TEAL, PURPLE, NULL]),
                legend=alt.Legend(orient="bottom"),
            ),
            tooltip=[
                alt.Tooltip("feature:N", title=thing), alt.Tooltip("log2_fold:Q", title="log₂ fold", format=".2f"),
                alt.Tooltip("score:Q", format=".2f"), alt.Tooltip("mean:Q", title="mean here", format=".3f"),
                alt.Tooltip("mean_rest:Q", title="mean elsewhere", format=".3f"),
            ],
        )
    )  # fmt: skip
    ranked = table[table["feature"].isin(list(top))].set_index("feature").reindex(list(top)).reset_index()
    named = alt.Chart(_spaced(ranked, "log2_fold", "score", within=table))
    names = named.mark_text(align="right", dx=-6, fontSize=11, limit=130).encode(x=x, y=y, text="feature:N")
    return finish(alt.layer(dots, names), title=title, marks=len(table))


def _spaced(rows: pd.DataFrame, x: str, y: str, *, within: pd.DataFrame | None = None) -> pd.DataFrame:
    """The rows whose names do not cover one of an earlier row. within: all that is drawn, where it is more."""
    drawn = rows if within is None else within
    wide, high = (max(float(drawn[c].max() - drawn[c].min()), 1e-9) for c in (x, y))
    kept: list[int] = []
    at = rows[[x, y]].to_numpy(dtype=float)
    for i in range(len(at)):
        near = (
            abs(at[i, 0] - at[j, 0]) < NAME_WIDE * wide and abs(at[i, 1] - at[j, 1]) < NAME_HIGH * high for j in kept
        )
        if not any(near):
            kept.append(i)
    return rows.iloc[kept]


def means(table: pd.DataFrame, *, title: str, quantity: str, imputed: bool) -> Any:
    """Mean of the strongest genes or peaks in the group and in all other cells. table: feature, mean, mean_rest."""
    order = list(table["feature"])
    long = table.melt(id_vars=["feature"], value_vars=["mean", "mean_rest"], var_name="which")
    words = {"mean": "in this group", "mean_rest": "in all other cells"}
    long["what"] = long["which"].map(words)
    y = alt.Y("feature:N", sort=order, title=None, axis=alt.Axis(labelLimit=150))
    joined = (
        alt.Chart(table)
        .mark_rule(color=NULL, strokeWidth=2)
        .encode(y=y, x=alt.X("mean:Q", title=quantity), x2="mean_rest:Q")
    )
    domain = list(words.values())
    dots = (
        alt.Chart(long)
        .mark_point(size=90, filled=True, opacity=1)
        .encode(
            y=y, x=alt.X("value:Q", title=quantity, scale=alt.Scale(zero=True)),
            color=alt.Color(
                "what:N", title=None, scale=alt.Scale(domain=domain, range=[PREDICTION if imputed else TRUTH, NULL]),
                legend=alt.Legend(orient="bottom"),
            ),
            shape=alt.Shape("what:N", title=None, scale=alt.Scale(domain=domain, range=["circle", "square"])),
            tooltip=[alt.Tooltip("feature:N"), alt.Tooltip("what:N"), alt.Tooltip("value:Q", format=".3f")],
        )
    )  # fmt: skip
    return finish(alt.layer(joined, dots), title=title, height=22 * len(table) + FURNITURE - 30)


def along(table: pd.DataFrame, *, title: str, colours: Sequence[str]) -> Any:
    """Where each label lies along pseudotime. table: label, cells, q25, median, q75. colours: labels in fixed order."""
    scale = alt.Scale(domain=list(colours), range=[LABELS[i % len(LABELS)] for i in range(len(colours))])
    y = alt.Y("label:N", sort=list(table["label"]), title=None, axis=alt.Axis(labelLimit=120))
    colour = alt.Color("label:N", scale=scale, legend=None)
    title_x = "pseudotime, from 0 at the beginning"
    bars = (
        alt.Chart(table)
        .mark_rule(strokeWidth=6, strokeCap="round", opacity=0.6)
        .encode(
            y=y,
            x=alt.X("q25:Q", title=title_x, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=6)),
            x2="q75:Q",
            color=colour,
        )
    )
    dots = (
        alt.Chart(table)
        .mark_point(size=120, filled=True, opacity=1)
        .encode(
            y=y, x=alt.X("median:Q", title=title_x), color=colour,
            tooltip=[
                alt.Tooltip("label:N"), alt.Tooltip("cells:Q", format=","), alt.Tooltip("q25:Q", format=".2f"),
                alt.Tooltip("median:Q", format=".2f"), alt.Tooltip("q75:Q", format=".2f"),
            ],
        )
    )  # fmt: skip
    return finish(alt.layer(bars, dots), title=title, height=30 * len(table) + FURNITURE - 60)


def trend(curve: pd.DataFrame, *, title: str, quantity: str, imputed: bool) -> Any:
    """One gene or its promoter along pseudotime, with its interval. curve: pseudotime, value, low, high."""
    colour = PREDICTION if imputed else TRUTH
    x = alt.X("pseudotime:Q", title="pseudotime", axis=alt.Axis(tickCount=6))
    tooltip = [
        alt.Tooltip("pseudotime:Q", format=".2f"), alt.Tooltip("value:Q", format=".3f"),
        alt.Tooltip("low:Q", title="from", format=".3f"), alt.Tooltip("high:Q", title="to", format=".3f"),
    ]  # fmt: skip
    band = (
        alt.Chart(curve)
        .mark_area(color=colour, opacity=0.22)
        .encode(x=x, y=alt.Y("low:Q", title=quantity), y2="high:Q", tooltip=tooltip)
    )
    line = (
        alt.Chart(curve)
        .mark_line(color=colour, strokeWidth=2.5)
        .encode(x=x, y=alt.Y("value:Q", title=quantity, scale=alt.Scale(zero=False)), tooltip=tooltip)
    )
    return finish(alt.layer(band, line), title=title, height=230)


def distances(links: pd.DataFrame, *, title: str) -> Any:
    """How far linked peaks lie from what they are linked to. links: distance, kind ("proximal" | "distal")."""
    far = max(float(links["distance"].abs().max()) if len(links) else 0.0, 1.0) / 1000
    counted = []
    edges = np.linspace(0, far, 31)
    for kind in ("proximal", "distal"):
        own = links.loc[links["kind"] == kind, "distance"].abs().to_numpy(dtype=float) / 1000
        counts = np.histogram(own, bins=edges)[0]
        counted.append(pd.DataFrame({"from": edges[:-1], "to": edges[1:], "kind": kind, "links": counts}))
    table = pd.concat(counted, ignore_index=True)
    bars = (
        alt.Chart(table)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("from:Q", bin=alt.Bin(binned=True), title="distance (kb)", axis=alt.Axis(tickCount=6)),
            x2="to:Q",
            y=alt.Y("links:Q", title="links", axis=alt.Axis(format="~s", tickCount=5)),
            color=alt.Color(
                "kind:N", title=None, scale=alt.Scale(domain=["proximal", "distal"], range=[PROXIMAL, DISTAL]),
                legend=alt.Legend(orient="bottom"),
            ),
            tooltip=[
                alt.Tooltip("from:Q", title="from (kb)", format=".0f"), alt.Tooltip("to:Q", title="to", format=".0f"),
                alt.Tooltip("kind:N"), alt.Tooltip("links:Q", format=","),
            ],
        )
    )  # fmt: skip
    return finish(bars, title=title, height=260)
