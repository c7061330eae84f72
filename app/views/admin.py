"""Admin, for operators: where jobs run and wait, who may come in, what is kept, who did what, what is set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app import kept, present
from app.components import failure, who
from app.components.table import table
from jobs.accounts.principal import Role
from jobs.accounts.views import LONGEST_REASON, QueueView, UserView
from jobs.bootstrap import current_client
from jobs.state import JobState

TABS = ("Cluster", "Queue", "Users", "Storage", "Audit", "Settings")
ENTRIES = 500
LINK = "admin-link"
CANCELLED, TURN = "admin-cancelled", "admin-cancels"  # what the last cancel did, to be said once; how many there were


def page() -> None:
    st.title("Admin")
    if who.me().role is not Role.OPERATOR:
        st.markdown("This page is for operators. Ask whoever runs this CrossView.")
        return
    shows = {"Cluster": _cluster, "Queue": _queue, "Users": _users, "Storage": _storage, "Audit": _audit}
    shows["Settings"] = _settings
    for name, tab in zip(TABS, st.tabs(TABS, key="tab", bind="query-params"), strict=True):
        if tab.open:
            with tab, failure.shown(f"{name} cannot be shown"):
                shows[name]()


def _cluster() -> None:
    health = current_client().health()
    if not health.runner_alive:
        st.markdown(f":material/error: **The {health.runner} runner does not answer.** {present.plain(health.message)}")
        return
    facts = {
        "Nodes": health.nodes, "Processors": health.cpus, "GPUs": health.gpus, "Version": health.version,
        "Runner": health.runner,
    }  # fmt: skip
    columns = st.columns(len(facts))
    for column, (name, value) in zip(columns, facts.items(), strict=True):
        number = f"{value:g}" if isinstance(value, float) else value
        column.metric(name, "–" if value is None else str(number))


def _queue() -> None:
    found = current_client().accounts.queue()
    if said := st.session_state.pop(CANCELLED, ""):
        st.markdown(f":material/block: {present.plain(said)}")
    if not found:
        st.markdown("Nothing runs or waits.")
        return
    waiting = sum(each.state == JobState.QUEUED for each in found)
    st.markdown(f"**{present.plural(len(found) - waiting, 'job')} at work, {present.count(waiting)} waiting.**")
    st.caption("Of other users' jobs only this is shown: no names, no results.")
    _table(
        [
            {
                "Place": each.position, "State": each.state.lower(), "Kind": each.kind, "User": each.owner_name,
                "Priority": each.priority, "Asked": each.submitted_at, "Started": each.started_at, "Job": each.id,
            }
            for each in found
        ],
        "queue",
    )  # fmt: skip
    _cancel(found)


def _cancel(found: Sequence[QueueView]) -> None:
    """One job, after a look at which and a word to its owner."""
    stoppable = {each.id: each for each in found if each.state != JobState.CANCELLING}
    if not stoppable:
        return
    turn = st.session_state.get(TURN, 0)  # each begins empty
    with st.popover("Cancel a job", icon=":material/block:", key=f"cancel-ask-{turn}"):
        st.markdown("Its owner is told, with your name and the reason, and can run it again.")
        id = st.selectbox(
            "Job", list(stoppable), index=None, key=f"cancel-job-{turn}", placeholder="Choose one",
            format_func=lambda id: _standing(stoppable[id]) if id in stoppable else id,
        )  # fmt: skip
        reason = st.text_input("Reason (optional)", max_chars=LONGEST_REASON, key=f"cancel-reason-{turn}")
        if st.button("Yes, cancel it", key="cancel-go", type="primary", disabled=id is None) and id is not None:
            with failure.shown():
                done = current_client().accounts.cancel_job(id, reason=reason or "")
                st.session_state[CANCELLED] = f"{done.id} of {done.owner_name} is {done.state.lower()}."
                st.session_state[TURN] = turn + 1
                st.rerun()


def _standing(each: QueueView) -> str:
    return f"{each.id} · {each.owner_name} · {each.kind} · {each.state.lower()}"


def _users() -> None:
    me = who.me()
    if me.mode == "off":
        st.markdown(
            "Single-user: everything belongs to whoever sits at this machine. *Account* says how to change that."
        )
        return
    for each in current_client().accounts.users():
        _user(each, me.id)
    if me.mode != "local":
        st.caption("People come by their institution: each is a user from the first sign-in on.")
        return
    st.subheader("Invitations")
    if link := st.session_state.pop(LINK, None):
        with st.container(border=True):
            st.markdown(
                ":material/link: **Send this link: it is shown this once, and makes one account within a week.**"
            )
            st.code(link, language=None, wrap_lines=True)
    for open_ in current_client().accounts.invitations():
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(
                f"{present.plain(open_.email)} · {open_.role} · until {open_.expires_at:%d %b}", width="content"
            )
            if st.button("Take back", key=f"withdraw-{open_.email}", type="tertiary"):
                with failure.shown():
                    current_client().accounts.withdraw(open_.email)
                    st.rerun()
    with st.form("invite", border=True):
        email = st.text_input("E-mail address", max_chars=254)
        role = st.radio("As", [Role.USER, Role.OPERATOR], format_func=str.capitalize, horizontal=True)
        if st.form_submit_button("Invite", type="primary", icon=":material/person_add:"):
            with failure.shown():
                st.session_state[LINK] = current_client().accounts.invite(email, role=Role(role)).link
                st.rerun()


def _user(each: UserView, me: str) -> None:
    client = current_client()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(gap=None, width="stretch"):
            marks = [
                each.role.value,
                *([each.state] if each.state != "active" else []),
                *(["you"] if each.id == me else []),
            ]
            st.markdown(f"**{present.plain(each.name)}** · {present.plain(each.email or each.id)} · {', '.join(marks)}")
            st.caption(f"last here {present.ago(each.seen_at)}" if each.seen_at else "never here")
        if each.state == "new" or each.id == me:
            return
        with st.container(horizontal=True, width="content"), failure.shown():
            other = Role.USER if each.role is Role.OPERATOR else Role.OPERATOR
            if st.button(f"Make {other.value}", key=f"role-{each.id}", type="tertiary"):
                client.accounts.set_role(each.id, other)
                st.rerun()
            word, change = ("Disable", client.accounts.disable) if each.state == "active" else (
                "Enable", client.accounts.enable
            )  # fmt: skip
            if st.button(word, key=f"state-{each.id}", type="tertiary", help="What they made stays either way"):
                change(each.id)
                st.rerun()


def _storage() -> None:
    client = current_client()
    usage = client.keeping.usage()
    limit = f"{present.size(usage.limit_bytes)} a user" if usage.limit_bytes is not None else "no limit"
    st.markdown(f"**Quota: {limit}.** {kept.default_line(usage.retention_days, usage.result_days)}")
    _table(
        [
            {"User": each.owner_name, "Kept": present.size(each.bytes), "Data sets": each.datasets, "Jobs": each.jobs}
            for each in client.accounts.used()
        ],
        "storage",
    )


def _audit() -> None:
    client = current_client()
    if st.button(
        "Check the log", icon=":material/verified:", key="verify", help="That no entry was changed or taken out"
    ):
        found = client.keeping.verify_audit()
        if found.whole:
            st.markdown(f":material/check_circle: {present.count(found.entries)} entries, as they were written.")
            st.code(found.head, language=None, wrap_lines=True)
        else:
            st.markdown(f":material/error: **Not as it was written:** {present.plain(found.message)}")
    entries = client.keeping.audit(limit=ENTRIES)
    _table(
        [
            {
                "No": each.seq, "When": each.moment, "Who": each.who, "By": each.via, "Act": each.act,
                "Of": each.object, "Outcome": each.outcome,
                "Detail": " ".join(f"{name}={value}" for name, value in each.detail.items()),
            }
            for each in entries
        ],
        "audit",
    )  # fmt: skip


def _settings() -> None:
    st.caption(
        "What is set in the environment; everything else is as the README's table has it. Secrets are not shown."
    )
    found = current_client().accounts.settings()
    if not found:
        st.markdown("Nothing is set.")
        return
    _table([{"Variable": each.name, "Value": each.value} for each in found], "settings")


def _table(rows: Sequence[dict[str, Any]], name: str) -> None:
    table(pd.DataFrame(rows), key=name, alt=f"{name.capitalize()} of this server", file=name)


with failure.shown("This page cannot be shown"):
    page()
