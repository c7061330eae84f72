"""Predictions of other models through both clients: brought in, looked at, scored, read, and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from engine.types import Direction, Modality
from jobs import layout
from jobs.capsule.verify import verify
from jobs.client import Client
from jobs.client_local import LocalClient
from jobs.commands.submission import submit_evaluation
from jobs.mending import MendOptions
from jobs.results.exploring import ExploringClient
from jobs.spec import EvaluateSpec, TranslateSpec
from jobs.state import JobState
from jobs.views import JobView
from tests.foreign import predicted, write_values
from tests.labs import MODEL, build_catalog, ended, imported, refused, until
from tests.running import built_cells

pytestmark = pytest.mark.slow
WAY = Direction.RNA_TO_ATAC
CELLS = built_cells().atac.rows(slice(100, 160))
LOG_ODDS = np.log((predicted(CELLS) + 0.01) / (1.01 - predicted(CELLS)))  # as a network's last layer has them


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    catalog = build_catalog(tmp_path_factory.mktemp("catalog") / "pretrained", example_of=60)
    write_values(CELLS, LOG_ODDS, catalog / "mine.h5ad")
    return catalog


def brought(client: Client, path: Path) -> str:
    begun = client.import_dataset(str(path), mends=MendOptions(values=True))
    data = until(lambda: client.dataset(begun.id), lambda view: view.state != "importing")
    assert data.state == "ready", data.failure
    assert data.summary["values"] is True
    return data.id


@pytest.fixture(scope="module")
def ids(in_process: Client, catalog: Path) -> dict[str, str]:
    measured = {m.value: imported(in_process, f"example:{MODEL}/{m.value}").id for m in Modality}
    return {**measured, "prediction": brought(in_process, catalog / "mine.h5ad")}


def spec_of(ids: dict[str, str], **changes: Any) -> EvaluateSpec:
    names = ("rna", "atac", "prediction")
    asked = {"target": "atac", "method": "mine", "umap": False, "genome": "hg38", **{name: ids[name] for name in names}}
    return EvaluateSpec.model_validate({**asked, **changes})


@pytest.fixture(scope="module")
def done(in_process: Client, ids: dict[str, str]) -> JobView:
    job = ended(in_process, in_process.submit(spec_of(ids)))
    assert job.state is JobState.SUCCEEDED, job.failure
    return job


class TestClient:
    def test_a_look_before_says_what_matches_and_what_is_assumed(self, client: Client, ids: dict[str, str]) -> None:
        plan = client.pair_preflight(spec_of(ids))
        assert (plan.verdict, plan.cells, plan.truth) == ("ready with notes", 60, (WAY,))
        assert plan.notes[:2] == (
            "60 of 60 predicted cells were measured.", "90 of 90 predicted peaks were measured (by name).",
        )  # fmt: skip
        assert "log odds" in plan.notes[2]
        assert [issue.code for issue in plan.issues] == ["no-training-cells"]
        assert "measured cells themselves" in plan.issues[0].message
        flattered = client.pair_preflight(spec_of(ids, training=ids["atac"]))
        assert [issue.code for issue in flattered.issues] == ["scored-in-training"]

    @pytest.mark.parametrize(
        ("changes", "code", "word"),
        [
            ({"training": "rna"}, "wrong-modality", "peaks"),
            ({"prediction": "rna"}, "wrong-modality", "peaks"),
            ({"scale": "log-normalised"}, "bad-setting", "probability"),
        ],
    )
    def test_what_cannot_be_scored_is_refused_with_its_mend(
        self, client: Client, ids: dict[str, str], changes: dict[str, str], code: str, word: str
    ) -> None:
        asked = spec_of(ids, **{name: ids.get(value, value) for name, value in changes.items()})
        plan = client.pair_preflight(asked)
        assert (plan.verdict, plan.issues[0].code) == ("refused", code)
        with refused(code) as caught:
            client.submit(asked)
        assert word in caught.value.hint

    def test_a_prediction_is_no_measurement(self, client: Client, ids: dict[str, str]) -> None:
        with refused("not-counts"):
            client.submit(TranslateSpec(model=MODEL, atac=ids["prediction"], directions=(Direction.ATAC_TO_RNA,)))
        with refused("not-counts"):
            client.submit(spec_of(ids, atac=ids["prediction"]))
        with pytest.raises(ValidationError, match="judged by atac"):
            spec_of(ids, atac=None)

    def test_it_reads_like_a_translation_with_its_truth(self, client: Client, done: JobView) -> None:
        job = client.job(done.id)
        assert (job.kind, job.model, job.directions, job.truth) == ("evaluate", "mine", (WAY,), (WAY,))
        assert set(job.input_names) == {"rna", "atac", "prediction"}
        report = client.report(job.id)["directions"][WAY.value]
        assert (report["scale"], report["verdict"]["level"]) == ("own", "better")
        assert set(report["nulls"]) == {"mean", "depth"}
        table = client.table(job.id, WAY, "features")
        assert len(table["name"]) == report["verdict"]["tested"] > 30
        assert len(client.table(job.id, WAY, "cells")["barcode"]) == 60
        assert {file.name for file in client.artifacts(job.id)} >= {f"{WAY.value}/cells.h5ad", "report.json"}
        again = client.submit(spec_of(dict(client.job(job.id).spec)))
        assert (again.id, again.from_cache) == (job.id, True)

    def test_any_peak_is_read_from_the_file_that_was_given(self, client: Client, done: JobView) -> None:
        names = [str(name) for name in CELLS.space.names[[7, 3]]]
        assert client.search(done.id, WAY, names[0])[0].name == names[0]
        cells = [str(name) for name in CELLS.barcodes[[5, 1]]]
        found = client.values(done.id, WAY, features=names, cells=cells)
        assert (found.barcodes, found.scale) == (tuple(cells), "own")
        np.testing.assert_allclose(np.array(found.predicted), LOG_ODDS[[5, 1]][:, [7, 3]], rtol=1e-5)
        assert found.truth == (CELLS.counts[[5, 1]][:, [7, 3]].toarray() > 0).astype(float).tolist()
        source = client.values(done.id, WAY, features=["GENE00001"], modality=Modality.RNA, cells=cells)
        assert source.truth is not None
        assert len(source.truth) == 2

    def test_groups_and_genome_stand_on_the_same_values(self, client: Client, done: JobView) -> None:
        exploring: ExploringClient = client.exploring
        kinds = np.asarray(CELLS.obs["cell_type"])
        groups = [[str(n) for n in CELLS.barcodes[kinds == f"type {k}"]] for k in (0, 1)]
        found = exploring.compare(done.id, WAY, a=groups[0], b=groups[1], limit=90)
        assert found.agreement is not None
        assert found.agreement > 0.5  # the types are what was predicted
        at = list(CELLS.space.names).index(found.features[0])
        assert found.predicted_a[0] == pytest.approx(LOG_ODDS[kinds == "type 0", at].mean(), rel=1e-4)
        place = str(CELLS.space.names[0])
        assert exploring.genome(done.id, WAY, place).peaks == (place,)


def test_one_command_sends_the_files_and_scores_them(
    over_http: Client, done: JobView, ids: dict[str, str], catalog: Path
) -> None:
    from engine.errors import BadInput

    with pytest.raises(BadInput, match="holds ATAC"):
        submit_evaluation(over_http, str(catalog / "mine.h5ad"), rna=f"dataset:{ids['rna']}")
    job = submit_evaluation(
        over_http, str(catalog / "mine.h5ad"), atac=f"dataset:{ids['atac']}", genome="hg38", method="mine", seed=5
    )
    assert job.title == "Scores of mine · tiny example, ATAC"
    asked = EvaluateSpec.model_validate(job.spec)
    assert (asked.target, asked.genome, asked.seed, asked.rna) == (Modality.ATAC, "hg38", 5, None)
    over_http.cancel(job.id)


def test_a_capsule_of_it_is_made_again(
    in_process: LocalClient, done: JobView, ids: dict[str, str], catalog: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.zip").write_bytes(in_process.capsule(done.id))
    shelf = in_process._service.results.shelf
    digests = [in_process.dataset(ids[name]).digest for name in ("rna", "atac")]
    given = [*(shelf.path(layout.dataset(str(digest))) for digest in digests), catalog / "mine.h5ad"]
    found = verify(tmp_path / "c.zip", inputs=[str(path) for path in given], say=lambda line: None)
    assert found.same, found.document()
    assert set(found.capsule.inputs) == {"rna", "atac", "prediction"}


def test_the_openapi_document_knows_evaluations(over_http: Client) -> None:
    from app.api.application import OPERATIONS
    from app.api.openapi import document

    assert "EvaluateSpec" in document(OPERATIONS)["components"]["schemas"]


def test_the_prediction_may_go_afterwards_and_what_was_said_stays(
    over_http: Client, done: JobView, ids: dict[str, str]
) -> None:
    over_http.delete_dataset(ids["prediction"])
    with refused("not-found"):
        over_http.values(done.id, WAY, features=[str(CELLS.space.names[0])])
    assert over_http.report(done.id)["directions"]
