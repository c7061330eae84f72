"""Pages of analyses, as Streamlit runs them, over a real service and a local runner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from app import present
from app.analyses import QUESTIONS
from app.kinds import query
from engine.types import Modality, PairedCells, as_names
from jobs.bootstrap import running
from jobs.client import Client
from jobs.client_local import LocalClient
from jobs.spec import AnalysisSpec
from jobs.state import JobState
from jobs.views import JobView
from tests.builders import write_h5ad
from tests.labs import CATALOG, MODEL, ended, imported, lab_settings
from tests.pages import at, checked, words
from tests.planted import Planted, joint_bundle, with_links

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted() -> Planted:
    built = with_links(cells=120, genes=6, peaks=5, rng=np.random.default_rng(0))
    kind = as_names(f"type {k}" for k in np.digitize(built.z_nk[:, 0], [0.0]))
    obs = {"cell_type": kind, "batch": as_names(f"{i % 2}" for i in range(120))}
    return replace(built, pair=PairedCells(replace(built.pair.rna, obs=obs), replace(built.pair.atac, obs=obs)))


@pytest.fixture(scope="module")
def lab(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client in this process, as pages find it; its example are planted cells, its model knows them."""
    folder = tmp_path_factory.mktemp("catalog") / "pretrained"
    (folder / MODEL / "example").mkdir(parents=True)
    joint_bundle(planted.pair, folder / MODEL, epochs=4)
    for modality in Modality:
        write_h5ad(planted.pair.of(modality), folder / MODEL / "example" / f"{modality.value}.h5ad")
    (folder / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSVIEW_PRETRAINED", str(folder))
        with running(lab_settings(tmp_path_factory.mktemp("home"), folder)) as client:
            yield client


@pytest.fixture(scope="module")
def pair(lab: Client) -> dict[str, str]:
    return {which: imported(lab, f"example:{MODEL}/{which}").id for which in ("rna", "atac")}


@pytest.fixture(scope="module")
def done(lab: Client, pair: dict[str, str], planted: Planted) -> dict[str, JobView]:
    """Two finished jobs, run side by side: links on the genome, and cells without a model."""
    genes = tuple(sorted({gene for gene, _ in planted.linked}))[:2]
    asked = [
        AnalysisSpec(what="cre", model=MODEL, label="cell_type", genes=genes, **pair),
        AnalysisSpec(what="abnormal", on=("raw",), embedding="rna", label="cell_type", groups="batch", **pair),
    ]
    begun = {spec.what: lab.submit(spec, title=f"My {spec.what}") for spec in asked}
    found = {what: ended(lab, job) for what, job in begun.items()}
    for what, job in found.items():
        assert job.state is JobState.SUCCEEDED, (what, job.failure)
    return found


def test_cards_ask_their_question_and_the_address_holds_the_choice(lab: Client, pair: dict[str, str]) -> None:
    page = at("analyse", **pair)
    offered = {b.key.removeprefix("what-") for b in page.button if b.key and b.key.startswith("what-")}
    assert offered == set(QUESTIONS)
    page.button(key="what-mixing").click()
    checked(page.run())
    assert page.query_params["what"] in ("mixing", ["mixing"])
    said = words(page)
    for part in ("Do cells of different batches", "3 · Model and labels", "What runs", "Where the data go"):
        assert part in said
    assert page.selectbox(key="batch-choice").value == "batch"
    assert not page.button(key="ask").disabled


def test_a_question_that_lacks_something_says_what(lab: Client, pair: dict[str, str]) -> None:
    page = at("analyse", **pair, what="trajectory", model="none")
    said = words(page)
    assert "Without a model the model's own view of the cells is left out" in said
    assert "Choose where the path begins" in said
    assert not [b for b in page.button if b.label == "Start the analysis"]


def test_what_cannot_run_is_refused_before_it_does(lab: Client, pair: dict[str, str]) -> None:
    page = at("analyse", **pair, what="cre", genes="NOSUCHGENE")
    assert "NOSUCHGENE" in words(page)
    assert page.button(key="ask").disabled


def test_views_of_methods_that_are_not_installed_are_told_before_anything_runs(
    lab: Client, pair: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.analysis.embeddings.find_spec", lambda name: None if name in ("muon", "scvi") else name)
    assert isinstance(lab, LocalClient)
    monkeypatch.setattr(lab._service, "_health", None)
    page = at("analyse", **pair, what="cluster", label="cell_type")
    assert "Not offered: Weighted neighbours (WNN), MultiVI, scVI (RNA)" in words(page)
    offered = page.multiselect(key="compare-choices").options
    assert "MOFA+" in offered
    assert not {"MultiVI", "scVI (RNA)"} & set(offered)
    assert not page.button(key="ask").disabled
    page = at("analyse", **pair, what="cluster", label="cell_type", compare="wnn")  # of a link from elsewhere
    assert present.plain("WNN: not installed where CrossView runs (missing: muon).") in words(page)
    assert page.button(key="ask").disabled
    lab._service._health = None


def test_change_something_first_leads_back_to_what_was_asked(lab: Client, done: dict[str, JobView]) -> None:
    """The page that starts from a finished job asks for that very job again, so that it opens at once."""
    for what, job in done.items():
        asked = query(lab.job(job.id))
        page = at("analyse", **{name: str(value) for name, value in asked.items()})
        page.button(key="ask").click()
        checked(page.run())
        assert str(page.query_params["id"]).strip("[']") == job.id, what


def test_the_answer_comes_first_with_what_it_stands_against(lab: Client, done: dict[str, JobView]) -> None:
    page = at("job", id=done["abnormal"].id)
    said = words(page)
    assert said.index("No group of cells has little RNA and much ATAC") < said.index("false discovery rate")
    assert "no model: measured values" in said
    assert "cannot be shown" not in said
    assert page.dataframe[0].value["name"].tolist() == ["0", "1"]


@pytest.mark.parametrize("tab", ["Figures", "Configuration"])
def test_tabs_are_opened_by_their_address(lab: Client, done: dict[str, JobView], tab: str) -> None:
    said = words(at("job", id=done["cre"].id, tab=tab))
    assert "cannot be shown" not in said
    assert {"Figures": "The strongest links", "Configuration": "Get it again"}[tab] in said


def test_a_gene_is_drawn_with_its_links_and_steps_move_along_the_genome(
    lab: Client, done: dict[str, JobView], planted: Planted
) -> None:
    gene = min(gene for gene, _ in planted.linked)
    page = at("job", id=done["cre"].id, place=gene)
    said = words(page)
    assert "Imputed genes and peaks share one latent" in said
    assert "Arcs join a peak to the start of the gene it is linked to" in said
    here = next(line for line in said.splitlines() if line.endswith("hg38"))
    page.button(key="go-closer").click()
    checked(page.run())
    there = next(line for line in words(page).splitlines() if line.endswith("hg38"))
    assert there != here
    place = page.query_params["place"]
    assert str(place).strip("[']").startswith("chr")
    page.text_input(key="place").set_value("NOSUCHGENE")
    assert "There is no gene" in words(checked(page.run()))


def test_a_table_is_searched_among_all_its_rows(lab: Client, done: dict[str, JobView], planted: Planted) -> None:
    gene = min(gene for gene, _ in planted.linked)
    page = at("job", id=done["cre"].id, tab="Tables")
    page.text_input(key="find-lasso.links").set_value(gene)
    checked(page.run())
    assert set(page.dataframe[0].value["gene"]) == {gene}
    offered = {button.label.split(" · ")[0] for button in page.get("download_button")}
    assert {"Download the whole table (CSV)", "The same as Parquet"} <= offered


def test_the_pages_of_a_long_table_hold_all_its_rows(
    lab: Client, done: dict[str, JobView], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lab.analysis_table(done["cre"].id, "lasso.links", limit=10_000)
    for module in ("analysis", "analysed"):
        monkeypatch.setattr(f"app.components.{module}.PAGE", whole.total - 1)
    page = at("job", id=done["cre"].id, tab="Tables")
    shown = page.dataframe[0].value["peak"].tolist()
    page.number_input(key="page-lasso.links").set_value(2)
    shown += checked(page.run()).dataframe[0].value["peak"].tolist()
    assert shown == whole.columns["peak"]
    assert f"{whole.total} rows." in words(page)


def test_a_retired_model_is_offered_to_who_asks_for_it_by_name(lab: Client, pair: dict[str, str]) -> None:
    lab.board.retire(MODEL)
    try:
        page = at("analyse", **pair, what="mixing")
        assert page.selectbox(key="model-choice").options == ["No model: cells as measured"]
        page = at("analyse", **pair, what="mixing", model=MODEL)
        assert page.selectbox(key="model-choice").value == MODEL
    finally:
        lab.board.retire(MODEL, retired=False)
