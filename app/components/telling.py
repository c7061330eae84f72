"""Where ends of one's own jobs are told: e-mail to the account's address, and webhooks, each signed with a secret."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure
from jobs.bootstrap import current_client
from jobs.notify.views import LONGEST_NAME, LONGEST_URL, TellingView, WebhookView

MADE = "telling-secret"  # of a webhook made a moment ago, to be shown once
MAIL = "E-mail me when my jobs and imports end"


def telling() -> None:
    st.subheader("Notifications")
    st.caption(
        "The inbox has every end in any case. What is sent names your jobs and files, unless the operator forbids that."
    )
    here = current_client().notify.told()
    _mail(here)
    _webhooks(here)
    if here.mail or here.webhooks:
        _test()


def _mail(here: TellingView) -> None:
    can = here.able and bool(here.address)
    st.toggle(MAIL, value=here.mail, key="telling-mail", disabled=not can, on_change=_choose)
    if can:
        st.caption(f"To {present.plain(here.address)}, the address of your account.")
    elif here.able:
        st.caption("Your account has no e-mail address: it comes from where you sign in.")
    else:
        st.caption("This CrossView sends no e-mail: its operator has set no mail server.")


def _choose() -> None:
    with failure.shown():
        current_client().notify.choose(mail=bool(st.session_state["telling-mail"]))


def _webhooks(here: TellingView) -> None:
    if secret := st.session_state.pop(MADE, None):
        with st.container(border=True):
            st.markdown(":material/key: **The secret it is signed with. Copy it now: it is shown this once.**")
            st.code(secret, language=None, wrap_lines=True)
    for hook in here.webhooks:
        _webhook(hook)
    with st.popover("Add a webhook", icon=":material/add:", key="add-webhook"), st.form("webhook", border=False):
        url = st.text_input("Address", max_chars=LONGEST_URL, placeholder="https://host/path", key="webhook-url")
        name = st.text_input("What it is for", max_chars=LONGEST_NAME, placeholder="lab chat", key="webhook-name")
        st.caption("A public address that takes a POST of JSON, signed as Standard Webhooks has it.")
        if st.form_submit_button("Add it", type="primary"):
            with failure.shown():
                st.session_state[MADE] = current_client().notify.add_webhook(url, name=name).secret
                st.rerun()


def _webhook(hook: WebhookView) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(gap=None, width="stretch"):
            st.markdown(f"**{present.plain(hook.name)}** · webhook")
            st.caption(f"at {present.plain(hook.host)} · added {present.ago(hook.created_at)}")
        if st.button("Remove", key=f"remove-{hook.id}", type="tertiary", help=f"Remove the webhook {hook.name}"):
            with failure.shown():
                current_client().notify.remove_webhook(hook.id)
                st.rerun()


def _test() -> None:
    if st.button("Send a test", icon=":material/send:", key="telling-test"):
        with failure.shown():
            current_client().notify.test()
            st.markdown("On its way.")
            st.page_link("views/inbox.py", label="See what became of it", icon=":material/inbox:")
