"""Two groups of cells, by label or by a shape on a map: which genes or peaks the model predicts apart in them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import charts, marking, present, readings
from app.components import failure
from app.components.address import choices
from app.components.figure import figure
from app.components.maps import clear_box
from app.components.result import Result
from app.components.table import table as shown_table
from jobs.bootstrap import current_client
from jobs.names import Direction, Modality
from jobs.results.exploring import GroupsView

A, B, ASKED = "a", "b", "compare"  # their names in the address
REST = "the other cells"
NEITHER = "neither"


def marked_bar(table: pd.DataFrame, box: str, column: str, *, how: str) -> None:
    """How many cells are marked, and what can be done with them; always of the same height.

    box: the shape that marks them, as the address holds it. how: what a person does to mark cells.
    """
    with st.container(horizontal=True, vertical_alignment="center", key="marked"):
        if column not in table:
            st.caption(f"{how} on either map: the same cells are lit on both, and can become a group.")
            return
        n = int(table[column].sum())
        st.markdown(marking.marked_words(n, len(table), box), width="content")
        for name in (A, B):
            st.button(
                f"Add to group {name.upper()}", on_click=_add, args=(name, box), key=f"add-{name}", disabled=not n
            )
        st.button("Clear", on_click=clear_box, key="clear-box", type="tertiary")


def _add(name: str, box: str) -> None:
    """The shape becomes a part of the group, in the address and in the list of its parts."""
    parts = list(dict.fromkeys([*st.query_params.get_all(name), box]))
    st.query_params[name] = parts
    st.session_state[f"{name}-choices"] = parts
    clear_box()


def members(table: pd.DataFrame) -> Any:
    """A, B or neither for each cell; None while no group is chosen."""
    a, b = st.query_params.get_all(A), st.query_params.get_all(B)
    if not a:
        return None
    in_a, in_b, _ = marking.parted(table, a, b)
    return np.where(in_a, "A", np.where(in_b, "B", NEITHER))


def groups(result: Result, table: pd.DataFrame, labels: list[str]) -> None:
    """The parts of both groups, and what sets them apart once that is asked for."""
    st.subheader("Compare two groups of cells", anchor=False)
    left, right = st.columns(2)
    with left:
        a = _parts(table, labels, A, "Group A")
    with right:
        b = _parts(table, labels, B, "Group B", placeholder="All other cells, or choose")
    if not a:
        st.caption("Choose labels, or add a box or lasso from a map. Group B is all other cells unless you choose.")
        return
    in_a, in_b, both = marking.parted(table, a, b)
    names = table["cell"].tolist()
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Compare A with B", type="primary", icon=":material/compare_arrows:", key="compare-groups"):
            st.query_params[ASKED] = _asked(a, b)
        said = f"A: {present.plural(int(in_a.sum()), 'cell')} · B: {present.plural(int(in_b.sum()), 'cell')}"
        st.markdown(said + (f" ({present.count(both)} of A left out of B)" if both else ""), width="content")
    if st.query_params.get(ASKED) != _asked(a, b):
        return
    with failure.shown("These groups cannot be compared"):
        found = _compared(
            *result.key,
            tuple(n for n, here in zip(names, in_a, strict=True) if here),
            tuple(n for n, here in zip(names, in_b, strict=True) if here),
        )
        _found(result, found, marking.called(a), marking.called(b) if b else REST)


def _parts(table: pd.DataFrame, labels: list[str], param: str, label: str, *, placeholder: str = "Choose") -> list[str]:
    offered = marking.offered(table, labels, also=st.query_params.get_all(param))
    return choices(label, offered, param=param, words=marking.words, placeholder=placeholder)


def _asked(a: list[str], b: list[str]) -> str:
    """What the address holds once these groups were compared: other groups are not, until that is asked for."""
    return hashlib.sha256("\n".join([*a, "", *b]).encode()).hexdigest()[:8]


@st.cache_data(max_entries=16, ttl=3600, show_spinner="Decoding both groups …")
def _compared(job: str, attempt: int, direction: str, a: tuple[str, ...], b: tuple[str, ...]) -> GroupsView:
    return current_client().exploring.compare(job, Direction(direction), a=a, b=b)


def rows_of(found: GroupsView, thing: str) -> pd.DataFrame:
    """The comparison as a table, the largest predicted difference first."""
    table = pd.DataFrame(
        {
            thing: list(found.features),
            "predicted A": list(found.predicted_a),
            "predicted B": list(found.predicted_b),
            "difference": list(found.difference),
            "effect size": list(found.effect),
        }
    )
    if found.measured_a is not None and found.measured_b is not None:
        table["measured A"], table["measured B"] = list(found.measured_a), list(found.measured_b)
        table["measured difference"] = table["measured A"] - table["measured B"]
    return table.assign(**{"cells A": found.cells[0], "cells B": found.cells[1]})


def title_of(found: GroupsView, thing: str) -> str:
    if found.agreement is None:
        return f"The {present.plural(len(found.features), thing)} predicted furthest apart"
    return (
        f"Predicted differences agree with measured ones at r\u00a0=\u00a0{present.number(found.agreement)} over "
        f"{present.plural(found.tested, thing)}"
    )


def _found(result: Result, found: GroupsView, a: str, b: str) -> None:
    thing = present.row(result.direction.target)
    unit = readings.scale_words(found.scale, Modality(result.direction.target))
    rows = rows_of(found, thing)
    file = present.file(result.job, f"{result.direction.value}-a-against-b")
    st.markdown(f"**A** {present.plain(a)} against **B** {present.plain(b)}")
    left, right = st.columns([3, 2])
    with left:
        numbers = {
            name: st.column_config.NumberColumn(format="%+.3f" if "difference" in name or "effect" in name else "%.3f")
            for name in rows.columns
            if name not in (thing, "cells A", "cells B")
        }
        shown_table(
            rows, key="apart", alt=f"{thing}s predicted apart in the groups", file=file, config=numbers,
            search=f"Find a {thing} among these",
        )  # fmt: skip
    with right:
        if "measured difference" in rows:
            data = rows.rename(columns={"measured difference": "measured", "difference": "predicted", thing: "name"})
            title = title_of(found, thing)
            drawn = data[["name", "measured", "predicted"]].head(charts.MOST_DOTS)
            chart = charts.agreement(
                drawn, title=title, x=f"measured difference, {unit}", y=f"predicted difference, {unit}", unit=thing
            )
            figure(chart, key="apart-chart", alt=title, table=drawn, file=f"{file}-differences")
            st.caption(f"Drawn: the {present.plural(len(drawn), thing)} predicted furthest apart.")
        else:
            st.caption("There is no measurement to hold these differences against.")
    used = [
        f"{present.count(n)} of {present.count(of)} cells of {name}" if n < of else f"all {present.count(of)} of {name}"
        for name, n, of in zip("AB", found.cells, found.of, strict=True)
    ]
    st.caption(
        f":material/info: Descriptive: mean {unit} in {' and '.join(used)}; the {present.count(len(rows))} furthest "
        f"apart of {present.plural(found.tested, thing)}. No p value is given: groups chosen by looking at a map were "
        "chosen by the very values that are compared (double dipping). Effect size is the difference over the spread "
        "of the predictions, which are smoother than measurements."
    )
