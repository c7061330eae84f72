"""A finished analysis as its pages read it: the report, and its tables as frames; what never changes is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from app import present
from app.components.result import report_of
from app.paging import PAGE
from jobs.bootstrap import current_client
from jobs.spec import AnalysisSpec
from jobs.views import GenomeView, JobView

PART = 10_000  # rows asked for at once
MOST = 100_000  # rows of a table a chart is drawn from


@dataclass(frozen=True)
class Analysed:
    """An analysis that succeeded."""

    job: JobView

    @property
    def spec(self) -> AnalysisSpec:
        return AnalysisSpec.model_validate(self.job.spec)

    @property
    def label(self) -> str:
        """What the labels are called; "its label" where none was named."""
        return self.spec.label

    def report(self) -> Mapping[str, Any]:
        return report_of(self.job.id, self.job.attempt)

    def has(self, name: str) -> bool:
        """Whether there is such a table, by WHAT.TABLE."""
        what, _, table = name.rpartition(".")
        return any(each["what"] == what and table in each["tables"] for each in self.report()["results"])

    def tables(self) -> dict[str, int]:
        """Every table by WHAT.TABLE with its rows, but for what only the genome track reads."""
        return {
            f"{each['what']}.{name}": int(table["rows"])
            for each in self.report()["results"]
            for name, table in each["tables"].items()
            if name != "coverage"
        }

    def table(
        self, name: str, *, where: Mapping[str, str] | None = None, query: str = "", sort: str = "",
        descending: bool = False, most: int = MOST,
    ) -> pd.DataFrame:  # fmt: skip
        """At most `most` rows of a table that answer, in the order asked for."""
        asked = tuple(sorted((where or {}).items()))
        return _table(self.job.id, self.job.attempt, name, asked, query, sort, descending, most)[0]

    def page(self, name: str, number: int, *, query: str, sort: str, descending: bool) -> tuple[pd.DataFrame, int]:
        """The rows of a page, 1 the first, with how many answer in all."""
        start = (number - 1) * PAGE
        return _table(self.job.id, self.job.attempt, name, (), query, sort, descending, PAGE, start)

    def genome(self, place: str) -> GenomeView:
        return _genome(self.job.id, self.job.attempt, place)

    def file(self, name: str) -> str:
        """What a download is called."""
        return present.file(self.job, name)


@st.cache_data(max_entries=96, ttl=3600, show_spinner="Reading the results …")
def _table(
    job: str, attempt: int, name: str, where: tuple[tuple[str, str], ...], query: str, sort: str, descending: bool,
    most: int, start: int = 0,
) -> tuple[pd.DataFrame, int]:  # fmt: skip
    parts: list[pd.DataFrame] = []
    total, rows = start + 1, 0
    while rows < min(total - start, most):
        page = current_client().analysis_table(
            job, name, where=dict(where), query=query, sort=sort, descending=descending,
            limit=min(PART, most - rows), offset=start + rows,
        )  # fmt: skip
        total = page.total
        part = pd.DataFrame(page.columns)
        parts.append(part)
        rows += len(part)
        if part.empty:
            break
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0], total


@st.cache_data(max_entries=64, ttl=3600, show_spinner="Reading this stretch of the genome …")
def _genome(job: str, attempt: int, place: str) -> GenomeView:
    return current_client().analysis_genome(job, place)
