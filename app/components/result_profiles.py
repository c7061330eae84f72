"""Profiles: a heatmap of groups and genes or peaks; and the profile of chosen cells, against the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, present, readings
from app.components.figure import figure
from app.components.result import MOST_AT_ONCE, Result
from app.components.result_heatmap import heatmap
from app.components.table import table as shown_table
from jobs.names import Modality

MOST_CELLS, MOST_FEATURES = 150, 1500  # decoded for one profile; evenly drawn, and said so  # ours
WHOLE, DIFFERENCE = "The profile itself", "Difference from the other cells"


def profiles(result: Result, *, word: str = "predicted") -> None:
    """word: what the model's values are called."""
    heatmap(result, word=word)
    st.subheader("The profile of chosen cells", anchor=False)
    table = result.cells()
    chosen, words = _chosen(table, result.columns().labels)
    if not chosen:
        st.markdown("Choose at least one cell.")
        return
    names = _features(result)
    if not names:
        st.markdown("No gene or peak of this job was measured often enough to draw a profile.")
        return
    how = st.segmented_control(
        "Show", [DIFFERENCE, WHOLE], default=DIFFERENCE, required=True, key="profile", bind="query-params"
    )
    others = table.loc[~table["cell"].isin(chosen), "cell"].tolist()
    if how == DIFFERENCE and not others:
        st.markdown("All cells are chosen: there are no others to differ from.")
        return
    frame = _profile(result, names, chosen, others if how == DIFFERENCE else [])
    _draw(result, frame, words, how=str(how), cells=len(chosen), word=word)


def _chosen(table: pd.DataFrame, labels: Sequence[str]) -> tuple[list[str], str]:
    """The cells by label, or by name; and how to call them."""
    if labels:
        label = labels[0]
        names = sorted(table[label].dropna().unique())
        picked = st.pills("Cells", names, selection_mode="multi", default=[names[0]], key="cells", bind="query-params")
        with st.expander("Choose cells by name instead", key="by-name"):
            typed = _typed(table)
        if typed:
            return typed, present.plural(len(typed), "chosen cell")
        return table.loc[table[label].isin(picked), "cell"].tolist(), " + ".join(picked)
    typed = _typed(table)
    return (typed, present.plural(len(typed), "chosen cell")) if typed else (table["cell"].tolist(), "all cells")


def _typed(table: pd.DataFrame) -> list[str]:
    text = st.text_area("Cell names, one a line", key="barcodes", height=120)
    wanted = [line.strip() for line in text.splitlines() if line.strip()]
    known = set(table["cell"])
    lost = [name for name in wanted if name not in known]
    if lost:
        st.markdown(
            f":material/info: {present.plural(len(lost), 'name')} not in this job, such as {present.plain(lost[0])}."
        )
    return [name for name in wanted if name in known]


def _features(result: Result) -> list[str]:
    """Tested genes or peaks, evenly drawn from rarely to often measured."""
    table = result.features()
    order = next((c for c in ("truth_mean", "base_rate") if c in table), None)
    names = (table.sort_values(order) if order else table)["name"].tolist()
    return _even(names, MOST_FEATURES)


def _even(items: Sequence[str], most: int) -> list[str]:
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).astype(int)]


def _profile(result: Result, names: list[str], chosen: list[str], others: list[str]) -> pd.DataFrame:
    frame = _means(result, names, _even(chosen, MOST_CELLS))
    if others:
        rest = _means(result, names, _even(others, MOST_CELLS))
        for column in ("measured", "predicted"):
            frame[column] -= rest[column]
    return frame


def _means(result: Result, names: list[str], cells: list[str]) -> pd.DataFrame:
    """Mean over the cells of every named gene or peak; measured is empty where nothing was measured."""
    parts = []
    for start in range(0, len(names), MOST_AT_ONCE):
        values = result.values(names[start : start + MOST_AT_ONCE], cells)
        frame = pd.DataFrame({"name": list(values.features)})
        for name, block in (("measured", values.truth), ("predicted", values.predicted)):
            frame[name] = np.nan if not block else np.asarray(block, dtype=float).mean(axis=0)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def _draw(result: Result, frame: pd.DataFrame, words: str, *, how: str, cells: int, word: str) -> None:
    thing = present.row(result.direction.target)
    unit = readings.scale_words(str(result.report().get("scale", "")), Modality(result.direction.target))
    if how == DIFFERENCE:
        unit = "difference"
    ordered = frame.reindex(frame["predicted"].abs().sort_values(ascending=False).index)
    left, right = st.columns([3, 2])
    with left:
        if frame["measured"].notna().any():
            r = float(frame["measured"].corr(frame["predicted"]))
            what = f"differs from the other cells as {word}" if how == DIFFERENCE else f"looks as {word}"
            title = f"{words} {what}: r\u00a0=\u00a0{present.number(r)} over {present.plural(len(frame), thing)}"
            chart = charts.agreement(frame, title=title, x=f"measured {unit}", y=f"{word} {unit}", unit=thing)
            figure(chart, key="profile-chart", alt=title, table=frame, file=_file(result))
        else:
            st.markdown(f"There is no measurement to compare with: only the {word} profile is listed.")
    with right:
        st.markdown(f"**{thing.capitalize()}s that stand out most**")
        config: dict[str, Any] = {"name": st.column_config.TextColumn(thing, pinned=True)}
        for column, called in (("measured", "measured"), ("predicted", word)):
            config[column] = st.column_config.NumberColumn(called, format="%.3f")
        shown_table(
            ordered, key="profile-rows", alt=f"{thing}s that stand out", file=_file(result), config=config, height=360,
            order="predicted",
        )  # fmt: skip
    tested = len(result.features())
    used = min(cells, MOST_CELLS)
    st.caption(
        f"Mean of {present.plural(used, 'cell')}"
        + (f" of {present.count(cells)} chosen" if cells > used else "")
        + (
            f"; {present.count(len(frame))} of {present.plural(tested, thing)} tested, evenly drawn."
            if tested > len(frame)
            else "."
        )
    )


def _file(result: Result) -> str:
    return present.file(result.job, f"{result.direction.value}-profile")
