"""How cells are put into groups: the two settings that a joint view and an analysis share."""

from __future__ import annotations

import streamlit as st


def grouping(*, key: str) -> tuple[int, float]:
    """Groups of k-means (0: as many as labels) and Leiden's resolution, in the address. key: of the first."""
    groups = st.number_input(
        "Groups by k-means", min_value=0, max_value=500, value=0, step=1, key=key, bind="query-params",
        help="0: as many as the label has kinds; without a label, as many as Leiden finds.",
    )  # fmt: skip
    resolution = st.number_input(
        "Resolution of Leiden", min_value=0.1, max_value=20.0, value=1.0, step=0.1, key="resolution",
        bind="query-params", help="Higher: more and smaller groups.",
    )  # fmt: skip
    return int(groups), float(resolution)
