"""One job in the list: what it is, where it stands, its star and labels, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import present
from app.components import failure, progress
from app.components.jobs_bulk import into_bin, picked_key
from app.kinds import facts, kind
from jobs.board.views import Act
from jobs.bootstrap import current_client
from jobs.queue.order import Priority
from jobs.state import JobState
from jobs.views import JobView


def row(job: JobView, *, known: Sequence[str]) -> None:
    """known: labels there are."""
    tag = present.tag(job.state)
    title = present.job_title(job)
    with st.container(border=True, key=f"job-{job.id}", gap="small"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                st.checkbox(f"Choose {title}", key=picked_key(job.id), label_visibility="collapsed", width="content")
                star(job, title)
                st.page_link("views/job.py", label=title, query_params={"id": job.id})
                badges(job)
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                _actions(job, known)
        its = kind(job.kind)
        facts_line = [f"{its.icon} {its.word}", *facts(job)]
        st.caption(
            " · ".join([f"{tag.icon} {tag.word}", *facts_line, present.ago(job.submitted_at)]),
            help=f"Submitted {present.moment(job.submitted_at)}. {present.job_timing(job)}. {job.id}.",
        )
        if job.state is JobState.QUEUED:
            _priority(job)
        if tag.live:
            waits = present.job_timing(job) if job.state is JobState.QUEUED else ""
            beside = " · ".join(part for part in (waits, present.job_eta(job)) if part)
            progress.bar(present.job_step(job), beside=beside or present.job_timing(job))
        elif job.failure is not None:
            st.text(job.failure.message)


def star(job: JobView, title: str) -> None:
    """On, or off again."""
    icon, word = (":material/star:", "Take the star off") if job.starred else (":material/star_outline:", "Star")
    st.button(
        word, key=f"star-{job.id}", type="tertiary", icon=icon, help=f"{word}: {title}", on_click=_mark,
        args=(job.id, not job.starred),
    )  # fmt: skip


def _mark(id: str, starred: bool) -> None:
    with failure.shown():
        current_client().board.mark(id, starred=starred)


def _actions(job: JobView, known: Sequence[str]) -> None:
    """What may be done from the list: label, cancel what runs, ask again, delete what ended."""
    if job.bin_until is not None:
        from_bin(job)
        return
    _labels(job, known)
    if present.tag(job.state).live:
        if job.state is not JobState.CANCELLING:
            if job.kind != "translate":
                progress.cancel(job)
            elif st.button("Cancel", key=f"cancel-{job.id}"):
                _do(Act.CANCEL, job)
        return
    if job.state is not JobState.SUCCEEDED and st.button("Run again", key=f"retry-{job.id}"):
        _do(Act.RETRY, job)
    page = "views/new.py" if job.kind != "analysis" else kind(job.kind).page
    st.page_link(page, label="Change and run", icon=":material/tune:", query_params={"from": job.id})
    delete(job)


def delete(job: JobView) -> None:
    """For who may change their mind."""
    if st.button(
        "Delete", key=f"delete-{job.id}", type="tertiary", help="Into the bin: ten minutes in which it can be undone"
    ):
        into_bin([job])


def badges(job: JobView) -> None:
    for label in job.labels:
        st.badge(present.plain(label), icon=":material/label:", color="violet")


def from_bin(job: JobView) -> None:
    """When it goes, and the way back."""
    when = present.moment(job.bin_until) if job.bin_until else ""
    st.caption(f"Deleted at {when}", width="content")
    if st.button("Take it back", key=f"restore-{job.id}"):
        _do(Act.RESTORE, job)


def _labels(job: JobView, known: Sequence[str]) -> None:
    with st.popover("Labels", icon=":material/label:", key=f"ask-labels-{job.id}"):
        label_choice(job, known)


def label_choice(job: JobView, known: Sequence[str]) -> None:
    """known: labels there are on any job."""
    st.multiselect(
        "Labels of this job", list(dict.fromkeys([*job.labels, *known])), default=list(job.labels),
        accept_new_options=True, key=f"labels-{job.id}", on_change=_relabel, args=(job.id, tuple(job.labels)),
        placeholder="Choose, or type a new one", help="To find jobs that belong together.",
    )  # fmt: skip


def _relabel(id: str, before: tuple[str, ...]) -> None:
    now = list(st.session_state[f"labels-{id}"])
    with failure.shown():
        current_client().board.mark(
            id, add=[each for each in now if each not in before], remove=[each for each in before if each not in now]
        )


def _priority(job: JobView) -> None:
    """Where it stands among the user's own waiting jobs."""
    st.segmented_control(
        "Priority among your waiting jobs", [each.value for each in Priority], default=job.priority.value,
        key=f"priority-{job.id}", required=True, on_change=_prioritise, args=(job,),
    )  # fmt: skip


def _prioritise(job: JobView) -> None:
    with failure.shown():
        current_client().prioritise(job.id, Priority(st.session_state[f"priority-{job.id}"]))


def _do(act: Act, job: JobView) -> None:
    with failure.shown():
        client = current_client()
        if act is Act.CANCEL:
            client.cancel(job.id)
        elif act is Act.RETRY:
            client.retry(job.id)
        else:
            client.board.bulk(act, [job.id])
        st.rerun()
