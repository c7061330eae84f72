"""The measured and the predicted map of cells, side by side in the same colours; a shape on one marks cells on both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import charts_cells, charts_lasso, present, readings
from app.components import look
from app.components.figure import BOX, figure
from app.components.result import UMAPS, Result, has_map, on_map
from app.marking import MAPS, Shape, shape_of, text_of
from jobs.views import FeatureHit

WORDS = MAPS  # what the profiles are called that a map was laid out from
BY_BOX, BY_LASSO = "Box", "Lasso"
_TURNS = "map-turns"  # by map: how often a shape elsewhere made its own go away


@dataclass(frozen=True, slots=True)
class Mark:
    """That a shape can be drawn on the maps, with what (BY_BOX or BY_LASSO), and what is drawn already."""

    tool: str
    shape: Shape | None = None


def maps(
    result: Result, cells: pd.DataFrame, *, colour: str | None, lit: tuple[str, ...] = (), kept: str = "",
    mark: Mark | None = None,
) -> None:  # fmt: skip
    """Both maps, coloured by one column of the cells; side by side, one above the other on a phone.

    kept: a column of flags; cells without it are grey. mark: how cells are marked on them, where they can be.
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
    domain = None if categorical else domain_of(table[colour])
    by = f" by {readings.column_words(colour)}"
    if colour == readings.OUTSIDE:
        few = present.plural(int(cells[colour].sum()), "cell")
        by = f": {few} {readings.UNLIKE}"
    for column, which in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            kind = present.measured(result.direction.target)
            title = f"{WORDS[which].capitalize()} {kind}{by}"
            _map(result, table, which, colour, title, labels=order, domain=domain, lit=lit, kept=kept, mark=mark)


def feature_maps(
    result: Result, table: pd.DataFrame, hit: FeatureHit, unit: str, *, kept: str = "", mark: Mark | None = None
) -> None:
    """The searched gene or peak on both maps, each with its own values, on one colour scale where that is fair."""
    shown = [(which, WORDS[which]) for which in UMAPS if has_map(table, which) and WORDS[which] in table]
    if not shown:
        return
    for column, (which, words) in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            title = f"{hit.name}, {words}"
            domain = domain_of(table[words])
            _map(
                result, table, which, words, title, labels=None, domain=domain, lit=(), unit=unit, kept=kept, mark=mark
            )


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
    mark: Mark | None = None,
) -> None:
    data = on_map(table, which)[["cell", "x", "y", colour, *([kept] if kept else [])]]
    unit = unit or readings.column_words(colour)
    asked: dict[str, Any] = {
        "title": title, "colour": colour, "labels": labels, "domain": domain, "unit": unit, "lit": lit, "kept": kept,
    }  # fmt: skip
    if mark is not None and mark.tool == BY_LASSO:
        own = mark.shape if mark.shape is not None and mark.shape.map == which else None
        chart = charts_lasso.cell_map(data, **asked, shape=own, dark=look.dark())
    else:
        chart = charts_cells.cell_map(data, **asked, box=mark is not None)
    said = f"Map of {present.plural(len(data), 'cell')} from {WORDS[which]} profiles, coloured by {unit}"
    if kept:
        said += f"; {present.count(int((~data[kept]).sum()))} are grey"
    figure(
        chart, key=f"map-{which}", alt=said, table=data, file=present.file(result.job, f"{which}-map"),
        chart_key=marking_key(which, mark.tool) if mark else "",
        on_drawn=partial(shape_drawn, which, mark.tool) if mark else None,
    )  # fmt: skip


def domain_of(values: pd.Series[float]) -> tuple[float, float]:
    """From 0 or the lowest, to the 99th percentile: one extreme cell does not darken the rest."""
    finite = values.dropna()
    if finite.empty:
        return 0.0, 1.0
    low = min(float(finite.min()), 0.0)
    high = float(np.percentile(finite, 99))
    return low, high if high > low else low + 1.0


def marking_key(which: str, tool: str) -> str:
    """The chart's key in the session: another once a shape was drawn on the other map, so that its own is gone."""
    turns: dict[str, int] = st.session_state.setdefault(_TURNS, {})
    return f"map-{which}-{tool.lower()}-{turns.get(which, 0)}"


def shape_drawn(which: str, tool: str) -> None:
    """Holds the shape in the address; an empty one takes it away."""
    selection = (st.session_state.get(marking_key(which, tool)) or {}).get("selection", {})
    shape = shape_of(which, selection)
    if shape is None:
        st.query_params.pop(BOX, None)
        return
    st.query_params[BOX] = text_of(shape)
    _turn(other for other in UMAPS if other != which)


def clear_box() -> None:
    st.query_params.pop(BOX, None)
    _turn(UMAPS)


def _turn(maps: Iterable[str]) -> None:
    turns: dict[str, int] = st.session_state.setdefault(_TURNS, {})
    for which in maps:
        turns[which] = turns.get(which, 0) + 1
