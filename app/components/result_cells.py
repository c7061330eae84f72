"""Cells: both maps in any colour, cells marked on them, two groups compared, and every cell with its scores."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import marking, present, readings
from app.components.figure import BOX
from app.components.finder import QUERY
from app.components.maps import BY_BOX, BY_LASSO, Mark, feature_maps, maps
from app.components.result import Result, one_feature
from app.components.result_abstention import abstain, curve
from app.components.result_groups import groups, marked_bar, members
from app.components.table import table as shown_table
from jobs.names import Modality
from jobs.views import FeatureHit

KEPT = "kept"  # whether a cell is left in, as column of the table and of its download
MARKED, GROUP = "marked", "group"
HOW = {BY_BOX: "Drag a box over cells", BY_LASSO: "Draw a line around cells"}


def cells(result: Result, hit: FeatureHit | None) -> None:
    table = result.cells()
    columns = result.columns()
    labels, numbers, doubts = list(columns.labels), list(columns.numbers), list(columns.doubts)
    if doubts:
        labels = [name for name in labels if name != KEPT]
    numbers = [*doubts, *(name for name in numbers if name not in doubts)]
    table, measured = _with_source(result, table)
    numbers += measured
    grouped = members(table)
    own = [] if grouped is None else [GROUP]
    options = [*([hit.name] if hit else []), *labels, *numbers, *own]
    colour, lit = colouring(table, options, labels) if options else (None, ())
    left_out = abstain(result)
    if grouped is not None:
        table = table.assign(**{GROUP: grouped})
    if colour == GROUP:
        lit = ("A", "B")
    kept = ""
    if left_out is not None:
        table = table.assign(**{KEPT: left_out.kept})
        kept = KEPT if left_out.gone else ""
    box = st.query_params.get(BOX, "")
    drawn = marking.part_of(box)
    if drawn is not None:
        lit_now = marking.cells_of([box], table)
        table = table.assign(**{MARKED: lit_now & left_out.kept if left_out is not None else lit_now})
    seen = MARKED if MARKED in table else kept
    mark = Mark(_tool(), None if isinstance(drawn, marking.Labelled) else drawn)
    if hit is not None and colour == hit.name:
        unit = readings.scale_words(str(result.report().get("scale", "")), Modality(hit.modality))
        feature_maps(result, one_feature(result.values([hit.name]), table), hit, unit, kept=seen, mark=mark)
    else:
        maps(result, table, colour=colour, lit=lit, kept=seen, mark=mark)
    marked_bar(table, box, MARKED, how=HOW[mark.tool])
    groups(result, result.cells(), labels)
    if left_out is not None:
        curve(result, left_out)
    _table(result, table, labels, kept=kept)


def _with_source(result: Result, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The gene or peak that is searched, as measured in the cells that were translated, where it is one of those."""
    name = (st.query_params.get(QUERY) or "").strip()
    values = result.source(name) if name else None
    if values is None or not values.truth:
        return table, []
    column = f"{name}, measured {present.measured(result.direction.source)}"
    found = dict(zip(values.barcodes, (float(row[0]) for row in values.truth), strict=True))
    return table.assign(**{column: table["cell"].map(found)}), [column]


def colouring(table: pd.DataFrame, options: list[str], labels: list[str]) -> tuple[str, tuple[str, ...]]:
    """What colours the maps, and which labels stay lit; both kept in the address. options: at least one."""
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with left:
        colour = str(
            st.selectbox("Colour by", options, format_func=_words, key="colour", bind="query-params")
        )  # fmt: skip
    lit: list[str] = []
    if colour in labels:
        with right:
            names = sorted(table[colour].dropna().unique())
            lit = st.pills("Show only", names, selection_mode="multi", key="lit", bind="query-params") or []
    return colour, tuple(lit)


def _tool() -> str:
    """What marks cells on the maps; kept in the address."""
    return str(
        st.segmented_control(
            "Mark cells with", list(HOW), default=BY_BOX, required=True, key="mark", bind="query-params"
        )
    )


def _words(column: str) -> str:
    return "groups A and B" if column == GROUP else readings.column_words(column)


def _table(result: Result, table: pd.DataFrame, labels: list[str], *, kept: str) -> None:
    """kept: the column that says which cells are left in, where any is left out; the download has it always."""
    st.subheader("Every cell", anchor=False)
    hidden = [name for name in table.columns if "umap" in name]
    first = ["cell", *(name for name in (MARKED, GROUP) if name in table), *([kept] if kept else []), *labels]
    if not kept and KEPT not in labels:
        hidden.append(KEPT)
    columns = [*first, *(str(c) for c in table.columns if c not in first and c not in hidden)]
    shown = table
    order = {"pearson": "worst predicted", "auroc": "worst predicted", readings.EXPECTED: "least certain"}
    by = next((name for name in order if name in columns and pd.api.types.is_numeric_dtype(table[name])), None)
    if by:
        shown = shown.sort_values(by)
        st.caption(f"{present.plural(len(shown), 'cell')}, the {order[by]} first.")
    config: dict[str, Any] = {"cell": st.column_config.TextColumn("cell", pinned=True)}
    for name in columns[1:]:
        words = readings.column_words(name)
        digits = "%.0f" if name in ("source_depth", "truth_total") else "%.3f"
        numeric = pd.api.types.is_float_dtype(shown[name])
        config[name] = (
            st.column_config.NumberColumn(words, format=digits) if numeric else st.column_config.Column(words)
        )
    shown_table(
        shown, key="cells-table", alt="Every cell with its labels and scores", columns=columns, config=config,
        file=present.file(result.job, f"{result.direction.value}-cells"), words=readings.column_words,
        search="Find a cell or a label",
    )  # fmt: skip
