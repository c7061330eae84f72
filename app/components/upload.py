"""Bringing a file: sent in slices that neither browser nor server holds whole, resumable, checked end to end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

SLICE_BYTES = 8 * 2**20  # a slice is one request: small enough to show progress, large enough to be quick  # ours

_HERE = Path(__file__)
_widget = st.components.v2.component(
    "crossview_upload",
    html=_HERE.with_suffix(".html").read_text(encoding="utf-8"),
    css=_HERE.with_suffix(".css").read_text(encoding="utf-8"),
    js=_HERE.with_suffix(".js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Uploaded:
    """A file that arrived whole: its upload id, and the name it had."""

    id: str
    name: str


def upload(label: str, *, key: str) -> Uploaded | None:
    """The widget; answers once, in the run after the last byte was acknowledged and its checksum agreed."""
    result = _widget(
        key=key,
        data={"label": label, "api": "/api/v1", "slice": SLICE_BYTES},
        on_finished_change=lambda: None,
    )
    done = result.get("finished")
    return Uploaded(str(done["id"]), str(done["name"])) if done else None
