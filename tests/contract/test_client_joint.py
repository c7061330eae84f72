"""Joint views through both clients: one file of both brought in, asked for, read, and refused where they cannot be."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from engine.errors import CrossViewError
from engine.translators.registry import recipe
from engine.types import Direction, Modality
from jobs.client import Client
from jobs.spec import JointSpec, TrainSpec
from jobs.state import JobState
from jobs.views import DatasetView, JobView
from tests.builders import paired
from tests.hostile import HOSTILE
from tests.labs import MODEL, build_catalog, ended, imported, refused, until
from tests.multiome import write_h5mu
from tests.running import JOINT
from tests.tenx import write_tenx

pytestmark = pytest.mark.slow
Ids = dict[str, str]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog") / "pretrained"
    catalog = build_catalog(folder, example_of=60, recipe=recipe("crossmp", JOINT))
    pair = paired(cells=80, genes=60, peaks=90, rng=np.random.default_rng(3))
    write_h5mu(pair, catalog / "both.h5mu")
    write_tenx(pair, catalog / "multiome.h5", extra=2)
    write_h5mu(pair, catalog / "rna-only.h5mu", called={"rna": "rna"})
    return catalog


@pytest.fixture(scope="module")
def ids(in_process: Client) -> Ids:
    return {m.value: imported(in_process, f"example:{MODEL}/{m.value}").id for m in Modality}


@pytest.fixture(scope="module")
def seen(in_process: Client, ids: Ids) -> JobView:
    spec = JointSpec(model=MODEL, label="cell_type", umap=False, chunk_cells=25, **ids)
    job = ended(in_process, in_process.submit(spec))
    assert job.state is JobState.SUCCEEDED, job.failure
    return job


@pytest.fixture(scope="module")
def near(in_process: Client, ids: Ids) -> JobView:
    """A training of a model that reads one modality at a time."""
    spec = TrainSpec(model="knn", filters={"filters": "none"}, name="Near", genome="hg38", **ids)
    job = ended(in_process, in_process.submit(spec))
    assert job.state is JobState.SUCCEEDED, job.failure
    return job


def both(client: Client, source: str) -> tuple[DatasetView, DatasetView]:
    """Both datasets of one file, once their imports have ended."""

    def ended_import(id: str) -> DatasetView:
        return until(lambda: client.dataset(id), lambda view: view.state != "importing")

    rna, atac = client.import_pair(source)
    return ended_import(rna.id), ended_import(atac.id)


def uploaded(client: Client, path: Path) -> str:
    upload = client.create_upload(name=path.name, size=path.stat().st_size)
    client.append_upload(upload.id, offset=0, chunks=[path.read_bytes()])
    client.finish_upload(upload.id)
    return f"upload:{upload.id}"


class TestClient:
    @pytest.mark.parametrize("name", ["both.h5mu", "multiome.h5"])
    def test_one_upload_becomes_two_datasets_of_the_same_cells(self, client: Client, catalog: Path, name: str) -> None:
        source = uploaded(client, catalog / name)
        rna, atac = both(client, source)
        for data, modality, features in ((rna, Modality.RNA, 60), (atac, Modality.ATAC, 90)):
            assert (data.state, data.modality, data.features, data.cells) == ("ready", modality, features, 80)
            assert data.name == f"{name} ({modality.value.upper()})"
        plan = client.pair_preflight(JointSpec(model=MODEL, rna=rna.id, atac=atac.id))
        assert (plan.verdict, plan.paired_cells) == ("ready", 80)
        with refused("upload-not-found"):  # the clean copies are the only ones kept
            client.import_pair(source)
        for data in (rna, atac):
            client.delete_dataset(data.id)

    def test_what_a_file_lacks_costs_that_half_alone(self, client: Client, catalog: Path) -> None:
        rna, atac = both(client, uploaded(client, catalog / "rna-only.h5mu"))
        assert rna.state == "ready"
        assert atac.failure is not None
        assert (atac.failure.code, atac.failure.message) == (
            "wrong-modality", "This MuData file has no mod/atac; it holds mod/rna.",
        )  # fmt: skip
        with refused("wrong-modality"):
            client.submit(JointSpec(model=MODEL, rna=rna.id, atac=atac.id))

    @pytest.mark.parametrize("name", ["mudata_with_an_external_modality", "plain_text", "mudata_that_declares_320_gb"])
    def test_a_hostile_file_fails_both_and_leaves_nothing(self, client: Client, tmp_path: Path, name: str) -> None:
        writer, code = HOSTILE[name]
        writer(tmp_path / "bad.h5mu")
        source = uploaded(client, tmp_path / "bad.h5mu")
        for data in both(client, source):
            assert data.failure is not None
            assert (data.state, data.failure.code) == ("failed", code)
        with refused("upload-not-found"):
            client.upload(source.removeprefix("upload:"))

    @pytest.mark.parametrize(
        ("source", "code"),
        [("example:tiny/rna", "bad-source"), ("/etc/passwd", "bad-source"), ("upload:" + "0" * 32, "upload-not-found")],
    )
    def test_sources_of_pairs_that_cannot_be_read_are_refused_at_once(
        self, client: Client, source: str, code: str
    ) -> None:
        before = len(client.datasets())
        with refused(code):
            client.import_pair(source)
        assert len(client.datasets()) == before

    def test_a_pair_asked_for_twice_is_brought_in_once(self, client: Client, catalog: Path) -> None:
        source = uploaded(client, catalog / "both.h5mu")
        first = client.import_pair(source)
        with suppress(CrossViewError):  # the first may have ended meanwhile, and the file is gone with it
            client.import_pair(source)
        ids = {each.id for each in client.datasets() if each.origin == source}
        assert ids == {data.id for data in first}
        for data in first:
            until(lambda id=data.id: client.dataset(id), lambda view: view.state == "ready")  # type: ignore[misc]

    def test_models_say_whether_they_read_both(self, client: Client) -> None:
        assert client.model(MODEL).joint

    def test_a_finished_view_tells_its_story(self, client: Client, seen: JobView, ids: Ids) -> None:
        job = client.job(seen.id)
        assert (job.kind, job.state, job.cells, job.bundle) == ("joint", "SUCCEEDED", 60, client.model(MODEL).digest)
        assert job in client.jobs()
        again = client.submit(JointSpec(model=MODEL, label="cell_type", umap=False, chunk_cells=25, **ids))
        assert (again.id, again.from_cache) == (seen.id, True)

    def test_the_report_is_strict_json(self, client: Client, seen: JobView) -> None:
        report = client.report(seen.id)
        assert (report["job"], report["cells"], report["kind"]) == (seen.id, 60, "joint")
        assert set(report["structure"]["views"]) == {"joint", "rna", "atac"}
        json.dumps(report, allow_nan=False)

    def test_tables_have_columns_of_one_length(self, client: Client, seen: JobView) -> None:
        cells = client.joint_table(seen.id, "cells")
        assert {len(column) for column in cells.values()} == {60}
        assert {"barcode", "cluster", "cluster_kmeans", "cell_type"} <= set(cells)
        assert not any("umap" in name for name in cells)  # none were asked for
        for name in ("rna-features", "atac-features"):
            assert len({len(column) for column in client.joint_table(seen.id, name).values()}) == 1
        with refused("bad-request"):
            client.joint_table(seen.id, "secrets")

    def test_any_gene_or_peak_is_found_and_imputed_on_demand(self, client: Client, seen: JobView) -> None:
        assert [hit.name for hit in client.joint_search(seen.id, Modality.RNA, "gene00007")] == ["GENE00007"]
        assert len(client.joint_search(seen.id, Modality.ATAC, "chr2:0-12,000")) == 2
        for modality, names in ((Modality.RNA, ["GENE00003"]), (Modality.ATAC, ["chr1:1000-1400", "chr2:1000-1400"])):
            values = client.joint_values(seen.id, modality, features=names)
            assert np.shape(values.predicted) == np.shape(values.truth) == (60, len(names))
            assert np.isfinite(values.predicted).all()
            some = client.joint_values(seen.id, modality, features=names, cells=values.barcodes[3:5])
            np.testing.assert_allclose(some.predicted, np.asarray(values.predicted)[3:5], atol=1e-6)
        with refused("unknown-feature"):
            client.joint_values(seen.id, Modality.RNA, features=["NOTHING"])
        with refused("cells-do-not-match"):
            client.joint_values(seen.id, Modality.RNA, features=["GENE00001"], cells=["nobody"])

    def test_the_embedding_can_be_downloaded(self, client: Client, seen: JobView) -> None:
        assert {"joint.h5ad", "cells.json", "report.json"} <= {each.name for each in client.artifacts(seen.id)}
        found = ad.read_h5ad(client.open_artifact(seen.id, "joint.h5ad"))
        assert found.obsm["X_crossview"].shape == (60, 16)
        assert found.uns["crossview"]["job"] == seen.id

    def test_what_is_asked_of_the_wrong_kind_of_job_is_refused(
        self, client: Client, seen: JobView, near: JobView
    ) -> None:
        with refused("wrong-direction"):
            client.table(seen.id, Direction.RNA_TO_ATAC, "cells")
        with refused("conflict"):
            client.joint_table(near.id, "cells")
        with refused("not-found"):
            client.joint_values("job-0", Modality.RNA, features=["GENE00001"])

    @pytest.mark.parametrize(
        ("changes", "code", "word"),
        [
            ({"label": "donor"}, "bad-setting", "donor"),
            ({"clusters": 61}, "bad-setting", "61 clusters"),
            ({"model": "nothing"}, "unknown-model", "nothing"),
            ({"bundle": "0" * 64}, "conflict", "000000000000"),
        ],
    )
    def test_what_cannot_be_seen_is_refused_with_a_hint(
        self, client: Client, ids: Ids, changes: dict[str, object], code: str, word: str
    ) -> None:
        with refused(code) as caught:
            client.submit(JointSpec.model_validate({"model": MODEL, **ids, **changes}))
        assert word in caught.value.message
        assert caught.value.hint

    def test_the_other_modality_given_twice_is_refused(self, client: Client, ids: Ids) -> None:
        with refused("wrong-modality"):
            client.submit(JointSpec(model=MODEL, rna=ids["rna"], atac=ids["rna"]))

    def test_a_model_of_one_modality_at_a_time_says_so_before_and_after(
        self, client: Client, near: JobView, ids: Ids
    ) -> None:
        assert not client.model(near.made).joint
        asked = JointSpec(model=near.made, umap=False, **ids)
        assert "one-modality" in {issue.code for issue in client.pair_preflight(asked).issues}
        job = ended(client, client.submit(asked))
        assert job.state is JobState.SUCCEEDED, job.failure
        assert any("one modality at a time" in note for note in client.report(job.id)["notes"])


def test_a_view_is_cancelled_tried_again_and_deleted_and_keeps_its_model(
    in_process: Client, over_http: Client, near: JobView, ids: Ids
) -> None:
    job = over_http.submit(JointSpec(model=near.made, umap=False, chunk_cells=1, **ids), fresh=True)
    for client in (in_process, over_http):
        with refused("conflict"):
            client.delete_dataset(ids["rna"])
        with refused("conflict"):
            client.delete_model(near.made)
    over_http.cancel(job.id)
    assert ended(over_http, job).state is JobState.CANCELLED
    again = over_http.retry(job.id)
    over_http.cancel(again.id)
    assert ended(over_http, again).state is JobState.CANCELLED
    over_http.delete_job(job.id)
    for client in (in_process, over_http):
        with refused("not-found"):
            client.job(job.id)
    over_http.delete_model(near.made)
    with refused("unknown-model"):
        in_process.model(near.made)


def test_the_openapi_document_knows_joint_views(over_http: Client) -> None:
    from app.api.application import OPERATIONS
    from app.api.openapi import document

    told = document(OPERATIONS)
    assert {"JointSpec", "PairRequest", "JointValuesRequest"} <= set(told["components"]["schemas"])
    for path in ("/datasets/pair", "/jobs/{id}/joint/tables/{name}", "/jobs/{id}/joint/values"):
        assert f"/api/v1{path}" in told["paths"]
