"""Overview: measured and predicted maps side by side, and the searched gene or the average profile."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, present, readings
from app.components.compared import compared
from app.components.figure import figure
from app.components.result import UMAPS, Result, has_map, on_map, one_feature
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
    table = one_feature(result.values([hit.name]), cells)
    unit = readings.scale_words(str(result.report().get("scale", "")), Modality(hit.modality))
    feature_maps(result, table, hit, unit)
    compared(result, table, hit, unit, label)


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
