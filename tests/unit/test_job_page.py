"""What the page of a job is made of, without a browser: tables, groups in an address, calibration, verdicts."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import altair as alt
import numpy as np
import pandas as pd
import pytest

from app import calibration, charts, charts_cells, charts_features, configured, filed, heatmaps, judged, marking, paging
from app.components.result_logs import holding
from app.components.saving import to_csv, to_parquet
from app.components.tabs import named
from app.readings import Reading
from jobs.names import Direction
from jobs.state import JobState
from jobs.views import JobView


def job(**spec: object) -> JobView:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    return JobView(
        id="job-1", kind="translate", title="It's mine", state=JobState.SUCCEEDED, attempt=1, model="m", bundle="b",
        directions=(Direction.RNA_TO_ATAC,), spec=spec, submitted_at=now, updated_at=now,
    )  # fmt: skip


@pytest.fixture
def cells() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cell": list("abcdef"),
            "kind": ["T", "T", "B", "B", "B", "NK"],
            "truth_umap_1": [0.0, 1.0, 2.0, 3.0, 4.0, np.nan],
            "truth_umap_2": [0.0, 1.0, 2.0, 3.0, 4.0, np.nan],
            "prediction_umap_1": [9.0, 8.0, 7.0, 6.0, 5.0, 4.0],
            "prediction_umap_2": [0.0] * 6,
        }
    )


# Tables ----------------------------------------------------------------------------------------------------------


def test_a_long_table_is_cut_into_pages_and_a_page_too_far_is_the_last() -> None:
    table = pd.DataFrame({"name": [f"g{i}" for i in range(2_500)]})
    page = paging.cut(table, 99)
    assert (page.number, page.pages, page.total, len(page.rows)) == (3, 3, 2_500, 500)
    assert paging.cut(table.head(0), 1).pages == 1


def test_what_has_no_score_comes_last_whichever_way() -> None:
    table = pd.DataFrame({"name": ["a", "b", "c"], "score": [0.1, None, 0.9]})
    assert list(paging.ordered(table, "score", descending=True)["name"]) == ["c", "a", "b"]
    assert list(paging.ordered(table, "score", descending=False)["name"]) == ["a", "c", "b"]


def test_a_search_reads_text_as_it_stands_not_as_a_pattern() -> None:
    table = pd.DataFrame({"name": ["HLA-A", "A.1", "AB1"], "n": [1, 2, 3]})
    assert list(paging.holding(table, "a.1")["name"]) == ["A.1"]
    assert len(paging.holding(table, " ")) == 3


def test_a_table_leaves_with_no_formula_in_csv_and_unchanged_in_parquet() -> None:
    table = pd.DataFrame({"=label": ["=1+1", "@SUM", None], "x": [0.5, np.nan, -3.0], "mixed": [1, "a", None]})
    written = to_csv(table)
    assert written.splitlines()[0].startswith("'=label")
    assert "'=1+1" in written
    back = pd.read_parquet(io.BytesIO(to_parquet(table)))
    assert list(back["=label"]) == ["=1+1", "@SUM", None]
    np.testing.assert_allclose(back["x"], table["x"])
    assert list(back["mixed"]) == ["1", "a", None]


# Groups of cells -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part", [marking.Labelled("cell=type: x", "T ~ 4,5"), marking.Boxed("truth", (-1.25, 3.5), (0.0, 2.0))]
)
def test_a_part_of_a_group_survives_the_address(part: marking.Part) -> None:
    assert marking.part_of(marking.text_of(part)) == part


@pytest.mark.parametrize("text", ["", "nonsense", "truth:1,2,3", "truth:1,2,3,x", "map:1,2,3,4", "truth:nan,1,2,3"])
def test_what_is_no_part_of_a_group_is_none(text: str, cells: pd.DataFrame) -> None:
    assert marking.part_of(text) is None
    assert not marking.cells_of([text], cells).any()


def test_a_box_holds_its_cells_whichever_way_it_was_drawn(cells: pd.DataFrame) -> None:
    for text in ("truth:0.5,3.5,0.5,3.5", "truth:3.5,0.5,3.5,0.5"):
        assert list(cells["cell"][marking.cells_of([text], cells)]) == ["b", "c", "d"]


def test_groups_are_unions_and_b_is_the_others_unless_it_is_named(cells: pd.DataFrame) -> None:
    a = ["label:kind=T", "prediction:3.5,4.5,-1,1"]
    in_a, in_b, both = marking.parted(cells, a, [])
    assert (list(cells["cell"][in_a]), list(cells["cell"][in_b]), both) == (["a", "b", "f"], ["c", "d", "e"], 0)
    _, in_b, both = marking.parted(cells, a, ["label:kind=B", "label:kind=T"])
    assert (list(cells["cell"][in_b]), both) == (["c", "d", "e"], 2)


def test_every_label_is_offered_so_that_no_mouse_is_needed(cells: pd.DataFrame) -> None:
    offered = marking.offered(cells, ["kind"], also=["truth:0,1,0,1", "label:kind=T"])
    assert offered == ["truth:0,1,0,1", "label:kind=B", "label:kind=NK", "label:kind=T"]
    assert marking.called(offered[:2]) == "a box on the measured map + B (kind)"


# Calibration -----------------------------------------------------------------------------------------------------


def test_the_calibration_error_is_that_of_probabilities_that_are_off_by_it() -> None:
    p = np.repeat([0.1, 0.3, 0.5, 0.7], 50)
    opened = np.concatenate([np.arange(50) < round(50 * (q + 0.2)) for q in (0.1, 0.3, 0.5, 0.7)])
    found = calibration.curve(p, opened)
    assert found["cells"].sum() == 200
    assert calibration.error(found) == pytest.approx(0.2, abs=0.02)
    assert calibration.by_chance(found) < 0.1
    assert ((found["low"] <= found["observed"]) & (found["observed"] <= found["high"])).all()


def test_cells_without_a_measurement_take_no_part_in_calibration() -> None:
    found = calibration.curve([0.2, 0.4, np.nan, 0.6], [1, np.nan, 1, 0])
    assert found["cells"].sum() == 2


def test_wilson_gives_the_interval_of_the_books() -> None:
    assert calibration.wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert calibration.wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-3)


# Verdicts --------------------------------------------------------------------------------------------------------


def test_a_verdict_names_what_a_score_beats_and_what_it_does_not() -> None:
    report = {
        "scores": {"gene_pearson": {"gains": {"mean": {"interval": [0.01, 0.1]}, "depth": {"interval": [-1, 1]}}}}
    }
    reading = Reading("gene_pearson", 0.2, 0.1, 0.3, 50, {"mean": 0.0, "depth": 0.15, "raw": 0.2})
    assert judged.verdict(report, reading) == (
        "Clearly better than the average profile; better than depth alone, but too few cells to be sure; no better "
        "than the cell's own counts"
    )


def test_genes_above_the_average_are_counted_and_an_undefined_average_is_chance() -> None:
    features = pd.DataFrame({"pearson": [0.2, -0.1, 0.3, None], "pearson_null_mean": [None, None, 0.4, None]})
    assert judged.beaten(features, "gene_pearson") == (1, 3)
    assert judged.beaten(features, "cell_pearson") is None


# The record of a job ---------------------------------------------------------------------------------------------


def test_what_was_asked_is_said_in_words_and_what_was_left_empty_is_not() -> None:
    spec = {
        "rna": "ds-1",
        "atac": None,
        "split": {"column": "batch", "test": ["C"]},
        "umap": True,
        "zzz": list("x" * 9),
    }
    said = dict(configured.rows(job(**spec)))
    assert said["RNA cells (data set)"] == "ds-1"
    assert said["split, column"] == "batch"
    assert said["maps"] == "yes"
    assert said["zzz"] == "9 names, the first x"
    assert "ATAC cells (data set)" not in said


def test_the_call_over_rest_is_one_a_shell_reads_back() -> None:
    import shlex

    words = shlex.split(configured.rest(job(rna="ds-1"), base="http://here:1/").replace("\\\n", " "))
    assert words[3] == "http://here:1/api/v1/jobs"
    assert json.loads(words[-1]) == {"spec": {"rna": "ds-1"}, "title": "It's mine"}


def test_a_file_says_what_opens_it() -> None:
    assert "scanpy" in filed.opens("rna-to-atac/latent.h5ad")
    assert filed.opens("strange.xyz") == ""


def test_older_names_of_tabs_still_open_them() -> None:
    names = ["Overview", "Scorecard", "Provenance"]
    assert [named(asked, names) for asked in ("scores", "Run", "OVERVIEW", "nothing")] == [
        "Scorecard", "Provenance", "Overview", "",
    ]  # fmt: skip


def test_lines_of_a_log_are_found_in_any_letters() -> None:
    assert holding("One\nTWO two\nthree", "two") == ["TWO two"]


# Heatmaps and charts ---------------------------------------------------------------------------------------------


def test_a_pasted_list_is_read_however_it_is_separated() -> None:
    assert heatmaps.listed("CD3E, CD8A;MS4A1\nCD3E\tchr1:1,000-2,000") == [
        "CD3E", "CD8A", "MS4A1", "chr1:1,000-2,000",
    ]  # fmt: skip


def test_means_of_a_heatmap_are_those_of_its_cells_and_scale_within_columns() -> None:
    table = heatmaps.means(np.array([[1.0, 5.0], [3.0, 5.0], [10.0, 5.0]]), ["T", "T", "B"], ["g", "h"])
    got = table.set_index(["row", "feature"])
    assert (got.loc[("T", "g"), "value"], got.loc[("T", "g"), "cells"]) == (2.0, 2)
    scaled = heatmaps.scaled(table).set_index(["row", "feature"])["value"]
    assert (scaled["T", "g"], scaled["B", "g"], scaled["B", "h"]) == (0.0, 1.0, 0.0)


def test_a_large_map_is_binned_and_says_so() -> None:
    rng = np.random.default_rng(0)
    n = charts_cells.DOTS + 1
    table = pd.DataFrame({"cell": "c", "x": rng.normal(size=n), "y": rng.normal(size=n), "v": 2.0, "seen": True})
    with alt.data_transformers.disable_max_rows():
        spec = charts_cells.cell_map(table, title="All", colour="v", box=True).to_dict()
    assert "binned" in " ".join(spec["title"]["text"])
    (rows,) = spec["datasets"].values()
    assert len(rows) <= charts_cells.TILES**2
    assert sum(int(row["said"].partition(" cells, mean 2.000")[0]) for row in rows) == n
    assert [p["name"] for p in spec["params"] if "select" in p] == ["box"]


def test_a_tile_has_its_most_frequent_label_and_the_mean_of_its_cells() -> None:
    table = pd.DataFrame(
        {"x": [0.0, 0.0, 0.0, 9.0], "y": [0.0] * 4, "k": ["A", "B", "B", "A"], "v": [1.0, 2.0, 6.0, 5.0]}
    )
    by_label = charts_cells.tiles(table, "k", labels=["A", "B"]).sort_values("x")
    assert list(by_label["k"]) == ["B", "A"]
    assert list(by_label["cells"]) == [3, 1]
    assert list(charts_cells.tiles(table, "v", labels=None).sort_values("x")["v"]) == [3.0, 5.0]


def test_kept_cells_decide_the_tile_they_share_with_cells_left_out() -> None:
    table = pd.DataFrame({"x": [0.0, 0.0, 9.0], "y": [0.0] * 3, "v": [1.0, 5.0, 7.0], "kept": [True, False, False]})
    found = charts_cells.tiles(table, "v", labels=None, kept="kept").sort_values("x")
    assert list(found["v"]) == [1.0, 7.0]
    assert list(found["kept"]) == [True, False]


def test_charts_of_one_gene_are_valid_and_keep_the_colours_of_their_meaning() -> None:
    table = pd.DataFrame({"kind": ["T", "T", "B"], "measured": [0.0, 1.0, 2.0], "predicted": [0.5, 0.5, 1.0]})
    found = charts_features.quantiles(table, "kind")
    assert list(found["cells"]) == [1, 2, 1, 2]
    text = json.dumps(charts_features.spreads(found, title="t", quantity="q").to_dict())
    assert charts.TRUTH in text
    assert charts.PREDICTION in text
    curve = calibration.curve(np.linspace(0.01, 0.9, 60), np.arange(60) % 2)
    for log in (False, True):
        charts_features.reliability(curve, title="t", log=log).to_dict()
