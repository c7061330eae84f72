"""The search box that follows a reader through all tabs: a gene, a peak or a region, held in the address."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure
from app.components.result import Result
from jobs.views import FeatureHit

QUERY, CHOSEN = "gene", "found"


def finder(result: Result) -> FeatureHit | None:
    """The gene or peak chosen, or None while nothing is searched."""
    target = result.direction.target
    example = "such as CD3E" if target == "rna" else "such as CD3E or chr11:118304000-118344000"
    left, right = st.columns([1, 1], vertical_alignment="bottom")
    with left:
        query = st.text_input(
            "Search a gene" if target == "rna" else "Search a peak, a region or a gene near it",
            type="search", placeholder=example, key=QUERY, bind="query-params",
        )  # fmt: skip
    if not query or not query.strip():
        with right:
            st.caption("A gene or region searched here colours the maps and opens its own comparison.")
        return None
    with failure.shown("The search did not work"):
        hits = result.search(query.strip())
        if not hits:
            with right:
                st.markdown(f"No {present.row(target)} of this model matches **{present.plain(query)}**.")
            return None
        words = {hit.name: f"{hit.name} · {hit.note}" if hit.note else hit.name for hit in hits}
        with right:
            name = st.selectbox(
                f"{present.plural(len(hits), 'match', 'matches')}",
                list(words),
                format_func=words.__getitem__,
                key=CHOSEN,
            )
        return next(hit for hit in hits if hit.name == name)
    return None


def look_at(name: str) -> None:
    """Search this gene or peak from elsewhere on the page; to be called from a widget's callback."""
    st.session_state[QUERY] = name
    st.session_state.pop(CHOSEN, None)
