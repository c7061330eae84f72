"""Jobs: what runs and what ended; searched, labelled, starred, and acted on many at once."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pandas as pd
import streamlit as st

from app import present
from app.components import address, example, failure, jobs_bulk
from app.components.jobs_row import row
from app.components.saving import save
from app.kinds import KINDS
from jobs.board.views import PAGE_JOBS, JobsAsked, JobsPage
from jobs.bootstrap import current_client
from jobs.client import Client
from jobs.state import TERMINAL
from jobs.views import JobView

MOST_LINES = 5_000  # of the downloaded list  # ours


def page() -> None:
    st.title("Jobs")
    first: JobsPage | None = None
    with failure.shown("The jobs cannot be listed"):
        first = current_client().board.find(JobsAsked(limit=1))
    if first is None:
        return
    jobs_bulk.unpick()
    jobs_bulk.undo()
    if not first.total and not first.binned:
        _empty()
    else:
        asked = _filters(first)
        if _moves(asked):
            _live(asked)
        else:
            _list(asked)
    st.page_link(
        "views/data.py",
        label="Your cells: how long they are kept, and how to be rid of them",
        icon=":material/folder_data:",
    )


def _empty() -> None:
    with st.container(border=True):
        st.markdown("**No jobs yet.**")
        if (model := example.offered()) is not None:
            st.markdown(f"Try the example: {example.words(model)} Or bring your own cells.")
            example.button(model, type="primary")
        st.page_link("views/new.py", label="New job", icon=":material/add_circle:")
        st.page_link(
            "views/new.py", label="Train a model on your own cells", icon=":material/model_training:",
            query_params={"kind": "train"},
        )  # fmt: skip


# What is asked for -----------------------------------------------------------------------------------------------


def _filters(all: JobsPage) -> JobsAsked:
    """All of it in the address."""
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        words = st.text_input(
            "Search jobs", value=st.query_params.get("q", ""), type="search", placeholder="file, model, label or id",
            key="q", on_change=_searched,
        )  # fmt: skip
    with right:
        show = address.one_of("Show", list(present.FILTERS), param="show")
    narrowed = [name for name in ("kind", "label", "since", "starred", "bin", "model") if st.query_params.get(name)]
    with st.expander(
        f"Filters ({len(narrowed)} set)" if narrowed else "Filters and bin", icon=":material/filter_list:",
        key="filters", expanded=bool(narrowed),
    ):  # fmt: skip
        kind, label, span, starred, binned, model = _narrow(all)
    since = present.SPANS[span]
    asked = JobsAsked(
        words=words or "", states=tuple(sorted(present.FILTERS[show])), kind=kind, label=label, starred=starred,
        binned=binned, model=model,
        since=datetime.now(UTC) - since if since is not None else None,
    )  # fmt: skip
    here = f"{span} {asked.model_dump_json(exclude={'since'})}"
    if st.session_state.get("jobs-asked", here) != here:  # another question begins on its first page
        st.query_params.pop("page", None)
    st.session_state["jobs-asked"] = here
    return asked.model_copy(update={"offset": (_page_number() - 1) * PAGE_JOBS})


def _narrow(all: JobsPage) -> tuple[str, str, str, bool, bool, str]:
    """Kind, label, span of time, whether starred, whether in the bin, model."""
    kinds = ["", *(kind for kind in KINDS if kind in all.kinds)]
    named = st.query_params.get("label", "")
    labels = ["", *dict.fromkeys([*([named] if named else []), *all.labels])]
    asked_model = st.query_params.get("model", "")
    models = ["", *dict.fromkeys([*([asked_model] if asked_model else []), *(m.id for m in current_client().models())])]
    columns = st.columns(4)
    with columns[0]:
        kind = address.choice("Kind", kinds, param="kind", words=lambda k: KINDS[k].word if k else "Every kind")
    with columns[1]:
        label = address.choice("Label", labels, param="label", words=lambda each: each or "Any label or none")
    with columns[2]:
        model = address.choice("Model", models, param="model", words=lambda each: each or "Any model")
    with columns[3]:
        span = address.choice("Submitted", list(present.SPANS), param="since")
    with st.container(horizontal=True):
        starred = address.tick("Starred only", param="starred", usual=False)
        binned = address.tick(f"What is in the bin ({present.count(all.binned)})", param="bin", usual=False)
    return kind, label, span, starred, binned, model


def _searched() -> None:
    if words := str(st.session_state["q"] or ""):
        st.query_params["q"] = words
    else:
        st.query_params.pop("q", None)


def _page_number() -> int:
    asked = st.query_params.get("page", "1")
    return max(int(asked), 1) if asked.isdecimal() and len(asked) < 9 else 1


def _turn(to: int) -> None:
    if to > 1:
        st.query_params["page"] = str(to)
    else:
        st.query_params.pop("page", None)


# The list --------------------------------------------------------------------------------------------------------


def _moves(asked: JobsAsked) -> bool:
    """Whether anything that is shown can still change by itself."""
    found = current_client().board.find(asked)
    return any(job.state not in TERMINAL for job in found.jobs)


@st.fragment(run_every=2.0)
def _live(asked: JobsAsked) -> None:
    if not _list(asked):
        st.rerun()


def _list(asked: JobsAsked) -> bool:
    """The jobs of this page; whether any of them can still change."""
    with failure.shown("The jobs cannot be listed"):
        found = current_client().board.find(asked)
        if asked.label and not asked.binned:
            _batch(asked.label, found)
        if not found.jobs:
            _nothing(asked, found)
            return False
        jobs_bulk.bar(found.jobs, binned=asked.binned)
        for job in found.jobs:
            row(job, known=list(found.labels))
        _feet(asked, found)
        return any(job.state not in TERMINAL for job in found.jobs)
    return True


def _batch(label: str, found: JobsPage) -> None:
    """What carries one label, in one row."""
    with st.container(border=True, key="batch"):
        st.markdown(f":material/label: **{present.plain(label)}** · {present.batch_line(found.states)}")
        ended = sum(n for state, n in found.states.items() if state in TERMINAL)
        st.progress(ended / found.total if found.total else 0.0, text=f"{ended} of {found.total} have ended")


def _nothing(asked: JobsAsked, found: JobsPage) -> None:
    if found.total:
        st.markdown("This page is empty by now.")
        st.button("Back to the first page", key="first-page", on_click=_turn, args=(1,))
    elif asked.binned:
        st.markdown("The bin is empty. What is put into it is deleted after ten minutes.")
    else:
        st.markdown("No job matches. Clear the search or show all.")


def _feet(asked: JobsAsked, found: JobsPage) -> None:
    here, last = asked.offset // PAGE_JOBS + 1, (found.total - 1) // PAGE_JOBS + 1
    with st.container(horizontal=True, vertical_alignment="center", key="feet"):
        first = asked.offset + 1
        st.caption(
            f"{present.count(first)}–{present.count(asked.offset + len(found.jobs))} of {present.count(found.total)}",
            width="content",
        )
        if last > 1:
            st.button("Newer", key="newer", icon=":material/chevron_left:", disabled=here <= 1, on_click=_turn,
                      args=(here - 1,))  # fmt: skip
            st.button("Older", key="older", icon=":material/chevron_right:", disabled=here >= last, on_click=_turn,
                      args=(here + 1,))  # fmt: skip
        save(partial(_listed, current_client(), asked), key="jobs", file="crossview-jobs")


def _listed(client: Client, asked: JobsAsked) -> pd.DataFrame:
    """Every job that answers, not only this page."""
    found: list[JobView] = []
    while len(found) < MOST_LINES:
        some = client.board.find(asked.model_copy(update={"offset": len(found), "limit": 500}))
        found += some.jobs
        if not some.jobs or len(found) >= some.total:
            break
    return pd.DataFrame([present.job_record(job) for job in found])


with failure.shown("This page cannot be shown"):
    page()
