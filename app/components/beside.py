"""Jobs and models beside each other: the word on fairness first, then scores on one axis, then what they were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app import charts_benchmark as charts
from app import present, readings, sides
from app.components.address import choice
from app.components.figure import figure
from app.components.saving import save
from app.components.table import table as show
from app.sides import Side
from jobs.names import Direction

DIGITS = st.column_config.NumberColumn(format="%.3f")
SIGNED = st.column_config.NumberColumn(format="%+.3f")


def beside(chosen: Sequence[Side], which: Direction) -> None:
    table = sides.scores(chosen, which)
    if table.empty:
        st.markdown(f":material/info: None of them was scored at {present.direction(which)}.")
        return
    fair, said = sides.same_cells(chosen, which)
    if fair:
        st.markdown(f":material/check_circle: {said}")
    else:
        st.warning(said, icon=":material/warning:")
    _scores(table, which, fair=fair)
    _links(chosen)
    _configurations(chosen)


def _scores(table: pd.DataFrame, which: Direction, *, fair: bool) -> None:
    name = choice(
        "Score", sides.score_names(table, which), param="score",
        words=lambda n: readings.MEANINGS[n].label if n in readings.MEANINGS else n.replace("_", " "),
    )  # fmt: skip
    here = table[table["score"] == name].sort_values("value", ascending=False, ignore_index=True)
    said = sides.verdict(table, name, fair=fair)
    st.markdown(f"**{present.plain(said)}**")
    drawn = here.rename(columns={"name": "label"})
    nothing = pd.DataFrame(columns=["label", "seed", "value"])
    words = str(here["words"].iloc[0])
    marked = _averages(here)
    title = f"{words[0].upper()}{words[1:]}, with 95 % intervals"
    chart = charts.standings(drawn, nothing, title=title, quantity="higher is better", marked=marked)
    alt = "; ".join(f"{row.name} {row.value:.3f}" for row in here.itertuples(index=False, name="Row"))
    figure(chart, key="beside", alt=f"{title}: {alt}", table=here, file=f"compared-{name}")
    if marked:
        st.caption("The line is the average profile, which is the same for all of them.")
    shown = here[["name", "value", "low", "high", "average", "gain", "n"]].rename(
        columns={
            "value": "score", "low": "from (95 %)", "high": "to (95 %)", "average": "average profile",
            "gain": "above the average", "n": "cells",
        }
    )  # fmt: skip
    config: dict[str, Any] = dict.fromkeys(("score", "from (95 %)", "to (95 %)", "average profile"), DIGITS)
    show(
        shown, key="beside-rows", alt=f"{words} of each", file=f"compared-{name}", height="content",
        config={"above the average": SIGNED, **config},
    )  # fmt: skip
    st.caption("All scores at once:")
    save(table, key="compared", file="compared")


def _averages(here: pd.DataFrame) -> list[tuple[str, float, str]]:
    """The nulls as lines: one where it is the same for all, else none, since it would be anyone's guess whose it is."""
    known = here["average"].dropna().round(4).unique()
    return [("average profile", float(known[0]), "null")] if len(known) == 1 else []


def _links(chosen: Sequence[Side]) -> None:
    with st.container(horizontal=True):
        for side in chosen:
            if side.what == "job":
                st.page_link(
                    "views/job.py", label=side.name, icon=":material/fact_check:", query_params={"id": side.id}
                )
            else:
                st.page_link("views/models.py", label=side.name, icon=":material/category:")


def _configurations(chosen: Sequence[Side]) -> None:
    table = sides.configurations(chosen)
    n = int(table["differs"].sum())
    st.subheader(f"What they were asked: {present.plural(n, 'difference')}", anchor=False)
    only = st.toggle("Differences only", value=True, key="only-differences")
    shown = table[table["differs"]] if only else table
    if shown.empty:
        st.markdown("Nothing differs.")
        return
    show(
        shown.drop(columns="differs"), key="asked", alt="The configuration of each", file="configurations",
        height="content",
    )  # fmt: skip
