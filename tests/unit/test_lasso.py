"""A shape drawn by hand: its corners, the cells in it, its words in an address, and the map it is drawn on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from app import charts, charts_lasso, marking, outline

numbers = st.floats(-500, 500, allow_nan=False).map(lambda v: float(f"{v:.4g}"))
corners = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=outline.MOST_CORNERS)


def circle(points: int, *, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """As a hand draws one: from (13, -4) around (8, -4)."""
    turn = np.linspace(0, 2 * np.pi, points)
    r = 5 + noise * np.random.default_rng(seed).normal(size=points)
    return 8 + r * np.cos(turn), -4 + r * np.sin(turn)


# Corners ---------------------------------------------------------------------------------------------------------


@given(corners)
def test_a_shape_survives_the_address(corners: list[tuple[float, float]]) -> None:
    shape = marking.Drawn("prediction", tuple(corners))
    text = marking.text_of(shape)
    assert marking.part_of(text) == shape
    assert len(text) <= 24 * 22 + 12


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_line_drawn_by_hand_becomes_few_corners_that_hold_the_same_cells(noise: float) -> None:
    x, y = circle(600, noise=noise)
    found = outline.simplified(x, y)
    assert 8 <= len(found) <= outline.MOST_CORNERS
    assert all(float(f"{v:.4g}") == v for corner in found for v in corner)
    at = np.random.default_rng(1).uniform((2, -10), (14, 2), size=(4_000, 2))
    same = outline.inside(found, *at.T) == (np.hypot(at[:, 0] - 8, at[:, 1] + 4) < 5)
    assert same.mean() > 0.98


def test_a_shape_of_straight_sides_keeps_its_corners_and_no_more() -> None:
    side = np.linspace(0, 1, 50)
    x = np.concatenate([side, np.ones(50), side[::-1], np.zeros(50)])
    y = np.concatenate([np.zeros(50), side, np.ones(50), side[::-1]])
    assert set(outline.simplified(x, y)) == {(0, 0), (1, 0), (1, 1), (0, 1)}


@pytest.mark.parametrize(
    ("x", "y"),
    [([], []), ([1, 2], [1, 2]), ([1, 2, 3, 1], [5, 5, 5, 5]), ([1, 1, 1], [2, 2, 2]), ([None] * 4, [1] * 4)],
)
def test_what_has_no_area_is_no_shape(x: list[float], y: list[float]) -> None:
    assert outline.simplified(x, y) == ()


# Cells -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_cells_of_a_shape_are_those_matplotlib_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn, r = np.sort(rng.uniform(0, 2 * np.pi, 15)), rng.uniform(1, 5, 15)
    star = list(zip((r * np.cos(turn)).tolist(), (r * np.sin(turn)).tolist(), strict=True))
    at = rng.uniform(-6, 6, size=(5_000, 2))
    assert (outline.inside(star, *at.T) == Outline([*star, star[0]], closed=True).contains_points(at)).all()


def test_where_a_line_crosses_itself_twice_covered_is_outside() -> None:
    x, y = circle(40)
    twice = [*zip(x[:-1], y[:-1], strict=True)] * 2
    assert not outline.inside(twice, [8.0], [-4.0]).any()
    bow = [(0.0, 0.0), (2.0, 2.0), (2.0, 0.0), (0.0, 2.0)]
    assert list(outline.inside(bow, [0.5, 1.5, 1.0, 1.0], [1.0, 1.0, 1.5, 0.5])) == [True, True, False, False]


def test_a_cell_without_a_place_is_in_no_shape() -> None:
    square = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
    assert list(outline.inside(square, [0.0, np.nan, 0.0, np.inf], [0.0, 0.0, np.nan, 0.0])) == [
        True,
        False,
        False,
        False,
    ]


def test_a_shape_marks_its_cells_and_is_a_part_like_any() -> None:
    cells = pd.DataFrame(
        {"kind": list("TTB"), "truth_umap_1": [0.0, 1.0, 4.0], "truth_umap_2": [0.0, 1.0, np.nan], "cell": list("abc")}
    )
    text = "truth:-1_-1,3_-1,-1_3"
    assert list(marking.cells_of([text], cells)) == [True, False, False]
    assert list(marking.cells_of([text, "label:kind=B"], cells)) == [True, False, True]
    assert not marking.cells_of([text.replace("truth", "prediction")], cells).any()
    assert marking.offered(cells, ["kind"], also=[text]) == [text, "label:kind=B", "label:kind=T"]
    assert marking.words(text) == "a lasso on the measured map"
    assert "in the lasso on the measured map" in marking.marked_words(1, 3, text)


@pytest.mark.parametrize(
    "text",
    ["truth:1_1,2_2", "truth:1_1,2_2,3", "truth:1_1,2_2,x_3", "truth:1_1,2_2,nan_3", "truth:1_1,2_2,3_3_3",
     "truth:_,_,_", "map:1_1,2_1,2_2", "truth:" + ",".join(["1_2"] * 25), "truth:1_1,2_2,1e999_3"],
)  # fmt: skip
def test_what_is_no_shape_is_none(text: str) -> None:
    assert marking.part_of(text) is None


# What a chart tells ----------------------------------------------------------------------------------------------


def test_a_box_of_either_chart_and_a_lasso_are_read() -> None:
    vega = {"box": {"x": [3, 1], "y": [0.0, 2.0]}}
    plotly: dict[str, Any] = {
        "points": [],
        "box": [{"xref": "x", "yref": "y", "x": [3, 1], "y": [2.0, 0.0]}],
        "lasso": [],
    }
    assert (
        marking.shape_of("truth", vega) == marking.Boxed("truth", (1, 3), (0, 2)) == marking.shape_of("truth", plotly)
    )
    lasso = {"box": [], "lasso": [{"x": [0, 2, 1.00004], "y": [0, 0, 3]}]}
    assert marking.shape_of("prediction", lasso) == marking.Drawn("prediction", ((0, 0), (2, 0), (1, 3)))


@pytest.mark.parametrize(
    "selection", [{}, {"box": {}}, {"box": [], "lasso": []}, {"lasso": [{"x": [1, 2], "y": [1, 1]}]}]
)
def test_an_empty_selection_is_no_shape(selection: dict[str, Any]) -> None:
    assert marking.shape_of("truth", selection) is None


# The map ---------------------------------------------------------------------------------------------------------


def cloud(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kinds = np.array(["B <i>1</i>", "T"], dtype=object)
    return pd.DataFrame(
        {"cell": [f"c{i}" for i in range(n)], "x": rng.normal(size=n), "y": rng.normal(size=n), "v": rng.random(n),
         "kind": kinds[np.arange(n) % 2], "marked": np.arange(n) % 4 == 0}
    )  # fmt: skip


def drawn(figure: dict[str, Any]) -> list[dict[str, Any]]:
    """Its traces, after Plotly itself has judged the whole figure."""
    go.Figure(figure)
    return [each for each in figure["data"] if each.get("hoverinfo") != "skip"]


def test_a_label_has_the_colour_on_plotlys_map_that_it_has_on_vegas() -> None:
    labels = ["B <i>1</i>", "T"]
    figure = charts_lasso.cell_map(cloud(40), title="t", colour="kind", labels=labels, lit=["T"])
    grey, lit = drawn(figure)
    assert (len(grey["x"]), len(lit["x"])) == (0, 40)
    legend = [each for each in figure["data"] if each.get("hoverinfo") == "skip"]
    assert [each["marker"]["color"] for each in legend] == charts.label_colours(labels, ["T"]) == [
        charts.FADED, charts.LABELS[1],
    ]  # fmt: skip
    steps = lit["marker"]["colorscale"]
    assert [colour for _, colour in steps] == [charts.FADED] * 2 + [charts.LABELS[1]] * 2


def test_names_that_came_with_the_cells_are_never_markup() -> None:
    table = cloud(40).assign(cell="<a href='https://example.org'>me</a>")
    figure = charts_lasso.cell_map(table, title="by <b>", colour="kind", labels=["B <i>1</i>", "T"])
    said = str(
        [
            figure["layout"]["annotations"][0]["text"].removeprefix("<b>").removesuffix("</b>"),
            *([each.get("name"), each.get("customdata"), each.get("text")] for each in figure["data"]),
        ]
    )
    for tag in ("<a", "<i", "<b>"):
        assert tag not in said


def test_cells_that_are_not_marked_are_grey_and_lie_below() -> None:
    grey, lit = drawn(charts_lasso.cell_map(cloud(40), title="t", colour="v", domain=(0, 1), unit="u", kept="marked"))
    assert (len(grey["x"]), len(lit["x"])) == (30, 10)
    assert grey["marker"]["color"] == charts.FADED
    assert (lit["marker"]["cmin"], lit["marker"]["cmax"], lit["marker"]["colorbar"]["title"]["text"]) == (0, 1, "u")


@pytest.mark.parametrize("colour", ["v", "kind"])
def test_many_cells_are_a_picture_of_tiles_without_webgl(colour: str) -> None:
    table = cloud(charts_lasso.MOST_DOTS + 1)
    labels = sorted(table["kind"].unique()) if colour == "kind" else None
    figure = charts_lasso.cell_map(table, title="All", colour=colour, labels=labels, kept="marked")
    grey, lit = drawn(figure)
    assert {each["type"] for each in figure["data"]} <= {"heatmap", "scatter"}
    assert f"{len(table):,} cells, binned" in figure["layout"]["annotations"][0]["text"].replace("<br>", " ")
    assert grey["z"].shape == lit["z"].shape
    assert lit["customdata"].sum() == table["marked"].sum()
    assert not (np.isfinite(grey["z"]) & np.isfinite(lit["z"])).any()
    first = table[table["marked"]].iloc[0]
    row, column = (int((first[at] - lit[f"{at}0"]) / lit[f"d{at}"] + 0.5) for at in ("y", "x"))
    assert np.isfinite(lit["z"][row, column])
    assert lit["text"][row, column] in {"T", "B &lt;i&gt;1&lt;/i&gt;"} or float(lit["text"][row, column]) < 1
    assert grey["customdata"].sum() + lit["customdata"].sum() <= len(table)


def test_the_shape_that_was_drawn_stays_on_its_map() -> None:
    shape = marking.Drawn("truth", ((0.0, 0.0), (2.0, 0.0), (1.0, 1.5)))
    for given_shape, kind in ((shape, "path"), (marking.Boxed("truth", (0, 1), (0, 2)), "rect")):
        figure = charts_lasso.cell_map(cloud(9), title="t", colour="v", shape=given_shape)
        assert go.Figure(figure).layout.shapes[0].type == kind
    assert charts_lasso.cell_map(cloud(9), title="t", colour="v")["layout"]["shapes"] == []


def test_cells_without_a_value_are_grey_whatever_their_number() -> None:
    for n in (9, charts_lasso.MOST_DOTS + 1):
        _, lit = drawn(charts_lasso.cell_map(cloud(n).assign(v=np.nan), title="t", colour="v"))
        assert len(lit["x"]) == 0
