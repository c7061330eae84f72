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


@dataclass(frozen=True)
class Kind:
    """Files that are taken: how they end, what to ask for, and what to say of any other (after its name)."""

    endings: tuple[str, ...]
    hint: str
    wrong: str


CELLS = Kind(
    (".h5ad", ".loom", ".zip", ".tar", ".tar.gz", ".tgz", ".tsv.gz", ".tsv", ".bed.gz"),
    "Choose an .h5ad or .loom file, a packed 10x folder (.zip, .tar.gz) or fragments.tsv.gz, or drop it here.",
    "is no file of cells: give .h5ad, .loom, a 10x folder as .zip or .tar.gz, or fragments.tsv.gz.",
)
VALUES = Kind(
    (".h5ad",),
    "Choose the .h5ad file of the prediction, or drop it here.",
    "is no prediction that can be read: give an .h5ad file with the values in X.",
)
BOTH = Kind(
    (".h5", ".h5mu", ".h5ad", ".zip", ".tar", ".tar.gz", ".tgz"),
    "Choose a 10x multiome .h5, an .h5mu file or a packed 10x folder (.zip, .tar.gz), or drop it here.",
    "is no file of both: give filtered_feature_bc_matrix of Cell Ranger ARC (.h5, .zip), or .h5mu with rna and atac.",
)


def upload(label: str, *, key: str, kind: Kind = CELLS) -> Uploaded | None:
    """The widget; answers once, in the run after the last byte was acknowledged and its checksum agreed."""
    result = _widget(
        key=key,
        data={
            "label": label,
            "api": "/api/v1",
            "slice": SLICE_BYTES,
            "kinds": list(kind.endings),
            "hint": kind.hint,
            "wrong": kind.wrong,
        },
        on_finished_change=lambda: None,
    )
    done = result.get("finished")
    return Uploaded(str(done["id"]), str(done["name"])) if done else None
