"""On a job's own page what its row in the list has: star, labels, and the bin with the way back."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure, jobs_bulk, jobs_row
from jobs.board.views import JobsAsked
from jobs.bootstrap import current_client
from jobs.state import TERMINAL
from jobs.views import JobView


def marks(job: JobView) -> None:
    """Of one's own job: who may only look at it has put nothing on it."""
    if not job.shared_by:
        _marks(job.id)


@st.fragment
def _marks(id: str) -> None:
    """A part of its own: a star is no reason to draw the whole result anew."""
    with failure.shown():
        job = current_client().job(id)
        jobs_bulk.undo()
        if job.bin_until is not None and not jobs_bulk.undoing(id):
            with st.container(horizontal=True, vertical_alignment="center", border=True, key="in-bin"):
                st.markdown(":material/delete: **This job is in the bin.**", width="content")
                jobs_row.from_bin(job)
        with st.container(horizontal=True, vertical_alignment="center", key="job-marks"):
            jobs_row.star(job, present.job_title(job))
            jobs_row.badges(job)
            _labels(job)
            if job.state in TERMINAL and job.bin_until is None:
                jobs_row.delete(job)


def _labels(job: JobView) -> None:
    """Those of other jobs are looked up once somebody opens it."""
    asked = st.popover("Labels", icon=":material/label:", key=f"ask-labels-{job.id}", on_change="rerun")
    if asked.open:
        with asked:
            jobs_row.label_choice(job, list(current_client().board.find(JobsAsked(limit=1)).labels))
