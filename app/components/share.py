"""Who else sees a job or a model: a popover on its page, for whoever it belongs to."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure, who
from jobs.accounts.sharing import EVERYBODY, Kind
from jobs.bootstrap import current_client
from jobs.views import JobView, ModelView

READ_ONLY = "They see its page, results and files, and can change nothing. Your other work stays yours alone."


def share(thing: JobView | ModelView) -> None:
    """One line for a page. Says whose it is where it is another's; nothing where there is nobody to share with."""
    if who.me().mode == "off":
        return
    if isinstance(thing, JobView) and thing.shared_by:
        st.badge(f"Shared by {present.plain(thing.shared_by)}", icon=":material/group:", color="gray")
        return
    if isinstance(thing, ModelView) and (thing.shared or thing.origin == "catalog"):
        return
    kind: Kind = "job" if isinstance(thing, JobView) else "model"
    with st.popover("Share", icon=":material/group_add:", key=f"share-{thing.id}"), failure.shown():
        _who_sees(kind, thing.id)


def _who_sees(kind: Kind, id: str) -> None:
    accounts = current_client().accounts
    found = accounts.shares(kind, id)
    st.caption(READ_ONLY)
    for each in found:
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(present.plain(_words(each.with_whom)), width="content")
            if st.button("Stop", key=f"unshare-{id}-{each.with_whom}", type="tertiary"):
                accounts.unshare(kind, id, each.with_whom)
                st.rerun()
    with st.form(f"share-form-{id}", border=False, clear_on_submit=True):
        address = st.text_input("E-mail address of a user", max_chars=254)
        if st.form_submit_button("Let them see it"):
            accounts.share(kind, id, address)
            st.rerun()
    if not any(each.with_whom == EVERYBODY for each in found) and st.button(
        "Let everybody here see it", key=f"share-all-{id}", icon=":material/groups:"
    ):
        accounts.share(kind, id, EVERYBODY)
        st.rerun()


def _words(with_whom: str) -> str:
    return "Everybody here" if with_whom == EVERYBODY else with_whom
