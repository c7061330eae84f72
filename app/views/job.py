"""One job: where it stands while it runs; then whether to trust it, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from app import present
from app.components import failure, inbox, progress, training
from app.components.analysis import analysed
from app.components.finder import finder
from app.components.job_marks import marks
from app.components.joint import seen
from app.components.result import Result
from app.components.result_cells import cells
from app.components.result_features import features
from app.components.result_genome import genome
from app.components.result_overview import overview
from app.components.result_profiles import profiles
from app.components.result_record import record
from app.components.result_run import downloads
from app.components.result_scores import scores
from app.components.result_training import trained
from app.components.scorecard import scorecard
from app.components.share import share
from app.components.shootout import shootout
from app.components.tabs import first_is_open, forget, tabs
from app.kinds import facts, kind, query
from jobs.bootstrap import current_client
from jobs.names import Direction
from jobs.spec import read_spec
from jobs.state import JobState
from jobs.views import FeatureHit, JobView

WATCHED = "watched"  # the job this session saw alive


def page() -> None:
    id = st.query_params.get("id")
    if not id:
        st.title("No job chosen")
        st.page_link("views/jobs.py", label="See all jobs", icon=":material/list_alt:")
        return
    job: JobView | None = None
    with failure.shown("This job cannot be shown", page=True):
        job = current_client().job(id)
    if job is None:
        st.page_link("views/jobs.py", label="See all jobs", icon=":material/list_alt:")
        return
    inbox.seen(job)
    _header(job)
    marks(job)
    live = present.tag(job.state).live
    if st.session_state.get(WATCHED) == job.id and not live:
        forget()  # who watched it to its end looks at the log no more
    st.session_state[WATCHED] = job.id if live else ""
    if live:
        _living(job)
    elif job.state is JobState.SUCCEEDED:
        {"train": trained, "benchmark": shootout, "joint": seen, "analysis": analysed}.get(job.kind, _finished)(job)
    else:
        _ended(job)


def _living(job: JobView) -> None:
    if job.kind != "translate" and job.state is not JobState.CANCELLING:
        progress.cancel(job)
    if job.kind == "train":
        training.live(job.id)
    else:
        progress.live(job.id)
    tabs(record(job))


def _header(job: JobView) -> None:
    tag = present.tag(job.state)
    st.title(present.plain(present.job_title(job)), anchor=False)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            if not tag.live:  # while it lives, the part that refreshes itself says so
                st.badge(tag.word, icon=tag.icon, color=tag.colour)
            st.markdown(_facts(job))
        if not tag.live:
            with st.container(horizontal=True, width="content"):
                share(job)
                _menus(job)


def _facts(job: JobView) -> str:
    its = kind(job.kind)
    parts = [f"{its.icon} {its.word}", *facts(job)]
    if not present.tag(job.state).live:
        parts += [present.job_took(job), present.ago(job.finished_at or job.updated_at)]
    return " · ".join(parts)


def _menus(job: JobView) -> None:
    if job.state is JobState.SUCCEEDED:
        with st.popover("Download", icon=":material/download:"):
            downloads(job)
        with st.popover("Run again", icon=":material/replay:"):
            st.caption("The same cells and settings, computed anew; what is here stays.")
            if st.button("Just as it was", icon=":material/replay:", key="again", width="stretch"):
                with failure.shown():
                    _again(job)
            _change(job)
    else:
        _change(job)


def _change(job: JobView) -> None:
    page, asked = kind(job.kind).page, query(job)
    st.page_link(page, label="Change and run", icon=":material/tune:", query_params=asked)


def _again(job: JobView) -> None:
    again = current_client().submit(read_spec(job.spec), title=job.title, fresh=True)
    st.switch_page("views/job.py", query_params={"id": again.id})


def _ended(job: JobView) -> None:
    if job.failure is not None:
        failure.show(job.failure, title=present.job_ended(job))
    else:
        st.markdown(f"This {kind(job.kind).doing} was cancelled.")
    if st.button("Run again", type="primary", icon=":material/replay:", key="retry"):
        with failure.shown():
            current_client().retry(job.id)
            st.rerun()
    shows = record(job)
    if job.kind == "train":
        shows = {"Curve": lambda: training.curves(job, current_client().training(job.id)), **shows}
    tabs(shows)


def _finished(job: JobView) -> None:
    which = _direction(job)
    result = Result(job, which)
    with failure.shown("The result cannot be read"):
        above = st.container()
        hit = finder(result)
        shows = {
            "Overview": lambda: overview(result, hit),
            "Scorecard": lambda: scores(result),
            **_features(job, result, hit),
            "Cells": lambda: cells(result, hit),
            "Profiles": lambda: profiles(result),
            **({"Genome": lambda: genome(result, hit)} if _has_peaks(job) else {}),
            **record(job),
        }
        with above:
            scorecard(result, whole=first_is_open(shows))
        tabs(shows)


def _has_peaks(job: JobView) -> bool:
    """Of a prediction of genes that was scored, only where the peaks of its cells were given."""
    return job.kind != "evaluate" or bool(job.spec.get("atac"))


def _features(job: JobView, result: Result, hit: FeatureHit | None) -> dict[str, Callable[[], None]]:
    """Genes where genes were predicted, Peaks where peaks were; each of its own direction."""
    names = {Direction.ATAC_TO_RNA: "Genes", Direction.RNA_TO_ATAC: "Peaks"}
    return {
        name: partial(features, Result(job, which), hit if which is result.direction else None)
        for which, name in names.items()
        if which in job.directions
    }


def _direction(job: JobView) -> Direction:
    """The direction looked at, held in the address; a switch where the job has both."""
    asked = st.query_params.get("direction", "")
    choice = present.in_order(job.directions)
    here = next((d for d in choice if d.value == asked), choice[0])
    if len(choice) == 1:
        return here
    key = f"direction-{job.id}"
    st.segmented_control(
        "Direction", choice, default=here, required=True, key=key, format_func=present.direction,
        on_change=_turn, args=(key,), label_visibility="collapsed",
    )  # fmt: skip
    return here


def _turn(key: str) -> None:
    st.query_params["direction"] = Direction(st.session_state[key]).value


with failure.shown("This page cannot be shown"):
    page()
