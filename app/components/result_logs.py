"""Logs: what a job said, followed while it runs, searched by line, saved whole."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure
from app.components.result_run import log_button
from jobs.bootstrap import current_client
from jobs.views import JobView

LINES = 2_000  # of the end of a log that the page shows  # ours
FIND = "find"  # its name in the address


def logs(job: JobView) -> None:
    live = present.tag(job.state).live
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        query = st.text_input(
            "Search the log", type="search", placeholder="a word of a line", key=FIND, bind="query-params"
        )
    follow = False
    if live:
        with right:
            follow = st.toggle("Follow", value=True, key="follow", help="Read again every two seconds")
    st.fragment(_lines, run_every=2.0 if follow else None)(job.id, (query or "").strip(), live)
    log_button(job)


def _lines(job_id: str, query: str, live: bool) -> None:
    with failure.shown("The log cannot be read"):
        said = current_client().logs(job_id, tail=LINES)
        found = holding(said, query)
        st.caption(counted(said, found, query))
        empty = "No line matches." if query and said else "Nothing was said yet." if live else "Nothing was said."
        st.code("\n".join(found) or empty, language=None, wrap_lines=True, height=440)


def holding(said: str, query: str) -> list[str]:
    """The lines that hold the words; letter case does not matter."""
    lines, wanted = said.strip().splitlines(), query.casefold()
    return [line for line in lines if wanted in line.casefold()]


def counted(said: str, found: list[str], query: str) -> str:
    lines = len(said.strip().splitlines())
    if query:
        return f"{present.count(len(found))} of {present.plural(lines, 'line')} match."
    last = "The last " if lines >= LINES else ""
    return f"{last}{present.plural(lines, 'line')}, of all attempts."
