"""The slider that leaves out the cells a model is least certain of, what that brings, and the curve of it."""

from __future__ import annotations

import streamlit as st

from app import abstaining, charts_scores, present, readings
from app.abstaining import LeavingOut
from app.components.figure import figure
from app.components.result import Result
from jobs.results.certainty import MOST

SLIDER = "leave_out"  # its name in the address


def abstain(result: Result) -> LeavingOut | None:
    """The slider and its sentence; for a model that does not know its limits a line that says so, and None."""
    table = result.cells()
    if abstaining.leaving_out(table, result.direction, percent=0, scored=result.scored) is None:
        if result.job.kind != "evaluate":
            st.caption("This model does not say where it should not be trusted; crossview models do.")
        return None
    percent = st.slider(
        "Leave out the least certain cells", 0, MOST, 0, format="%d %%", key=SLIDER, bind="query-params",
        help="By the score the model expects of each cell's prediction. Cells left out turn grey on the maps; "
        "nothing is removed.",
    )  # fmt: skip
    found = abstaining.leaving_out(table, result.direction, percent=int(percent), scored=result.scored)
    if found is not None and percent:
        st.markdown(found.sentence)
    return found


def curve(result: Result, found: LeavingOut) -> None:
    """Mean score of the kept cells by the share left out, beside depth and chance."""
    table = found.curves()
    if table.empty:
        return
    share = found.gone / len(found.kept)
    chart = charts_scores.abstention(table, title=found.title, quantity=found.quantity, share=share)
    said = f"{found.quantity[0].upper()}{found.quantity[1:]} by the share of cells left out. {found.title}"
    figure(
        chart, key="abstention", alt=said, table=table, file=present.file(result.job, f"{result.direction.value}-kept")
    )
    if found.measured and found.unscored:
        st.caption(f"{present.plural(found.unscored, 'cell')} without a score: not counted in any mean.")
    if not found.measured:
        st.caption(
            f"By what the model expects ({readings.column_words(readings.EXPECTED)}), not by what was measured: "
            "run it again with the other measurement of the same cells to see whether it holds."
        )
