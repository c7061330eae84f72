"""The inbox as pages show it: how much was not read, and one line of it."""

from __future__ import annotations

import logging

import streamlit as st

from app import present
from app.components import failure
from jobs.bootstrap import current_client
from jobs.errors import CrossViewError
from jobs.views import DeliveryView, JobView, NotificationView

_log = logging.getLogger(__name__)
_SHOWN = "inbox-unread"  # what the navigation of this run says

_ICONS = {
    "job.succeeded": ":material/check_circle:",
    "job.failed": ":material/error:",
    "job.lost": ":material/cloud_off:",
    "job.cancelled": ":material/block:",
    "job.stopped": ":material/block:",
    "crossview.test": ":material/notifications:",
    "import.succeeded": ":material/check_circle:",
    "import.failed": ":material/error:",
}


def title() -> str:
    """What the navigation calls the inbox; a server that is away costs the count and not the page."""
    try:
        unread = current_client().list_notifications(limit=1).unread
    except Exception as error:
        _log.warning("The inbox cannot be counted: %s", error)
        unread = 0
    st.session_state[_SHOWN] = unread
    return f"Inbox ({present.count(unread)} unread)" if unread else "Inbox"


def counted() -> int:
    """How many were unread when the navigation was drawn."""
    return int(st.session_state.get(_SHOWN, 0))


def seen(job: JobView) -> None:
    """Who looks at a job that has ended knows that it has; the navigation is told too."""
    if not counted() or present.tag(job.state).live:
        return
    try:
        left = current_client().mark_read(subject=job.id)
    except CrossViewError as error:  # a full disk keeps nobody from their result
        _log.warning("The notification of job %s cannot be marked as read: %s", job.id, error)
        return
    if left != counted():
        st.rerun()


def entry(it: NotificationView) -> None:
    """What ended, when, why, and where it was sent; a way to it, and to be done with it."""
    with st.container(border=True, key=f"told-{it.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            new = "" if it.read else " :blue-badge[unread]"
            name = f" · {present.plain(it.title)}" if it.title else ""
            st.markdown(f"{_ICONS.get(it.event, '')} **{it.headline}**{name}{new}")
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                _way(it)
                if not it.read and st.button(
                    "Mark read", key=f"read-{it.id}", help=f"{it.headline}: {it.title or it.subject}"
                ):
                    with failure.shown():
                        current_client().mark_read(ids=[it.id])
                        st.rerun()
        if it.failure is not None:
            st.text(it.failure.message)
            if it.failure.hint:
                st.text(it.failure.hint)
        said = [present.ago(it.moment), *(_sent(each) for each in it.deliveries)]
        st.caption(" · ".join(said), help=present.moment(it.moment))


def _way(it: NotificationView) -> None:
    if it.kind == "test":
        st.page_link("views/account.py", label="Change where you are told", icon=":material/arrow_forward:")
    elif it.kind != "import":
        st.page_link(
            "views/job.py", label="Open the job", icon=":material/arrow_forward:", query_params={"id": it.subject}
        )
    elif it.failure is None:
        st.page_link(
            "views/new.py", label="Translate them", icon=":material/swap_horiz:", query_params={"cells": it.subject}
        )


def _sent(each: DeliveryView) -> str:
    """sent: e-mail to lab@example.org; or what it fails of."""
    label = present.plain(each.label)
    if each.state == "sent":
        return f"sent: {label}"
    trouble = f" ({present.plain(each.error)})" if each.error else ""
    return f"{'given up' if each.state == 'gave-up' else 'on its way'}: {label}{trouble}"
