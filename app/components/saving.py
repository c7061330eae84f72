"""Tables on their way out: CSV in which nothing is taken for a formula, and Parquet with the values as they are."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st

from jobs.spreadsheet import harmless


def save(frame: pd.DataFrame | Callable[[], pd.DataFrame], *, key: str, file: str) -> None:
    """Both downloads; written, and read where `frame` says how, when they are asked for: nothing travels before."""
    ways: tuple[tuple[str, Callable[[pd.DataFrame], str | bytes], str], ...] = (
        ("CSV", to_csv, "text/csv"), ("Parquet", to_parquet, "application/vnd.apache.parquet"),
    )  # fmt: skip
    for label, made, mime in ways:
        kind = label.lower()
        st.download_button(
            label, partial(_written, made, frame), f"{file}.{kind}", mime, on_click="ignore", key=f"{key}-{kind}",
            icon=":material/download:", type="tertiary", help=f"The whole table as {label}",
        )  # fmt: skip


def _written(
    made: Callable[[pd.DataFrame], str | bytes], frame: pd.DataFrame | Callable[[], pd.DataFrame]
) -> str | bytes:
    return made(frame() if callable(frame) else frame)


def to_parquet(frame: pd.DataFrame) -> bytes:
    """The values as they are; columns of mixed kinds become text."""
    mixed = {
        name: frame[name].map(lambda v: v if v is None or isinstance(v, str) else str(v))
        for name in frame.columns
        if frame[name].dtype == object and not frame[name].map(lambda v: v is None or isinstance(v, str)).all()
    }
    out = io.BytesIO()
    frame.assign(**{str(name): values for name, values in mixed.items()}).to_parquet(out, index=False)
    return out.getvalue()


def to_csv(table: pd.DataFrame) -> str:
    """CSV in which neither a cell nor a column's name is taken for a formula."""
    safe = table.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(lambda v: harmless(v) if isinstance(v, str) else v)
    return str(safe.rename(columns=lambda name: harmless(str(name))).to_csv(index=False))
