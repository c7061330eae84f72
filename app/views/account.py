"""Account: who I am here, browsers that are signed in, tokens for scripts, where I am told of ends."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure, who
from app.components.telling import telling
from jobs.accounts.principal import Role, Scope
from jobs.accounts.views import MeView, SessionView, TokenView
from jobs.bootstrap import current_client

DAYS: dict[str, int | None] = {"30 days": 30, "90 days": 90, "a year": 365, "no end": None}
MEANS = {
    Scope.READ: "Look at what is mine and what is shared with me",
    Scope.SUBMIT: "Bring in, run, change, share and delete what is mine",
    Scope.ACCOUNT: "My tokens and sessions, and where I am told",
    Scope.ADMIN: "An operator's work",
}
SINGLE = (
    "This CrossView has one user: whoever sits at this machine. It listens to this machine only, nobody signs in, and "
    "everything here is yours. To let a lab in, set `CROSSVIEW_AUTH` (`local`, `oidc` or `proxy`) and start it again: "
    "what is here then belongs to the first operator."
)
MADE = "account-token"  # the secret of a token made a moment ago, to be shown once


def page() -> None:
    st.title("Account")
    me = who.me()
    if me.mode == "off":
        st.markdown(SINGLE)
    else:
        _me(me)
        _browsers()
        _tokens(me)
        with failure.shown("Notifications cannot be shown"):
            telling()
    _elsewhere()


def _me(me: MeView) -> None:
    said = present.plain(me.name or me.email)
    st.markdown(f"**{said}** · {present.plain(me.email)}" if me.email and me.email != me.name else f"**{said}**")
    if me.role is Role.OPERATOR:
        st.badge("Operator", icon=":material/admin_panel_settings:", color="blue")
    links = [("Sign out", "/auth/sign-out")] if me.mode != "proxy" else []
    links += [("Change your password", "/auth/password")] if me.mode == "local" else []
    style = "color: inherit; margin-right: 1.5rem"
    st.html("".join(f'<a href="{to}" target="_self" style="{style}">{word}</a>' for word, to in links))


def _browsers() -> None:
    found = current_client().accounts.sessions()
    if not found:
        return
    st.subheader("Signed in")
    for each in found:
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            with st.container(gap=None, width="stretch"):
                st.markdown(f"**{present.plain(_browser(each))}**" + ("  (this one)" if each.here else ""))
                st.caption(
                    f"from {present.plain(each.address)} · last here {present.ago(each.seen_at)} · signed in "
                    f"{present.ago(each.created_at)}"
                )
            if not each.here and st.button("Sign out", key=f"end-{each.id}", type="tertiary"):
                with failure.shown():
                    current_client().accounts.sign_out(each.id)
                    st.rerun()
    if len(found) > 1 and st.button("Sign out all others", icon=":material/logout:", key="end-others"):
        with failure.shown():
            current_client().accounts.sign_out(keep_this=True)
            st.rerun()


def _browser(each: SessionView) -> str:
    """The browser and system of a user agent, as far as they are plain to see."""
    names = ("Firefox", "Edg", "OPR", "Chrome", "Safari")
    systems = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux")
    name = next((word for word in names if word in each.agent), "A browser")
    system = next((word for word in systems if word in each.agent), "")
    called = {"Edg": "Edge", "OPR": "Opera"}.get(name, name)
    return f"{called} on {system.replace('Mac OS X', 'a Mac')}" if system else called


def _tokens(me: MeView) -> None:
    st.subheader("Tokens for scripts")
    st.caption("A script shows one as `CROSSVIEW_TOKEN`, or in the header `Authorization: Bearer cv_…`.")
    if secret := st.session_state.pop(MADE, None):
        with st.container(border=True):
            st.markdown(":material/key: **Copy it now: it is shown this once and kept nowhere.**")
            st.code(secret, language=None)
    found = current_client().accounts.tokens()
    if not found:
        st.markdown("No tokens yet. Make one for the command line or a notebook; it can be revoked at any moment.")
    for each in found:
        _token(each)
    with st.popover("Make a token", icon=":material/add:"):
        _make(me)


def _token(each: TokenView) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(gap=None, width="stretch"):
            st.markdown(f"**{present.plain(each.name)}** · {', '.join(each.scopes)}")
            until = f"until {each.expires_at:%d %b %Y}" if each.expires_at else "no end"
            used = f"last used {present.ago(each.used_at)}" if each.used_at else "never used"
            st.caption(f"{used} · {until} · made {present.ago(each.created_at)}")
        if st.button("Revoke", key=f"revoke-{each.id}", type="tertiary"):
            with failure.shown():
                current_client().accounts.revoke_token(each.id)
                st.rerun()


def _make(me: MeView) -> None:
    with st.form("token", border=False):
        name = st.text_input("What it is for", max_chars=80, placeholder="nightly import")
        scopes = st.multiselect(
            "It may", list(me.scopes), default=[Scope.READ], format_func=lambda scope: MEANS[Scope(scope)]
        )
        days = st.radio("It is good for", list(DAYS), index=1, horizontal=True)
        if st.form_submit_button("Make it", type="primary"):
            with failure.shown():
                made = current_client().accounts.create_token(
                    name=name, scopes=[Scope(scope) for scope in scopes], days=DAYS[str(days)]
                )
                st.session_state[MADE] = made.secret
                st.rerun()


def _elsewhere() -> None:
    st.subheader("Elsewhere")
    st.page_link("views/inbox.py", label="What was told you of jobs and imports", icon=":material/inbox:")
    st.page_link("views/data.py", label="Your data, and how long it is kept", icon=":material/folder_data:")
    st.caption("Light or dark: the menu at the top right, Settings. It follows your system until you choose.")


with failure.shown("This page cannot be shown"):
    page()
