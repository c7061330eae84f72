"""Pages that train and compare, as Streamlit runs them, over a real service and a local runner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.capsule.verify import verify
from jobs.client import Client
from jobs.names import Direction
from jobs.spec import BenchmarkSpec, Contender, TranslateSpec
from jobs.state import JobState
from jobs.views import DatasetView, JobView
from tests.finished import pair_in, trained_in, training_lab
from tests.labs import MODEL, ended
from tests.pages import at, checked, shown, words

pytestmark = pytest.mark.slow
EVERYTHING = {"filters": "none"}
QUICK = {"components": "4", "target_components": "4"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client in this process, as pages find it; its example has 160 cells, enough to part."""
    with shown(training_lab(tmp_path_factory)) as client:
        yield client


@pytest.fixture(scope="module")
def cells(lab: Client) -> dict[str, DatasetView]:
    return pair_in(lab)


@pytest.fixture(scope="module")
def trained(lab: Client) -> JobView:
    """A small CrossMP, trained for a few epochs."""
    return trained_in(lab)


@pytest.fixture(scope="module")
def compared(lab: Client, cells: dict[str, DatasetView]) -> JobView:
    """Two models and the nulls, one seed."""
    contenders = (Contender(model="mean"), Contender(model="depth"), Contender(model="ridge", settings=QUICK))
    spec = BenchmarkSpec(rna=cells["rna"].id, atac=cells["atac"].id, contenders=contenders, filters=EVERYTHING)
    job = ended(lab, lab.submit(spec, title="Three models"))
    assert job.state is JobState.SUCCEEDED, job.failure
    return job


def pair_of(cells: dict[str, DatasetView]) -> dict[str, str]:
    return {"rna": cells["rna"].id, "atac": cells["atac"].id, "filters": "everything"}


def test_the_page_begins_with_two_files_or_the_example(lab: Client) -> None:
    page = at("new", kind="train")
    assert "1 · Cells measured both ways" in words(page)
    page.button(key="example-cells").click()
    checked(page.run())
    assert {"rna", "atac"} <= set(page.query_params)


def test_a_pair_is_checked_trained_with_what_the_address_says_followed_and_cancelled(
    lab: Client, cells: dict[str, DatasetView]
) -> None:
    settings = {"epochs": "4000", "patience": "4000", "batch": "16", "significant_genes": "20"}
    asked = {f"crossmp.{name}": value for name, value in settings.items()}
    page = at("new", kind="train", **pair_of(cells), model="crossmp", step="3", **asked)
    assert "3 · Which cells judge it" in words(page)
    assert "epochs 4000" in words(page)
    page.button(key="next").click()
    checked(page.run())
    said = words(page)
    for part in ("What runs", "How it is judged", "Where the data go", "epochs 4000"):
        assert part in said
    page.button(key="submit").click()
    checked(page.run())
    job = lab.job(str(page.query_params["id"]))
    assert job.kind == "train"
    assert job.spec["settings"] == settings
    assert "You may close this tab" in words(page)
    running = at("job", id=job.id)
    running.button(key=f"cancel-{job.id}").click()
    checked(running.run())
    assert ended(lab, job).state is JobState.CANCELLED
    assert "This training was cancelled" in words(at("job", id=job.id))


def test_batches_that_are_held_out_are_chosen_by_name(lab: Client, cells: dict[str, DatasetView]) -> None:
    page = at("new", kind="train", **pair_of(cells), split="Whole batches", column="cell_type", test="type 1", step="3")
    assert "judge the model and take no part in its making" in words(page)
    page.button(key="next").click()
    checked(page.run())
    assert "type 1 held out" in words(page)
    assert not page.button(key="submit").disabled


@pytest.mark.parametrize(("model", "first"), [("crossview", "All of them"), ("crossmp", "Filtered as published")])
def test_features_are_offered_as_suits_the_model(
    lab: Client, cells: dict[str, DatasetView], model: str, first: str
) -> None:
    page = at("new", kind="train", rna=cells["rna"].id, atac=cells["atac"].id, model=model, step="3")
    offered = page.selectbox(key="filters-choice")
    assert offered.options[0] == first
    assert offered.index == 0


def test_a_model_that_is_not_installed_is_named_with_its_mend(lab: Client, cells: dict[str, DatasetView]) -> None:
    missing = next((r for r in lab.recipes() if r.missing), None)
    if missing is None:
        pytest.skip("every model is installed")
    page = at("new", kind="train", **pair_of(cells), model=missing.key, step="3")
    assert "It is not installed here" in words(page)
    assert page.button(key="next").disabled
    assert at("new", kind="train", **pair_of(cells), model=missing.key, step="4").button(key="submit").disabled


def test_a_finished_training_says_whether_to_trust_its_model(lab: Client, trained: JobView) -> None:
    said = words(at("job", id=trained.id))
    assert "Can this model be trusted?" in said
    assert "RNA → ATAC" in said
    assert "Training · method crossmp" in said


@pytest.mark.parametrize("tab", ["Scorecard", "Curve", "Card", "Resources"])
def test_every_tab_of_a_training_can_be_opened_by_its_address(lab: Client, trained: JobView, tab: str) -> None:
    page = at("job", id=trained.id, tab=tab)
    assert ":material/error:" not in words(page)
    if tab == "Curve":
        assert page.selectbox(key="part-choice").value == "total"


def test_a_model_trained_here_stands_beside_the_others_and_only_it_can_be_deleted(
    lab: Client, trained: JobView
) -> None:
    page = at("models")
    keys = {button.key for button in page.button}
    assert f"delete-{trained.made}" in keys
    assert f"delete-{MODEL}" not in keys
    page.button(key=f"delete-{trained.made}").click()
    checked(page.run())
    assert "This cannot be undone" in words(page)
    assert trained.made in {model.id for model in lab.models()}


def test_what_a_model_predicts_well_is_read_once_it_is_opened(lab: Client, trained: JobView) -> None:
    key = f"predicts-{trained.made}"
    assert "Beats the average profile" not in words(at("models"))
    page = at("models", **{key: "true"})
    assert f"of {lab.predictability(trained.made, Direction.RNA_TO_ATAC).tested} peaks tested**" in words(page)
    page.segmented_control(key=f"{key}-direction").set_value(Direction.ATAC_TO_RNA)
    checked(page.run())
    said = words(page)
    found = lab.predictability(trained.made, Direction.ATAC_TO_RNA, limit=1000)
    assert f"**{found.better} of {found.tested} genes tested**" in said
    assert "Scored on 24 cells held out of its training" in said
    (table,) = [each.value for each in page.dataframe if "gene" in each.value.columns]
    assert list(table["gene"]) == list(found.name)
    page.text_input(key=f"{key}-atac-to-rna-search").set_value("gene0001")
    checked(page.run())
    (table,) = [each.value for each in page.dataframe if "gene" in each.value.columns]
    assert list(table["gene"]) == [name for name in found.name if name.startswith("GENE0001")]
    assert f"{len(table)} genes tested match" in words(page)


def test_a_finished_training_shows_what_its_model_predicts_well(lab: Client, trained: JobView) -> None:
    page = at("job", id=trained.id, **{f"predicts-{trained.made}": "true"})
    assert "held out of its training" in words(page)


def test_cells_measured_one_way_are_told_what_to_expect_gene_by_gene(
    lab: Client, trained: JobView, cells: dict[str, DatasetView]
) -> None:
    spec = TranslateSpec(model=trained.made, atac=cells["atac"].id, directions=(Direction.ATAC_TO_RNA,), umap=False)
    job = ended(lab, lab.submit(spec))
    assert job.state is JobState.SUCCEEDED, job.failure
    page = at("job", id=job.id, tab="Scorecard")
    said = words(page)
    assert "nothing to score the prediction against" in said
    assert "What to expect, gene by gene" in said
    assert "Expected, on the model's own held-out cells" in said
    (table,) = [each.value for each in page.dataframe if "gene" in each.value.columns]
    assert len(table) == lab.predictability(trained.made, Direction.ATAC_TO_RNA).tested


def test_the_list_tells_kinds_apart(lab: Client, trained: JobView, compared: JobView) -> None:
    said = words(at("jobs"))
    assert "Training · method crossmp" in said
    assert "Comparison · 3 models" in said
    assert "Training · method" not in words(at("jobs", kind="benchmark"))


def test_models_are_chosen_and_compared_from_the_page(lab: Client, cells: dict[str, DatasetView]) -> None:
    asked = {"models": "ridge", "seeds": "2", "variants.ridge": "\nsmall: components=4"}
    page = at("new", kind="benchmark", **pair_of(cells), **asked, step="3")
    assert "ridge regression takes part with 2 variants" in words(page).lower()
    page.button(key="next").click()
    checked(page.run())
    assert "**What runs:** 2 models and the yardsticks, each trained 2 times" in words(page)
    assert not page.button(key="submit").disabled


@pytest.mark.parametrize("tab", ["Standings", "Pairs", "Batches", "Costs", "Recipes", "Configuration"])
def test_every_tab_of_a_comparison_can_be_opened_by_its_address(lab: Client, compared: JobView, tab: str) -> None:
    said = words(at("job", id=compared.id, tab=tab))
    assert "Which model is best?" in said
    assert ":material/error:" not in said


def test_a_training_and_its_model_stand_side_by_side(lab: Client, trained: JobView) -> None:
    page = at("compare", job=trained.id, model=trained.made)
    said = words(page)
    assert "All were judged on the same 24 cells." in said
    assert "What they were asked" in said
    (table,) = [each.value for each in page.dataframe if "above the average" in each.value.columns]
    assert len(table) == 2


def test_one_alone_and_a_job_without_scores_are_told_what_is_missing(
    lab: Client, trained: JobView, compared: JobView
) -> None:
    said = words(at("compare", job=trained.id))
    assert "Choose one more." in said
    assert "has no scores of its own" in words(at("compare", job=compared.id))


def test_a_training_and_a_comparison_are_made_again_from_their_capsules(
    lab: Client, trained: JobView, compared: JobView, tmp_path: Path
) -> None:
    examples = [str(path) for path in Path(os.environ["CROSSVIEW_PRETRAINED"]).glob(f"{MODEL}/example/*.h5ad")]
    for job, score in ((trained, "score rna-to-atac peak_auroc"), (compared, "score rna-to-atac ridge peak_auroc")):
        path = tmp_path / f"{job.kind}.zip"
        path.write_bytes(lab.capsule(job.id))
        found = verify(path, inputs=examples, say=lambda _: None)
        assert {item.what: item for item in found.items if item.says != "identical"} == {}
        assert {"input rna", score} <= {item.what for item in found.items}
