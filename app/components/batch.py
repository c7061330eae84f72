"""Many files at once: each brought in by itself, so that one that cannot be used costs the others nothing."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure, progress
from app.components.upload import upload
from jobs.bootstrap import current_client
from jobs.errors import CrossViewError
from jobs.views import DatasetView

MOST_FILES = 200  # of one batch  # ours
ICONS = {"ready": ":material/check_circle:", "failed": ":material/block:", "cancelled": ":material/stop_circle:"}


def named() -> list[str]:
    """Ids of the files in the address, each once."""
    return [id for id in dict.fromkeys(st.query_params.get_all("batch")) if id]


def files() -> list[DatasetView]:
    """Those that were given so far, with ways to give more."""
    left, right = st.columns(2)
    with left:
        _upload()
    with right:
        _addresses()
        _before()
    found = _found()
    if not found:
        st.markdown(":material/info: No file yet. Each will be a job of its own, under one label.")
        return []
    if any(data.state == "importing" for data in found):
        _live()
    else:
        _rows(found)
    return found


def _found() -> list[DatasetView]:
    found = []
    for id in named():
        try:
            found.append(current_client().dataset(id))
        except CrossViewError:
            _take_away(id)
    return found


def _upload() -> None:
    turn = int(st.session_state.get("batch-turn", 0))  # a fresh widget for every file
    if done := upload("Upload files, one after the other", key=f"batch-upload-{turn}"):
        st.session_state["batch-turn"] = turn + 1
        _bring([f"upload:{done.id}"], name=done.name)


def _addresses() -> None:
    with st.form("batch-addresses", border=False, clear_on_submit=True):
        given = st.text_area(
            "Links, S3 addresses or paths on the server, one a line", height=100,
            placeholder="s3://bucket/plate1.h5ad\ns3://bucket/plate2.h5ad",
        )  # fmt: skip
        if st.form_submit_button("Bring them in", icon=":material/cloud_download:"):
            _bring([line.strip() for line in (given or "").splitlines() if line.strip()])


def _before() -> None:
    before = {
        d.id: d
        for d in current_client().datasets()
        if d.state == "ready" and not d.summary.get("values") and d.id not in named()
    }
    if not before:
        return
    picked = st.multiselect(
        "Used before", list(before), key="batch-before", placeholder="Choose",
        format_func=lambda id: f"{before[id].name} · {present.dataset_line(before[id])}",
    )  # fmt: skip
    if picked and st.button("Add them", key="batch-add", icon=":material/add:"):
        _add(picked)
        st.session_state.pop("batch-before", None)
        st.rerun()


def _bring(sources: list[str], *, name: str = "") -> None:
    """Each is tried; what is refused at once is said with its reason."""
    brought = []
    for source in sources[: MOST_FILES - len(named())]:
        with failure.shown(f"{present.plain(name or source)} cannot be brought in"):
            brought.append(current_client().import_dataset(source, name=name).id)
    if len(sources) > MOST_FILES - len(named()):
        st.markdown(f":material/info: At most {MOST_FILES} files make one batch: the rest was left out.")
    _add(brought)
    if len(brought) == len(sources):
        st.rerun()


def _add(ids: list[str]) -> None:
    st.query_params["batch"] = [*named(), *ids] or [""]


def _take_away(id: str) -> None:
    st.query_params["batch"] = [each for each in named() if each != id] or [""]


@st.fragment(run_every=1.0)
def _live() -> None:
    with failure.shown("These files cannot be followed"):
        found = _found()
        if not any(data.state == "importing" for data in found):
            st.rerun()
        _rows(found)


def _rows(found: list[DatasetView]) -> None:
    ready = sum(data.state == "ready" for data in found)
    failed = sum(data.state == "failed" for data in found)
    stopped = sum(data.state == "cancelled" for data in found)
    said = f"**{ready} of {present.plural(len(found), 'file')} ready**"
    said += f" · {stopped} stopped" if stopped else ""
    st.markdown(said + (f" · {failed} cannot be used, the others go on" if failed else ""))
    for data in found:
        row(data)


def row(data: DatasetView) -> None:
    """One file: what it is, where its import stands, or why it cannot be used."""
    with st.container(border=True, key=f"file-{data.id}", gap="small"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            icon = ICONS.get(data.state, "")
            st.markdown(f"{icon} **{present.plain(data.name)}**", width="content")
            with st.container(horizontal=True, width="content"):
                if data.state == "importing":
                    progress.stop_import(data)
                st.button(
                    "Take away", key=f"away-{data.id}", type="tertiary", on_click=_take_away, args=(data.id,),
                    help=f"Leaves {data.name} out of this batch; the cells stay under Data",
                )  # fmt: skip
        if data.state == "ready":
            st.caption(present.dataset_line(data))
        elif data.failure is not None:
            st.text(f"{data.failure.message} {data.failure.hint}".strip())
        elif data.state == "cancelled":
            st.caption("Stopped. Nothing of it was kept.")
        else:
            progress.bar(present.import_step(data))
