"""Cells: both maps in any colour, and the table of cells with their own scores."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import present, readings
from app.components.figure import to_csv
from app.components.result import Result, one_feature
from app.components.result_abstention import abstain, curve
from app.components.result_overview import feature_maps, maps
from jobs.names import Modality
from jobs.views import FeatureHit

KEPT = "kept"  # whether a cell is left in, as column of the table and of its download


def cells(result: Result, hit: FeatureHit | None) -> None:
    table = result.cells()
    columns = {name: table[name].tolist() for name in table.columns}
    labels, numbers = readings.label_columns(columns), readings.number_columns(columns)
    doubts = readings.doubt_columns(columns)
    if doubts:
        labels = [name for name in labels if name != KEPT]
    numbers = [*doubts, *(name for name in numbers if name not in doubts)]
    options = [*([hit.name] if hit else []), *labels, *numbers]
    colour, lit = colouring(table, options, labels) if options else (None, ())
    left_out = abstain(result)
    kept = ""
    if left_out is not None:
        table = table.assign(**{KEPT: left_out.kept})
        kept = KEPT if left_out.gone else ""
    if hit is not None and colour == hit.name:
        unit = readings.scale_words(str(result.report().get("scale", "")), Modality(hit.modality))
        feature_maps(result, one_feature(result.values([hit.name]), table), hit, unit, kept=kept)
    else:
        maps(result, table, colour=colour, lit=lit, kept=kept)
    if left_out is not None:
        curve(result, left_out)
    _table(result, table, labels, kept=kept)


def colouring(table: pd.DataFrame, options: list[str], labels: list[str]) -> tuple[str, tuple[str, ...]]:
    """What colours the maps, and which labels stay lit; both kept in the address. options: at least one."""
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with left:
        colour = str(
            st.selectbox("Colour by", options, format_func=readings.column_words, key="colour", bind="query-params")
        )
    lit: list[str] = []
    if colour in labels:
        with right:
            names = sorted(table[colour].dropna().unique())
            lit = st.pills("Show only", names, selection_mode="multi", key="lit", bind="query-params") or []
    return colour, tuple(lit)


def _table(result: Result, table: pd.DataFrame, labels: list[str], *, kept: str) -> None:
    """kept: the column that says which cells are left in, where any is left out; the download has it always."""
    st.subheader("Every cell", anchor=False)
    hidden = [name for name in table.columns if "umap" in name]
    first = ["cell", *([kept] if kept else []), *labels]
    if not kept and KEPT not in labels:
        hidden.append(KEPT)
    shown = table[[*first, *(c for c in table.columns if c not in first and c not in hidden)]]
    order = {"pearson": "worst predicted", "auroc": "worst predicted", readings.EXPECTED: "least certain"}
    by = next((name for name in order if name in shown and pd.api.types.is_numeric_dtype(shown[name])), None)
    if by:
        shown = shown.sort_values(by)
        st.caption(f"{present.plural(len(shown), 'cell')}, the {order[by]} first.")
    config: dict[str, Any] = {"cell": st.column_config.TextColumn("cell", pinned=True)}
    for name in shown.columns[1:]:
        words = readings.column_words(name)
        digits = "%.0f" if name in ("source_depth", "truth_total") else "%.3f"
        numeric = pd.api.types.is_float_dtype(shown[name])
        config[name] = (
            st.column_config.NumberColumn(words, format=digits) if numeric else st.column_config.Column(words)
        )
    st.dataframe(shown, hide_index=True, alt="Every cell with its labels and scores", height=360, column_config=config)
    st.download_button(
        "Download all columns (CSV)", lambda: to_csv(table), f"{result.job.id[:8]}-{result.direction.value}-cells.csv",
        "text/csv", on_click="ignore", icon=":material/download:", key="cells-csv",
    )  # fmt: skip
