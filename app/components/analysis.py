"""A finished analysis: the answer first with what it stands against, then figures, tables, and how it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app import findings, present
from app.analyses import column_words, question, table_words
from app.components import failure
from app.components.analysed import Analysed
from app.components.analysis_cells import abnormal, cluster, mixing
from app.components.analysis_links import links
from app.components.analysis_path import trajectory
from app.components.analysis_values import activity, imputation, markers
from app.components.genome_track import genome, search
from app.components.result_record import record
from app.components.result_run import download
from app.components.tabs import tabs
from app.paging import PAGE
from jobs.bootstrap import current_client
from jobs.views import JobView

LINKS = ("cre", "coaccess")
_FIGURES: Mapping[str, Callable[[Analysed], None]] = {
    "cluster": cluster, "imputation": imputation, "mixing": mixing, "abnormal": abnormal, "de": markers,
    "cre": links, "coaccess": links, "trajectory": trajectory, "activity": activity,
}  # fmt: skip


def analysed(job: JobView) -> None:
    """The answer, then the tabs. Analyses that link peaks open on the genome."""
    result = Analysed(job)
    what = result.spec.what
    with failure.shown("The result cannot be read"):
        _answer(result)
        place = search(result) if what in LINKS else ""
        shows: dict[str, Callable[[], None]] = {"Genome": lambda: genome(result, place)} if what in LINKS else {}
        tabs({**shows, "Figures": lambda: _FIGURES[what](result), "Tables": lambda: tables_of(result), **record(job)})


def _answer(result: Analysed) -> None:
    report = result.report()
    with st.container(border=True, key="scorecard"):
        st.subheader(question(result.spec.what).asks, anchor=False)
        for found in findings.findings(report, result.label or "label", result.table):
            st.markdown(f"**{found.sentence}**")
            if found.beside:
                st.caption(found.beside)
        for caution in findings.cautions(report):
            st.markdown(f":material/warning: {present.plain(caution)}")
        if noted := findings.notes(report):
            st.caption(f":material/info: {present.plain(' '.join(noted))}")
        _ways_on(result)


def _ways_on(result: Analysed) -> None:
    spec = result.spec
    pair = {"rna": spec.rna, "atac": spec.atac}
    also = {"model": spec.model or "none", "label": spec.label or "none"}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(
            "views/analyse.py", label="Ask these cells another question", icon=":material/query_stats:",
            query_params={**pair, **also},
        )  # fmt: skip
        if spec.model:
            st.page_link(
                "views/new.py", label="Joint view of these cells", icon=":material/hub:",
                query_params={"kind": "joint", **pair, **also},
            )  # fmt: skip


def tables_of(result: Analysed) -> None:
    """Any table of the report: searched and sorted among all its rows, and whole as CSV."""
    known = result.tables()
    names = list(known)
    name = st.selectbox(
        "Table", names, key="table", bind="query-params",
        format_func=lambda n: f"{table_words(n)} ({present.plural(known[n], 'row')})",
    )  # fmt: skip
    columns = next(
        each["tables"][name.rpartition(".")[2]]["columns"]
        for each in result.report()["results"]
        if each["what"] == name.rpartition(".")[0]
    )
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
    with left:
        query = st.text_input(
            "Search in the text of this table", type="search", key=f"find-{name}", placeholder="a gene, a peak, a kind"
        )
    with middle:
        sort = st.selectbox(
            "Order by", ["", *columns], key=f"sort-{name}",
            format_func=lambda c: column_words(c) if c else "as it stands",
        )  # fmt: skip
    with right:
        down = st.checkbox("Highest first", value=True, key=f"down-{name}", disabled=not sort)
    read = partial(result.page, name, query=(query or "").strip(), sort=sort or "", descending=bool(sort) and down)
    shown, total = read(1)
    pages = max(-(-total // PAGE), 1)
    number = int(st.number_input(f"Page of {pages:,}", 1, pages, 1, key=f"page-{name}", width=160)) if pages > 1 else 1
    if number > 1:
        shown, total = read(number)
    if shown.empty:
        st.markdown(f"Nothing in this table matches **{present.plain(query or '')}**.")
        return
    st.dataframe(
        shown, hide_index=True, height="content" if len(shown) <= 12 else 460, placeholder="–",
        alt=table_words(name), column_config=_columns(shown),
    )  # fmt: skip
    first = (number - 1) * PAGE + 1
    some = f"Rows {present.count(first)}–{present.count(first + len(shown) - 1)} of " if pages > 1 else ""
    st.caption(f"{some}{present.plural(total, 'row')}{' that match' if query else ''}.")
    with failure.shown("The files cannot be listed"):
        files = {each.name: each for each in current_client().artifacts(result.job.id)}
        with st.container(horizontal=True):
            for kind, words in (("csv", "Download the whole table (CSV)"), ("parquet", "The same as Parquet")):
                if (whole := files.get(f"{name}.{kind}")) is not None:
                    download(result.job, whole, label=words, key=f"{kind}-{name}", width="content")


def _columns(table: pd.DataFrame) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for place, name in enumerate(table.columns):
        words = column_words(str(name))
        if pd.api.types.is_float_dtype(table[name]):
            tiny = str(name) in ("p", "q") or str(name).endswith("_q")
            config[name] = st.column_config.NumberColumn(words, format="%.2e" if tiny else "%.3f")
        else:
            config[name] = st.column_config.Column(words, pinned=place == 0)
    return config
