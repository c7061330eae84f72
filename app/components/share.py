"""Share: the address of exactly what is seen, and who else may see a job or a model."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from app import present
from app.components import failure, who
from jobs.accounts.sharing import EVERYBODY, Kind
from jobs.bootstrap import current_client
from jobs.views import JobView, ModelView

READ_ONLY = "They see its page, results and files, and can change nothing. Your other work stays yours alone."


def share(thing: JobView | ModelView) -> None:
    """One line for a page. Of a job also its address; who sees it only where there is somebody to share with."""
    alone = who.me().mode == "off"
    if isinstance(thing, JobView):
        if thing.shared_by:
            st.badge(f"Shared by {present.plain(thing.shared_by)}", icon=":material/group:", color="gray")
        with st.popover("Share", icon=":material/share:", key=f"share-{thing.id}"), failure.shown():
            _address()
            if not alone and not thing.shared_by:
                _who_sees("job", thing.id)
    elif not (alone or thing.shared or thing.origin == "catalog"):
        with st.popover("Share", icon=":material/group_add:", key=f"share-{thing.id}"), failure.shown():
            _who_sees("model", thing.id)


def _address() -> None:
    st.markdown("This address opens exactly this view: tab, gene, colour, groups and filters.")
    st.code(address(), language=None, wrap_lines=True)
    st.caption("Whoever opens it needs access to this CrossView.")


def address() -> str:
    """The address in the browser's bar, with what the page holds in it."""
    held = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    base = (st.context.url or "").rstrip("/")
    return f"{base}?{urlencode(held)}" if held else base


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
        whom = st.text_input("E-mail address of a user", max_chars=254)
        if st.form_submit_button("Let them see it"):
            accounts.share(kind, id, whom)
            st.rerun()
    if not any(each.with_whom == EVERYBODY for each in found) and st.button(
        "Let everybody here see it", key=f"share-all-{id}", icon=":material/groups:"
    ):
        accounts.share(kind, id, EVERYBODY)
        st.rerun()


def _words(with_whom: str) -> str:
    return "Everybody here" if with_whom == EVERYBODY else with_whom
