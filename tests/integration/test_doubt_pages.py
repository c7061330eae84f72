"""The pages of a job whose model knows its limits: colours, the slider, its sentence, and what the scorecard says."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app import abstaining, charts, readings
from app.components.result import Result
from engine.metrics.abstention import abstention
from engine.translators import registry
from jobs.bootstrap import running
from jobs.client import Client
from jobs.names import Direction
from jobs.spec import TranslateSpec
from jobs.state import JobState
from jobs.views import JobView
from tests import doubting
from tests.labs import MODEL, build_catalog, ended, imported, lab_settings
from tests.pages import at, checked, words

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
LEARN = f"""
from engine.translators import registry
registry.MODELS[{doubting.KEY!r}] = {doubting.LINE!r}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client over a model that knows its limits; the processes of its jobs learn of that model as they start."""
    start = tmp_path_factory.mktemp("start")
    (start / "sitecustomize.py").write_text(LEARN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.MODELS, doubting.KEY, doubting.LINE)  # type: ignore[arg-type]
        recipe = registry.recipe(doubting.KEY, {"components": "8"})
        catalog = build_catalog(tmp_path_factory.mktemp("catalog") / "pretrained", example_of=60, recipe=recipe)
        patch.setenv("CROSSVIEW_PRETRAINED", str(catalog))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(start), str(ROOT)]))
        with running(lab_settings(tmp_path_factory.mktemp("home"), catalog)) as client:
            yield client


@pytest.fixture(scope="module")
def done(lab: Client) -> JobView:
    job = ended(lab, lab.submit_example())
    assert job.state is JobState.SUCCEEDED, job.failure
    return job


@pytest.fixture(scope="module")
def unscored(lab: Client) -> JobView:
    rna = imported(lab, f"example:{MODEL}/rna")
    job = ended(lab, lab.submit(TranslateSpec(model=MODEL, rna=rna.id, directions=(Direction.RNA_TO_ATAC,))))
    assert job.state is JobState.SUCCEEDED, job.failure
    return job


def cells_tab(job: JobView, direction: Direction = Direction.ATAC_TO_RNA, **query: str) -> AppTest:
    return at("job", id=job.id, tab="Cells", direction=direction.value, **query)


def table(lab: Client, job: JobView, direction: Direction = Direction.ATAC_TO_RNA) -> pd.DataFrame:
    return pd.DataFrame(lab.table(job.id, direction, "cells"))


def specs(page: AppTest) -> list[str]:
    """The charts of the page as Vega-Lite."""
    return [str(chart.proto.spec) for chart in page.get("arrow_vega_lite_chart") + page.get("vega_lite_chart")]


def test_the_maps_can_be_coloured_by_what_the_model_says_of_itself(lab: Client, done: JobView) -> None:
    offered = cells_tab(done).selectbox(key="colour").options
    assert offered[0] == "cell type"  # what a reader looks for first stays first
    assert {"unlike the training cells", "how unlike the training cells", "expected score"} <= set(offered)
    for colour in (readings.OUTSIDE, readings.NOVELTY, readings.EXPECTED):
        page = cells_tab(done)
        page.selectbox(key="colour").set_value(colour)
        said = words(checked(page.run()))
        assert "cannot be shown" not in said


def test_out_of_domain_has_the_colour_of_its_meaning(lab: Client, done: JobView) -> None:
    page = cells_tab(done)
    page.selectbox(key="colour").set_value(readings.OUTSIDE)
    checked(page.run())
    drawn = [spec for spec in specs(page) if "unlike the training cells" in spec]
    assert len(drawn) >= 2
    assert all(charts.UNCERTAIN in spec for spec in drawn)


@pytest.mark.parametrize("direction", list(Direction))
def test_the_slider_says_what_leaving_out_brings(lab: Client, done: JobView, direction: Direction) -> None:
    page = cells_tab(done, direction)
    assert "Leaving out" not in words(page)
    page.slider(key="leave_out").set_value(30)
    said = words(checked(page.run()))
    cells = table(lab, done, direction)
    score, thing = ("pearson", "correlation") if direction is Direction.ATAC_TO_RNA else ("auroc", "AUROC")
    gone = 18  # 30 % of 60
    kept = cells.sort_values("expected_score").iloc[gone:][score].mean()
    deepest = abstention(cells[score], cells["source_depth"]).after(gone)  # many cells are equally deep
    found = re.search(
        rf"Leaving out 18 of 60 cells (?:raises|lowers) the mean {thing} per cell from ([\d.]+) to ([\d.]+); "
        r"leaving out the shallowest would give ([\d.]+)\.",
        said,
    )
    assert found is not None, said
    wanted = [cells[score].mean(), kept, deepest]
    np.testing.assert_allclose([float(number) for number in found.groups()], wanted, atol=2e-3)


def test_the_slider_is_held_in_the_address(lab: Client, done: JobView) -> None:
    page = cells_tab(done, leave_out="20")
    assert page.slider(key="leave_out").value == 20
    assert "Leaving out 12 of 60 cells" in words(page)
    assert page.slider(key="leave_out").proto.query_param_key == "leave_out"


def test_cells_left_out_are_grey_on_both_maps_and_none_is_removed(lab: Client, done: JobView) -> None:
    whole, part = cells_tab(done), cells_tab(done, leave_out="20")
    assert not any(charts.FADED in spec for spec in specs(whole))
    assert sum(charts.FADED in spec for spec in specs(part)) == 2
    shown = part.dataframe[0].value
    assert len(shown) == 60
    assert int((~shown["kept"]).sum()) == 12
    assert shown.loc[~shown["kept"], "expected_score"].max() <= shown.loc[shown["kept"], "expected_score"].min()


def test_a_searched_gene_keeps_the_grey_too(lab: Client, done: JobView) -> None:
    name = lab.table(done.id, Direction.ATAC_TO_RNA, "features")["name"][0]
    page = cells_tab(done, leave_out="20", gene=name)
    assert sum(charts.FADED in spec for spec in specs(page)) == 2


def test_a_figure_shows_the_kept_score_beside_depth_and_chance(lab: Client, done: JobView) -> None:
    (drawn,) = [spec for spec in specs(cells_tab(done)) if "share of the cells left out" in spec]
    for name in (abstaining.CERTAIN, abstaining.DEEP, abstaining.RANDOM):
        assert name in drawn


def test_without_truth_the_expected_score_of_the_kept_is_shown(lab: Client, unscored: JobView) -> None:
    page = cells_tab(unscored, Direction.RNA_TO_ATAC, leave_out="30")
    said = words(page)
    assert "raises the mean expected AUROC per cell" in said
    assert "no measurement" in said
    (drawn,) = [spec for spec in specs(page) if "share of the cells left out" in spec]
    assert abstaining.DEEP not in drawn
    assert abstaining.CERTAIN in drawn


def test_the_download_says_which_cells_are_kept(lab: Client, done: JobView) -> None:
    from app.components.saving import to_csv

    cells = Result(lab.job(done.id), Direction.ATAC_TO_RNA)
    found = abstaining.leaving_out(table(lab, done), cells.direction, percent=20, scored=True)
    assert found is not None
    written = pd.read_csv(io.StringIO(to_csv(table(lab, done).assign(kept=found.kept))))
    assert written["kept"].sum() == 48
    assert written.loc[~written["kept"], "expected_score"].max() < written.loc[written["kept"], "expected_score"].min()
    assert "cells-table-csv" in str([button.proto.id for button in cells_tab(done).get("download_button")])


def test_the_scorecard_counts_the_cells_outside_and_leads_to_them(lab: Client, done: JobView) -> None:
    count = int(table(lab, done)["out_of_domain"].sum())
    assert count > 0
    page = at("job", id=done.id, direction="atac-to-rna")
    said = words(page)
    assert f"{count} of 60 cells" in said
    assert "unlike" in said
    page.button(key="show-outside").click()
    checked(page.run())
    assert page.selectbox(key="colour").value == readings.OUTSIDE


def test_the_list_tells_how_many_are_outside(lab: Client, done: JobView) -> None:
    counts = [int(table(lab, done, d)["out_of_domain"].sum()) for d in done.directions]
    assert dict(done.outside) == dict(zip(done.directions, counts, strict=True))
    assert f"{max(counts)} unlike the training cells" in words(at("jobs"))
