"""Figures of analyses of cells: groups beside labels, mixing of batches, and groups with little RNA and much ATAC."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import analysis_rows, charts_analysis, charts_cells, findings, present
from app.analyses import EMBEDDINGS, embedding
from app.charts import NULL, PREDICTION
from app.components.address import choice
from app.components.analysed import Analysed
from app.components.figure import figure
from app.components.table import table as shown_table

VIEWS = tuple((name, "circle" if name == "joint" else "square", PREDICTION if name == "joint" else NULL)
              for name in EMBEDDINGS)  # fmt: skip
MEASURES = {"ari": "ARI", "nmi": "NMI"}
LABEL = "label"


def cluster(result: Analysed) -> None:
    agreement, cells = result.table("cluster.agreement"), result.table("cluster.cells")
    if agreement["ari"].notna().any():
        left, right = st.columns(2)
        with left:
            _agreement(result, agreement)
        with right:
            _purity(result)
    _maps(result, cells)


def _agreement(result: Analysed, table: pd.DataFrame) -> None:
    measure = choice("Agreement by", list(MEASURES), param="measure", words=MEASURES.__getitem__)
    rows = pd.DataFrame(analysis_rows.agreement_rows(table, measure))
    best = rows.iloc[0]
    title = f"{best['label'].split(':')[0]} agrees best with {result.label}, {present.number(best['value'])}"
    chart = charts_analysis.marks(
        rows.replace({"what": {n: EMBEDDINGS[n] for n in EMBEDDINGS}}), title=title, neutral=0.0,
        quantity=f"{MEASURES[measure]}: 0 by chance, 1 the same groups",
        kinds=[(EMBEDDINGS[name], shape, colour) for name, shape, colour in VIEWS], named=False,
    )  # fmt: skip
    said = "; ".join(rows["label"])
    figure(chart, key="agreement", alt=f"{title}. {said}.", table=table, file=result.file("agreement"))
    if table["seed"].nunique() > 1:
        st.caption("Dots are medians, bars reach from the lowest run to the highest.")


def _purity(result: Analysed) -> None:
    table = result.table("cluster.purity")
    table = table[table["seed"] == table["seed"].min()]
    options = list(dict.fromkeys(table["embedding"] + " " + table["method"]))
    which = choice("Groups", options, param="groups-of", words=_groups)
    name, _, method = which.partition(" ")
    own = table[(table["embedding"] == name) & (table["method"] == method)].sort_values("found", ascending=False)
    lost = own.loc[own["found"] == 0, "label"].tolist()
    title = (
        f"{present.plural(len(lost), 'kind')} of {len(own)} {'has' if len(lost) == 1 else 'have'} no group of "
        f"{'its' if len(lost) == 1 else 'their'} own"
        if lost
        else f"Each of {len(own)} kinds has a group of its own"
    )
    said = "; ".join(
        f"{row['label']} {present.percent(row['found'])} found, purity {present.percent(row['purity'])}"
        for row in own.to_dict("records")
    )
    chart = charts_analysis.purity(own, title=title)
    figure(chart, key="purity", alt=f"{title}. {said}.", table=own, file=result.file("purity"))


def _groups(which: str) -> str:
    name, _, method = which.partition(" ")
    return f"{analysis_rows.capital(embedding(name))}, {'Leiden' if method == 'leiden' else method}"


def _maps(result: Analysed, cells: pd.DataFrame) -> None:
    """A map a view, coloured by the labels where they are known and by groups."""
    drawn = [name for name in EMBEDDINGS if f"{name} umap_1" in cells]
    if not drawn:
        st.markdown("No maps were drawn for this job: the option was off. The groups are under *Tables*.")
        return
    st.subheader("Maps of the cells", anchor=False)
    name = choice("View of the cells", drawn, param="map", words=lambda n: analysis_rows.capital(embedding(n)))
    shown = [column for column in (LABEL, f"{name} k-means", f"{name} leiden") if column in cells]
    table = cells.rename(columns={"barcode": "cell", f"{name} umap_1": "x", f"{name} umap_2": "y"})
    for place, column in zip(st.columns(len(shown)), shown, strict=True):
        with place:
            _map(result, table, column, name)
    st.caption("One map, coloured in turn. Groups are numbered, the largest of Leiden first; numbers say no more.")


def _map(result: Analysed, table: pd.DataFrame, column: str, name: str) -> None:
    data = table[["cell", "x", "y"]].assign(colour=_named(table[column]))
    if column == LABEL:
        title = f"Labels: {result.label}"
    else:
        title = f"Groups by {'Leiden' if column.endswith('leiden') else 'k-means'}"
    title = f"{title}, {present.plural(data['colour'].nunique(), 'kind' if column == LABEL else 'group')}"
    chart = charts_cells.cell_map(data, title=title, colour="colour", labels=_order(data["colour"]))
    said = f"Map of {present.plural(len(data), 'cell')}, {embedding(name)}. {title}"
    figure(chart, key=f"map-{present.slug(column)}", alt=said, table=data, file=result.file(f"map-{column}"))


def _named(values: pd.Series[str]) -> pd.Series[str]:
    return values.fillna("").astype(str).replace({"": "no label"})


def _order(values: pd.Series[str]) -> list[str]:
    """Numbers by size, names by the alphabet."""
    return sorted(values.unique(), key=lambda v: (not v.isdecimal(), int(v) if v.isdecimal() else 0, v))


def mixing(result: Analysed) -> None:
    table = result.table("mixing.mixing").fillna({"within": ""})
    within = [name for name in dict.fromkeys(table["within"]) if name]
    left, right = st.columns(2)
    with left:
        _mixed(result, table, "", "mixing-all")
    if within:
        with right:
            which = choice("Within", within, param="within")
            _mixed(result, table, which, "mixing-within")
    st.caption(
        "A cell in a neighbourhood as mixed as shuffled batches would make it scores 1; where batches lie apart, 0. "
        "The bar is the 95 % interval of the mean over cells."
    )


def _mixed(result: Analysed, table: pd.DataFrame, within: str, key: str) -> None:
    rows = pd.DataFrame(analysis_rows.mixing_rows(table, within))
    if rows.empty:
        return
    part = table[table["within"] == within]
    where = f"within {within}" if within else "over all cells"
    batches, cells = int(part["batches"].iloc[0]), int(part["cells"].iloc[0])
    title = f"Mixing of {batches} batches {where}, {present.plural(cells, 'cell')}"
    chart = charts_analysis.marks(
        rows.replace({"what": dict(EMBEDDINGS)}), title=title, neutral=1.0,
        quantity="share of chance: 1 is what shuffled batches give",
        kinds=[(EMBEDDINGS[name], shape, colour) for name, shape, colour in VIEWS], named=False,
    )  # fmt: skip
    figure(chart, key=key, alt=f"{title}. {'; '.join(rows['label'])}.", table=part, file=result.file(key))


def abnormal(result: Analysed) -> None:
    clusters, cells = result.table("abnormal.clusters"), result.table("abnormal.cells")
    found = findings.of(result.report(), "abnormal")
    called = [str(name) for name in clusters.loc[clusters["abnormal"].astype(bool), "name"]]
    title = f"In the corner: {', '.join(called)}" if called else "No group lies in the corner"
    said = "; ".join(
        f"group {row['name']}, {present.plural(int(row['cells']), 'cell')}: RNA {present.number(row['rna_z'])}, ATAC "
        f"{present.number(row['atac_z'])} deviations"
        for row in clusters.to_dict("records")
    )
    left, right = st.columns(2)
    with left:
        chart = charts_analysis.depths(
            clusters, cells, title=title, away=float((found.get("settings") or {}).get("away", 1.0))
        )
        figure(chart, key="depths", alt=f"{title}. {said}.", table=clusters, file=result.file("depths"))
    with right:
        shown = clusters[["name", "cells", "rna_depth", "atac_depth", "rna_z", "atac_z", "abnormal"]]
        shown_table(
            shown.sort_values("rna_z"), key="depth-rows", height="content", alt="Depth of each group",
            file=result.file("depth-of-groups"), config={
                "name": st.column_config.TextColumn("group", pinned=True),
                "rna_depth": st.column_config.NumberColumn("RNA counts", format="%.0f"),
                "atac_depth": st.column_config.NumberColumn("ATAC counts", format="%.0f"),
                "rna_z": st.column_config.NumberColumn("RNA, deviations", format="%.2f"),
                "atac_z": st.column_config.NumberColumn("ATAC, deviations", format="%.2f"),
                "abnormal": st.column_config.CheckboxColumn("called"),
            },
        )  # fmt: skip
        st.caption(
            "A dot is a group, as large as it has cells; grey points are single cells. Deviations are robust: 1 is as "
            "far as about a third of the other cells lie on that side or the other."
        )
