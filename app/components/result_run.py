"""What happened to a job and when, its log as a file, and its files, to be saved."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st

from app import present
from app.components import failure
from app.components.table import table
from jobs.bootstrap import current_client
from jobs.views import ArtifactView, EventView, JobView

IN_MEMORY = 25 * 10**6  # bytes; larger files are streamed by the server's own route


def log_button(job: JobView) -> None:
    """The whole log of all attempts as a file; read when the button is pressed."""
    client = current_client()  # of whoever looks now: the file is made later, outside of the page
    st.download_button(
        "Download the log", lambda: client.logs(job.id, tail=100_000), present.file(job, "log.txt"), "text/plain",
        key=f"log-file-{job.id}", icon=":material/download:", type="tertiary", on_click="ignore",
    )  # fmt: skip


def history(job: JobView) -> None:
    """Every change of state, with when and why."""
    st.subheader("What happened when", anchor=False)
    with failure.shown("The record of this job cannot be read"):
        rows = [_row(event) for event in current_client().events(job.id)]
        table(
            pd.DataFrame(rows),
            key="events",
            alt="What happened to this job, and when",
            file=present.file(job, "events"),
        )


def _row(event: EventView) -> dict[str, object]:
    return {
        "when": present.moment(event.moment),
        "what": event.kind,
        "from": present.tag(event.from_state).word if event.from_state else "",
        "to": present.tag(event.to_state).word if event.to_state else "",
        "attempt": event.attempt,
        "detail": ", ".join(f"{k}: {v}" for k, v in event.detail.items())[:200],
    }


def downloads(job: JobView, *, key: str = "") -> None:
    """One button a file: small ones at once, large ones streamed by the server. key: tells two lists apart."""
    with failure.shown("The files cannot be listed"):
        for artifact in current_client().artifacts(job.id):
            if not artifact.name.startswith(("bundle/", "entries/")):  # of a model: all of it is in its .zip
                download(job, artifact, key=f"{key}file-{artifact.name}")


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
    client = current_client()
    st.download_button(
        label, lambda: client.open_artifact(job.id, artifact.name).read_bytes(),
        present.file(job, artifact.name), artifact.media_type or "application/octet-stream",
        key=key or f"file-{artifact.name}", help=artifact.what or None, icon=":material/download:", width=width,
        on_click="ignore",
    )  # fmt: skip
