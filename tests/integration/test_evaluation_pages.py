"""Scoring a prediction of one's own model, page by page: the wizard, the result, and the way back to change it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.components.finder import QUERY
from jobs.client import Client
from jobs.mending import MendOptions
from jobs.names import Direction, Modality
from jobs.spec import EvaluateSpec
from jobs.state import JobState
from jobs.views import DatasetView, JobView
from tests.finished import example_lab, pair_in
from tests.foreign import predicted, write_values
from tests.labs import ended, until
from tests.pages import at, checked, shown, words
from tests.running import built_cells

pytestmark = pytest.mark.slow
GENES = built_cells().rna.rows(slice(136, 160))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with shown(example_lab(tmp_path_factory)) as client:
        yield client


@pytest.fixture(scope="module")
def cells(lab: Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, DatasetView]:
    path: Path = write_values(GENES, predicted(GENES), tmp_path_factory.mktemp("files") / "mine.h5ad")
    upload = lab.create_upload(name=path.name, size=path.stat().st_size)
    lab.append_upload(upload.id, offset=0, chunks=[path.read_bytes()])
    begun = lab.import_dataset(f"upload:{lab.finish_upload(upload.id).id}", mends=MendOptions(values=True))
    prediction = until(lambda: lab.dataset(begun.id), lambda view: view.state != "importing")
    assert prediction.state == "ready", prediction.failure
    return {**pair_in(lab), "prediction": prediction}


@pytest.fixture(scope="module")
def done(lab: Client, cells: dict[str, DatasetView]) -> JobView:
    ids = {name: cells[name].id for name in ("rna", "prediction")}
    job = ended(lab, lab.submit(EvaluateSpec(target=Modality.RNA, method="my net", umap=False, **ids)))
    assert job.state is JobState.SUCCEEDED, job.failure
    return job


def told(page: AppTest) -> str:
    """What the page says, as a reader sees it."""
    return words(page).replace("\\", "")


def asked(cells: dict[str, DatasetView], **query: str) -> AppTest:
    return at("new", kind="score", prediction=cells["prediction"].id, truth=cells["rna"].id, **query)


def click(page: AppTest, key: str) -> AppTest:
    page.button(key=key).click()
    return checked(page.run())


def test_four_steps_lead_to_the_job(lab: Client, cells: dict[str, DatasetView]) -> None:
    page = asked(cells)
    said = told(page)
    assert "1 · The prediction, and what was measured" in said
    assert [each.label for each in page.expander if each.label.startswith("Add the cells")] == [
        "Add the cells it was predicted from", "Add the cells its model learned from",
    ]  # fmt: skip
    click(page, "next")
    said = told(page)
    assert "24 of 24 predicted cells were measured." in said
    assert "60 of 60 predicted genes were measured (by name)." in said
    assert "taken as log-normalised expression" in said
    click(page, "next")
    page.text_input(key="method").set_value("my net")
    checked(page.run())
    page.selectbox(key="scale-choice").set_value("own")
    checked(page.run())
    assert (page.query_params["method"], page.query_params["scale"]) == ("my net", "own")
    click(page, "next")
    said = told(page)
    assert "predicted expression of 24 cells is compared with its measurement" in said
    assert "Changed from the usual: method my net; scale own" in said
    click(page, "submit")
    job = next(job for job in lab.jobs() if job.kind == "evaluate")
    assert job.spec | {"rna": cells["rna"].id, "scale": "own", "method": "my net"} == job.spec
    lab.cancel(job.id)


def test_files_that_do_not_go_together_are_told_at_once(lab: Client, cells: dict[str, DatasetView]) -> None:
    page = at("new", kind="score", prediction=cells["prediction"].id, truth=cells["atac"].id)
    assert "the measured cells must be of genes (RNA) too" in told(page)
    assert page.button(key="next").disabled
    assert page.button(key="step-2").disabled


def test_a_prediction_is_offered_where_one_is_asked_for_alone(lab: Client, cells: dict[str, DatasetView]) -> None:
    for query, name, offered in (
        ({"kind": "score"}, "prediction", True), ({"kind": "score"}, "truth", False), ({}, "cells", False)
    ):  # fmt: skip
        page = at("new", **query)
        page.segmented_control(key=f"{name}-way").set_value("Used before")
        checked(page.run())
        listed = " ".join(page.selectbox(key=f"{name}-id").options)
        assert ("mine.h5ad" in listed) is offered
        assert ("tiny example" in listed) is not offered


def test_the_result_is_read_like_a_translation(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id)
    assert "predicted expression · 24 cells · made by my net" in told(page)
    assert "Better than the average profile on" in told(page)
    assert "than sequencing depth" not in told(page)  # nobody asked: no source was given
    tabs = [tab.label for tab in page.tabs]
    assert tabs[:5] == ["Overview", "Scorecard", "Genes", "Cells", "Profiles"]
    assert "Genome" not in tabs  # no peaks of these cells
    name = lab.table(done.id, Direction.ATAC_TO_RNA, "features")["name"][2]
    assert f"{name}" in told(at("job", id=done.id, tab="Genes", **{QUERY: name}))
    scores = at("job", id=done.id, tab="Scorecard")
    table = next(each.value for each in scores.dataframe if "verdict" in each.value.columns)
    assert table["verdict"].str.contains("average profile").all()
    assert "measured cells themselves" in told(scores)


def test_the_record_says_what_was_scored_and_how_to_do_it_again(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, tab="Configuration")
    codes = "\n".join(str(each.value) for each in page.code)
    assert "crossview evaluate --prediction mine.h5ad --truth example:tiny/rna --out report.json" in codes
    page = at("job", id=done.id, tab="Provenance")
    assert "mine.h5ad (the prediction), 24 cells" in told(page)
    assert "the prediction: taken as predicted values, as they are" in told(page)


def test_what_was_asked_can_be_changed_and_asked_again(lab: Client, done: JobView) -> None:
    page = at("new", **{"from": done.id})
    query = {name: np.ravel(page.query_params[name])[0] for name in ("kind", "step", "method", "umap", "prediction")}
    assert query == {
        "kind": "score", "step": "4", "method": "my net", "umap": "false", "prediction": done.spec["prediction"],
    }  # fmt: skip
    assert "4 · Before it runs" in told(page)
    assert not page.button(key="submit").disabled


def test_home_and_the_list_of_jobs_know_it(lab: Client, done: JobView) -> None:
    assert "Of any model or tool, your own too" in told(at("home"))
    page = at("jobs", kind="evaluate")
    assert "Scores of my net" in "\n".join(str(each.proto) for each in page.get("page_link"))
