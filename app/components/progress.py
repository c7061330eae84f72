"""Where something stands while it runs: one bar, one line, always the same height."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure
from app.kinds import kind
from jobs.bootstrap import current_client
from jobs.state import JobState
from jobs.views import DatasetView, JobView

LOG_LINES = 12


def bar(step: present.Step, *, beside: str = "") -> None:
    """A bar with its words; `beside` is set after the detail, such as what time is left."""
    words = " · ".join(part for part in (step.label, step.detail, beside) if part)
    st.progress(min(max(step.share, 0.0), 1.0), text=words)


@st.fragment(run_every=1.0)
def live(job_id: str) -> None:
    """A running job, refreshed every second; when it ends the whole page is drawn again."""
    with failure.shown("This job cannot be followed"):
        job = current_client().job(job_id)
        if not present.tag(job.state).live:
            st.rerun()
        with st.container(border=True):
            _running(job)


def _running(job: JobView) -> None:
    tag = present.tag(job.state)
    st.badge(tag.word, icon=tag.icon, color=tag.colour)
    bar(present.job_step(job), beside=present.job_eta(job))
    st.caption(standing(job))
    stages(job)
    last_words(job)
    if job.kind != "translate" or job.state is JobState.CANCELLING:
        return
    if st.button("Cancel this job", key=f"cancel-{job.id}", icon=":material/block:"):
        current_client().cancel(job.id)
        st.rerun(scope="fragment")


def cancel(job: JobView) -> None:
    """Stops what may have run for hours, so it asks first; stands outside of what refreshes itself."""
    doing = kind(job.kind).doing
    with st.popover(f"Cancel this {doing}", icon=":material/block:", key=f"ask-{job.id}"):
        st.markdown(f"Stop this {doing}? “Run again” starts another attempt later.")
        if st.button("Yes, cancel it", key=f"cancel-{job.id}", type="primary"):
            with failure.shown():
                current_client().cancel(job.id)
                st.rerun()


def stop_import(data: DatasetView) -> None:
    """Stops cells on their way: at once what can be read again from where it is, after a question what was uploaded."""
    if present.readable_again(data):
        if st.button("Stop", key=f"stop-{data.id}", icon=":material/stop_circle:", help=f"Of {data.name}"):
            _stopped(data)
        return
    with st.popover("Stop", icon=":material/stop_circle:", key=f"ask-{data.id}", help=f"{data.name}; asks first"):
        gone = "The uploaded file goes with it" if data.origin.startswith("upload:") else "Its link is forgotten"
        st.markdown(f"Stop bringing in these cells? {gone}: to begin again, it has to be given again.")
        if st.button("Yes, stop it", key=f"stop-{data.id}", type="primary"):
            _stopped(data)


def _stopped(data: DatasetView) -> None:
    with failure.shown():
        current_client().cancel_dataset(data.id)
        st.rerun(scope="app")


def standing(job: JobView) -> str:
    return f"{present.job_timing(job)}. You may close this tab: the job goes on, and this address shows it again."


def stages(job: JobView) -> None:
    """The stages in a row, so that one sees what is behind and what is ahead."""
    names = present.stages(job.kind)
    here = list(names).index(job.progress.stage) if job.progress.stage in names else -1
    with st.container(horizontal=True, gap="small"):
        for i, name in enumerate(names):
            icon = ":material/check:" if i < here else ":material/autorenew:" if i == here else None
            st.badge(names[name].short, icon=icon, color="green" if i < here else "blue" if i == here else "gray")


def last_words(job: JobView) -> None:
    said = current_client().logs(job.id, tail=LOG_LINES).strip()
    words = present.last_words(said) or job.progress.message or "Nothing said yet"
    st.caption(present.plain(words[:160]))
