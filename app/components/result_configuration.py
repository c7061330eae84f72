"""Configuration: what was asked, in words and as JSON, and how to ask for the same from a shell or over REST."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

import pandas as pd
import streamlit as st

from app import configured, present
from app.commands import commands
from app.components.table import table
from jobs.bootstrap import current_client
from jobs.names import CrossViewError
from jobs.spec import INPUTS
from jobs.views import JobView

HERE = "http://127.0.0.1:8501"  # where it answers unless set otherwise

_SAME = {
    "translate": "Same cells, model digest, settings and seed give the same prediction.",
    "joint": "Same cells, model digest, settings and seed give the same view.",
    "analysis": "Same cells, model digest, settings and seed give the same tables.",
    "evaluate": "Same prediction, cells and seed give the same scores.",
    "train": "Same cells, split, settings and seed give the same model on the CPU.",
    "benchmark": "Same cells, split, settings and seeds give the same scores on the CPU.",
}


def configuration(job: JobView) -> None:
    asked = pd.DataFrame(configured.rows(job), columns=["setting", "value"])
    table(asked, key="settings", alt="What this job was asked", file=present.file(job, "settings"), height="content")
    st.subheader("Get it again", anchor=False)
    names = {which: _input(job, which) for which in INPUTS if job.spec.get(which)}
    st.code("\n".join(commands(job, names)), language="bash", wrap_lines=True)
    st.caption(f"{_SAME.get(job.kind, _SAME['translate'])} This page's address can be shared.")
    st.markdown("**Over REST**")
    st.code(configured.rest(job, base=base()), language="bash", wrap_lines=True)
    st.caption('A finished job that was asked the same is returned; `"fresh": true` runs it again.')
    with st.expander("As JSON", icon=":material/data_object:", key="spec-json"):
        st.code(configured.document(job), language="json", wrap_lines=True)


def base() -> str:
    """Where this page was opened, without its path."""
    found = urlsplit(st.context.url or HERE)
    return f"{found.scheme}://{found.netloc}"


def _input(job: JobView, which: str) -> str:
    """What the command line calls the same cells: their address where they have one, else the file's name."""
    with contextlib.suppress(CrossViewError):  # a dataset may have been deleted since
        origin = current_client().dataset(str(job.spec.get(which))).origin
        if origin.startswith(("s3://", "https://", "example:")) and not origin.endswith("?…"):
            return origin
    return job.input_names.get(which, f"{which}.h5ad")
