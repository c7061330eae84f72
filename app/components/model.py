"""What the pages about models share: scores of both directions side by side, and being rid of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app import present, readings
from app.components import failure
from app.components.scorecard import axis
from jobs.bootstrap import current_client
from jobs.names import Direction
from jobs.views import ModelView


def scores(
    report: Mapping[str, Any], directions: Sequence[Direction], *, key: str, of: str, judged: bool = True
) -> None:
    """Scores on cells held out of the training, one direction beside the other. judged: with the verdict in words."""
    reports = {d: readings.of_direction(report, d) for d in present.in_order(directions)}
    scored = [d for d, each in reports.items() if readings.readings(each)]
    if not scored:
        st.caption("No scores were published with this model.")
        return
    for column, which in zip(st.columns(len(scored)), scored, strict=True):
        with column:
            verdict = readings.verdict(reports[which])
            said = f" {present.plain(verdict.because or verdict.sentence)}" if judged else ""
            st.markdown(f"**{present.direction(which)}**{said}")
            axis(reports[which], which, key=f"{key}-{which.value}", of=of, what="this model")


def delete(model: ModelView) -> None:
    """A button that asks first; for models trained here alone."""
    if st.button("Delete this model", key=f"delete-{model.id}", type="tertiary", help="Asks first"):
        _confirm(model)


@st.dialog("Delete this model?")
def _confirm(model: ModelView) -> None:
    st.markdown(
        f"**{present.plain(model.title)}** can then translate no more cells, and results made with it can be read but "
        "no further gene or peak looked up. This cannot be undone."
    )
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", key="really-model"):
            with failure.shown():
                current_client().delete_model(model.id)
                st.rerun()
        if st.button("Keep", key="keep-model"):
            st.rerun()
