"""A finished job's direction, and its tables as frames; what never changes is kept, so that a tab opens at once."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import readings
from app.columns import Columns
from jobs.bootstrap import current_client
from jobs.names import CrossViewError, Direction
from jobs.views import FeatureHit, JobView, Values

UMAPS = ("truth", "prediction")


@dataclass(frozen=True)
class Result:
    """One direction of a job that succeeded."""

    job: JobView
    direction: Direction

    @property
    def key(self) -> tuple[str, int, str]:
        """What its tables are kept under: an attempt's results never change."""
        return self.job.id, self.job.attempt, self.direction.value

    @property
    def scored(self) -> bool:
        return self.direction in self.job.truth

    @property
    def words(self) -> str:
        """What its scores are of, in a legend."""
        return "this prediction" if self.job.kind == "evaluate" else "this translation"

    def face(self) -> None:
        """Turns the page to this direction; to be called from a widget's callback."""
        st.session_state[f"direction-{self.job.id}"] = self.direction
        st.query_params["direction"] = self.direction.value

    def report(self) -> Mapping[str, Any]:
        return readings.of_direction(report_of(self.job.id, self.job.attempt), self.direction)

    def features(self) -> pd.DataFrame:
        """One row a tested gene or peak, `name` first."""
        return _table(*self.key, "features")

    def cells(self) -> pd.DataFrame:
        """One row a cell; `cell` is its name."""
        return _table(*self.key, "cells")

    def columns(self) -> Columns:
        """What the columns of its cells are."""
        return _columns(*self.key, self)

    def roc(self) -> pd.DataFrame:
        return _table(*self.key, "roc")

    def search(self, query: str, *, limit: int = 12) -> list[FeatureHit]:
        return _search(*self.key, query, limit)

    def source(self, name: str) -> Values | None:
        """A gene or peak as measured in the source cells; None for what the model does not know, or that is gone."""
        with contextlib.suppress(CrossViewError):
            return _source(*self.key, name)
        return None

    def values(self, features: Sequence[str], cells: Sequence[str] | None = None) -> Values:
        return _values(*self.key, tuple(features), None if cells is None else tuple(cells))


@st.cache_data(max_entries=16, ttl=3600, show_spinner=False)
def report_of(job: str, attempt: int) -> dict[str, Any]:
    """The whole report of one attempt, read once."""
    return current_client().report(job)


@st.cache_resource(max_entries=24, ttl=3600, show_spinner="Reading the results …")
def _table(job: str, attempt: int, direction: str, name: str) -> pd.DataFrame:
    """One frame for all who look, never changed in place: copies of 100,000 rows at each run would be felt."""
    table = pd.DataFrame(current_client().table(job, Direction(direction), name))
    if name == "cells":
        for other in ("barcode", "name"):
            if other in table and "cell" not in table:
                table = table.rename(columns={other: "cell"})
    return table


@st.cache_resource(max_entries=24, ttl=3600, show_spinner=False)
def _columns(job: str, attempt: int, direction: str, _result: Result) -> Columns:
    return Columns.of(_result.cells())


@st.cache_data(max_entries=256, ttl=3600, show_spinner=False)
def _search(job: str, attempt: int, direction: str, query: str, limit: int) -> list[FeatureHit]:
    return current_client().search(job, Direction(direction), query, limit=limit)


MOST_AT_ONCE = 500  # genes or peaks the service decodes in one go


@st.cache_data(max_entries=64, ttl=3600, show_spinner="Decoding …")
def _values(job: str, attempt: int, direction: str, features: tuple[str, ...], cells: tuple[str, ...] | None) -> Values:
    return current_client().values(job, Direction(direction), features=features, cells=cells)


@st.cache_data(max_entries=16, ttl=3600, show_spinner="Reading the cells …")
def _source(job: str, attempt: int, direction: str, name: str) -> Values:
    which = Direction(direction)
    return current_client().values(job, which, features=(name,), modality=which.source)


def one_feature(values: Values, cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with columns measured and predicted of the first feature of `values`, in the cells' order."""
    frame = pd.DataFrame({"cell": list(values.barcodes)})
    for name, block in (("measured", values.truth), ("predicted", values.predicted)):
        if block is not None:
            frame[name] = np.asarray(block, dtype=float)[:, 0]
    return cells.merge(frame, on="cell", how="inner", validate="one_to_one")


def has_map(cells: pd.DataFrame, which: str) -> bool:
    return f"{which}_umap_1" in cells and bool(cells[f"{which}_umap_1"].notna().any())


def on_map(cells: pd.DataFrame, which: str) -> pd.DataFrame:
    """The cells that lie on one map, with their place as columns x and y."""
    placed = cells.assign(x=cells[f"{which}_umap_1"], y=cells[f"{which}_umap_2"])
    return placed[placed["x"].notna()]
