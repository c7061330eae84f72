"""Figures of a trajectory: the cells in their order, the kinds along it, and genes and promoters on the way."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import charts_analysis, charts_cells, present
from app.analyses import PROFILES
from app.components.address import choice
from app.components.analysed import Analysed
from app.components.figure import figure

EXPRESSION, PROMOTER = "expression", "promoter accessibility"


def trajectory(result: Analysed) -> None:
    cells = result.table("trajectory.cells")
    used = cells[cells["pseudotime"].notna()].rename(columns={"barcode": "cell", "dc1": "x", "dc2": "y"})
    left, right = st.columns(2)
    kinds = sorted(used["label"].fillna("").astype(str).unique())
    with left:
        _map(result, used, "pseudotime", kinds)
    with right:
        if len(kinds) > 1:
            _map(result, used, "label", kinds)
    if len(kinds) > 1 and result.has("trajectory.labels"):
        _along(result, result.table("trajectory.labels"), kinds)
    _trends(result)


def _map(result: Analysed, used: pd.DataFrame, colour: str, kinds: list[str]) -> None:
    if "x" not in used or "y" not in used:
        return
    data = used[["cell", "x", "y", colour]]
    number = colour == "pseudotime"
    title = "From the beginning (dark) to the end (light)" if number else f"The same cells by {result.label}"
    title = f"{title}, {present.plural(len(data), 'cell')}"
    chart = charts_cells.cell_map(
        data, title=title, colour=colour, labels=None if number else kinds, unit=colour if number else "",
        domain=(0.0, _late(used)) if number else None,
    )  # fmt: skip
    alt = f"Diffusion map of {present.plural(len(data), 'cell')} coloured by {colour}"
    figure(chart, key=f"path-{colour}", alt=alt, table=data, file=result.file(f"path-{colour}"))


def _late(used: pd.DataFrame) -> float:
    """Where the colours end: a few stragglers at the end do not darken all others."""
    late = float(used["pseudotime"].quantile(0.98))
    return late if late > 0 else 1.0


def _along(result: Analysed, order: pd.DataFrame, kinds: list[str]) -> None:
    title = f"Order: {' → '.join(map(str, order['label']))}"
    said = "; ".join(
        f"{row['label']} {present.number(row['median'])} ({present.number(row['q25'])}–{present.number(row['q75'])})"
        for row in order.to_dict("records")
    )
    chart = charts_analysis.along(order, title=title, colours=kinds)
    figure(chart, key="along", alt=f"{title}. Median pseudotime {said}.", table=order, file=result.file("order"))
    st.caption("A dot is the middle cell of its kind, the bar holds the middle half of them. The map's "
               "colours end at the 98th of 100 cells.")  # fmt: skip


def _trends(result: Analysed) -> None:
    summary = result.table("trends.summary")
    genes = summary[summary["what"] == EXPRESSION].sort_values("amplitude", ascending=False)
    names = list(dict.fromkeys(genes["gene"]))
    if not names:
        return
    st.subheader("Genes and their promoters on the way", anchor=False)
    gene = choice("Gene", names, param="gene", words=lambda name: _words(genes, name))
    curve = result.table("trends.curve", where={"gene": gene})
    profiles = [name for name in PROFILES if name in set(curve["profile"])]
    for what, quantity in ((EXPRESSION, "expression, log"), (PROMOTER, "accessibility")):
        places = st.columns(len(profiles))
        for place, profile in zip(places, profiles, strict=True):
            with place:
                own = curve[(curve["profile"] == profile) & (curve["what"] == what)]
                _trend(result, own, summary, gene, profile, what, quantity)
    if PROMOTER not in set(curve["what"]):
        st.caption(f"No peak lies at the promoter of {present.plain(gene)}, or its place is not known.")
    st.caption(
        "The line is a spline through the cells, the band its 95 % interval. Measured and imputed have axes apart."
    )


def _words(genes: pd.DataFrame, name: str) -> str:
    rows = genes[genes["gene"] == name]
    return f"{name}, {rows['direction'].iloc[0]}"


def _trend(
    result: Analysed, own: pd.DataFrame, summary: pd.DataFrame, gene: str, profile: str, what: str, quantity: str
) -> None:
    if own.empty:
        return
    row = summary[(summary["gene"] == gene) & (summary["profile"] == profile) & (summary["what"] == what)].iloc[0]
    title = f"{gene}, {what}, {PROFILES[profile]}: {row['direction']}"
    if bool(row["p_valid"]):
        title += "" if row["q"] < 0.05 else ", could be chance"
    key = f"trend-{present.slug(what)}-{profile}"
    chart = charts_analysis.trend(own, title=title, quantity=quantity, imputed=profile == "imputed")
    first, last = own.iloc[0], own.iloc[-1]
    said = (
        f"{title}. From {present.number(first['value'])} at the beginning to {present.number(last['value'])} at the end"
    )
    figure(chart, key=key, alt=f"{said}.", table=own, file=result.file(f"{present.slug(gene)}-{key}"))
