"""Run: everything needed to say how a result came about, and to get it again."""

from __future__ import annotations

import contextlib
from typing import Literal

import pandas as pd
import streamlit as st

from app import present
from app.commands import commands
from app.components import failure
from jobs.bootstrap import current_client
from jobs.names import CrossViewError
from jobs.views import ArtifactView, EventView, JobView

IN_MEMORY = 25 * 10**6  # bytes; larger files are streamed by the server's own route


def run(job: JobView) -> None:
    _provenance(job)
    _command(job)
    with failure.shown("The record of this job cannot be read"):
        _events(current_client().events(job.id))
    if job.state == "SUCCEEDED":
        with failure.shown("The files cannot be listed"):
            _files(job)
    with st.expander("Log", icon=":material/terminal:", key="run-log"), failure.shown("The log cannot be read"):
        st.code(current_client().logs(job.id) or "Nothing was said.", language=None, wrap_lines=True, height=320)
        log_button(job)


def log_button(job: JobView) -> None:
    """The whole log of all attempts as a file; read when the button is pressed."""
    st.download_button(
        "Download the log", lambda: current_client().logs(job.id, tail=100_000), f"{job.id}-log.txt", "text/plain",
        key=f"log-file-{job.id}", icon=":material/download:", type="tertiary", on_click="ignore",
    )  # fmt: skip


def _provenance(job: JobView) -> None:
    st.subheader("How it was made", anchor=False)
    report = _report(job)
    facts = {
        "Job": f"{job.id}, attempt {job.attempt}",
        "Cells": " + ".join(f"{name} ({which})" for which, name in job.input_names.items()),
        "Model": job.model,
        "Model that was made": job.made,
        "Digest of the model": job.bundle,
        "Code version": str(report.get("code_version", "")),
        "Seed": str(job.spec.get("seed", "")),
        "Cells a chunk": str(job.spec.get("chunk_cells", "")),
        "Submitted": present.moment(job.submitted_at),
        "Finished": present.moment(job.finished_at) if job.finished_at else "",
    }
    for which in ("rna", "atac"):
        if job.spec.get(which):
            facts[f"Data set ({which})"] = str(job.spec[which])
    table = pd.DataFrame({"what": list(facts), "value": list(facts.values())})
    st.dataframe(table[table["value"] != ""], hide_index=True, alt="How this result was made", height="content")


def _report(job: JobView) -> dict[str, object]:
    if job.state != "SUCCEEDED":
        return {}
    with failure.shown("The report cannot be read"):
        read = current_client().benchmark if job.kind == "benchmark" else current_client().report
        return dict(read(job.id))
    return {}


def _command(job: JobView) -> None:
    st.subheader("Get it again", anchor=False)
    names = {which: _input(job, which) for which in ("rna", "atac") if job.spec.get(which)}
    st.code("\n".join(commands(job, names)), language="bash", wrap_lines=True)
    st.caption(f"{_SAME.get(job.kind, _SAME['translate'])} This page's address can be shared.")


_SAME = {
    "translate": "Same cells, model digest, settings and seed give the same prediction.",
    "joint": "Same cells, model digest, settings and seed give the same view.",
    "analysis": "Same cells, model digest, settings and seed give the same tables.",
    "train": "Same cells, split, settings and seed give the same model on the CPU.",
    "benchmark": "Same cells, split, settings and seeds give the same scores on the CPU.",
}


def _input(job: JobView, which: str) -> str:
    """What the command line calls the same cells: their address where they have one, else the file's name."""
    with contextlib.suppress(CrossViewError):  # a dataset may have been deleted since
        origin = current_client().dataset(str(job.spec.get(which))).origin
        if origin.startswith(("s3://", "https://", "example:")) and not origin.endswith("?…"):
            return origin
    return job.input_names.get(which, f"{which}.h5ad")


def _events(events: list[EventView]) -> None:
    st.subheader("What happened when", anchor=False)
    rows = [
        {
            "when": present.moment(event.moment),
            "what": event.kind,
            "from": present.tag(event.from_state).word if event.from_state else "",
            "to": present.tag(event.to_state).word if event.to_state else "",
            "attempt": event.attempt,
            "detail": ", ".join(f"{k}: {v}" for k, v in event.detail.items())[:200],
        }
        for event in events
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="What happened to this job, and when")


def _files(job: JobView) -> None:
    st.subheader("Files", anchor=False)
    files = current_client().artifacts(job.id)
    table = pd.DataFrame(
        {
            "file": [f.name for f in files],
            "what": [f.what for f in files],
            "size": [present.size(f.bytes) for f in files],
            "SHA-256": [f.sha256 for f in files],
        }
    )
    st.dataframe(table, hide_index=True, alt="Files of this job with their checksums", height="content")


def downloads(job: JobView) -> None:
    """One button a file: small ones at once, large ones streamed by the server."""
    with failure.shown("The files cannot be listed"):
        for artifact in current_client().artifacts(job.id):
            if not artifact.name.startswith(("bundle/", "entries/")):  # of a model: all of it is in its .zip
                download(job, artifact)


def download(
    job: JobView, artifact: ArtifactView, *, label: str = "", key: str = "",
    width: Literal["stretch", "content"] = "stretch",
) -> None:  # fmt: skip
    """One file's button. label: instead of the file's name."""
    label = f"{label or artifact.name} · {present.size(artifact.bytes)}"
    if artifact.bytes > IN_MEMORY:
        url = f"/api/v1/jobs/{job.id}/artifacts/{artifact.name}"
        st.link_button(label, url, help=artifact.what or None, icon=":material/download:", width=width)
        return
    st.download_button(
        label, lambda: current_client().open_artifact(job.id, artifact.name).read_bytes(),
        f"{job.id[:8]}-{artifact.name.replace('/', '-')}", artifact.media_type or "application/octet-stream",
        key=key or f"file-{artifact.name}", help=artifact.what or None, icon=":material/download:", width=width,
        on_click="ignore",
    )  # fmt: skip
