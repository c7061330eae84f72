"""Files: everything a job left, with its size, its digest and what opens it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import present
from app.components import failure
from app.components.result_run import downloads
from app.components.table import table
from app.filed import opens
from jobs.bootstrap import current_client
from jobs.views import JobView


def files(job: JobView) -> None:
    with failure.shown("The files cannot be listed"):
        found = current_client().artifacts(job.id)
        st.caption(
            f"{present.plural(len(found), 'file')}, {present.size(sum(f.bytes for f in found))} in all. Each is "
            "compared with its SHA-256 before it is handed out."
        )
        listed = pd.DataFrame(
            {
                "file": [f.name for f in found],
                "what": [f.what for f in found],
                "size": [present.size(f.bytes) for f in found],
                "opens in": [opens(f.name) for f in found],
                "bytes": [f.bytes for f in found],
                "SHA-256": [f.sha256 for f in found],
            }
        )
        shown = ("file", "what", "size", "opens in", "SHA-256")
        table(
            listed,
            key="files",
            alt="Files of this job with their checksums",
            file=present.file(job, "files"),
            columns=shown,
        )
        st.subheader("Download", anchor=False)
        downloads(job, key="tab-")
