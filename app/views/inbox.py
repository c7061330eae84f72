"""The inbox: which jobs and imports ended, newest first."""

from __future__ import annotations

import streamlit as st

from app.components import failure, inbox
from jobs.bootstrap import current_client

PAGE = 30  # at first, and more with each request
EMPTY = (
    "Nothing yet. When a job or an import ends, it says so here. It can be sent by e-mail and to webhooks too: where "
    "people sign in, each chooses on *Account*; else the README says how, under *Notifications*."
)


def page() -> None:
    st.title("Inbox")
    st.caption("Jobs and imports that ended. It is kept for 90 days, or until the job or the cells are deleted.")
    which = st.segmented_control(
        "Show", ["All", "Unread"], default="All", required=True, key="show", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    _told(str(which))


@st.fragment(run_every=5.0)
def _told(which: str) -> None:
    with failure.shown("The inbox cannot be read"):
        shown = st.session_state.get("inbox-shown", PAGE)
        found = current_client().list_notifications(limit=shown + 1, unread_only=which == "Unread")
        if found.unread != inbox.counted():
            st.rerun()  # the navigation says it too
        if not found.notifications:
            st.markdown(EMPTY if which == "All" else "Everything is read.")
            return
        if found.unread and st.button("Mark all as read", icon=":material/done_all:", key="read-all"):
            current_client().mark_read(through=found.notifications[0].id)
            st.rerun()
        for each in found.notifications[:shown]:
            inbox.entry(each)
        if len(found.notifications) > shown and st.button("Show older", key="older"):
            st.session_state["inbox-shown"] = shown + PAGE
            st.rerun(scope="fragment")


with failure.shown("This page cannot be shown"):
    page()
