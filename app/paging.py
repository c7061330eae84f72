"""A page of a long table: found, put in order and cut. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

PAGE = 1_000  # rows that travel to a browser at once  # ours


@dataclass(frozen=True, slots=True)
class Page:
    """rows: of this page. number: 1 is the first. total: rows that answer. pages: at least one."""

    rows: pd.DataFrame
    number: int
    total: int
    pages: int


def holding(table: pd.DataFrame, query: str) -> pd.DataFrame:
    """Rows with the words in any column of text; letter case does not matter."""
    wanted = query.strip().casefold()
    if not wanted:
        return table
    found = pd.Series(False, index=table.index)
    for name in table.columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            text = table[name].astype("string").str.casefold()
            found |= text.str.contains(wanted, regex=False).fillna(False).astype(bool)
    return table[found]


def named(table: pd.DataFrame, names: Collection[str], *, by: str = "name") -> pd.DataFrame:
    """Rows of these names, in the order of the table."""
    return table[table[by].isin(set(names))]


def ordered(table: pd.DataFrame, by: str, *, descending: bool) -> pd.DataFrame:
    """In the order of a column; what has no value comes last, equals stay as they were."""
    if by not in table:
        return table
    return table.sort_values(by, ascending=not descending, kind="stable", na_position="last")


def cut(table: pd.DataFrame, number: int, *, rows: int = PAGE) -> Page:
    """The page of this number, or the nearest there is."""
    pages = max(-(-len(table) // rows), 1)
    here = min(max(number, 1), pages)
    return Page(table.iloc[(here - 1) * rows : here * rows], here, len(table), pages)
