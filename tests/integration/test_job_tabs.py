"""The tabs of a job's page over real jobs: rows that open, groups compared, the genome, the record of what was done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from jobs.client import Client
from jobs.names import Direction, Modality
from jobs.spec import TranslateSpec
from jobs.views import JobView
from tests.finished import example_lab, example_of
from tests.labs import MODEL, ended, imported
from tests.pages import at, checked, shown, words

pytestmark = pytest.mark.slow
TO_PEAKS = Direction.RNA_TO_ATAC


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with shown(example_lab(tmp_path_factory)) as client:
        yield client


@pytest.fixture(scope="module")
def done(lab: Client) -> JobView:
    """The example, finished and scored both ways."""
    return example_of(lab)


def labels(page: AppTest, kind: str) -> list[str]:
    return [str(each.label) for each in page.get(kind)]


def held(page: AppTest, name: str) -> str:
    """What the address holds under the name; the first of several."""
    value = page.query_params[name]
    return value if isinstance(value, str) else str(value[0])


def opened(page: AppTest, tab: str) -> AppTest:
    """The same session, with another tab open."""
    page.query_params["tab"] = tab
    page.session_state["tab"] = tab
    return checked(page.run())


def test_the_scorecard_says_of_each_score_what_it_beats(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, tab="Scorecard")
    table = next(each.value for each in page.dataframe if "verdict" in each.value.columns)
    assert table["verdict"].str.contains("average profile").all()
    counted = table.set_index("score")["peaks above the average"]
    scores = lab.table(done.id, TO_PEAKS, "features")["auroc"]
    assert counted["per-peak AUROC"].endswith(f" of {len(scores)}")
    assert "Predicted probabilities are off by" not in words(page)  # a title of a chart, and drawn
    assert "expected calibration error" in words(page)


@pytest.mark.parametrize(("tab", "direction"), [("Genes", Direction.ATAC_TO_RNA), ("Peaks", TO_PEAKS)])
def test_a_gene_or_peak_of_the_table_opens_against_its_measurement(
    lab: Client, done: JobView, tab: str, direction: Direction
) -> None:
    name = lab.table(done.id, direction, "features")["name"][3]
    page = at("job", id=done.id, tab=tab)
    assert "Choose a row" in words(page)
    assert any(name in set(each.value.get("name", ())) for each in page.dataframe)
    found = at("job", id=done.id, tab=tab, direction=direction.value, gene=name)
    said = words(found)
    assert "better predicted than" in said
    assert "nine in ten" in said
    assert ("calibration error (ECE)" in said) == (tab == "Peaks")


def test_the_table_of_peaks_is_searched_by_region(lab: Client, done: JobView) -> None:
    names = lab.table(done.id, TO_PEAKS, "features")["name"]
    chrom = names[0].split(":")[0]
    page = at("job", id=done.id, tab="Peaks", peaks_find=f"{chrom}:0-100,000")
    (table,) = (each.value for each in page.dataframe if "auroc_depth_adjusted" in each.value.columns)
    assert set(table["name"]) == {name for name in names if name.startswith(f"{chrom}:")}
    assert f" of {len(names)}" in words(page)


def test_two_groups_are_chosen_by_label_compared_and_held_in_the_address(lab: Client, done: JobView) -> None:
    kinds = lab.table(done.id, TO_PEAKS, "cells")["cell_type"]
    kind = max(set(kinds), key=kinds.count)
    page = at("job", id=done.id, tab="Cells", direction=TO_PEAKS.value)
    assert "Choose labels, or add a box" in words(page)
    page.multiselect(key="a-choices").set_value([f"label:cell_type={kind}"])
    checked(page.run())
    assert f"A: {kinds.count(kind)} cells · B: {24 - kinds.count(kind)} cells" in words(page)
    page.button(key="compare-groups").click()
    checked(page.run())
    said = words(page)
    assert "double dipping" in said
    assert f"all {kinds.count(kind)} of A" in said
    table = next(each.value for each in page.dataframe if "effect size" in each.value.columns)
    assert len(table) == 90
    again = at("job", **{name: held(page, name) for name in ("id", "tab", "a", "compare")})
    assert "double dipping" in words(again)
    assert "groups A and B" in again.selectbox(key="colour").options


def test_a_box_in_the_address_marks_its_cells_and_becomes_a_group(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, tab="Cells", box="truth:-1000,1000,-1000,1000")
    assert "**24 of 24 cells** marked in the box on the measured map" in words(page)
    page.button(key="add-b").click()
    checked(page.run())
    assert held(page, "b") == "truth:-1000,1000,-1000,1000"
    assert "box" not in page.query_params
    assert "marked in the box" not in words(page)


def test_a_lasso_drawn_on_a_map_lights_its_cells_on_both_and_becomes_a_group(lab: Client, done: JobView) -> None:
    table = lab.table(done.id, TO_PEAKS, "cells")
    across = np.sort(np.asarray(table["prediction_umap_1"]))
    line = float(across[8:10].mean())  # nine cells lie left of it
    page = at("job", id=done.id, tab="Cells", direction=TO_PEAKS.value, mark="Lasso")
    assert "Draw a line around cells on either map" in words(page)
    low, high = (float(f(table["prediction_umap_2"])) for f in (np.min, np.max))
    hand = {
        "x": [line, line, across[0] - 1, across[0] - 2, across[0] - 1],
        "y": [low - 1, high + 1, high + 1, 0, low - 1],
    }
    drawn(page, "map-prediction-lasso-0", box=[], lasso=[{"xref": "x", "yref": "y", **hand}])
    assert "**9 of 24 cells** marked in the lasso on the predicted map" in words(page)
    for which, outlines in (("truth", 0), ("prediction", 1)):
        spec = json.loads(figures(page)[which].spec)
        assert [len(each["customdata"]) for each in spec["data"][:2]] == [15, 9]
        assert len(spec["layout"].get("shapes", [])) == outlines
    shape = held(page, "box")
    page.button(key="add-a").click()
    checked(page.run())
    assert (held(page, "a"), "box" in page.query_params) == (shape, False)
    assert "A: 9 cells · B: 15 cells" in words(page)
    again = at("job", id=done.id, tab="Cells", direction=TO_PEAKS.value, box=shape)  # sent to who draws boxes
    assert "**9 of 24 cells** marked in the lasso on the predicted map" in words(again)


def figures(page: AppTest) -> dict[str, Any]:
    """The maps on which a lasso can be drawn, by what they are of."""
    return {str(each.key).split("-")[1]: each.proto for each in page.get("plotly_chart")}


def drawn(page: AppTest, key: str, **shapes: Any) -> None:
    """As the browser tells what was drawn on a map."""
    (chart,) = (each for each in page.get("plotly_chart") if each.key == key)
    states = page._tree.get_widget_states()
    told = {"selection": {"points": [], "point_indices": [], **shapes}}
    states.widgets.append(WidgetState(id=chart.proto.id, string_value=json.dumps(told)))
    checked(page._run(states))


def test_a_box_that_holds_nothing_breaks_nothing(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, tab="Cells", box="truth:1,2,3")
    assert "Drag a box" in words(page)
    page.query_params["box"] = "truth:5000,5001,0,1"
    checked(page.run())
    assert "**0 of 24 cells** marked" in words(page)
    assert page.button(key="add-a").disabled


def test_a_heatmap_takes_a_pasted_list_and_says_what_it_did_not_find(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, tab="Profiles", direction="atac-to-rna", features="GENE00003 GENE00004, NOSUCH")
    assert "Not found: NOSUCH" in words(page)
    assert "cannot be shown" not in words(page)


def test_the_genome_shows_measured_and_predicted_peaks_of_each_group(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, tab="Genome", direction=TO_PEAKS.value, place="chr2:0-25,000")
    said = words(page)
    assert "bars above the line are measured" in said
    (peaks,) = (each.value for each in page.dataframe if "peak" in each.value.columns)
    assert list(peaks["peak"]) == ["chr2:1000-1400", "chr2:11000-11400", "chr2:21000-21400"]
    assert {name.split(", ")[-1] for name in peaks.columns[1:]} == {"measured", "predicted"}
    page.button(key="go-farther").click()
    checked(page.run())
    assert held(page, "place").startswith("chr2:0-")
    page.text_input(key="place").set_value("NOSUCHGENE")
    assert "There is no gene" in words(checked(page.run()))


def test_the_record_says_what_was_asked_and_how_to_ask_again(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, tab="Configuration")
    codes = [str(code.value) for code in page.code]
    assert any("crossview translate --model tiny" in code for code in codes)
    assert any("curl -X POST" in code and done.spec["rna"] in code for code in codes)
    opened(page, "Logs").text_input(key="find").set_value("no line says this")
    assert "0 of" in words(checked(page.run()))
    opened(page, "Files")
    table = next(each.value for each in page.dataframe if "SHA-256" in each.value.columns)
    assert set(table["file"]) == {file.name for file in lab.artifacts(done.id)}
    assert table["opens in"].str.len().min() > 0


def test_every_table_leaves_as_csv_and_parquet(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id)
    for tab in ("Scorecard", "Peaks", "Cells", "Files"):
        opened(page, tab)
        out = labels(page, "download_button")
        assert out.count("CSV") == out.count("Parquet") >= len(page.dataframe) > 0


def test_the_address_of_what_is_seen_is_there_to_copy(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, tab="Cells", colour="source_depth")
    assert any(f"id={done.id}" in str(code.value) and "colour=source_depth" in str(code.value) for code in page.code)


def test_a_job_without_truth_says_what_can_be_said_in_every_tab(lab: Client) -> None:
    """Its maps are drawn in test_doubt_pages."""
    rna = imported(lab, f"example:{MODEL}/rna")
    job = ended(lab, lab.submit(TranslateSpec(model=MODEL, rna=rna.id, directions=(TO_PEAKS,), umap=False)))
    name = lab.table(job.id, TO_PEAKS, "features")["name"][0]
    page = at("job", id=job.id, gene=name, a="label:cell_type=type 1")
    for tab in ("Overview", "Scorecard", "Peaks", "Cells", "Profiles", "Genome"):
        opened(page, tab)
        assert "cannot be shown" not in words(page), tab
        assert "Genes" not in labels(page, "tab")


def test_a_gene_that_was_translated_from_colours_the_maps_as_it_was_measured(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, tab="Cells", direction=TO_PEAKS.value, gene="GENE00003")
    column = "GENE00003, measured expression"
    assert column in page.selectbox(key="colour").options
    page.selectbox(key="colour").set_value(column)
    assert "cannot be shown" not in words(checked(page.run()))
    shown = next(each.value for each in page.dataframe if column in each.value.columns)
    values = lab.values(done.id, TO_PEAKS, features=["GENE00003"], modality=Modality.RNA)
    assert values.truth is not None
    assert sorted(shown[column]) == pytest.approx(sorted(row[0] for row in values.truth))
