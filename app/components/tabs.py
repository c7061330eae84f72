"""The tabs of a job: each with an address of its own, and only the open one costs anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from app.components import failure

TAB = "tab"  # its name in the address
BEFORE = {"run": "Provenance", "scores": "Scorecard"}  # what tabs were called in older addresses
Shows = Mapping[str, Callable[[], None]]


def tabs(shows: Shows) -> None:
    """The first one is open unless the address or a button of the page names another."""
    names = list(shows)
    _spell(names)
    for name, tab in zip(names, st.tabs(names, key=TAB, bind="query-params"), strict=True):
        if tab.open:
            with tab, failure.shown(f"{name} cannot be shown"):
                shows[name]()


def first_is_open(shows: Shows) -> bool:
    """Before they are drawn: whether the first of them is the one to be open."""
    names = list(shows)
    asked = st.session_state.get(TAB) or st.query_params.get(TAB, "")
    return (named(str(asked), names) or names[0]) == names[0]


def forget() -> None:
    """The next tabs open on their first one."""
    st.session_state.pop(TAB, None)
    st.query_params.pop(TAB, None)


def named(asked: str, names: list[str]) -> str:
    """The tab that is meant: as written, in other letters, or by its older name; "" where there is none."""
    folded = {name.casefold(): name for name in names}
    wanted = asked.strip().casefold()
    return folded.get(wanted) or folded.get(BEFORE.get(wanted, "").casefold(), "")


def _spell(names: list[str]) -> None:
    """An address typed by hand opens its tab; a tab of another job, which this one has not, gives way to the first."""
    asked, held = st.query_params.get(TAB, ""), st.session_state.get(TAB)
    meant = named(asked, names)
    if meant and meant != asked:
        st.session_state[TAB] = meant
    elif held not in names and asked not in names:
        st.session_state[TAB] = names[0]
    elif held is not None and held not in names:
        st.session_state[TAB] = meant
