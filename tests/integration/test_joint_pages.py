"""Pages of the joint view, as Streamlit runs them, over a real service and a local runner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app import present
from jobs.client import Client
from jobs.spec import JointSpec
from jobs.state import JobState
from jobs.views import DatasetView, JobView
from tests.builders import paired
from tests.finished import pair_in, trained_in, training_lab
from tests.labs import MODEL, ended, until
from tests.multiome import write_h5mu
from tests.pages import at, checked, shown, words

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of both, and one that holds half."""
    folder = tmp_path_factory.mktemp("files")
    pair = paired(cells=60, genes=60, peaks=90, rng=np.random.default_rng(3))
    write_h5mu(pair, folder / "both.h5mu")
    write_h5mu(pair, folder / "rna-only.h5mu", called={"rna": "rna"})
    return folder


@pytest.fixture(scope="module")
def lab(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client in this process, as pages find it; its model is a small CrossMP, its example 160 cells."""
    with shown(replace(training_lab(tmp_path_factory), import_roots=(files.resolve(),))) as client:
        yield client


@pytest.fixture(scope="module")
def cells(lab: Client) -> dict[str, DatasetView]:
    return pair_in(lab)


@pytest.fixture(scope="module")
def seen(lab: Client, cells: dict[str, DatasetView]) -> JobView:
    """The example's cells in one view, compared with their label."""
    spec = JointSpec(model=MODEL, rna=cells["rna"].id, atac=cells["atac"].id, label="cell_type")
    job = ended(lab, lab.submit(spec, title="Seen"))
    assert job.state is JobState.SUCCEEDED, job.failure
    return job


def pair_of(cells: dict[str, DatasetView]) -> dict[str, str]:
    return {which: data.id for which, data in cells.items()}


def test_the_page_begins_with_two_files_one_file_or_the_example(lab: Client) -> None:
    page = at("new", kind="joint")
    said = words(page)
    assert "1 · Cells measured both ways" in said
    assert "Or one file each:" in said
    assert [e.label for e in page.expander if "one file" in e.label]
    page.button(key="example-cells").click()
    checked(page.run())
    assert {"rna", "atac"} <= set(page.query_params)


def test_one_file_of_both_becomes_both_sides(lab: Client, files: Path) -> None:
    page = at("new", kind="joint")
    page.segmented_control(key="both-way").set_value("Link, S3 or a path")
    checked(page.run())
    field = next(
        each for each in page.text_input if each.label.startswith("Link, S3 address, or path on the server, of the f")
    )
    field.set_value(str(files / "both.h5mu"))
    next(b for b in page.button if b.label == "Bring it in").click()
    checked(page.run())
    rna, atac = (str(page.query_params[which]) for which in ("rna", "atac"))
    for id in (rna, atac):
        until(lambda id=id: lab.dataset(id), lambda view: view.state == "ready")
    said = words(at("new", kind="joint", rna=rna, atac=atac))
    assert present.plain("both.h5mu (RNA)") in said
    assert "60 cells × 90 peaks" in said


def test_a_file_that_holds_one_of_them_says_what_is_missing(lab: Client, files: Path) -> None:
    rna, atac = lab.import_pair(str(files / "rna-only.h5mu"))
    until(lambda: lab.dataset(atac.id), lambda view: view.state == "failed")
    until(lambda: lab.dataset(rna.id), lambda view: view.state == "ready")
    said = words(at("new", kind="joint", rna=rna.id, atac=atac.id))
    assert "This MuData file has no mod/atac; it holds mod/rna." in said
    assert "2 · What they are" not in said


def test_a_pair_is_checked_and_submitted_with_its_label(
    lab: Client, cells: dict[str, DatasetView], seen: JobView
) -> None:
    """The same cells and settings were seen before, so the finished job opens at once."""
    page = at("new", kind="joint", **pair_of(cells), model=MODEL, step="3")
    said = words(page)
    for part in ("3 · Model", "it reads both modalities at once"):
        assert part in said
    assert page.selectbox(key="label-choice").value == "cell_type"
    page.button(key="next").click()
    checked(page.run())
    said = words(page)
    for part in ("What runs", "How it is judged", "Where the data go"):
        assert part in said
    page.button(key="submit").click()
    checked(page.run())
    assert str(page.query_params["id"]) == seen.id
    assert "What does the joint view add?" in words(page)


def test_more_groups_than_cells_are_refused_before_anything_runs(lab: Client, cells: dict[str, DatasetView]) -> None:
    page = at("new", kind="joint", **pair_of(cells), clusters="400", step="4")
    assert "400 clusters were asked for, of 160 cells" in words(page)
    assert page.button(key="submit").disabled


def test_a_finished_view_says_what_it_adds(lab: Client, seen: JobView) -> None:
    said = words(at("job", id=seen.id))
    assert "What does the joint view add?" in said
    assert "Agreement of k-means groups with cell" in said
    assert "Imputed RNA:" in said
    assert "Joint view" in said
    assert "160 cells" in said


@pytest.mark.parametrize("tab", ["Overview", "Genes", "Peaks", "Cells", "Profiles", "Logs", "Files"])
@pytest.mark.parametrize("of", ["rna", "atac"])
def test_every_tab_of_both_modalities_can_be_opened_by_its_address(
    lab: Client, seen: JobView, tab: str, of: str
) -> None:
    said = words(at("job", id=seen.id, tab=tab, of=of))
    assert "cannot be shown" not in said
    assert ":material/error:" not in said


def test_a_gene_is_shown_measured_and_imputed_on_one_map(lab: Client, seen: JobView) -> None:
    page = at("job", id=seen.id, tab="Cells", gene="GENE00007")
    assert page.selectbox(key="found").value == "GENE00007"
    assert "an imputed value says what the model expects" in words(page)
    page = at("job", id=seen.id, tab="Cells", of="atac", gene="chr1:1000-1400")
    assert "what was seen" in words(page)


def test_the_list_and_the_way_back_know_the_kind(lab: Client, cells: dict[str, DatasetView], seen: JobView) -> None:
    assert "Joint view · 160 cells" in words(at("jobs"))
    from app.kinds import query

    asked = {"kind": "joint", "step": "4", "from": seen.id}
    assert query(seen) == {**asked, **pair_of(cells), "model": MODEL, "label": "cell_type"}


def test_a_trained_model_leads_to_a_joint_view_of_its_cells(lab: Client, cells: dict[str, DatasetView]) -> None:
    job = trained_in(lab)
    assert lab.model(job.made).joint
    said = words(at("new", kind="joint", **pair_of(cells), model=job.made, step="3"))
    assert "was trained on these very cells" in said
    links = {each.proto.label: each.proto for each in at("job", id=job.id).get("page_link")}
    assert (
        links["Joint view of its cells"].query_string
        == f"kind=joint&rna={cells['rna'].id}&atac={cells['atac'].id}&model={job.made}"
    )
    view = ended(lab, lab.submit(JointSpec(**pair_of(cells), model=job.made, umap=False)))
    assert view.state is JobState.SUCCEEDED, view.failure
    notes = " ".join(lab.report(view.id)["notes"])
    assert "of the 160 cells trained this model" in notes
    said = words(at("job", id=view.id, tab="Cells"))
    assert "No maps were drawn for this job" in said
    assert "No label was given" in words(at("job", id=view.id))
