"""What a model predicts well: each gene or peak against the best null, on the model's own held-out cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from app import charts_scores, present, readings
from app.components import failure
from app.components.figure import figure
from app.components.finder import look_at
from app.components.table import table
from jobs.bootstrap import current_client
from jobs.names import Direction, Modality
from jobs.predictability import COLUMNS, whole
from jobs.predictability import MOST_ROWS as MOST_AT_ONCE
from jobs.views import JobView, ModelView, PredictabilityView


def predicts_well(model: ModelView) -> None:
    """Folded away, and read once it is opened; its being open is held in the address."""
    if not model.predictability:
        return
    key = f"predicts-{present.slug(model.id)}"
    folded = st.expander("What it predicts well", icon=":material/leaderboard:", key=key, bind="query-params")
    if not folded.open:
        return
    with folded, failure.shown("What it predicts well cannot be shown"):
        choice = present.in_order(model.directions)
        which = choice[0]
        if len(choice) > 1:
            picked = st.segmented_control(
                "Direction", choice, default=choice[0], required=True, key=f"{key}-direction",
                format_func=present.direction, label_visibility="collapsed",
            )  # fmt: skip
            which = Direction(picked)
        _table(model, which, key=f"{key}-{which.value}")


def expected(job: JobView, which: Direction) -> None:
    """For cells without the other measurement: what can be expected, by how the model did where it could be judged."""
    model = next((each for each in current_client().models() if each.id == job.model), None)
    if model is None or not model.predictability or model.digest != job.bundle:
        return
    st.subheader("What to expect, gene by gene" if which.target is Modality.RNA else "What to expect, peak by peak")
    st.caption("Expected, on the model's own held-out cells. Cells of other kinds may fare worse.")
    with failure.shown("What to expect cannot be shown"):
        _table(model, which, key="expected", pick=look_at)


def _table(model: ModelView, which: Direction, *, key: str, pick: Callable[[str], None] | None = None) -> None:
    """The sentence, the histogram with its neutral line, and the table; pick: what choosing a row leads to."""
    found, rows = _read(model.id, model.digest, which.value, "")
    st.markdown(readings.predicts(found))
    if rows.empty:
        return
    file = f"{present.slug(model.id)}-{which.value}-predictability"
    _histogram(found, rows, key=f"{key}-histogram", file=file)
    thing = present.row(which.target)
    query = st.text_input(
        "Search a gene" if thing == "gene" else "Search a peak, a region or a gene near it", type="search",
        placeholder="such as CD3E" if thing == "gene" else "such as CD3E or chr11:118304000-118344000",
        key=f"{key}-search",
    )  # fmt: skip
    if query and query.strip():
        rows = _read(model.id, model.digest, which.value, query.strip())[1]
        st.caption(f"{present.plural(len(rows), thing)} tested match.")
    table(
        rows.rename(columns={"name": thing}), key=f"{key}-rows", file=file, config=_columns(found), order="gain_low",
        alt=f"How well {model.title} predicts every {thing}", words=lambda c: str(_WORDS.get(c, c)), pick=pick,
    )  # fmt: skip


def _histogram(found: PredictabilityView, rows: pd.DataFrame, *, key: str, file: str) -> None:
    thing = present.row(found.direction.target)
    gain = rows["gain"].to_numpy(dtype=float)
    title = (
        f"{present.percent(found.better / found.tested)} of {present.plural(found.tested, thing)} lie above the best "
        f"null; mean {present.number(float(gain.mean()), digits=3)}"
    )
    quantity = readings.column_words(f"{found.measure}_gain")
    chart = charts_scores.histogram(gain, title=title, quantity=quantity, unit=thing, neutral=0.0)
    figure(chart, key=key, alt=f"Histogram. {title}", table=rows[["name", "gain"]], file=file)
    st.caption(
        "The best null is the better of two that need no model: the average training cell, and that times the depth of "
        f"the source. At 0 nothing was learned of the {thing}."
    )


_WORDS = {
    "score": "score",
    "null": "the best null",
    "gain": "above the best null",
    "gain_low": "above it and chance by at least (95 %)",
    "skill": "skill",
    "standard_error": "standard error of the score",
}


def _columns(found: PredictabilityView) -> dict[str, Any]:
    thing, target = present.row(found.direction.target), found.direction.target
    skill = "mse_skill" if target is Modality.RNA else "brier_skill"
    words = {**_WORDS, "score": readings.column_words(found.measure), "skill": readings.column_words(skill)}
    config: dict[str, Any] = {thing: st.column_config.TextColumn(thing, pinned=True)}
    for name, label in words.items():
        format = "%+.3f" if name in ("gain", "gain_low", "skill") else "%.3f"
        config[name] = st.column_config.NumberColumn(label, format=format)
    return config


@st.cache_data(max_entries=12, ttl=3600, show_spinner="Reading the scores …")
def _read(model: str, bundle: str, direction: str, query: str) -> tuple[PredictabilityView, pd.DataFrame]:
    """What all rows say, and the rows that answer the search, the surest gain first. bundle: what it is kept under."""
    which, client = Direction(direction), current_client()
    found = whole(lambda start: client.predictability(model, which, query=query, limit=MOST_AT_ONCE, offset=start))
    shown = ("name", "score", "null", "gain", "gain_low", "skill", "standard_error")
    rows = pd.DataFrame({name: getattr(found, name) for name in shown})
    rows = rows.astype({name: float for name in shown if name != "name"})
    return found.model_copy(update=dict.fromkeys(COLUMNS, ())), rows
