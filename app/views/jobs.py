"""Jobs: what runs and what ended."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import present
from app.components import failure, progress
from app.components.figure import to_csv
from app.kinds import KINDS, facts, kind
from jobs.bootstrap import current_client
from jobs.queue.order import Priority
from jobs.state import JobState
from jobs.views import JobView

PAGE = 20  # jobs on the first screenfuls; the rest on request


def page() -> None:
    st.title("Jobs")
    jobs: list[JobView] | None = None
    with failure.shown("The jobs cannot be listed"):
        jobs = current_client().jobs()
    if jobs is None:
        return
    if not jobs:
        _empty()
    else:
        search, which, sort = _filters(jobs)
        if any(present.tag(job.state).live for job in jobs):
            _live(search, which, sort)
        else:
            _rows(jobs, search, which, sort)
    st.page_link(
        "views/data.py",
        label="Your cells: how long they are kept, and how to be rid of them",
        icon=":material/folder_data:",
    )


def _empty() -> None:
    with st.container(border=True):
        st.markdown("**No jobs yet.**")
        st.markdown("Try the example: 148 cells, both directions, a minute or two. Or bring your own cells.")
        if st.button("Try the example", type="primary", icon=":material/play_arrow:"):
            with failure.shown("The example could not be started"):
                job = current_client().submit_example()
                st.switch_page("views/job.py", query_params={"id": job.id})
        st.page_link("views/new.py", label="New translation", icon=":material/add_circle:")
        st.page_link("views/train.py", label="Train a model on your own cells", icon=":material/model_training:")


ANY = "Every kind"


def _filters(jobs: list[JobView]) -> tuple[str, str, str]:
    """What is searched, which states, which kind; all in the address."""
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        search = st.text_input(
            "Search jobs", type="search", placeholder="file, model or id", key="q", bind="query-params"
        )
    with right:
        which = st.segmented_control(
            "Show", present.FILTERS, default="All", required=True, key="show", bind="query-params"
        )
    sort = ANY
    if len({job.kind for job in jobs}) > 1:
        words = [ANY, *(its.word for its in KINDS.values())]
        sort = st.segmented_control(
            "Kind", words, default=ANY, required=True, key="kind", bind="query-params", label_visibility="collapsed"
        )
    return search or "", str(which), str(sort)


@st.fragment(run_every=2.0)
def _live(search: str, which: str, sort: str) -> None:
    with failure.shown("The jobs cannot be listed"):
        jobs = current_client().jobs()
        _rows(jobs, search, which, sort)
        if not any(present.tag(job.state).live for job in jobs):
            st.rerun()


def _rows(jobs: list[JobView], search: str, which: str, sort: str) -> None:
    chosen = [
        job for job in present.chosen_jobs(jobs, search=search, which=which) if sort in (ANY, kind(job.kind).word)
    ]
    if not chosen:
        st.markdown("No job matches. Clear the search or show all.")
        return
    shown = st.session_state.get("jobs-shown", PAGE)
    for job in chosen[:shown]:
        _row(job)
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(chosen) > shown and st.button(f"Show more ({present.count(len(chosen) - shown)} left)", key="more"):
            st.session_state["jobs-shown"] = shown + PAGE
            st.rerun()
        table = pd.DataFrame([present.job_record(job) for job in chosen])
        st.download_button(
            "Download this list (CSV)", to_csv(table), "crossview-jobs.csv", "text/csv", key="jobs-csv",
            icon=":material/download:", type="tertiary", on_click="ignore",
        )  # fmt: skip


def _row(job: JobView) -> None:
    tag = present.tag(job.state)
    with st.container(border=True, key=f"job-{job.id}", gap="small"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{present.plain(present.job_title(job))}**")
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                st.badge(tag.word, icon=tag.icon, color=tag.colour)
                st.page_link("views/job.py", label="Open", icon=":material/arrow_forward:", query_params={"id": job.id})
                _actions(job)
        its = kind(job.kind)
        st.caption(
            " · ".join([f"{its.icon} {its.word}", *facts(job), present.ago(job.submitted_at)]),
            help=f"Submitted {present.moment(job.submitted_at)}. {present.job_timing(job)}.",
        )
        if job.state is JobState.QUEUED:
            _priority(job)
        if tag.live:
            waits = present.job_timing(job) if job.state is JobState.QUEUED else ""
            beside = " · ".join(part for part in (waits, present.job_eta(job)) if part)
            progress.bar(present.job_step(job), beside=beside or present.job_timing(job))
        elif job.failure is not None:
            st.text(job.failure.message)


def _priority(job: JobView) -> None:
    """Where it stands among the user's own waiting jobs."""
    st.segmented_control(
        "Priority among your waiting jobs", [each.value for each in Priority], default=job.priority.value,
        key=f"priority-{job.id}", required=True, on_change=_prioritise, args=(job,),
    )  # fmt: skip


def _prioritise(job: JobView) -> None:
    with failure.shown():
        current_client().prioritise(job.id, Priority(st.session_state[f"priority-{job.id}"]))


def _actions(job: JobView) -> None:
    """What may be done from the list: cancel what runs, run again what ended badly, delete what ended."""
    if present.tag(job.state).live and job.kind != "translate":
        if job.state is not JobState.CANCELLING:
            progress.cancel(job)
        return
    if present.tag(job.state).live:
        if job.state is not JobState.CANCELLING and st.button("Cancel", key=f"cancel-{job.id}"):
            _do("cancel", job)
        return
    if job.state is not JobState.SUCCEEDED and st.button("Run again", key=f"retry-{job.id}"):
        _do("retry", job)
    if st.button("Delete", key=f"delete-{job.id}", type="tertiary", help="Asks first"):
        st.session_state["delete-job"] = job.id
        st.rerun()


def _do(what: str, job: JobView) -> None:
    with failure.shown():
        client = current_client()
        if what == "cancel":
            client.cancel(job.id)
        else:
            client.retry(job.id)
        st.rerun()


@st.dialog("Delete this job?")
def _confirm_job(id: str) -> None:
    with failure.shown():
        job = current_client().job(id)
        st.markdown(f"**{present.plain(present.job_title(job))}** and its results are removed. This cannot be undone.")
        with st.container(horizontal=True):
            if st.button("Delete", type="primary", key="really-job"):
                current_client().delete_job(id)
                st.rerun()
            if st.button("Keep", key="keep-job"):
                st.rerun()


with failure.shown("This page cannot be shown"):
    page()
if asked := st.session_state.pop("delete-job", None):
    _confirm_job(asked)
