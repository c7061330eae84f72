"""Home, the wizard and the list of jobs, as Streamlit runs them, over a lab where what is asked only waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import anndata
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from jobs.board.views import Act, JobsAsked
from jobs.bootstrap import running
from jobs.client import Client
from jobs.client_local import LocalClient
from jobs.names import Direction
from jobs.spec import TranslateSpec
from jobs.state import JobState
from jobs.views import DatasetView
from storage.tables import jobs as job_table
from storage.tables.jobs import JobRow
from storage.tables.rows import utcnow
from tests.labs import MODEL, imported, lab_settings, nobody, until
from tests.pages import at, checked, words

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Its Ray does not answer."""
    settings = lab_settings(tmp_path_factory.mktemp("home"), catalog)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSVIEW_PRETRAINED", str(catalog))
        with nobody() as address, running(replace(settings, runner="ray", ray_address=f"http://{address}")) as client:
            yield client


@pytest.fixture(scope="module")
def cells(lab: Client) -> dict[str, DatasetView]:
    return {which: imported(lab, f"example:{MODEL}/{which}") for which in ("rna", "atac")}


def click(page: AppTest, key: str) -> AppTest:
    page.button(key=key).click()
    return checked(page.run())


def planted(lab: Client, rna: str, *, id: str, state: str, hours: int = 0, title: str = "planted") -> str:
    """A job as the table holds it, without the wait."""
    assert isinstance(lab, LocalClient)
    spec = TranslateSpec(model=MODEL, rna=rna, directions=(Direction.RNA_TO_ATAC,), umap=False)
    row = JobRow(
        id=id, kind="translate", state=state, spec=spec.model_dump(mode="json"), spec_digest=spec.digest, title=title,
        submitted_at=utcnow() - timedelta(hours=hours), logged=1, swept=1,
    )  # fmt: skip
    lab._service.database.write_now(lambda conn: job_table.insert(conn, row))
    return id


def test_who_is_new_is_shown_the_example_and_the_file_that_is_expected(lab: Client) -> None:
    assert not lab.jobs()
    page = at("home")
    assert "No jobs yet." in words(page)
    assert page.button(key="example").label == "Try the example"
    assert len(page.get("download_button")) == 2
    assert "No jobs yet." in words(at("jobs"))


def test_an_address_of_the_former_first_page_leads_to_the_wizard(lab: Client, cells: dict[str, DatasetView]) -> None:
    page = at("home", cells=cells["rna"].id)
    assert "1 · Your cells" in words(page)
    assert "24 cells × 60 genes" in words(page)


def test_another_kind_takes_the_cells_over(lab: Client, cells: dict[str, DatasetView]) -> None:
    page = at("new", cells=cells["rna"].id, other=cells["atac"].id)
    page.segmented_control(key="kind-choice").set_value("train")
    checked(page.run())
    assert (page.query_params["kind"], page.query_params["rna"]) == ("train", cells["rna"].id)
    assert not page.button(key="next").disabled


def test_going_back_keeps_what_was_chosen(lab: Client, cells: dict[str, DatasetView]) -> None:
    page = at("new", cells=cells["rna"].id, step="3")
    page.number_input(key="seed").set_value(7)
    checked(page.run())
    click(page, "back")
    click(page, "back")
    click(page, "step-3")
    assert page.number_input(key="seed").value == 7
    click(page, "next")
    assert "seed 7" in words(page)


def test_cells_that_no_model_knows_are_refused_with_the_mend(lab: Client, catalog: Path) -> None:
    strange = anndata.AnnData(np.ones((30, 40), dtype="float32"))
    strange.var_names = [f"ZZZ{i}" for i in range(40)]
    path = catalog / "strange.h5ad"
    strange.write_h5ad(path)
    page = at("new", cells=imported(lab, str(path)).id, step="2")
    assert "No model can translate these cells as they are" in words(page)
    assert page.button(key="next").disabled
    assert [each.label for each in page.expander if each.label == "Mend strange.h5ad"]


def test_counts_in_raw_beside_normalised_values_are_found_and_told(lab: Client, catalog: Path) -> None:
    data = anndata.read_h5ad(catalog / MODEL / "example" / "rna.h5ad")
    data.raw = data.copy()
    data.X = np.log1p(np.asarray(data.X.todense()) / 3.7)
    data.layers.clear()
    path = catalog / "normalised.h5ad"
    data.write_h5ad(path)
    said = words(at("new", cells=imported(lab, str(path)).id, step="2"))
    assert "what X holds is not used" in said
    assert "can translate these cells" in said


def test_a_batch_leaves_out_what_cannot_be_used_and_asks_for_the_others(
    lab: Client, cells: dict[str, DatasetView], catalog: Path
) -> None:
    bad = catalog / "notes.h5ad"
    bad.write_text("my notes", encoding="utf-8")
    failed = imported(lab, str(bad))
    page = at("new", batch=[cells["rna"].id, cells["atac"].id, failed.id], step="1")  # type: ignore[arg-type]
    assert "**2 of 3 files ready** · 1 cannot be used, the others go on" in words(page)
    for _ in range(3):
        click(page, "next")
    assert "**What runs:** 2 jobs by Built cells of three types, 48 cells in all. 1 left out." in words(page)
    page.text_input(key="labels").set_value("plate 1")
    checked(page.run())
    click(page, "submit")
    assert "plate 1** · 2 jobs: 2 waiting" in words(page)
    assert lab.board.find(JobsAsked(label="plate 1")).total == 2


def test_a_past_job_is_cloned_edited_and_asked_for(lab: Client, cells: dict[str, DatasetView]) -> None:
    spec = TranslateSpec(
        model=MODEL, rna=cells["rna"].id, directions=(Direction.RNA_TO_ATAC,), umap=False, chunk_cells=99
    )
    old = lab.submit(spec, title="The first")
    lab.board.mark(old.id, add=["series"])
    page = at("new", **{"from": old.id})
    said = words(page)
    assert "As **The first** was asked" in said
    assert "umap False" in said
    click(page, "back")
    page.number_input(key="seed").set_value(3)
    checked(page.run())
    click(page, "next")
    click(page, "submit")
    new = lab.job(str(page.query_params["id"]))
    assert new.spec == {**old.spec, "seed": 3}
    assert new.labels == ("series",)
    assert "The job to start from cannot be found" in words(at("new", **{"from": "job-none"}))


def test_jobs_are_chosen_labelled_starred_and_deleted_together(lab: Client, cells: dict[str, DatasetView]) -> None:
    ids = [planted(lab, cells["rna"].id, id=f"job-many-{n}", state="FAILED", title="many") for n in range(2)]
    page = at("jobs", q="many")
    click(page, "pick-all")
    page.text_input(key="bulk-label").set_value("both")
    checked(page.run())
    click(page, "bulk-label-go")
    assert [lab.job(id).labels for id in ids] == [("both",)] * 2
    click(page, f"star-{ids[0]}")
    assert lab.job(ids[0]).starred
    assert lab.board.find(JobsAsked(starred=True)).total == 1
    click(page, "pick-all")
    click(page, "bulk-delete")
    assert "**2 jobs in the bin**" in words(page)
    assert "No job matches" in words(page)
    click(page, "undo")
    assert [lab.job(id).bin_until for id in ids] == [None, None]
    lab.board.bulk(Act.BIN, ids)
    page = at("jobs", bin="true")
    click(page, f"restore-{ids[0]}")
    assert lab.job(ids[0]).bin_until is None
    page = at("jobs", bin="true")
    click(page, "pick-all")
    assert "This cannot be undone" in words(page)
    click(page, "bulk-delete")
    assert ids[1] not in {job.id for job in lab.jobs()}


def test_cancelling_many_asks_first(lab: Client, cells: dict[str, DatasetView]) -> None:
    specs = [
        TranslateSpec(model=MODEL, atac=cells["atac"].id, directions=(Direction.ATAC_TO_RNA,), seed=seed)
        for seed in (41, 42)
    ]
    view = lab.board.batch(specs, label="to stop")
    page = at("jobs", label="to stop")
    click(page, "pick-all")
    assert "Stop 2 jobs?" in words(page)
    click(page, "bulk-cancel")
    for job in view.jobs:
        until(lambda id=job.id: lab.job(id), lambda seen: seen.state is JobState.CANCELLED)  # type: ignore[misc]


def test_a_long_list_is_turned_page_by_page(lab: Client, cells: dict[str, DatasetView]) -> None:
    for n in range(45):
        planted(lab, cells["rna"].id, id=f"job-long-{n:02}", state="SUCCEEDED", hours=n, title="long")
    page = at("jobs", q="long")
    assert "1–20 of 45" in words(page)
    click(page, "older")
    click(page, "older")
    assert "41–45 of 45" in words(page)
    assert page.button(key="older").disabled
    page.text_input(key="q").set_value("job-long-07")
    checked(page.run())
    assert "1–1 of 1" in words(page)


def test_a_retired_model_is_not_offered_and_its_links_go_on_working(lab: Client, cells: dict[str, DatasetView]) -> None:
    page = click(at("models"), f"retire-{MODEL}")
    assert f"offer-{MODEL}" in {button.key for button in page.button}
    assert "No model is on offer" in words(at("new", cells=cells["rna"].id, step="2"))
    assert not at("new", cells=cells["rna"].id, step="4", model=MODEL).button(key="submit").disabled
    click(page, f"offer-{MODEL}")
    assert not lab.model(MODEL).retired


def test_a_model_says_whether_it_is_what_it_was(lab: Client) -> None:
    assert "Whole (digest " in words(click(at("models"), f"verify-{MODEL}"))
