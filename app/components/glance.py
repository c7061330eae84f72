"""A file looked at where it lies: what it is, before anything is brought in."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure
from jobs.bootstrap import current_client
from jobs.names import Modality
from jobs.views import GlanceView


def lines(seen: GlanceView) -> list[str]:
    """What it is, in sentences: cells and features, counts a cell, how little was read."""
    summary = seen.summary
    modality = Modality(summary["modality"])
    kind = present.row(modality)
    return [
        f"{present.plural(summary['cells'], 'cell')} × {present.plural(summary['features'], kind)} · "
        f"{present.genome(summary['genome'])} · raw counts from {present.plain(summary['counts_from'])}",
        f"About {present.count(round(summary['depth']['50']))} counts and "
        f"{present.count(round(summary['detected']['50']))} {kind}s a cell",
        f"{present.size(seen.read_bytes)} of {present.size(seen.bytes)} were read. Nothing was brought in.",
    ]


def glance(address: str) -> None:
    with failure.shown("This file cannot be looked at where it lies"), st.spinner("Reading names and a few cells"):
        seen = current_client().glance(address)
        with st.container(border=True):
            st.markdown(f":material/visibility: **{present.plain(seen.name)}**")
            for line in lines(seen):
                st.caption(line)
            for note in seen.summary.get("notes", ()):
                st.caption(f":material/info: {present.plain(str(note))}")
