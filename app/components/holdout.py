"""How the cells are parted: by chance, by holding out whole batches, or as a split.json says."""

from __future__ import annotations

import streamlit as st

from app import asked, present
from app.asked import Draft, Labels, ways
from app.components import address, failure
from app.components.address import choice, choices
from app.kinds import BATCHES, NAMES, SIDES
from app.parting import batch_columns, read_names
from jobs.names import CrossViewError
from jobs.spec import HoldOut

MOST_MB = 64  # of a split.json: the names of some two million cells  # ours


def hold_out(labels: Labels, draft: Draft) -> HoldOut | None:
    """What is held out, asked for on the page; None until it is complete."""
    way = address.one_of("Which cells judge it", ways(labels), param="split", label_visibility="collapsed")
    columns = batch_columns(labels)
    if way == BATCHES:
        return _batches(labels, columns, draft)
    if way == NAMES:
        return _names(labels, draft)
    _chance(columns)
    return asked.hold_out(draft, labels)


def names_given() -> HoldOut | None:
    """The split of a file that was chosen here."""
    found = st.session_state.get(_GIVEN)
    return found if isinstance(found, HoldOut) else None


def _chance(columns: list[str]) -> None:
    by = ""
    if columns:
        by = choice(
            "Keep on one side", ["", *columns], param="by", words=lambda name: name or "Nothing: each cell by itself",
            help="Cells of one batch or donor are alike. Kept together, those that judge come from others than those "
            "that train.",
        )  # fmt: skip
    drawn = f"Whole values of {present.plain(by)} are drawn" if by else "Cells are drawn"
    flatters = (
        ""
        if by
        else (" Cells of one batch are alike, so this flatters a model that will meet other donors or other days.")
    )
    st.caption(f"{drawn} by chance: 70 % train, 15 % choose when to stop, 15 % judge.{flatters}")


def _batches(labels: Labels, columns: list[str], draft: Draft) -> HoldOut | None:
    left, middle, right = st.columns(3)
    with left:
        column = choice("Column that names the batch", columns, param="column")
    values = sorted(labels[column])
    with middle:
        test = choices("Held out to judge", values, param="test")
    with right:
        rest = [v for v in values if v not in test]
        valid = choices(
            "Held out to choose", rest, param="valid", placeholder="A tenth of the rest",
            help="Cells on which a training decides when to stop. Left empty, a tenth of the other cells is drawn.",
        )  # fmt: skip
    if not test:
        st.markdown(":material/info: Choose at least one batch to judge by.")
        return None
    if len(test) + len(valid) >= len(values):
        st.markdown(":material/block: **Nothing is left to train on.** Leave at least one batch out of both lists.")
        return None
    kept, of = sum(labels[column][v] for v in test), sum(labels[column].values())
    st.caption(
        f"{present.plural(kept, 'cell')} of {present.count(of)} ({present.percent(kept / max(of, 1))}) judge the model "
        "and take no part in its making."
    )
    return asked.hold_out(draft, labels)


def _names(labels: Labels, draft: Draft) -> HoldOut | None:
    file = st.file_uploader(
        "A split.json with the names of the cells on each side", type="json", key="split-file",
        max_upload_size=MOST_MB, help='{"train": ["AAAC…", …], "valid": […], "test": […]}',
    )  # fmt: skip
    if file is not None:
        try:
            st.session_state[_GIVEN] = read_names(file.getvalue())
        except CrossViewError as problem:
            failure.show_error(problem, title=f"{present.plain(file.name)} cannot be used")
            return None
    split = asked.hold_out(draft, labels, names=names_given())
    if split is None:
        st.caption("As `crossview train --split` takes it: the cells' names under train, valid and test.")
        return None
    sides = [
        f"{present.count(len(split.names.get(side, ())))} {words}" for side, words in zip(SIDES, _SIDES, strict=True)
    ]
    st.caption(f"{', '.join(sides)}.")
    return split


_GIVEN = "split-given"  # a file cannot be part of an address
_SIDES = ("cells to train on", "to choose by", "to judge by")
