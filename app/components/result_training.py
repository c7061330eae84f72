"""A finished training: can its model be trusted, what it learned from, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import present, readings
from app.components import failure
from app.components.model import delete, scores
from app.components.predictability import predicts_well
from app.components.result_record import record
from app.components.tabs import tabs
from app.components.training import curves
from app.kinds import split_words
from jobs.bootstrap import current_client
from jobs.names import Direction
from jobs.spec import TrainSpec, read_spec
from jobs.views import JobView, ModelView


def trained(job: JobView) -> None:
    """The verdict on its held-out cells first, then its curve, card and record."""
    report: Mapping[str, Any] = {}
    with failure.shown("The report cannot be read"):
        report = current_client().report(job.id)
    model = model_of(job)
    _verdict(job, report, model)
    tabs(
        {
            "Scorecard": lambda: _scores(report, job, model),
            "Curve": lambda: curves(job, current_client().training(job.id)),
            "Card": lambda: _card(model),
            **record(job),
        }
    )


def model_of(job: JobView) -> ModelView | None:
    """The model this training made; None once it was deleted."""
    with failure.shown("The models cannot be listed"):
        return next((m for m in current_client().models() if m.id == job.made), None)
    return None


def _verdict(job: JobView, report: Mapping[str, Any], model: ModelView | None) -> None:
    with st.container(border=True, key="scorecard"):
        st.subheader("Can this model be trusted?", anchor=False)
        spec = read_spec(job.spec)
        if isinstance(spec, TrainSpec):
            st.caption(f"Judged on cells it never met: {present.plain(split_words(spec.split))}.")
        for which in present.in_order([d for d in Direction if readings.of_direction(report, d)]):
            verdict = readings.verdict(readings.of_direction(report, which))
            badge = readings.BADGES[verdict.level]
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{present.direction(which)}**", width="content")
                st.badge(badge.word, icon=badge.icon, color=badge.colour)
            st.markdown(verdict.sentence + (f" **{present.plain(verdict.because)}**" if verdict.because else ""))
        with st.container(horizontal=True, vertical_alignment="center"):
            _next_steps(job, model)


def _next_steps(job: JobView, model: ModelView | None) -> None:
    if model is None:
        st.markdown(":material/info: The model was deleted; its curve, scores and record stay until the job goes too.")
    else:
        st.page_link(
            "views/new.py", label="Translate with it", icon=":material/swap_horiz:", query_params={"model": model.id}
        )
        if model.joint:
            its_cells = {which: str(job.spec[which]) for which in ("rna", "atac")}
            st.page_link(
                "views/new.py", label="Joint view of its cells", icon=":material/hub:",
                query_params={"kind": "joint", **its_cells, "model": model.id},
            )  # fmt: skip
    if model is not None:
        delete(model)


def _scores(report: Mapping[str, Any], job: JobView, model: ModelView | None) -> None:
    directions = [d for d in Direction if readings.of_direction(report, d)]
    scores(report, directions, key="trained", of=present.job_title(job), judged=False)
    if model is not None:
        predicts_well(model)


def _card(model: ModelView | None) -> None:
    if model is None or not model.card:
        st.markdown("The card went with the model; it is among the downloads.")
        return
    with st.container(border=True):
        st.markdown(present.card_text(model.card))
