"""Step 1, the cells: one set, two of the same cells, or many files at once; and what is known of them later on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from app import present
from app.asked import Inputs
from app.components import batch, example, wizard_score
from app.components.cells import slot
from app.components.pair import by_modality, pair
from app.scoring import Files
from app.wizard import KINDS, NAMED, turned
from jobs.bootstrap import current_client
from jobs.errors import CrossViewError
from jobs.names import Modality
from jobs.views import DatasetView, ModelView


@dataclass(frozen=True)
class Given:
    """What the job is asked about. inputs: ready cells by what was measured; files: instead of them, of a batch."""

    inputs: Inputs
    files: tuple[DatasetView, ...] = ()
    waiting: tuple[DatasetView, ...] = ()  # files of a batch that are not ready, or never will be
    scored: Files | None = None  # of a prediction to be scored; its measured cells are the inputs

    @property
    def many(self) -> bool:
        return bool(self.files or self.waiting)


def kinds(here: str) -> None:
    """What shall be done; another kind takes over the cells that were chosen."""
    picked = st.segmented_control(
        "What do you want to do?", list(KINDS), default=here, required=True, key="kind-choice",
        format_func=lambda kind: f"{KINDS[kind].icon} {KINDS[kind].word}", on_change=_turn,
    )  # fmt: skip
    st.markdown(KINDS[str(picked)].what)


def _turn() -> None:
    query = {name: st.query_params.get_all(name) for name in st.query_params}
    known = [data for name in NAMED for id in query.get(name, ()) if (data := _known(id))]
    st.query_params.from_dict(turned(query, str(st.session_state["kind-choice"]), known))


def _known(id: str) -> DatasetView | None:
    try:
        return current_client().dataset(id)
    except CrossViewError:
        return None


def given(kind: str) -> Given | None:
    """What the address names, if all of it is ready: for the steps after the first."""
    if kind == "score":
        return _scored(wizard_score.given())
    if not KINDS[kind].paired and "batch" in st.query_params:
        found = [data for id in batch.named() if (data := _known(id))]
        ready = tuple(data for data in found if data.state == "ready" and data.modality)
        return Given({}, ready, tuple(data for data in found if data not in ready)) if ready else None
    names = ("rna", "atac") if KINDS[kind].paired else ("cells", "other")
    asked = [st.query_params[name] for name in names if name in st.query_params]
    sets = [_known(id) for id in asked]
    if not asked or any(data is None or data.state != "ready" or data.modality is None for data in sets):
        return None
    inputs = {Modality(data.modality): data for data in sets if data is not None and data.modality is not None}
    if len(inputs) < len(asked) or (KINDS[kind].paired and len(inputs) < 2):
        return None
    return Given(inputs)


def source(kind: str, models: list[ModelView]) -> Given | None:
    """The step itself; None until all is ready."""
    if kind == "score":
        return _scored(wizard_score.source())
    if KINDS[kind].paired:
        st.subheader("1 · Cells measured both ways")
        st.caption("Two .h5ad files of the same cells, matched by their barcodes, or one multiome file.")
        both = pair()
        return Given(both.inputs) if both else None
    many = st.toggle(
        "Many files at once", value="batch" in st.query_params, key="many", on_change=_many,
        help="Each becomes a job of its own; all carry one label.",
    )  # fmt: skip
    st.subheader("1 · Your cells")
    if many:
        return _batch()
    if "cells" not in st.query_params:
        _example(models)
    st.caption(
        "One file with raw counts, of RNA (genes) or ATAC (peaks), which is recognised by itself: .h5ad, .loom, a 10x "
        "matrix folder as an archive, or ATAC fragments. Counts may also lie in a layer or in raw: they are found."
    )
    first = slot("cells", "your cells")
    if first is None:
        return None
    second = _second(first)
    if second is None and "other" in st.query_params:
        st.caption("It goes on once the second file is ready. To go on without it, take it away above.")
        return None
    inputs: Mapping[Modality, DatasetView] | None = by_modality(first, second)
    return Given(inputs) if inputs else None


def _scored(files: Files | None) -> Given | None:
    return Given(files.inputs, scored=files) if files is not None else None


def _many() -> None:
    if st.session_state["many"]:
        st.query_params["batch"] = [id for name in ("cells", "other") for id in st.query_params.get_all(name)] or [""]
    else:
        first = next(iter(batch.named()), None)
        st.query_params.pop("batch", None)
        if first:
            st.query_params["cells"] = first


def _batch() -> Given | None:
    found = batch.files()
    ready = tuple(data for data in found if data.state == "ready" and data.modality)
    return Given({}, ready, tuple(data for data in found if data not in ready)) if ready else None


def _second(first: DatasetView) -> DatasetView | None:
    other = Modality(first.modality).other if first.modality else Modality.ATAC
    st.markdown("**The same cells measured the other way**")
    st.caption(
        f"Optional. Give the {present.modality(other)} file of the same cells and the result is judged against it; "
        "each then serves as the held-out truth of the other. Without it the cells are translated and not scored."
    )
    if "other" in st.query_params:
        return slot("other", "the second file")
    with st.expander(f"Add the {present.modality(other)} file", icon=":material/add:", key="add-other"):
        return slot("other", "the second file")


def _example(models: list[ModelView]) -> None:
    model = example.of(models)
    if model is None:
        return
    with (
        st.container(border=True),
        st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"),
    ):
        st.markdown(f"**No file at hand?** {example.words(model)}")
        example.button(model)
