"""Overview: measured and predicted maps side by side, and the searched gene or the average profile."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, present, readings
from app.components import result_binned
from app.components.figure import figure
from app.components.result import UMAPS, Result, has_map, on_map, one_feature
from jobs.bootstrap import current_client
from jobs.names import Modality
from jobs.views import FeatureHit

WORDS = {"truth": "measured", "prediction": "predicted"}


def overview(result: Result, hit: FeatureHit | None) -> None:
    cells = result.cells()
    labels = readings.label_columns({name: cells[name].tolist() for name in cells.columns})
    label = labels[0] if labels else None
    if hit is None:
        maps(result, cells, colour=label)
        st.caption(
            "Each map is laid out on its own: where kinds of cells that lie apart on the left lie apart on the right "
            "too, the prediction tells them apart."
        )
        return
    if result_binned.is_large(result.job):
        result_binned.show(current_client(), result.job, result.direction, hit)
        return
    table = one_feature(result.values([hit.name]), cells)
    unit = readings.scale_words(str(result.report().get("scale", "")), Modality(hit.modality))
    feature_maps(result, table, hit, unit)
    comparison(result, table, hit, unit, label)


def maps(result: Result, cells: pd.DataFrame, *, colour: str | None, lit: tuple[str, ...] = (), kept: str = "") -> None:
    """Both maps, coloured by one column of the cells; side by side, one above the other on a phone.

    kept: a column of flags; cells without it are grey.
    """
    shown = [which for which in UMAPS if has_map(cells, which)]
    if not shown:
        st.markdown("No maps were drawn for this job: fewer than ten cells, or the option was off.")
        return
    table = cells if colour else cells.assign(cell_type="all cells")
    colour = colour or "cell_type"
    if colour == readings.OUTSIDE:
        words = table[colour].map({True: readings.UNLIKE, False: readings.LIKE})
        table = table.assign(**{colour: words}).sort_values(colour, kind="stable")  # the few lie above the many
    categorical = not pd.api.types.is_numeric_dtype(table[colour])
    order = sorted(table[colour].dropna().unique()) if categorical else None
    domain = None if categorical else _domain(table[colour])
    by = f" by {readings.column_words(colour)}"
    if colour == readings.OUTSIDE:
        few = present.plural(int(cells[colour].sum()), "cell")
        by = f": {few} {readings.UNLIKE}"
    for column, which in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            kind = present.measured(result.direction.target)
            title = f"{WORDS[which].capitalize()} {kind}{by}"
            _map(result, table, which, colour, title, labels=order, domain=domain, lit=lit, kept=kept)


def feature_maps(result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str, *, kept: str = "") -> None:
    """The searched gene or peak on both maps, each with its own values, on one colour scale where that is fair."""
    shown = [(which, WORDS[which]) for which in UMAPS if has_map(table, which) and WORDS[which] in table]
    if not shown:
        return
    for column, (which, words) in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            title = f"{hit.name}, {words}"
            domain = _domain(table[words])
            _map(result, table, which, words, title, labels=None, domain=domain, lit=(), unit=unit, kept=kept)


def _map(
    result: Result,
    table: pd.DataFrame,
    which: str,
    colour: str,
    title: str,
    *,
    labels: list[str] | None,
    domain: tuple[float, float] | None,
    lit: tuple[str, ...],
    unit: str = "",
    kept: str = "",
) -> None:
    data = on_map(table, which)[["cell", "x", "y", colour, *([kept] if kept else [])]]
    unit = unit or readings.column_words(colour)
    chart = charts.umap(data, title=title, colour=colour, labels=labels, domain=domain, unit=unit, lit=lit, kept=kept)
    said = f"Map of {present.plural(len(data), 'cell')} from {WORDS[which]} profiles, coloured by {unit}"
    if kept:
        said += f"; {present.count(int((~data[kept]).sum()))} left out are grey"
    figure(chart, key=f"map-{which}", alt=said, table=data, file=f"{result.job.id[:8]}-{which}-map")


def _domain(values: pd.Series[float]) -> tuple[float, float]:
    """From 0 or the lowest, to the 99th percentile: one extreme cell does not darken the rest."""
    finite = values.dropna()
    if finite.empty:
        return 0.0, 1.0
    low = min(float(finite.min()), 0.0)
    high = float(np.percentile(finite, 99))
    return low, high if high > low else low + 1.0


def comparison(result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str, label: str | None) -> None:
    """Measured against predicted for one gene or peak: by label, and cell by cell."""
    if "measured" not in table:
        st.caption("There is no measurement to compare with: only the prediction is shown.")
        if label:
            _groups(result, table.assign(measured=np.nan), hit, unit, label)
        return
    thing = present.row(Modality(hit.modality))
    st.markdown(f"**{present.plain(hit.name)}** {_how_good(result, hit, thing)}")
    left, right = st.columns(2)
    with left:
        if label:
            _groups(result, table, hit, unit, label)
    with right:
        if hit.modality == Modality.RNA:
            _dots(result, table, hit, unit, label)
        else:
            _open_closed(result, table, hit, unit)


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
    figure(chart, key="groups", alt=said, table=means, file=f"{result.job.id[:8]}-{hit.name}-groups")


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
    figure(chart, key="dots", alt=title, table=data, file=f"{result.job.id[:8]}-{hit.name}-cells")


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
    figure(chart, key="dots", alt=title, table=data, file=f"{result.job.id[:8]}-{hit.name}-cells")
