"""A table with its way out: searched and put in order among all its rows, seen a page at a time, saved whole.

CSV in which nothing is taken for a formula, and Parquet with the values as they are. Streamlit's own download, which
quotes nothing, is switched off by `app.components.look`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import streamlit as st

from app import present
from app.components.saving import save
from app.paging import PAGE, Page, cut, holding, named, ordered

TALL = 420  # pixels of a table that scrolls
FEW = 10  # rows that are shown without scrolling
Matching = Callable[[str], Collection[str]]


def table(
    frame: pd.DataFrame,
    *,
    key: str,
    alt: str,
    file: str,
    columns: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    words: Callable[[str], str] = str,
    search: str = "",
    matching: Matching | None = None,
    order: str = "",
    height: int | Literal["auto", "content"] = "auto",
    pick: Callable[[str], None] | None = None,
) -> None:
    """The rows of `frame`, at most a page of them in the browser, under `key` in the address.

    columns: those shown; all of them are in the download. search: label of a search box, none where empty; matching:
    the names (first column shown) that answer a search, where more than the text decides. order: the column a long
    table is sorted by at first, the highest first. pick: called with the name in the first column of a chosen row.
    """
    shown = list(columns) or [str(name) for name in frame.columns]
    found = _searched(frame, key=key, label=search, matching=matching, by=shown[0]) if search else frame
    long = len(found) > PAGE
    page = _paged(found, shown, key=key, words=words, order=order) if long else cut(found, 1)
    if frame.empty or page.rows.empty:
        st.caption("Nothing matches." if search and len(frame) else "There are no rows.")
        return
    _rows(page.rows[shown], key=key, alt=alt, config=config, height=height, pick=pick, name=shown[0])
    with st.container(horizontal=True, vertical_alignment="center", key=f"{key}-out"):
        st.caption(_counted(page, len(frame)), width="content")
        save(found, key=key, file=file)


def _searched(frame: pd.DataFrame, *, key: str, label: str, matching: Matching | None, by: str) -> pd.DataFrame:
    query = (st.text_input(label, type="search", key=f"{key}_find", bind="query-params") or "").strip()
    if not query:
        return frame
    return named(frame, matching(query), by=by) if matching else holding(frame, query)


def _paged(found: pd.DataFrame, shown: Sequence[str], *, key: str, words: Callable[[str], str], order: str) -> Page:
    """Order and page of a table that is too long to travel whole; both held in the address."""
    pages = cut(found, 1).pages
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    with left:
        start = list(shown).index(order) if order in shown else 0
        by = st.selectbox(
            "Order by", list(shown), index=start, format_func=words, key=f"{key}_by", bind="query-params"
        )  # fmt: skip
    with middle:
        down = st.checkbox("Highest first", value=True, key=f"{key}_down", bind="query-params")
    with right:
        number = st.number_input(f"Page of {pages:,}", 1, pages, 1, key=f"{key}_page", bind="query-params")
    return cut(ordered(found, str(by), descending=down), int(number))


def _rows(
    rows: pd.DataFrame, *, key: str, alt: str, config: Mapping[str, Any] | None,
    height: int | Literal["auto", "content"], pick: Callable[[str], None] | None, name: str,
) -> None:  # fmt: skip
    tall: Any = ("content" if len(rows) <= FEW else TALL) if height == "auto" else height
    dressed = dict(config or {})
    dressed.setdefault(name, st.column_config.TextColumn(pinned=True))
    if pick is None:
        st.dataframe(rows, hide_index=True, alt=alt, height=tall, column_config=dressed, placeholder="–", key=key)
        return
    names = [str(each) for each in rows[name]]

    def chosen() -> None:
        picked = (st.session_state.get(key) or {}).get("selection", {}).get("rows", [])
        if picked and picked[0] < len(names):
            pick(names[picked[0]])

    st.dataframe(
        rows, hide_index=True, alt=alt, height=tall, column_config=dressed, placeholder="–", key=key,
        on_select=chosen, selection_mode="single-row",
    )  # fmt: skip


def _counted(page: Page, of: int) -> str:
    if page.pages == 1:
        return present.plural(page.total, "row") + (f" of {present.count(of)}" if page.total < of else "")
    first = (page.number - 1) * PAGE + 1
    return f"Rows {present.count(first)}–{present.count(first + len(page.rows) - 1)} of {present.count(page.total)}"
