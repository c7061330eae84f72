"""Scores: the whole scorecard, the ROC curve, and every gene or peak with its own score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, present, readings
from app.components.figure import MOST_ROWS, figure, to_csv
from app.components.finder import look_at
from app.components.predictability import expected
from app.components.result import Result
from jobs.names import Modality


def scores(result: Result) -> None:
    if not result.scored:
        st.markdown("These cells were measured one way only, so there is nothing to score the prediction against.")
        expected(result.job, result.direction)
        return
    report = result.report()
    for line in readings.cautions(report):
        st.markdown(f":material/info: {present.plain(line)}")
    column = _column(result)
    if result.direction.target is Modality.ATAC:
        left, right = st.columns(2)
        with left:
            _roc(result)
        with right:
            _histogram(result, column)
    else:
        _histogram(result, column)
    _every_score(result)
    _every_feature(result)


def _column(result: Result) -> str | None:
    """Which score of single genes or peaks is looked at, where there are several; in the address."""
    columns = [c for c in readings.COLUMNS[result.direction] if c in result.features()]
    if len(columns) < 2:
        return next(iter(columns), None)
    words = {readings.column_words(c): c for c in columns}
    picked = st.segmented_control(
        f"Score of each {present.row(result.direction.target)}", list(words), default=next(iter(words)),
        required=True, key="score", bind="query-params",
    )  # fmt: skip
    return words.get(str(picked), columns[0])


def _roc(result: Result) -> None:
    curve = result.roc()
    names = {"fpr": "false_positive", "tpr": "true_positive"}
    if not set(names) <= set(curve) or curve.empty:
        st.markdown("There is no ROC curve: the cells hold only open or only closed peaks.")
        return
    data = curve.rename(columns=names)[list(names.values())].assign(what="this translation")
    reading = readings.readings(result.report()).get("flat_auroc")
    area = present.number(reading.value) if reading else "–"
    average = present.number(reading.nulls.get("mean")) if reading else "–"
    title = f"Flattened AUROC {area}; the average profile alone reaches {average}"
    figure(charts.roc(data, title=title), key="roc", alt=f"ROC curve. {title}", table=data, file=_file(result, "roc"))
    st.caption("All cells and peaks in one list, as papers print it; it mostly measures the average profile.")


def _histogram(result: Result, column: str | None) -> None:
    if column is None:
        return
    table, thing = result.features(), present.row(result.direction.target)
    meaning = readings.MEANINGS[readings.COLUMNS[result.direction][column]]
    values = table[column].to_numpy(dtype=float)
    finite = values[np.isfinite(values)]
    above = float((finite > meaning.neutral).mean()) if len(finite) else 0.0
    title = (
        f"{present.percent(above)} of {present.plural(len(finite), thing)} score above chance; "
        f"mean {present.number(float(finite.mean()) if len(finite) else None)}"
    )
    chart = charts.histogram(values, title=title, quantity=meaning.label, unit=thing, neutral=meaning.neutral)
    data = table[["name", column]] if len(table) <= MOST_ROWS else None
    figure(chart, key="histogram", alt=f"Histogram. {title}", table=data, file=_file(result, column))
    st.caption(meaning.help)


def _every_score(result: Result) -> None:
    st.subheader("All scores", anchor=False)
    table = pd.DataFrame(readings.score_table(readings.readings(result.report())))
    number = st.column_config.NumberColumn(format="%.3f")
    numbers = {name: number for name in table.columns if name not in ("score", "n")}
    st.dataframe(
        table, hide_index=True, alt="All scores with intervals and nulls", placeholder="–",
        column_config={"score": st.column_config.TextColumn(pinned=True), **numbers},
    )  # fmt: skip


def _every_feature(result: Result) -> None:
    thing = present.row(result.direction.target)
    table = result.features()
    st.subheader(f"Every {thing} tested", anchor=False)
    st.caption(
        f"{present.plural(len(table), thing)} measured in at least 1 % of the cells. Sort by a column's head; "
        f"choose a row to look at that {thing} in the other tabs."
    )
    main = next((c for c in readings.COLUMNS[result.direction] if c in table), None)
    shown = table.sort_values(main, ascending=False) if main else table
    columns = _shown_columns(shown, main)
    event = st.dataframe(
        shown[columns], hide_index=True, key="features", alt=f"Scores of every {thing}", placeholder="–", height=420,
        on_select="rerun", selection_mode="single-row", column_config=_columns(shown[columns], main),
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        rows = event.get("selection", {}).get("rows", []) if event else []
        if rows:
            name = str(shown.iloc[rows[0]]["name"])
            st.button(f"Look at {name}", on_click=look_at, args=(name,), icon=":material/search:", key="look")
        st.download_button(
            "Download all columns (CSV)", lambda: to_csv(shown), f"{_file(result, thing + 's')}.csv", "text/csv",
            on_click="ignore", icon=":material/download:", key="features-csv",
        )  # fmt: skip


def _shown_columns(table: pd.DataFrame, main: str | None) -> list[str]:
    """The main score and its gain over the nulls beside the name; what only specialists ask for is in the download."""
    first = ["name", *([main] if main else []), *(c for c in readings.SKILLS if c in table)]
    left_out = ("_se", "_variance", "_mean", "_best", "_gain")
    rest = [c for c in table.columns if c not in (*first, "position") and not c.endswith(left_out)]
    return [*first, *rest, *(["truth_mean"] if "truth_mean" in table else [])]


def _columns(table: pd.DataFrame, main: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {"name": st.column_config.TextColumn("name", pinned=True)}
    for name in table.columns:
        if name == main:
            low = -1.0 if "pearson" in name else 0.0
            config[name] = st.column_config.ProgressColumn(
                readings.column_words(name), format="%.3f", min_value=low, max_value=1.0
            )
        elif pd.api.types.is_float_dtype(table[name]):
            format = "%+.3f" if name in readings.SKILLS else "%.3f"
            config[name] = st.column_config.NumberColumn(readings.column_words(name), format=format)
        elif name != "name":
            config[name] = st.column_config.Column(readings.column_words(name))
    return config


def _file(result: Result, what: str) -> str:
    return f"{result.job.id[:8]}-{result.direction.value}-{what}"
