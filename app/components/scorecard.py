"""Can I trust it? The first thing under a finished job's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app import charts_scores, present, readings
from app.columns import Outside, outside
from app.components.figure import figure
from app.components.result import Result
from jobs.bootstrap import current_client
from jobs.names import Direction
from jobs.views import ModelView


def scorecard(result: Result, *, whole: bool = True) -> None:
    """Verdict in words; where whole, then dots with intervals on an axis that also carries the nulls."""
    report = result.report()
    verdict = readings.verdict(report)
    badge = readings.BADGES[verdict.level]
    with st.container(border=True, key="scorecard"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader("Can I trust it?", anchor=False, width="content")
            st.badge(badge.word, icon=badge.icon, color=badge.colour)
        st.markdown(verdict.sentence)
        if verdict.because:
            st.markdown(f"**{present.plain(verdict.because)}**")
        if not whole:
            _outside(result)
            return
        if result.scored:
            axis(report, result.direction, key="scores-axis", of=result.words, what=result.words)
        else:
            _without_truth(result)
        _outside(result)


def axis(report: Mapping[str, Any], which: Direction, *, key: str, of: str, what: str = "this translation") -> None:
    """The headline scores of one direction's report as dots on one axis. of: whose scores they are, for the ear."""
    found = readings.readings(report)
    chosen = [found[name] for name in readings.HEADLINES[which] if name in found]
    if not chosen:
        return
    rows = pd.DataFrame(readings.marks(chosen, what=what))
    family = chosen[0].meaning.family
    title = f"{family[0].upper()}{family[1:]} on {present.plural(chosen[0].n, 'cell')}, with 95 % intervals"
    chart = charts_scores.scores(
        rows, title=title, neutral=chosen[0].meaning.neutral, quantity=f"{family}, higher is better"
    )
    said = "; ".join(reading.sentence for reading in chosen)
    figure(chart, key=key, alt=f"Scores of {of}, with intervals and nulls. {said}.", table=rows)


def _without_truth(result: Result) -> None:
    """What can be said without the measurement: how well the cells fit the model, and how the model did elsewhere."""
    for line in _coverage(result):
        st.markdown(line)
    model = _model(result.job.model)
    if model is None:
        return
    found = readings.readings(readings.of_direction(model.report, result.direction))
    main = found.get(readings.MAIN[result.direction])
    if main is not None:
        st.markdown(f"On its own held-out cells ({model.tissue}) this model scores: {main.sentence}.")
    st.caption("To score your own cells, run it again with the other measurement of the same cells as the second file.")


def _coverage(result: Result) -> list[str]:
    given = result.report().get("coverage") or {}
    found, of = given.get("found"), given.get("of")
    if not isinstance(found, int) or not isinstance(of, int) or not of:
        return []
    things = present.plural(of, present.row(result.direction.source))
    return [f"{present.count(found)} of the model's {things} were found in your file ({present.percent(found / of)})."]


def _model(id: str) -> ModelView | None:
    return next((model for model in current_client().models() if model.id == id), None)


def _outside(result: Result) -> None:
    """How many cells look unlike anything the model has seen, and what to do about them."""
    found = outside(result.cells())
    if found is None:
        return
    if not found.count:
        st.markdown(":material/check: No cell looks unlike what the model has seen.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_outside_words(found), width="content")
        st.button("Show them", on_click=_show_outside, key="show-outside", icon=":material/scatter_plot:")


def _outside_words(found: Outside) -> str:
    share = present.percent(found.count / found.of)
    looks = f"{present.count(found.count)} of {present.plural(found.of, 'cell')} ({share}) "
    looks += "looks" if found.count == 1 else "look"
    if found.many:
        return (
            f":material/warning: {looks} unlike anything the model has seen. Do not read biology into their "
            "predictions: look where they lie, leave them out, or train a model on cells like them."
        )
    usual = present.percent(readings.USUAL)
    return (
        f":material/info: {looks} unlike what the model has seen; among cells of its own kind about {usual} do. "
        "Leave them out where it matters."
    )


def _show_outside() -> None:
    st.session_state["tab"], st.session_state["colour"] = "Cells", readings.OUTSIDE
