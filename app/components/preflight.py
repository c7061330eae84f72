"""Before it runs: what will happen, how long, how much memory, where the data go; and every problem at once."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import present
from app.components import failure
from jobs.bootstrap import current_client
from jobs.names import Direction
from jobs.spec import PairedSpec, read_spec
from jobs.views import Health, PreflightView


def card(plan: PreflightView, lines: Sequence[str], *, ready: str) -> None:
    """The verdict as a badge, problems and notes, then what will be done. ready: the badge's words when all is well."""
    with st.container(border=True, key="preflight"):
        tag = present.verdict(plan, ready=ready)
        st.badge(tag.word, icon=tag.icon, color=tag.colour)
        for issue in plan.issues:
            icon = ":material/block:" if issue.level == "problem" else ":material/info:"
            st.markdown(f"{icon} **{present.plain(issue.message)}** {present.plain(issue.hint)}")
        for line in present.coverage_lines(plan):
            st.markdown(f":material/check: {line}")
        for note in present.plan_notes(plan):
            st.markdown(f":material/info: {present.plain(note)}")
        if plan.verdict != "refused":
            for line in lines:
                st.markdown(line)


def health() -> Health | None:
    with failure.shown("The place where jobs run does not answer"):
        return current_client().health()
    return None


@st.cache_data(ttl=600, max_entries=256, show_spinner=False)
def look_at(
    model: str, digest: str, rna: str | None, atac: str | None, directions: tuple[Direction, ...]
) -> PreflightView:
    """What one model makes of these cells, kept for ten minutes. digest: of the model. directions: () is every one."""
    return current_client().preflight(model=model, rna=rna, atac=atac, directions=directions)


def look_at_pair(spec: PairedSpec, *, digest: str = "") -> PreflightView:
    """What the service says of this request, kept for ten minutes: a page is drawn again at every touch.

    digest: of the model that is asked, where one is.
    """
    return _look(spec.model_dump_json(), digest)


@st.cache_data(ttl=600, max_entries=64, show_spinner=False)
def _look(document: str, digest: str) -> PreflightView:
    import json

    spec = read_spec(json.loads(document))
    assert isinstance(spec, PairedSpec)
    return current_client().pair_preflight(spec)
