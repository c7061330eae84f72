"""Trainings and benchmarks through both clients: asked for, followed, read, and their models used and deleted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.types import Direction, Modality
from jobs.client import Client
from jobs.client_http import HttpClient
from jobs.spec import BenchmarkSpec, Contender, HoldOut, TrainSpec, TranslateSpec
from jobs.state import JobState
from jobs.views import JobView
from tests.builders import paired, write_h5ad
from tests.labs import MODEL, build_catalog, ended, imported, refused

KEEP_ALL = {"filters": "none"}
Ids = dict[str, str]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build_catalog(tmp_path_factory.mktemp("catalog") / "pretrained")
    pair = paired(cells=120, genes=60, peaks=90, rng=np.random.default_rng(1))
    for modality in Modality:
        write_h5ad(pair.of(modality), folder / f"{modality.value}.h5ad")
    return folder


@pytest.fixture(scope="module")
def ids(in_process: Client, catalog: Path) -> Ids:
    return {m.value: imported(in_process, str(catalog / f"{m.value}.h5ad")).id for m in Modality}


def training(ids: Ids, **changes: object) -> TrainSpec:
    asked = {"model": "knn", "genome": "hg38", "filters": KEEP_ALL, "name": "My cells", **ids, **changes}
    return TrainSpec.model_validate(asked)


@pytest.fixture(scope="module")
def trained(in_process: Client, ids: Ids) -> JobView:
    """Nearest neighbours: a model that holds the cells it was trained on."""
    job = ended(in_process, in_process.submit(training(ids)))
    assert job.state is JobState.SUCCEEDED, job.failure
    return job


class TestClient:
    def test_recipes_say_what_can_be_trained_simplest_first(self, client: Client) -> None:
        found = {recipe.key: recipe for recipe in client.recipes()}
        assert next(iter(found)) == "mean"
        assert found["knn"].holds_cells
        assert not found["ridge"].holds_cells
        settings = {setting.name: setting for setting in found["crossmp"].settings}
        assert (settings["epochs"].kind, settings["epochs"].default) == ("int", "300")
        assert settings["significant"].what
        assert all(recipe.title and recipe.what for recipe in found.values())

    def test_a_look_beforehand_says_sides_filters_leaks_and_cost(self, client: Client, ids: Ids) -> None:
        view = client.pair_preflight(training(ids))
        assert (view.verdict, view.cells, view.paired_cells) == ("ready with notes", 120, 120)
        assert view.pair["split"] == {"train": 84, "valid": 18, "test": 18}
        assert view.pair["kept"]["peaks"] == [90, 90]
        assert view.pair["leaks"]["checked"]
        assert view.seconds is not None
        assert view.memory_mb
        assert [issue.code for issue in view.issues] == ["few-test-cells"]

    @pytest.mark.parametrize(
        ("changes", "code", "word"),
        [
            ({"model": "nothing"}, "unknown-model", "nothing"),
            ({"settings": {"colour": "red"}}, "bad-setting", "colour"),
            ({"filters": {"min_cell": "1"}}, "bad-setting", "min_cell"),
            ({"filters": {}}, "no-cells", "200–7,000"),
            ({"split": {"column": "donor", "test": ["a"]}}, "bad-setting", "donor"),
            ({"split": {"by": "donor"}}, "bad-setting", "donor"),
            (
                {"split": {"names": {"train": ["CELL00001", "CELL00002"], "test": ["CELL00002"]}}},
                "leaked-cells",
                "00002",
            ),
            ({"split": {"names": {"train": ["nobody"]}}}, "bad-input", "nobody"),
        ],
    )
    def test_what_cannot_be_trained_is_refused_with_a_hint(
        self, client: Client, ids: Ids, changes: dict[str, object], code: str, word: str
    ) -> None:
        spec = training(ids, **changes)
        view = client.pair_preflight(spec)
        (problem,) = (issue for issue in view.issues if issue.level == "problem")
        assert (view.verdict, problem.code) == ("refused", code)
        assert word in problem.message
        assert problem.hint
        with refused(code):
            client.submit(spec)

    def test_a_finished_training_has_its_curve_files_and_model(self, client: Client, trained: JobView) -> None:
        job = client.job(trained.id)
        assert (job.kind, job.model, job.directions, job.made) == ("train", "knn", (), f"my-cells-{job.bundle[:8]}")
        assert job.title == "Training of My cells · rna.h5ad"
        curve = client.training(job.id)
        assert (curve.epochs, curve.split, curve.device) == ((), {"train": 84, "valid": 18, "test": 18}, "cpu")
        names = {each.name for each in client.artifacts(job.id)}
        assert {"CARD.md", "model.zip", "report.json", "predictability.npz", "curve.json"} <= names
        assert set(client.report(job.id)["directions"]) == {"rna-to-atac", "atac-to-rna"}
        with refused("wrong-direction"):
            client.table(job.id, Direction.RNA_TO_ATAC, "cells")

    def test_the_same_question_gets_the_same_training(self, client: Client, trained: JobView, ids: Ids) -> None:
        again = client.submit(training(ids))
        assert (again.id, again.from_cache) == (trained.id, True)

    def test_a_model_trained_here_is_on_offer_and_translates(self, client: Client, trained: JobView, ids: Ids) -> None:
        model = client.model(trained.made)
        assert model in client.models()
        assert (model.origin, model.job, set(model.datasets)) == ("trained", trained.id, set(ids.values()))
        assert model.holds_cells
        assert "Holds training cells" in model.card
        assert model.report["split"]["train"] == 84
        spec = TranslateSpec(model=model.id, rna=ids["rna"], directions=(Direction.RNA_TO_ATAC,), umap=False)
        job = ended(client, client.submit(spec))
        assert job.state is JobState.SUCCEEDED, job.failure
        assert job.bundle == trained.bundle
        peak = client.search(job.id, Direction.RNA_TO_ATAC, "chr1")[0].name
        assert len(client.values(job.id, Direction.RNA_TO_ATAC, features=[peak]).barcodes) == 120

    def test_what_a_trained_model_predicts_well_is_told_a_page_at_a_time(
        self, client: Client, trained: JobView
    ) -> None:
        assert client.model(trained.made).predictability
        report = client.report(trained.id)["directions"]
        for direction in Direction:
            whole = client.predictability(trained.made, direction, limit=1000)
            assert (whole.bundle, whole.cells, whole.part) == (trained.bundle, 18, "test")
            assert (
                whole.tested == report[direction.value]["scores"][report[direction.value]["detail"]["main"]]["averaged"]
            )
            assert len(whole.name) == whole.matching == whole.tested
            assert whole.better == sum(gain > 0 for gain in whole.gain if gain is not None)
            page = client.predictability(trained.made, direction, limit=5, offset=3)
            assert (page.name, page.gain) == (whole.name[3:8], whole.gain[3:8])
            by_skill = client.predictability(trained.made, direction, sort="skill", limit=1).skill
            assert by_skill == (max(skill for skill in whole.skill if skill is not None),)
        assert client.predictability(trained.made, Direction.ATAC_TO_RNA, query="gene0000").matching < 60
        near = client.predictability(trained.made, Direction.RNA_TO_ATAC, query="chr2:0-12,000")
        assert set(near.name) <= {"chr2:1000-1400", "chr2:11000-11400"}

    def test_predictability_that_cannot_be_told_is_refused(self, client: Client, trained: JobView) -> None:
        assert not client.model(MODEL).predictability
        with refused("not-found"):
            client.predictability(MODEL, Direction.RNA_TO_ATAC)
        with refused("unknown-model"):
            client.predictability("nothing", Direction.RNA_TO_ATAC)
        for wrong in ({"sort": "name"}, {"limit": 0}, {"offset": -1}, {"limit": 10**7}):
            with refused("bad-request"):
                client.predictability(trained.made, Direction.RNA_TO_ATAC, **wrong)  # type: ignore[arg-type]

    def test_cells_that_a_model_holds_are_not_deleted_before_it(
        self, client: Client, trained: JobView, ids: Ids
    ) -> None:
        with refused("conflict"):
            client.delete_dataset(ids["rna"])

    def test_models_of_the_catalog_stay(self, client: Client) -> None:
        with refused("conflict"):
            client.delete_model(MODEL)
        with refused("not-found"):
            client.delete_model("nothing")

    def test_a_model_can_be_deleted_and_trained_again(self, in_process: Client, over_http: Client, ids: Ids) -> None:
        """Deleting over HTTP has its test among joint views."""
        spec = training(ids, model="ridge", name="Passing")
        job = ended(in_process, in_process.submit(spec))
        in_process.delete_model(job.made)
        for client in (in_process, over_http):
            with refused("unknown-model"):
                client.model(job.made)
        again = over_http.submit(spec)
        assert (again.from_cache, again.id != job.id) == (False, True)
        over_http.cancel(again.id)
        ended(over_http, again)

    def test_a_curve_is_of_trainings_alone(self, client: Client, trained: JobView) -> None:
        with refused("not-found"):
            client.training("job-0")
        with refused("conflict"):
            client.benchmark(trained.id)

    def test_a_benchmark_sets_models_side_by_side(self, in_process: Client, over_http: Client, ids: Ids) -> None:
        contenders = (Contender(model="knn"), Contender(model="knn", settings={"neighbours": "5"}, label="five"))
        spec = BenchmarkSpec(contenders=contenders, filters=KEEP_ALL, genome="hg38", split=HoldOut(), **ids)
        assert over_http.pair_preflight(spec).verdict == "ready with notes"
        for wrong in ({"batch_column": "site"}, {"contenders": (*contenders, Contender(model="ridge", label="five"))}):
            with refused("bad-setting"):
                over_http.submit(spec.model_copy(update=wrong))
        job = ended(in_process, over_http.submit(spec, title="Which"))
        assert job.state is JobState.SUCCEEDED, job.failure
        assert (job.kind, job.model, job.truth) == ("benchmark", "knn, five", ())
        found = over_http.benchmark(job.id)
        assert found == in_process.benchmark(job.id)
        yardsticks = ["mean", "depth", "celltype-mean", "ridge"]
        assert sorted(each["label"] for each in found["contenders"]) == sorted([*yardsticks, "knn", "five"])
        assert found["failures"] == []
        assert {"benchmark.json", "benchmark.md", "split.json"} == {each.name for each in over_http.artifacts(job.id)}
        with refused("conflict"):
            over_http.training(job.id)


def test_the_openapi_document_describes_trainings(over_http: HttpClient) -> None:
    document = over_http._get("openapi.json")
    asked = document["paths"]["/api/v1/models/{id}/predictability"]["get"]
    assert [each["name"] for each in asked["parameters"]] == ["id", "direction", "query", "sort", "limit", "offset"]
    assert "PredictabilityView" in document["components"]["schemas"]
    with refused("bad-request"):
        over_http._get(f"models/{MODEL}/predictability", direction="sideways")
    assert {"/api/v1/recipes", "/api/v1/jobs/{id}/training", "/api/v1/jobs/{id}/benchmark"} <= set(document["paths"])
    assert {"TrainSpec", "BenchmarkSpec", "TrainingView", "RecipeView"} <= set(document["components"]["schemas"])
    assert "delete" in document["paths"]["/api/v1/models/{id}"]
