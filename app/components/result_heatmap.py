"""A heatmap of chosen groups or cells × chosen genes or peaks, measured and predicted side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import charts_features, heatmaps, present, readings
from app.components.address import choice
from app.components.figure import figure
from app.components.result import Result
from app.components.result_groups import members
from jobs.names import Modality

FEATURES = "features"  # its name in the address
AT_FIRST = 20  # genes or peaks shown before any is named
EACH = "single cells"
GROUPS = "groups A and B"


def heatmap(result: Result, *, word: str = "predicted") -> None:
    """word: what the model's values are called."""
    cells = result.cells()
    thing = present.row(result.direction.target)
    labels = result.columns().labels
    grouped = members(cells)
    left, right = st.columns([3, 1], vertical_alignment="top")
    with left:
        text = st.text_area(
            f"{thing.capitalize()}s", key=FEATURES, bind="query-params", height=80,
            placeholder=f"One or a whole list of {thing}s; the {AT_FIRST} best predicted where this is empty",
            help="Separated by commas, blanks or lines. Of peaks also regions and names of genes near them.",
        )  # fmt: skip
    with right:
        offered = [*labels, *([GROUPS] if grouped is not None else []), EACH]
        by = choice("Rows", offered, param="rows", words=readings.column_words)
        each = st.toggle("Compare within columns", value=True, key="each_column", bind="query-params",
                         help=f"Each {thing} from its lowest row to its highest.")  # fmt: skip
    names = _names(result, text or "", thing)
    if not names:
        st.caption(f"None of these is a {thing} of this job.")
        return
    rows = _rows(cells, by, grouped)
    _draw(result, names, rows, thing=thing, by=by, each=bool(each), word=word)


def _names(result: Result, text: str, thing: str) -> list[str]:
    """The genes or peaks meant, at most as many as can be read; what was not found is said."""
    asked = heatmaps.listed(text)
    if not asked:
        table = result.features()
        order = next((c for c in (*readings.SKILLS, "truth_mean", "predicted_mean") if c in table), None)
        ranked = table.sort_values(order, ascending=False) if order else table
        return [str(name) for name in ranked["name"].head(AT_FIRST)]
    found, lost = [], []
    for name in asked[: heatmaps.MOST_FEATURES]:
        hits = result.search(name)
        same = [hit.name for hit in hits if hit.name.casefold() == name.casefold()]
        if thing == "gene":
            found += same[:1]
            lost += [] if same else [name]
        else:
            found += same[:1] or [hit.name for hit in hits]
            lost += [] if hits else [name]
    if lost:
        st.caption(f":material/info: Not found: {present.plain(', '.join(lost[:10]))}.")
    kept = list(dict.fromkeys(found))
    if len(asked) > heatmaps.MOST_FEATURES or len(kept) > heatmaps.MOST_FEATURES:
        st.caption(f":material/info: The first {heatmaps.MOST_FEATURES} are drawn; more cannot be read.")
    return kept[: heatmaps.MOST_FEATURES]


def _rows(cells: pd.DataFrame, by: str, grouped: np.ndarray | None) -> dict[str, list[int]]:
    if by == EACH:
        keep = np.linspace(0, len(cells) - 1, min(len(cells), heatmaps.MOST_ROWS)).astype(int)
        return {str(cells["cell"].iloc[i]): [int(i)] for i in keep}
    column = pd.Series(grouped) if by == GROUPS and grouped is not None else cells[by]
    return heatmaps.drawn(column)


def _draw(
    result: Result, names: list[str], rows: dict[str, list[int]], *, thing: str, by: str, each: bool, word: str
) -> None:
    cells = result.cells()
    at = sorted({i for members_ in rows.values() for i in members_})
    row_of = {i: name for name, members_ in rows.items() for i in members_}
    values = result.values(names, [str(cells["cell"].iloc[i]) for i in at])
    place = {str(cells["cell"].iloc[i]): row_of[i] for i in at}
    of = [place[barcode] for barcode in values.barcodes]
    unit = readings.scale_words(str(result.report().get("scale", "")), Modality(result.direction.target))
    shown = [("measured", values.truth), (word, values.predicted)]
    shown = [(what, block) for what, block in shown if block is not None]
    for column, (what, block) in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            table = heatmaps.means(np.asarray(block, dtype=float), of, names)
            drawn = heatmaps.scaled(table) if each else table
            high = float(np.nanpercentile(drawn["value"], 99)) if len(drawn) else 1.0
            title = f"{what.capitalize()}: {present.plural(len(names), thing)} in {_rows_words(by, len(rows))}"
            chart = charts_features.heat(
                drawn, title=title, unit="from lowest to highest" if each else f"mean {unit}", rows=list(rows),
                columns=names, domain=(0.0, 1.0) if each else (min(float(drawn["value"].min()), 0.0), high or 1.0),
            )  # fmt: skip
            file = present.file(result.job, f"{result.direction.value}-{what}-heatmap")
            figure(chart, key=f"heat-{what}", alt=f"Heatmap. {title}", table=drawn, file=file)
    most = max(map(len, rows.values()))
    if most == heatmaps.A_GROUP:
        st.caption(f"Means of at most {heatmaps.A_GROUP} cells of each row, evenly drawn.")


def _rows_words(by: str, n: int) -> str:
    return present.plural(n, "cell") if by == EACH else present.plural(n, "group") + " of cells"
