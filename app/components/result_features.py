"""Genes or Peaks: how well each is predicted, as a table; a row opens it, predicted against measured."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import present, readings
from app.components.address import choice
from app.components.compared import closely
from app.components.finder import look_at
from app.components.predictability import expected
from app.components.result import Result, one_feature
from app.components.table import table
from jobs.names import Modality
from jobs.views import FeatureHit

FOUND_MOST = 1_000  # names a search gives at most


def features(result: Result, hit: FeatureHit | None) -> None:
    """Of one direction: what it predicts. hit: what is searched, where that is of this direction."""
    thing = present.row(result.direction.target)
    rows = result.features()
    if not result.scored:
        st.caption(
            "These cells were measured one way only: nothing says how well each is predicted here. Choose a row for "
            "what is predicted."
        )
    left, right = st.columns([5, 8], gap="medium")
    with left:
        _table(result, rows, thing)
    with right:
        if hit is None:
            st.markdown(f"**Choose a row**, or search above, to see that {thing}: predicted against measured.")
        else:
            _one(result, hit)
    if not result.scored:
        expected(result.job, result.direction)


def _table(result: Result, rows: pd.DataFrame, thing: str) -> None:
    main = next((c for c in (*readings.COLUMNS[result.direction], "predicted_mean") if c in rows), None)
    ordered = rows.sort_values(main, ascending=False, kind="stable") if main else rows
    columns = shown_columns(ordered, main)
    if result.scored:
        st.caption(
            f"{present.plural(len(rows), thing)} measured in at least 1 % of the cells. At 0 above the best null the "
            "average cell, or its depth, says as much."
        )

    def pick(name: str) -> None:
        look_at(name)
        result.face()

    table(
        ordered, key=f"{thing}s", alt=f"Scores of every {thing}", columns=columns,
        file=present.file(result.job, f"{result.direction.value}-{thing}s"),
        config=column_config(ordered[columns], main), words=readings.column_words,
        search="Find in the table" if thing == "gene" else "Find a peak, region or gene",
        matching=lambda query: [found.name for found in result.search(query, limit=FOUND_MOST)], order=main or "",
        height=560, pick=pick,
    )  # fmt: skip


def _one(result: Result, hit: FeatureHit) -> None:
    cells = result.cells()
    labels = result.columns().labels
    label = labels[0] if labels else None
    if len(labels) > 1:
        label = choice("Groups of cells", labels, param="by", words=readings.column_words)
    values = one_feature(result.values([hit.name]), cells)
    unit = readings.scale_words(str(result.report().get("scale", "")), Modality(hit.modality))
    closely(result, values, hit, unit, label)


def shown_columns(rows: pd.DataFrame, main: str | None) -> list[str]:
    """The main score and its gain over the nulls beside the name; what only specialists ask for is in the download."""
    first = ["name", *([main] if main else []), *(c for c in readings.SKILLS if c in rows)]
    left_out = ("_se", "_variance", "_mean", "_best", "_gain")
    rest = [c for c in rows.columns if c not in (*first, "position") and not c.endswith(left_out)]
    return [*first, *rest, *(["truth_mean"] if "truth_mean" in rows else [])]


def column_config(rows: pd.DataFrame, main: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {"name": st.column_config.TextColumn("name", pinned=True)}
    for name in rows.columns:
        if name == main and main != "predicted_mean":
            low = -1.0 if "pearson" in name else 0.0
            config[name] = st.column_config.ProgressColumn(
                readings.column_words(name), format="%.3f", min_value=low, max_value=1.0
            )
        elif pd.api.types.is_float_dtype(rows[name]):
            format = "%+.3f" if name in readings.SKILLS else "%.3f"
            words = "above the best null" if name.endswith("_gain") else readings.column_words(name)
            config[name] = st.column_config.NumberColumn(words, format=format)
        elif name != "name":
            config[name] = st.column_config.Column(readings.column_words(name))
    return config
