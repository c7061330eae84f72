"""Who looks at this page: the person the gate let in with the page's own socket."""

from __future__ import annotations

import streamlit as st

from app.auth.gate import HEADER, still
from jobs.accounts.errors import NotSignedIn
from jobs.accounts.principal import Principal, Role
from jobs.accounts.views import MeView
from jobs.bootstrap import ask_who, current_accounts, current_client
from jobs.errors import CrossViewError

OVER = "You are signed out. Nothing of yours is lost: jobs go on, and results stay."
KEPT = "who-it-was"


def principal() -> Principal | None:
    """Asked anew at every run of a page: a session that was ended elsewhere is over here too."""
    accounts = current_accounts()
    where = st.context.headers.get(HEADER)
    return still(accounts, where) if accounts is not None and where else None


def me() -> MeView:
    return current_client().accounts.me()


def operator() -> bool:
    """Whether operators' pages are shown; what is on them is refused to others by the service itself."""
    try:
        return me().role is Role.OPERATOR
    except CrossViewError:
        return False


def here() -> bool:
    """Whether the page may be drawn; where not, it says why. A tab that is somebody else's now forgets who it was."""
    ask_who(principal)
    try:
        id = me().id
    except NotSignedIn:
        st.session_state.clear()
        st.title("Signed out")
        st.markdown(OVER)
        st.html('<a href="/auth/sign-in" target="_self" style="color: inherit">Sign in again</a>')
        return False
    except CrossViewError:
        return True  # the page itself says what is wrong
    if st.session_state.get(KEPT, id) != id:
        st.session_state.clear()
    st.session_state[KEPT] = id
    return True
