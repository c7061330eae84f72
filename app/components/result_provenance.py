"""Provenance: what became of what, in one line of boxes; and a capsule that does it again and compares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import streamlit as st

from app import present
from jobs.capsule.model import Capsule, Input
from jobs.client import Client
from jobs.state import JobState
from jobs.views import JobView

ROLES = {"prediction": "the prediction", "training": "training cells"}
SHORT = 12  # digits of a digest that are shown; all of them are in the capsule


def show(client: Client, job: JobView) -> None:
    known = client.provenance(job.id)
    boxes = list(_boxes(job, known))
    for column, (icon, title, lines) in zip(st.columns(len(boxes)), boxes, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.markdown(f":material/{icon}: **{title}**")
            for line in lines:
                st.markdown(line)
    if job.state is JobState.SUCCEEDED:
        _capsule(client, job, known)
    with st.expander("All digests and versions", icon=":material/fingerprint:", key="digests"):
        st.code("\n".join(_digests(known)), language=None, wrap_lines=True)


def _boxes(job: JobView, known: Capsule) -> Iterator[tuple[str, str, list[str]]]:
    yield (
        "dataset",
        "Cells",
        [_cells(name, each) for name, each in sorted(known.inputs.items())] or ["They were deleted."],
    )
    yield "tune", "Preparation", list(_preparation(known))
    if known.model is not None:
        its = known.model
        lines = [f"{present.plain(its.id)}  \n{_digest(its.digest)}"]
        if its.training:
            lines.append(f"fitted to cells  \n{_digest(its.training)}")
        yield "model_training", "Model", lines
    versions = known.versions
    lines = [f"CrossView {present.plain(known.code_version)}" if known.code_version else "Not run yet."]
    if "python" in versions:
        lines.append(f"Python {present.plain(versions['python'])}, torch {present.plain(versions.get('torch', '?'))}")
    lines.append(f"seed {', '.join(map(str, known.seeds))} · " + (present.plain(known.device) or "no GPU"))
    yield "code", "Code", lines
    files = [file for file in known.files if file.name.endswith((".h5ad", "report.json", "benchmark.json"))]
    shown = [f"{present.plain(file.name)}  \n{_digest(file.sha256)}" for file in (files or known.files)[:4]]
    more = len(known.files) - len(shown)
    if more > 0:
        shown.append(f"and {present.plural(more, 'file')} more")
    yield "output", "Result", shown or [f"None: this job {present.tag(job.state).word.lower()}."]


def _cells(modality: str, its: Input) -> str:
    many = f", {present.plural(its.cells, 'cell')}" if its.cells else ""
    return f"{present.plain(its.name)} ({ROLES.get(modality, modality.upper())}){many}  \n{_digest(its.digest)}"


def _preparation(known: Capsule) -> Iterator[str]:
    told = False
    for name, each in sorted(known.inputs.items()):
        for mend in _mends(each.mends):
            told = True
            yield f"{ROLES.get(name, name.upper())}: {present.plain(mend)}"
    filters: dict[str, Any] = known.spec.get("filters") or {}
    if filters:
        told = True
        yield "filters: " + ", ".join(f"{present.plain(k)} {present.plain(str(v))}" for k, v in filters.items())
    if known.model is not None:
        told = True
        least = known.spec.get("min_coverage")
        yield "aligned to the model's genes and peaks" + (f" (at least {present.percent(least)})" if least else "")
    if not told:
        yield "none: as it was brought in"


def _mends(text: str) -> list[str]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return [text]
    return [_mend(each) for each in found] if isinstance(found, list) else [text]


def _mend(each: Any) -> str:
    if not isinstance(each, dict):
        return str(each)
    if each.get("what") == "values":
        return "taken as predicted values, as they are"
    return str(each.get("said") or each.get("what") or ", ".join(f"{k} {v}" for k, v in each.items()))[:200]


def _digest(digest: str) -> str:
    return f"`{digest[:SHORT]}…`"


def _capsule(client: Client, job: JobView, known: Capsule) -> None:
    st.subheader("Let anyone check it", anchor=False)
    st.markdown(
        "A capsule holds everything above, every score, and the digest of every file; no cells. The command does the "
        "work again on another machine and says of each score and file whether it is the same."
    )
    st.download_button(
        "Download the capsule", lambda: client.capsule(job.id), present.file(job, "capsule.zip"), "application/zip",
        key="capsule", icon=":material/inventory_2:", on_click="ignore",
    )  # fmt: skip
    inputs = " ".join(each.example or f"'{each.name}'" for _, each in sorted(known.inputs.items()))
    st.code(f"crossview capsule verify {job.id}-capsule.zip --input {inputs}", language="bash", wrap_lines=True)


def _digests(known: Capsule) -> Iterator[str]:
    for name, each in sorted(known.inputs.items()):
        yield f"{each.digest}  {name} cells: {each.name}"
    if known.model is not None:
        yield f"{known.model.digest}  model {known.model.id}"
        if known.model.training:
            yield f"{known.model.training}  cells that trained it"
    for file in known.files:
        yield f"{file.sha256}  {file.name} ({file.bytes:,} bytes)"
    for package, version in sorted(known.versions.items()):
        yield f"{package} {version}"
