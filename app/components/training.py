"""A training as it goes and as it went: the curve of its loss, where it stands, and where it was picked up again."""

from __future__ import annotations

import streamlit as st

from app import curve, present
from app.charts_training import losses
from app.components import failure, progress
from app.components.address import choice
from app.components.figure import figure
from jobs.bootstrap import current_client
from jobs.state import JobState
from jobs.views import JobView, TrainingView

LINEAR, LOG = "Linear", "Log"


def live(job_id: str) -> None:
    """A training while it runs: what it is looked at by stands still, the rest refreshes itself."""
    _following(job_id)


@st.fragment(run_every=1.5)
def _following(job_id: str) -> None:
    with failure.shown("This training cannot be followed"):
        client = current_client()
        job = client.job(job_id)
        if not present.tag(job.state).live:
            st.rerun()
        training = client.training(job_id)
        with st.container(border=True):
            _standing(job, training)
        if training.epochs:
            curves(job, training, live=True)
        else:
            with st.container(border=True, height=200, key="no-curve"):
                st.caption("The curve of the loss begins with the first finished epoch.")


def _standing(job: JobView, training: TrainingView) -> None:
    tag = present.tag(job.state)
    st.badge(tag.word, icon=tag.icon, color=tag.colour)
    here = curve.standing(training)
    if here is not None and job.progress.stage in ("", "train") and job.state is not JobState.CANCELLING:
        st.progress(here.share, text=curve.standing_words(training))
    else:
        progress.bar(present.job_step(job), beside=present.job_eta(job))
    st.caption(f"{progress.standing(job)} It may stop sooner, once it no longer gains.")
    progress.stages(job)
    progress.last_words(job)


def curves(job: JobView, training: TrainingView, *, live: bool = False) -> None:
    """One curve a stage, side by side, one above the other on a phone."""
    if training.epochs:
        _stages(job, training, live=live)
    else:
        st.caption("There is no curve: no epoch was finished, or the model is fitted in one step.")
    for note in training.notes:
        st.caption(f":material/info: {present.plain(note)}")


def _stages(job: JobView, training: TrainingView, *, live: bool) -> None:
    part, scale = _looked_at(training)
    stages = curve.stages(training)
    for row in range(0, len(stages), 2):
        shown = stages[row : row + 2]
        for column, stage in zip(st.columns(len(shown)), shown, strict=True):
            with column:
                _curve(job, training, stage, part, log=scale == LOG, live=live)


def _looked_at(training: TrainingView) -> tuple[str, str]:
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    parts = curve.parts(training)
    with left:
        part = choice("Loss", parts, param="part", words=curve.part_words) if parts else curve.MAIN
    with right:
        scale = st.segmented_control(
            "Axis", [LINEAR, LOG], default=LINEAR, required=True, key="axis", bind="query-params"
        )
    return part, str(scale)


def _curve(job: JobView, training: TrainingView, stage: str, part: str, *, log: bool, live: bool) -> None:
    points = curve.points(training, stage, part)
    if points.empty:
        st.caption(f"{curve.stage_words(stage) or 'This training'} has no {curve.part_words(part)}.")
        return
    title = curve.title(training, stage)
    resumed = curve.resumed(training, stage)
    chart = losses(
        points, title=title, quantity=f"loss, {curve.part_words(part)}", kept=curve.kept(training, stage),
        resumed=resumed, log=log, last=curve.right_end(training, stage) if live else None,
    )  # fmt: skip
    picked_up = f" Went on from a checkpoint after epoch {', '.join(map(str, resumed))}." if resumed else ""
    figure(
        chart, key=f"curve-{curve.stages(training).index(stage)}", table=points,
        alt=f"Loss by epoch on training cells and on cells held back. {title}.{picked_up}",
        file=present.file(job, stage or "loss"),
    )  # fmt: skip
    if resumed:
        st.caption(f":material/restart_alt: It was interrupted and went on after epoch {', '.join(map(str, resumed))}.")
