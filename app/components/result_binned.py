"""A gene or peak on the map of a job with more cells than a browser can draw: means over squares, and said so."""

from __future__ import annotations

import contextlib

import pandas as pd
import streamlit as st

from app import charts_binned, present, readings
from app.components.figure import figure
from jobs.client import Client
from jobs.names import CrossViewError, Direction, Modality
from jobs.results.binned import BinnedView
from jobs.views import FeatureHit, JobView

MOST = 100_000  # cells up to which each is drawn  # ours
WORDS = {"prediction": "the predicted profiles", "truth": "the measured profiles"}


def is_large(job: JobView) -> bool:
    return (job.cells or 0) > MOST


def show(client: Client, job: JobView, direction: Direction, hit: FeatureHit) -> None:
    """The predicted values on each map there is."""
    found = [view for which in WORDS if (view := _binned(client, job, direction, hit, which)) is not None]
    if not found:
        st.markdown("No maps were drawn for this job.")
        return
    for column, view in zip(st.columns(len(found)), found, strict=True):
        with column:
            _draw(view, job, Modality(hit.modality))
    st.caption(
        f"Each square is the mean of its cells: {present.plural(found[0].cells, 'cell')} lie on the map"
        + (f", of {present.count(found[0].of)} decoded." if found[0].cells < found[0].of else ".")
    )


def _binned(client: Client, job: JobView, direction: Direction, hit: FeatureHit, which: str) -> BinnedView | None:
    with contextlib.suppress(CrossViewError):  # a map that was not drawn
        return client.binned(job.id, direction, hit.name, map=which)
    return None


def _draw(view: BinnedView, job: JobView, modality: Modality) -> None:
    table = pd.DataFrame({"x": view.x, "y": view.y, "count": view.count, "mean": view.mean})
    unit = readings.scale_words(view.scale, modality)
    title = f"{view.feature}, predicted, on a map of {WORDS[view.map]}"
    domain = (min(view.low, 0.0), view.high if view.high > min(view.low, 0.0) else min(view.low, 0.0) + 1.0)
    chart = charts_binned.squares(table, title=title, side=view.side, domain=domain, unit=unit)
    said = f"{title}: {present.plural(view.cells, 'cell')} in {present.plural(len(table), 'square')}"
    figure(
        chart, key=f"squares-{view.map}", alt=said, table=table, file=present.file(job, f"{view.feature}-{view.map}")
    )
