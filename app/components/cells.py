"""Bringing cells in: an upload, an S3 address or cells used before; then what they turned out to be."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure, progress
from app.components.glance import glance
from app.components.mends import mends
from app.components.upload import CELLS, VALUES, upload
from app.kept import until_line
from jobs.bootstrap import current_client
from jobs.mending import ASKED, MendOptions
from jobs.names import Modality
from jobs.views import DatasetView

UPLOAD, ADDRESS, BEFORE = "Upload a file", "Link, S3 or a path", "Used before"


def slot(param: str, label: str, *, values: bool = False) -> DatasetView | None:
    """One set of cells, named by its id in the address under `param`; None until it is ready.

    values: a prediction, of any scale, instead of counts.
    """
    chosen = st.query_params.get(param)
    if chosen is None:
        _choose(param, label, values=values)
        return None
    with failure.shown("These cells cannot be found"):
        data = current_client().dataset(chosen)
        if data.state == "importing":
            with st.container(border=True):
                _importing(chosen)
                with st.container(horizontal=True):
                    progress.stop_import(data)
                    _other(param, "Choose other cells")
        elif data.state == "failed":
            _failed(data, param)
        elif data.state == "cancelled":
            _stopped(data, param)
        else:
            _ready(data, param)
            return data
        return None
    _other(param, "Choose other cells")
    return None


def _choose(param: str, label: str, *, values: bool) -> None:
    there = [d for d in current_client().datasets() if d.state == "ready"]
    before = [d for d in there if bool(d.summary.get("values")) is values]
    ways = [UPLOAD, ADDRESS, *([BEFORE] if before else [])]
    way = st.segmented_control(
        f"Where from: {label}", ways, default=UPLOAD, required=True, key=f"{param}-way", label_visibility="collapsed"
    )
    if way == BEFORE:
        _from_before(param, before)
        return
    source = st.container()  # seen above what may be asked of it, which it needs to know
    st.session_state[f"{param}-mends"] = mends(param, values=values)
    with source:
        if way == ADDRESS:
            _from_address(param)
        elif done := upload(f"Upload {label}", key=f"{param}-upload", kind=VALUES if values else CELLS):
            _bring(param, f"upload:{done.id}", name=done.name)


def _from_address(param: str) -> None:
    with st.form(f"{param}-address", border=False):
        given = st.text_input(
            "Link, S3 address, or path on the server",
            placeholder="https://… or s3://bucket/folder/cells.h5ad",
            help="A direct https:// link or a Google Drive share link (Anyone with the link). S3 is read with the "
            "profiles of this server; paths, in folders its operator opened. The original is never changed.",
        )
        with st.container(horizontal=True):
            bring = st.form_submit_button("Bring it in", icon=":material/cloud_download:")
            look = st.form_submit_button(
                "Look first",
                icon=":material/visibility:",
                help="Of a link or an S3 address: reads names and a few cells.",
            )
    address = (given or "").strip()
    if (bring or look) and not address.startswith(("s3://", "https://", "http://", "/")):
        st.markdown(
            ":material/info: Such as `https://zenodo.org/records/…/files/cells.h5ad`, "
            "`s3://bucket/folder/cells.h5ad` or `/data/cells.h5ad`."
        )
    elif bring:
        _bring(param, address)
    elif look:
        glance(address)


def _from_before(param: str, before: list[DatasetView]) -> None:
    words = {d.id: f"{d.name} · {present.dataset_line(d)}" for d in before}
    picked = st.selectbox(
        "Cells used before", list(words), index=None, format_func=words.__getitem__, key=f"{param}-id"
    )
    if picked:
        st.query_params[param] = picked
        st.rerun()


def _bring(param: str, source: str, *, name: str = "", mends: MendOptions | None = None) -> None:
    wishes = mends or st.session_state.get(f"{param}-mends")
    with failure.shown("These cells cannot be brought in"):
        data = current_client().import_dataset(source, name=name, mends=wishes)
        st.query_params[param] = data.id
        st.rerun()


@st.fragment(run_every=1.0)
def _importing(id: str) -> None:
    with failure.shown("These cells cannot be followed"):
        data = current_client().dataset(id)
        if data.state != "importing":
            st.rerun()
        st.markdown(f"**{present.plain(data.name)}**")
        progress.bar(present.import_step(data))
        st.caption("The file is opened apart from everything else, and only clean numbers and names are kept.")


def _stopped(data: DatasetView, param: str) -> None:
    with st.container(border=True):
        st.markdown(f":material/stop_circle: **{present.plain(data.name)}** was stopped. Nothing of it was kept.")
        with st.container(horizontal=True):
            if present.readable_again(data) and st.button(
                "Bring it in again", key=f"{param}-again", type="primary", icon=":material/refresh:"
            ):
                wishes = MendOptions.model_validate(data.summary.get(ASKED, {}))
                _bring(param, data.origin, name=data.name, mends=wishes)
            _other(param, "Choose other cells")


def _failed(data: DatasetView, param: str) -> None:
    if data.failure:
        failure.show(data.failure, title=f"{present.plain(data.name)} cannot be used")
    _other(param, "Choose another file", primary=True)


def _ready(data: DatasetView, param: str) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                st.markdown(f":material/check_circle: **{present.plain(data.name)}**", width="content")
                if data.modality is not None:
                    what = present.measured(Modality(data.modality))
                    word = "Predicted" if data.summary.get("values") else "Measured"
                    st.badge(f"{word} {what} ({present.modality(data.modality)})", color="gray")
            _other(param, "Change")
        st.caption(f"{present.dataset_line(data)} · {until_line(data)}")
        for line in present.dataset_notes(data):
            st.caption(f":material/info: {present.plain(line)}")


def _other(param: str, label: str, *, primary: bool = False) -> None:
    if st.button(label, key=f"{param}-other", type="primary" if primary else "tertiary"):
        del st.query_params[param]
        st.rerun(scope="app")
