"""What pages say of cells left out, and of cells unlike those a model has seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from app import abstaining, charts, charts_scores, columns
from app.kinds import facts
from jobs.names import Direction
from tests.unit.test_charts import drawn
from tests.unit.test_present import a_job

INTO_RNA, INTO_ATAC = Direction.ATAC_TO_RNA, Direction.RNA_TO_ATAC


def cells(**changed: Any) -> pd.DataFrame:
    """Four cells; the model knows which two are predicted well, depth does not."""
    base: dict[str, Any] = {
        "cell": list("abcd"),
        "source_depth": [4.0, 1.0, 2.0, 3.0],
        "novelty": [0.999, 0.5, 0.2, 0.1],
        "expected_score": [0.1, 0.2, 0.3, 0.4],
        "out_of_domain": [True, False, False, False],
        "pearson": [0.0, 0.2, 0.4, 0.6],
    }
    return pd.DataFrame(base | changed)


def sentence(table: pd.DataFrame, percent: int, *, scored: bool = True, direction: Direction = INTO_RNA) -> str:
    found = abstaining.leaving_out(table, direction, percent=percent, scored=scored)
    assert found is not None
    return found.sentence


def test_the_sentence_says_what_is_gained_and_what_depth_would_give() -> None:
    assert sentence(cells(), 50) == (
        "Leaving out 2 of 4 cells raises the mean correlation per cell from 0.300 to 0.500; "
        "leaving out the shallowest would give 0.300."
    )


def test_the_sentence_says_when_nothing_is_gained() -> None:
    assert "lowers the mean correlation per cell from 0.300 to 0.100" in sentence(
        cells(pearson=[0.6, 0.4, 0.2, 0.0]), 50
    )
    assert "leaves the mean correlation per cell at 0.300" in sentence(cells(pearson=[0.3] * 4), 50)


def test_cells_the_model_is_equally_certain_of_are_not_parted() -> None:
    assert sentence(cells(expected_score=[0.2] * 4, novelty=[0.5] * 4), 50).startswith("No cell is left out")
    assert sentence(cells(expected_score=[0.2] * 4, novelty=[0.1, 0.9, 0.8, 0.2]), 50).startswith("Leaving out 2 of 4")


def test_without_truth_the_expected_score_is_said_and_that_it_cannot_be_checked() -> None:
    said = sentence(cells().drop(columns="pearson"), 50, scored=False, direction=INTO_ATAC)
    assert "raises the mean expected AUROC per cell from 0.250 to 0.350" in said
    assert "no measurement" in said


def test_a_cell_without_a_score_is_greyed_in_its_turn_but_counts_in_no_mean() -> None:
    found = abstaining.leaving_out(cells(pearson=[None, 0.2, 0.4, 0.6]), INTO_RNA, percent=25, scored=True)
    assert found is not None
    assert found.kept.tolist() == [False, True, True, True]
    assert found.unscored == 1
    assert "from 0.400 to 0.400" not in found.sentence
    assert "leaves the mean correlation per cell at 0.400" in found.sentence


def test_cells_of_which_none_is_left_with_a_score_are_said_so() -> None:
    said = sentence(cells(pearson=[0.1, 0.2, None, None]), 50)
    assert "leaves no mean correlation per cell to speak of" in said


@pytest.mark.parametrize(
    "table",
    [
        cells().drop(columns="expected_score"),
        cells(expected_score=["low", "low", "high", "high"]),  # a label of the user's own
        cells(expected_score=[None] * 4),
        cells().iloc[:0],
    ],
)
def test_a_model_that_says_nothing_has_nothing_to_leave_out_by(table: pd.DataFrame) -> None:
    assert abstaining.leaving_out(table, INTO_RNA, percent=20, scored=True) is None


def test_the_chart_holds_the_curve_and_the_sliders_place() -> None:
    rng = np.random.default_rng(0)
    n = 2000
    table = pd.DataFrame({"source_depth": rng.random(n), "expected_score": rng.random(n), "pearson": rng.random(n)})
    found = abstaining.leaving_out(table, INTO_RNA, percent=37, scored=True)
    assert found is not None
    curves = found.curves()
    assert set(curves["what"]) == {abstaining.CERTAIN, abstaining.DEEP, abstaining.RANDOM}
    assert len(curves) <= 2 * (abstaining.POINTS + 1) + 2
    here = curves[(curves["what"] == abstaining.CERTAIN) & (curves["share"] == found.gone / n)]
    assert here["mean"].iloc[0] == pytest.approx(table["pearson"][found.kept].mean())
    spec = drawn(charts_scores.abstention(curves, title=found.title, quantity=found.quantity, share=found.gone / n))
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["line", "rule", "point"]
    assert spec["layer"][0]["encoding"]["color"]["scale"]["range"][0] == charts.UNCERTAIN


def test_a_cell_left_out_is_grey_whatever_colours_the_map() -> None:
    table = cells(x=[0.0] * 4, y=[0.0] * 4, kept=[True, False, True, False], kind=["A", "B", "A", "B"])
    for colour, labels in (("kind", ["A", "B"]), ("pearson", None)):
        spec = drawn(charts.umap(table, title="t", colour=colour, labels=labels, kept="kept"))
        encoded = spec["encoding"]["color"]
        assert encoded["value"] == charts.FADED
        assert "kept" in str(encoded["condition"])
        assert encoded["condition"]["field"] == colour


def test_cells_outside_are_counted_only_where_the_model_says() -> None:
    table = cells()
    assert columns.outside(table) == columns.Outside(1, 4)
    assert columns.outside(pd.DataFrame({"out_of_domain": ["False", "True"]})) is None
    assert columns.outside(table.assign(out_of_domain=["False"] * 4)) is None
    assert columns.outside(pd.DataFrame()) is None


@pytest.mark.parametrize(("count", "of", "many"), [(1, 24, False), (2, 24, True), (16, 1000, False), (17, 1000, True)])
def test_many_are_more_than_chance_brings(count: int, of: int, many: bool) -> None:
    assert columns.Outside(count, of).many is many


def test_the_line_under_a_job_tells_how_many_are_outside() -> None:
    assert "unlike" not in " ".join(facts(a_job()))
    assert "12 unlike the training cells" in facts(a_job(outside={INTO_ATAC: 12}))
    assert "up to 12 unlike the training cells" in facts(a_job(outside={INTO_ATAC: 12, INTO_RNA: 3}))
