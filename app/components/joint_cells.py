"""Cells of a joint view: its map beside those of either modality alone, or one gene or peak measured and imputed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import charts_cells, jointly, present, readings
from app.components.figure import figure
from app.components.maps import domain_of
from app.components.result import Result, has_map, on_map, one_feature
from app.components.result_cells import colouring
from app.components.table import table as shown_table
from jobs.names import Modality
from jobs.views import FeatureHit

CLUSTERS = ("cluster", "cluster_kmeans")
BESIDE, ALL = "Joint view alone", "Beside RNA alone and ATAC alone"


def cells(result: Result, hit: FeatureHit | None) -> None:
    """Maps in any colour, one gene or peak measured and imputed side by side, and the table of cells."""
    table = result.cells()
    labels = [*CLUSTERS, *(n for n in result.columns().labels if n not in CLUSTERS)]
    numbers = [n for n in result.columns().numbers if n not in labels]
    if not has_map(table, "joint"):
        st.markdown("No maps were drawn for this job: the option was off. The table of cells is below.")
    else:
        if hit is not None:
            feature(result, table, hit)
        _maps(result, table, labels, numbers)
    _table(result, table, labels)


def _maps(result: Result, table: pd.DataFrame, labels: list[str], numbers: list[str]) -> None:
    colour, lit = colouring(table, [*labels, *numbers], labels)
    how = st.segmented_control(
        "Maps", [ALL, BESIDE], default=ALL, required=True, key="maps", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    shown = [view for view in jointly.VIEWS if has_map(table, view)] if how == ALL else ["joint"]
    categorical = colour in labels
    order = sorted(table[colour].dropna().unique()) if categorical else None
    domain = None if categorical else domain_of(table[colour])
    for column, view in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            title = f"{_words(view)} by {readings.column_words(colour)}"
            _map(result, table, view, colour, title, labels=order, domain=domain, lit=lit)
    st.caption("Each map is laid out on its own; the colours are the same on all of them.")


def feature(result: Result, table: pd.DataFrame, hit: FeatureHit) -> None:
    """One gene or peak on the joint map: as measured and as imputed, side by side."""
    if not has_map(table, "joint"):
        return
    values = one_feature(result.values([hit.name]), table)
    unit = readings.scale_words(str(result.report().get("scale", "")), Modality(hit.modality))
    shown = [(name, words) for name, words in (("measured", "measured"), ("predicted", "imputed")) if name in values]
    for column, (name, words) in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            unit_here = "open or closed" if name == "measured" and hit.modality == Modality.ATAC else unit
            _map(
                result, values, "joint", name, f"{hit.name}, {words}", labels=None, domain=domain_of(values[name]),
                lit=(), unit=unit_here, key=f"feature-{name}",
            )  # fmt: skip
    if "measured" not in values:
        st.caption("The cells of this job were deleted: only what was imputed is shown.")
        return
    zeros = float((values["measured"] == 0).mean())
    st.caption(
        f"Both on the map of the joint view, each on its own colour scale. {present.percent(zeros)} of the cells show "
        f"nothing measured of this {present.row(Modality(hit.modality))}; an imputed value says what the model expects "
        "there, not what was seen."
    )


def _map(
    result: Result, table: pd.DataFrame, view: str, colour: str, title: str, *, labels: list[str] | None,
    domain: tuple[float, float] | None, lit: tuple[str, ...], unit: str = "", key: str = "",
) -> None:  # fmt: skip
    data = on_map(table, view)[["cell", "x", "y", colour]]
    unit = unit or readings.column_words(colour)
    chart = charts_cells.cell_map(data, title=title, colour=colour, labels=labels, domain=domain, unit=unit, lit=lit)
    said = f"Map of {present.plural(len(data), 'cell')}, {_words(view)}, coloured by {unit}. {title}"
    figure(chart, key=key or f"map-{view}", alt=said, table=data, file=present.file(result.job, f"{key or view}-map"))


def _words(view: str) -> str:
    words = jointly.VIEWS[view]
    return words[0].upper() + words[1:]


def _table(result: Result, table: pd.DataFrame, labels: list[str]) -> None:
    st.subheader("Every cell", anchor=False)
    first = ["cell", *labels]
    columns = [*first, *(str(c) for c in table.columns if c not in first and "_umap_" not in c)]
    config: dict[str, Any] = {"cell": st.column_config.TextColumn("cell", pinned=True)}
    for name in columns[1:]:
        words = readings.column_words(name)
        digits = "%.0f" if name.endswith("_depth") else "%.3f"
        numeric = pd.api.types.is_float_dtype(table[name])
        config[name] = (
            st.column_config.NumberColumn(words, format=digits) if numeric else st.column_config.Column(words)
        )
    shown_table(
        table, key="cells-table", height=360, alt="Every cell with its groups and labels", columns=columns,
        config=config, file=present.file(result.job, "joint-cells"), words=readings.column_words,
        search="Find a cell or a label",
    )  # fmt: skip
