"""Home: what can be done here, what runs, what was found, what is kept; and the way in for who is new."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app import kept, present
from app.components import address, example, failure, progress
from app.kinds import kind as kind_of_job
from app.wizard import KINDS
from jobs.board.views import JobsAsked
from jobs.bootstrap import current_client
from jobs.client import Client
from jobs.names import Modality
from jobs.state import ACTIVE, JobState
from jobs.views import Health, JobView, ModelView

OLD = ("cells", "other", "model")  # an address from when the first page was that of a new translation
RUNNING, RECENT = 5, 5  # lines shown; the others on the Jobs page  # ours


def page() -> None:
    if any(name in st.query_params for name in OLD):
        st.switch_page("views/new.py", query_params=dict(address.here()))
    st.title("CrossView")
    st.markdown("Translate single-cell RNA-seq into ATAC-seq and back, and see how far to trust it.")
    any_jobs = True
    with failure.shown("The jobs cannot be listed"):
        any_jobs = bool(current_client().board.find(JobsAsked(limit=1)).total)
    models = _models()
    if any_jobs:
        if st.button("New job", type="primary", icon=":material/add_circle:", key="new-job"):
            st.switch_page("views/new.py")
        _running()
        _recent()
    else:
        _first(models)
    _what()
    _files(models)
    _kept()
    _place()


def _models() -> list[ModelView]:
    with failure.shown("The models cannot be listed"):
        return current_client().models()
    return []


# The first time --------------------------------------------------------------------------------------------------


def _first(models: list[ModelView]) -> None:
    model = example.of(models)
    with st.container(border=True, key="first"):
        st.markdown("**No jobs yet.**")
        if model is None:
            st.page_link("views/new.py", label="Start with your own cells", icon=":material/add_circle:")
            return
        st.markdown(f"Try the example: {example.words(model)} About 30 seconds on an idle machine.")
        example.button(model, type="primary")
        st.page_link("views/new.py", label="Or bring your own cells", icon=":material/add_circle:")


def _files(models: list[ModelView]) -> None:
    """Files of the shape that is expected, to look at or to try things with."""
    model = example.of(models)
    if model is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="files"):
        st.caption(
            "How must a file look? Take the example's: raw counts, genes as symbols, peaks as chr1:100-600, one row a "
            "cell.", width="content",
        )  # fmt: skip
        for which in Modality:
            st.download_button(
                f"Example, {present.modality(which)} (.h5ad)", partial(_example, current_client(), model.id, which),
                f"{model.id}-{which.value}.h5ad", "application/octet-stream", key=f"example-{which.value}",
                icon=":material/download:", type="tertiary", on_click="ignore",
            )  # fmt: skip


def _example(client: Client, model: str, which: Modality) -> bytes:
    return client.board.example(model, which)


# What there is ---------------------------------------------------------------------------------------------------


def _running() -> None:
    if current_client().board.find(_active()).total:
        st.subheader("Running", anchor=False)
        _live()


def _active() -> JobsAsked:
    return JobsAsked(states=tuple(sorted(ACTIVE)), limit=RUNNING)


@st.fragment(run_every=2.0)
def _live() -> None:
    with failure.shown("The jobs cannot be listed"):
        found = current_client().board.find(_active())
        if not found.total:
            st.rerun()
        for job in found.jobs:
            with st.container(border=True, key=f"running-{job.id}", gap="small"):
                _link(job)
                waits = present.job_timing(job) if job.state is JobState.QUEUED else ""
                beside = " · ".join(part for part in (waits, present.job_eta(job)) if part)
                progress.bar(present.job_step(job), beside=beside or present.job_timing(job))
        if found.total > len(found.jobs):
            more = present.count(found.total - len(found.jobs))
            st.page_link("views/jobs.py", label=f"{more} more", query_params={"show": "Running"})


def _recent() -> None:
    with failure.shown("The results cannot be listed"):
        found = current_client().board.find(JobsAsked(states=(JobState.SUCCEEDED,), limit=RECENT)).jobs
        if not found:
            return
        st.subheader("Recent results", anchor=False)
        with st.container(border=True, gap="small", key="recent"):
            for job in found:
                with st.container(horizontal=True, vertical_alignment="center"):
                    _link(job)
                    its = kind_of_job(job.kind)
                    st.caption(f"{its.word} · {present.ago(job.finished_at or job.updated_at)}", width="content")
        st.page_link("views/jobs.py", label="All jobs", icon=":material/list_alt:")


def _link(job: JobView) -> None:
    st.page_link(
        "views/job.py", label=present.job_title(job), icon=kind_of_job(job.kind).icon, query_params={"id": job.id}
    )


def _what() -> None:
    st.subheader("What you can do here", anchor=False)
    ways = [
        *(("views/new.py", its.word, its.icon, its.what, {"kind": kind}) for kind, its in KINDS.items()),
        ("views/analyse.py", "Analyse", ":material/query_stats:",
         "Clusters, markers, links of peaks to genes, trajectories: on measured and on imputed values.", {}),
    ]  # fmt: skip
    for row in range(0, len(ways), 3):
        for column, (page, word, icon, what, asked) in zip(st.columns(3), ways[row : row + 3], strict=False):
            with column, st.container(border=True, height="stretch", gap="small"):
                st.page_link(page, label=f"**{word}**", icon=icon, query_params=asked)
                st.caption(what)


def _kept() -> None:
    st.subheader("What is kept", anchor=False)
    with failure.shown("What is kept cannot be said"):
        usage = current_client().keeping.usage()
        st.markdown(kept.usage_line(usage))
        if (share := kept.fullness(usage)) is not None:
            st.progress(share)
        st.caption(kept.default_line(usage.retention_days, usage.result_days))
        st.page_link("views/data.py", label="Your data", icon=":material/folder_data:")


def _place() -> None:
    health: Health | None = None
    with failure.shown("The place where jobs run does not answer"):
        health = current_client().health()
    if health is not None:
        st.caption(present.health_line(health))


with failure.shown("This page cannot be shown"):
    page()
