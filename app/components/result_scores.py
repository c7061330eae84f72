"""Scorecard: each score with its interval, nulls and verdict; how genes or peaks lie, calibration, the ROC curve."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from app import calibration, charts_features, charts_scores, judged, present, readings
from app.components.figure import figure
from app.components.predictability import expected
from app.components.result import Result
from app.components.table import table
from jobs.names import Modality


def scores(result: Result) -> None:
    if not result.scored:
        st.markdown("These cells were measured one way only, so there is nothing to score the prediction against.")
        expected(result.job, result.direction)
        return
    report = result.report()
    for line in (report.get("verdict") or {}).get("sentences", ()):
        st.markdown(f"**{present.plain(str(line))}**")
    _every_score(result)
    for line in readings.cautions(report):
        st.markdown(f":material/info: {present.plain(line)}")
    column = _column(result)
    if result.direction.target is not Modality.ATAC:
        _histogram(result, column)
        return
    left, right = st.columns(2)
    with left:
        _histogram(result, column)
    with right:
        _calibration(result)
    _roc(result)


def _every_score(result: Result) -> None:
    """What a biologist reads first stands first: the score, what to make of it, then the figures."""
    found = judged.table(result.report(), result.features(), result.direction)
    counted = next((name for name in found if str(name).endswith("above the average")), None)
    first = ["score", "value", "verdict", *([counted] if counted else [])]
    columns = [*first, *(str(name) for name in found.columns if name not in first)]
    number = st.column_config.NumberColumn(format="%.3f")
    config: dict[str, Any] = {str(name): number for name in columns if name not in (*first, "n")}
    config |= {"score": st.column_config.TextColumn(pinned=True), "value": number}
    config["verdict"] = st.column_config.TextColumn(width="large")
    table(
        found[columns], key="scores", alt="All scores with intervals, nulls and verdicts", config=config,
        file=_file(result, "all-scores"), height="content",
    )  # fmt: skip


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
    data = curve.rename(columns=names)[list(names.values())].assign(what=result.words)
    reading = readings.readings(result.report()).get("flat_auroc")
    area = present.number(reading.value) if reading else "–"
    average = present.number(reading.nulls.get("mean")) if reading else "–"
    title = f"Flattened AUROC {area}; the average profile alone reaches {average}"
    left, _ = st.columns(2)
    with left:
        figure(
            charts_scores.roc(data, title=title),
            key="roc",
            alt=f"ROC curve. {title}",
            table=data,
            file=_file(result, "roc"),
        )
        st.caption("All cells and peaks in one list, as papers print it; it mostly measures the average profile.")


def _calibration(result: Result) -> None:
    found = calibration.reported(result.report())
    if found.empty:
        st.caption("No probabilities were predicted, or nothing was open: there is nothing to calibrate.")
        return
    error = calibration.error(found)
    title = f"Predicted probabilities are off by {present.number(error, digits=4)} on average"
    chart = charts_features.reliability(found, title=title, unit="entry", log=True)
    figure(
        chart, key="calibration", alt=f"Calibration of all peaks and cells. {title}", table=found,
        file=_file(result, "calibration"),
    )  # fmt: skip
    slope = ((result.report().get("detail") or {}).get("calibration") or {}).get("slope")
    said = f" Slope of the log odds {present.number(slope)}; 1 holds, below 1 is too sure." if slope is not None else ""
    st.caption(f"All peaks in all cells, in groups of equal size (expected calibration error, ECE).{said}")


def _histogram(result: Result, column: str | None) -> None:
    if column is None:
        return
    rows, thing = result.features(), present.row(result.direction.target)
    meaning = readings.MEANINGS[readings.COLUMNS[result.direction][column]]
    values = rows[column].to_numpy(dtype=float)
    finite = values[np.isfinite(values)]
    above = float((finite > meaning.neutral).mean()) if len(finite) else 0.0
    title = (
        f"{present.percent(above)} of {present.plural(len(finite), thing)} score above chance; "
        f"mean {present.number(float(finite.mean()) if len(finite) else None)}"
    )
    chart = charts_scores.histogram(values, title=title, quantity=meaning.label, unit=thing, neutral=meaning.neutral)
    data = rows[["name", column]]
    figure(chart, key="histogram", alt=f"Histogram. {title}", table=data, file=_file(result, column))
    st.caption(meaning.help)


def _file(result: Result, what: str) -> str:
    return present.file(result.job, f"{result.direction.value}-{what}")
