"""Many jobs at once: chosen by their boxes; what cannot be undone asks first, what goes into the bin can be undone."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import present
from app.components import failure
from app.sides import FEWEST, MOST, SCORED
from jobs.board.views import Act, BulkView
from jobs.bootstrap import current_client
from jobs.state import TERMINAL, JobState
from jobs.views import JobView

_UNDO, _TOLD = "jobs-undo", "jobs-told"  # ids that lie in the bin since a moment; what the last act refused


def picked_key(id: str) -> str:
    return f"pick-{id}"


def picked(jobs: Sequence[JobView]) -> list[JobView]:
    return [job for job in jobs if st.session_state.get(picked_key(job.id))]


def undo() -> None:
    """What was put into the bin a moment ago, and the way back; and what was refused, with its reason."""
    if ids := st.session_state.get(_UNDO):
        with st.container(horizontal=True, vertical_alignment="center", border=True, key="undo-bar"):
            st.markdown(
                f":material/delete: **{present.plural(len(ids), 'job')} in the bin**, deleted in ten minutes.",
                width="content",
            )
            st.button("Undo", key="undo", icon=":material/undo:", on_click=_undo)
            st.button("Close", key="undo-close", type="tertiary", on_click=st.session_state.pop, args=(_UNDO, None))
    if told := st.session_state.pop(_TOLD, None):
        _refused(told)


def undoing(id: str) -> bool:
    """Whether the way back for this job stands in that line already."""
    return id in (st.session_state.get(_UNDO) or ())


def _undo() -> None:
    with failure.shown():
        current_client().board.bulk(Act.RESTORE, list(st.session_state.pop(_UNDO, ())))


def into_bin(jobs: Sequence[JobView]) -> None:
    """Deletes, so that it can be undone."""
    with failure.shown():
        done = current_client().board.bulk(Act.BIN, [job.id for job in jobs])
        st.session_state[_UNDO] = list(done.done)
        _after(done, jobs)


def bar(jobs: Sequence[JobView], *, binned: bool) -> None:
    """Choosing all of this page, and what can be done with those chosen."""
    chosen = picked(jobs)
    with st.container(horizontal=True, vertical_alignment="center", key="bulk"):
        every = bool(chosen) and len(chosen) == len(jobs)
        st.button(
            "Choose none" if every else "Choose all on this page", key="pick-all", type="tertiary",
            icon=":material/deselect:" if every else ":material/select_all:", on_click=_pick_all,
            args=([job.id for job in jobs], not every),
        )  # fmt: skip
        if not chosen:
            return
        st.markdown(f"**{present.plural(len(chosen), 'job')} chosen**", width="content")
        if binned:
            if st.button("Take them back", key="bulk-restore", icon=":material/undo:"):
                _act(Act.RESTORE, chosen)
            _sure(
                "Delete for good", "They and their results are removed now. This cannot be undone.", Act.DELETE, chosen
            )
            return
        _living(chosen)
        _ended(chosen)
        _marks(chosen)


def _living(chosen: Sequence[JobView]) -> None:
    live = [job for job in chosen if job.state not in TERMINAL and job.state is not JobState.CANCELLING]
    if live:
        n = present.plural(len(live), "job")
        _sure(f"Cancel {n}", f"Stop {n}? “Run again” starts another attempt later.", Act.CANCEL, live)


def _ended(chosen: Sequence[JobView]) -> None:
    ended = [job for job in chosen if job.state in TERMINAL]
    again = [job for job in ended if job.state is not JobState.SUCCEEDED]
    if again and st.button(
        f"Run {present.plural(len(again), 'job')} again", key="bulk-retry", icon=":material/replay:"
    ):
        _act(Act.RETRY, again)
    if ended and st.button(
        f"Delete {present.plural(len(ended), 'job')}", key="bulk-delete", icon=":material/delete:",
        help="Into the bin: ten minutes in which it can be undone",
    ):  # fmt: skip
        into_bin(ended)


def _marks(chosen: Sequence[JobView]) -> None:
    star = not all(job.starred for job in chosen)
    if st.button("Star" if star else "Take the stars off", key="bulk-star", icon=":material/star:"):
        _act(Act.STAR if star else Act.UNSTAR, chosen)
    with st.popover("Label", icon=":material/label:", key="bulk-label-ask"):
        label = st.text_input("Label", key="bulk-label", max_chars=60)
        if st.button("Put it on", key="bulk-label-go", disabled=not (label or "").strip()):
            _act(Act.LABEL, chosen, label=label or "")
    _comparable(chosen)


def _comparable(chosen: Sequence[JobView]) -> None:
    fit = [job.id for job in chosen if job.state is JobState.SUCCEEDED and job.kind in SCORED]
    if FEWEST <= len(fit) <= MOST:
        st.page_link(
            "views/compare.py", label=f"Compare {len(fit)}", icon=":material/leaderboard:", query_params={"job": fit}
        )


def _sure(label: str, what: str, act: Act, jobs: Sequence[JobView]) -> None:
    with st.popover(label, icon=":material/warning:", key=f"bulk-{act}-ask"):
        st.markdown(what)
        if st.button(f"Yes: {label[0].lower()}{label[1:]}", key=f"bulk-{act}", type="primary"):
            _act(act, jobs)


def _act(act: Act, jobs: Sequence[JobView], *, label: str = "") -> None:
    with failure.shown():
        _after(current_client().board.bulk(act, [job.id for job in jobs], label=label), jobs)


def _after(done: BulkView, jobs: Sequence[JobView]) -> None:
    names = {job.id: present.job_title(job) for job in jobs}
    if done.problems:
        st.session_state[_TOLD] = [(names.get(p.of, p.of), p.failure.message, p.failure.hint) for p in done.problems]
    _forget(list(names))
    st.rerun(scope="app")


def _forget(ids: Sequence[str]) -> None:
    """Nothing stays chosen after an act: widgets that were drawn keep their value until they are drawn anew."""
    st.session_state["jobs-unpick"] = list(ids)


def unpick() -> None:
    """Before any box is drawn."""
    for id in st.session_state.pop("jobs-unpick", ()):
        st.session_state[picked_key(id)] = False


def _pick_all(ids: Sequence[str], on: bool) -> None:
    for id in ids:
        st.session_state[picked_key(id)] = on


def _refused(told: Sequence[tuple[str, str, str]]) -> None:
    for name, what, hint in told:
        st.markdown(f":material/block: **{present.plain(name)}** {present.plain(what)} {present.plain(hint)}")
