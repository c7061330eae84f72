"""The example: the cells that come with a model and that it never saw; the way in for who has no file at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from app import present
from app.components import failure
from jobs.bootstrap import current_client
from jobs.views import ModelView


def of(models: Sequence[ModelView]) -> ModelView | None:
    """The first model on offer that has one."""
    return next((model for model in models if model.example_cells and not model.retired), None)


def offered() -> ModelView | None:
    """The same, of the models there are."""
    with failure.shown("The example cannot be offered"):
        return of(current_client().models())
    return None


def cells(model: ModelView) -> str:
    """148 cells."""
    return present.plural(model.example_cells or 0, "cell")


def words(model: ModelView) -> str:
    return (
        f"{cells(model)} that the model “{present.plain(model.title)}” never saw, translated both ways and judged "
        "against their own measurement."
    )


def button(model: ModelView, *, type: Literal["primary", "secondary"] = "secondary") -> None:
    """Starts it, or opens it where it was translated before."""
    if st.button("Try the example", type=type, icon=":material/play_arrow:", key="example"):
        with failure.shown("The example could not be started"):
            job = current_client().submit_example(model.id)
            st.switch_page("views/job.py", query_params={"id": job.id})
