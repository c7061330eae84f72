"""New job: four steps from cells to a job, whatever its kind; every choice is in the address."""

from __future__ import annotations

import streamlit as st

from app.asked import Draft
from app.components import address, failure, steps
from app.components.wizard_check import check, mending
from app.components.wizard_data import given, kinds, source
from app.components.wizard_model import model
from app.components.wizard_review import review
from app.kinds import kind as kind_of_job
from app.kinds import query
from app.present import plain
from app.wizard import KINDS, OF_JOBS, STEPS, kind_of, step_of
from jobs.bootstrap import current_client
from jobs.errors import CrossViewError
from jobs.views import JobView, ModelView


def page() -> None:
    st.title("New job")
    origin = _origin()
    kind, here = kind_of(st.query_params.get("kind", "")), step_of(st.query_params.get("step", ""))
    models: list[ModelView] | None = None
    with failure.shown("The models cannot be listed"):
        models = current_client().models()
    if models is None:
        return
    cells = given(kind)
    if cells is None:
        here = 1
    steps.header(here, reach=len(STEPS) if cells is not None else 1)
    if origin is not None:
        st.caption(f":material/content_copy: As **{plain(origin.title)}** was asked: change what you like.")
    draft = Draft(address.here(), origin.spec if origin is not None and _same_kind(origin, kind) else {})
    if here == 1 or cells is None:
        kinds(kind)
        cells = source(kind, models)
        steps.ways(1, ready=cells is not None)
        return
    st.caption(f"{KINDS[kind].icon} {KINDS[kind].word}: {KINDS[kind].what}")
    if here == 2:
        ready = check(kind, cells, models, draft)
        mending(cells)
        steps.ways(2, ready=ready, why="What stands above must be mended first.")
    elif here == 3:
        ready = model(kind, cells, models, draft)
        steps.ways(3, ready=ready, why="Something above is missing.")
    else:
        review(kind, cells, models, draft)
        steps.ways(4, ready=True)


def _origin() -> JobView | None:
    """The job this one is made from; an address that names nothing else is filled with what it was asked."""
    id = st.query_params.get("from", "")
    if not id:
        return None
    try:
        job = current_client().job(id)
    except CrossViewError as problem:
        failure.show_error(problem, title="The job to start from cannot be found")
        return None
    if "kind" not in st.query_params:
        if job.kind == "analysis":
            st.switch_page("views/analyse.py", query_params=query(job))
        labels = {"labels": ", ".join(job.labels)} if job.labels else {}
        address.go({**query(job), **labels})
    return job


def _same_kind(job: JobView, kind: str) -> bool:
    return kind_of_job(job.kind) == kind_of_job(OF_JOBS.get(kind, kind))


with failure.shown("This page cannot be shown"):
    page()
