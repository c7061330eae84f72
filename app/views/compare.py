"""Compare: finished jobs and models side by side, on one axis, with what they were asked and whether that is fair."""

from __future__ import annotations

import streamlit as st

from app import present, sides
from app.components import address, failure
from app.components.beside import beside
from app.kinds import kind as kind_of_job
from app.sides import MOST, Side
from jobs.board.views import JobsAsked
from jobs.bootstrap import current_client
from jobs.names import Direction
from jobs.state import JobState
from jobs.views import JobView, ModelView

LATEST = 200  # finished jobs to choose from; an older one by its address  # ours


def page() -> None:
    st.title("Compare")
    st.markdown(
        "Put finished jobs or models beside each other: their scores with intervals on one axis, what they were asked, "
        "and whether they were judged on the same cells."
    )
    chosen: list[Side] = []
    with failure.shown("The jobs and models cannot be listed"):
        chosen = _chosen()
        if len(chosen) < sides.FEWEST:
            _empty(len(chosen))
        else:
            beside(chosen, _direction(chosen))
    _shootout()


def _chosen() -> list[Side]:
    """What the address names, and a way to name more."""
    client = current_client()
    found = client.board.find(JobsAsked(states=(JobState.SUCCEEDED,), limit=LATEST)).jobs
    jobs = {job.id: job for job in found if job.kind in sides.SCORED}
    models = {model.id: model for model in client.models()}
    for id in st.query_params.get_all("job"):
        if id not in jobs:
            with failure.shown(f"{present.plain(id)} cannot be compared"):
                jobs[id] = client.job(id)
    left, right = st.columns(2)
    with left:
        ids = address.choices(
            "Jobs", list(jobs), param="job", words=lambda id: _job_words(jobs[id]),
            placeholder="Choose finished jobs" if jobs else "No finished job yet",
        )  # fmt: skip
    with right:
        names = address.choices(
            "Models, by their cards", list(models), param="model", words=lambda id: _model_words(models[id]),
            placeholder="Choose models",
        )  # fmt: skip
    if len(ids) + len(names) > MOST:
        st.markdown(f":material/info: {MOST} at a time: the first {MOST} are shown.")
    chosen = [sides.of_job(jobs[id], _report(id, jobs[id].attempt), models) for id in ids if _scored(jobs[id])]
    chosen += [sides.of_model(models[id]) for id in names]
    return sides.apart(chosen[:MOST])


def _scored(job: JobView) -> bool:
    """Whether it has a report to show; else it is said why not."""
    if job.state is JobState.SUCCEEDED and job.kind in sides.SCORED:
        return True
    why = "has no scores of its own" if job.state is JobState.SUCCEEDED else "has not succeeded"
    st.markdown(f":material/info: **{present.plain(present.job_title(job))}** {why}, and is left out.")
    return False


@st.cache_data(max_entries=16, ttl=3600, show_spinner="Reading the reports …")
def _report(job: str, attempt: int) -> dict[str, object]:
    return current_client().report(job)


def _job_words(job: JobView) -> str:
    its = kind_of_job(job.kind)
    when = present.ago(job.finished_at or job.updated_at)
    return f"{present.job_title(job)} · {its.word} · {job.model} · {when}"


def _model_words(model: ModelView) -> str:
    return f"{model.title} ({model.id})"


def _direction(chosen: list[Side]) -> Direction:
    found = sides.directions(chosen)
    words = {direction.value: present.direction(direction) for direction in found}
    if len(found) < 2:
        return found[0] if found else Direction.RNA_TO_ATAC
    picked = address.one_of(
        "Direction", list(words), param="direction", words=words.__getitem__, label_visibility="collapsed"
    )
    return Direction(picked)


def _empty(n: int) -> None:
    with st.container(border=True):
        st.markdown("**Choose two to six.**" if not n else "**Choose one more.**")
        st.markdown(
            "Jobs that were scored (translations with both measurements, trainings) and models by their own cards. "
            "The example is such a job: *New job* offers it; then compare it with the model's card."
        )
        st.page_link("views/new.py", label="New job", icon=":material/add_circle:")


def _shootout() -> None:
    st.divider()
    st.markdown("**Which model is best on your own cells?** Train several on one split, judged on the same cells.")
    st.page_link(
        "views/new.py", label="Compare by training", icon=":material/model_training:",
        query_params={"kind": "benchmark"},
    )  # fmt: skip
    found = current_client().board.find(JobsAsked(kind="benchmark", states=(JobState.SUCCEEDED,), limit=5)).jobs
    for job in found:
        st.page_link(
            "views/job.py", label=f"{present.job_title(job)} · {present.ago(job.finished_at or job.updated_at)}",
            icon=":material/leaderboard:", query_params={"id": job.id},
        )  # fmt: skip


with failure.shown("This page cannot be shown"):
    page()
