"""One gene or peak, predicted against measured: by label, cell by cell, and whether probabilities hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import calibration, charts, charts_features, present, readings
from app.components.figure import figure
from app.components.result import Result
from jobs.names import Modality
from jobs.views import FeatureHit


def compared(result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str, label: str | None) -> None:
    """The means of each label, and each cell. table: the cells with columns measured and predicted."""
    if not _introduced(result, table, hit, unit, label):
        return
    left, right = st.columns(2)
    with left:
        if label:
            _groups(result, table, hit, unit, label)
    with right:
        _cell_by_cell(result, table, hit, unit, label)


def closely(result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str, label: str | None) -> None:
    """The same, with how the cells of each label spread and, of a peak, its calibration."""
    if not _introduced(result, table, hit, unit, label):
        return
    left, right = st.columns(2)
    with left:
        _cell_by_cell(result, table, hit, unit, label)
    with right:
        if hit.modality == Modality.ATAC:
            _calibration(result, table, hit)
        elif label:
            _groups(result, table, hit, unit, label)
    if not label:
        return
    left, right = st.columns(2)
    with left:
        _spreads(result, table, hit, unit, label)
    with right:
        if hit.modality == Modality.ATAC:
            _groups(result, table, hit, unit, label)


def _introduced(result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str, label: str | None) -> bool:
    """A sentence on how well it is predicted; where nothing was measured, what is predicted of each label instead."""
    if "measured" in table:
        thing = present.row(Modality(hit.modality))
        st.markdown(f"**{present.plain(hit.name)}** {_how_good(result, hit, thing)}")
        return True
    st.caption("There is no measurement to compare with: only the prediction is shown.")
    if label:
        _groups(result, table.assign(measured=np.nan), hit, unit, label)
        _spreads(result, table, hit, unit, label)
    return False


def _how_good(result: Result, hit: FeatureHit, thing: str) -> str:
    column, name = next(iter(readings.COLUMNS[result.direction].items()))
    scores = result.features()
    if column not in scores:
        return ""
    mine = scores.loc[scores["name"] == hit.name, column]
    if mine.empty or not np.isfinite(mine.iloc[0]):
        return f"was measured in too few cells to score this {thing} on its own."
    value = float(mine.iloc[0])
    below = float((scores[column] < value).mean())
    words = readings.MEANINGS[name].label
    return f"{words} {present.number(value)}: better predicted than {present.percent(below)} of the {thing}s tested."


def _groups(result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str, label: str) -> None:
    means = (
        table.groupby(label, sort=True)
        .agg(measured=("measured", "mean"), predicted=("predicted", "mean"), cells=("cell", "size"))
        .reset_index()
        .rename(columns={label: "label"})
    )
    chart = charts.groups(means, title=_group_title(means, hit), quantity=f"mean {unit}", order=list(means["label"]))
    said = f"Mean of {hit.name} in each {readings.column_words(label)}, measured and predicted"
    figure(chart, key="groups", alt=said, table=means, file=_file(result, hit, "groups"))


def _group_title(means: pd.DataFrame, hit: FeatureHit) -> str:
    predicted = _highest(means, "predicted")
    if means["measured"].isna().all():
        return f"{hit.name} is predicted highest in {predicted}"
    measured = _highest(means, "measured")
    if measured == predicted:
        return f"{hit.name} is highest in {measured}, as measured and as predicted"
    return f"{hit.name} is measured highest in {measured}, predicted highest in {predicted}"


def _highest(means: pd.DataFrame, column: str) -> str:
    return str(means["label"].iloc[int(np.nanargmax(means[column].to_numpy(dtype=float)))])


def _spreads(result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str, label: str) -> None:
    """Of a peak the predictions alone: its measurements are open or closed, and their means say all of them."""
    shown = table.drop(columns="measured", errors="ignore") if hit.modality == Modality.ATAC else table
    found = charts_features.quantiles(shown, label)
    if found.empty:
        return
    medians = found[found["what"] == "predicted"]
    apart = float(medians["median"].max() - medians["median"].min())
    title = f"Medians of predicted {hit.name} differ by {present.number(apart, digits=3)} between labels"
    chart = charts_features.spreads(found, title=title, quantity=unit)
    figure(chart, key="spreads", alt=f"Spread of {hit.name} within each label. {title}", table=found,
           file=_file(result, hit, "spread"))  # fmt: skip
    st.caption("Bars hold the middle half of the cells, lines nine in ten, the stroke is the median.")


def _cell_by_cell(result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str, label: str | None) -> None:
    if hit.modality == Modality.RNA:
        _dots(result, table, hit, unit, label)
    else:
        _open_closed(result, table, hit, unit)


def _dots(result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str, label: str | None) -> None:
    columns = ["cell", "measured", "predicted", *([label] if label else [])]
    data = table[columns].rename(columns={label: "label"} if label else {})
    r = float(data["measured"].corr(data["predicted"]))
    title = (
        f"Cell by cell, {hit.name} agrees at r\u00a0=\u00a0{present.number(r)} ({present.plural(len(data), 'cell')})"
    )
    order = sorted(data["label"].unique()) if label else None
    chart = charts.agreement(
        data, title=title, x=f"measured {unit}", y=f"predicted {unit}", name="cell", unit="cell", labels=order
    )
    figure(chart, key="dots", alt=title, table=data, file=_file(result, hit, "cells"))


def _open_closed(result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str) -> None:
    data = table[["cell", "measured", "predicted"]].assign(
        state=np.where(table["measured"] > 0, "measured open", "measured closed")
    )
    means = data.groupby("state")["predicted"].mean()
    share = present.percent(float((data["measured"] > 0).mean()))
    higher = float(means.get("measured open", np.nan)) > float(means.get("measured closed", np.nan))
    title = (
        f"Cells where it is open ({share}) are predicted {'higher' if higher else 'no higher'} on average"
        if len(means) == 2
        else f"Open in {share} of the cells"
    )
    chart = charts.strips(data, title=title, quantity=f"predicted {unit}")
    figure(chart, key="dots", alt=title, table=data, file=_file(result, hit, "cells"))


def _calibration(result: Result, table: pd.DataFrame, hit: FeatureHit) -> None:
    if str(result.report().get("scale", "")) != "probability":
        st.caption("This model predicts no probabilities, so there is nothing to calibrate.")
        return
    found = calibration.curve(table["predicted"], table["measured"])
    error, chance = calibration.error(found), calibration.by_chance(found)
    title = f"Calibration error {present.number(error, digits=3)}; {present.number(chance, digits=3)} by chance alone"
    chart = charts_features.reliability(found, title=title)
    figure(chart, key="calibration", alt=f"Predicted probability against share open, {hit.name}. {title}", table=found,
           file=_file(result, hit, "calibration"))  # fmt: skip
    st.caption(
        f"{present.plural(len(found), 'group')} of equal size by predicted probability; the error is the expected "
        "calibration error (ECE). On the dashed line predictions hold. By chance: what as few cells give a perfect one."
    )


def _file(result: Result, hit: FeatureHit, what: str) -> str:
    return present.file(result.job, f"{present.slug(hit.name)}-{what}")
