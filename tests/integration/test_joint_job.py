"""A joint view as a job on this machine: its files and scores, taken up again, cancelled."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest

from engine.bundle import load_bundle
from engine.types import Latent, Modality
from jobs import driver, layout
from jobs.driver import run_attempt
from jobs.joint.tasks import embedded_of
from jobs.runners.base import Receipt, Task
from jobs.runners.local import SerialExecutor
from jobs.stages import STAGES
from jobs.work import attempt_of
from tests.forked import ForkedRunner
from tests.h5files import unlike_cellxgene, wrong
from tests.labs import until
from tests.running import JOINT, Ordered, assert_same_joint, built_cells, fit_tiny_model, order_joint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit_tiny_model(tmp_path_factory.mktemp("model") / "m", "crossmp", JOINT)


def run(ordered: Ordered, attempt: int = 1) -> int:
    return run_attempt(ordered.store, ordered.job, attempt, SerialExecutor(ordered.uri))


@pytest.fixture(scope="module")
def finished(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Ordered:
    ordered = order_joint(tmp_path_factory.mktemp("finished"), model, label="cell_type", export=True)
    assert run(ordered) == 0, ordered.events()[-1]
    return ordered


def opened(ordered: Ordered, name: str, tmp_path: Path) -> Any:
    (tmp_path / "file.h5ad").write_bytes(ordered.output(name))
    return ad.read_h5ad(tmp_path / "file.h5ad")


def test_stages_come_in_their_order_and_every_cell_is_counted(finished: Ordered) -> None:
    events = finished.events()
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))
    stages = [event for event in events if event["kind"] == "stage"]
    places = [list(STAGES["joint"]).index(event["stage"]) for event in stages]
    assert places == sorted(places)
    assert {event["total"] for event in stages if event["stage"] == "embed"} == {160}
    assert events[-1]["kind"] == "succeeded"


def test_artifacts_are_what_the_event_says(finished: Ordered) -> None:
    import hashlib

    said = finished.events()[-1]["artifacts"]
    assert {each["name"] for each in said} == {
        "joint.h5ad", "report.json", "cells.json", "imputed-rna.h5ad", "imputed-atac.h5ad", "rna/features.json",
        "atac/features.json", "rna/scores.csv", "atac/scores.csv",
    }  # fmt: skip
    for each in said:
        data = finished.output(each["name"])
        assert (len(data), hashlib.sha256(data).hexdigest()) == (each["bytes"], each["sha256"])


def test_the_file_holds_embedding_clusters_maps_and_provenance(finished: Ordered, tmp_path: Path) -> None:
    found = opened(finished, "joint.h5ad", tmp_path)
    assert found.obsm["X_crossview"].shape == (160, 16)
    assert np.isfinite(found.obsm["X_umap"]).all()
    assert {"X_umap_rna", "X_umap_atac", "X_rna_svd", "X_atac_lsi"} <= set(found.obsm)
    assert {"cluster", "cluster_kmeans", "cell_type", "rna_depth", "atac_depth"} <= set(found.obs)
    assert list(found.obs_names) == list(built_cells().barcodes)
    assert found.obs["cluster_kmeans"].nunique() == found.obs["cell_type"].nunique() == 3
    said = found.uns["crossview"]
    assert (said["bundle"], said["latent_source"], said["label"]) == (finished.spec.bundle, "atac,rna", "cell_type")
    with h5py.File(io.BytesIO(finished.output("joint.h5ad"))) as file:
        assert file["obs/_index"].attrs["encoding-type"] == "string-array"  # as older readers and R know them


def test_its_files_open_in_old_readers_and_in_r(finished: Ordered, tmp_path: Path) -> None:
    for name in ("joint.h5ad", "imputed-rna.h5ad", "imputed-atac.h5ad"):
        path = tmp_path / name
        path.write_bytes(finished.output(name))
        assert (wrong(path), unlike_cellxgene(path)) == ([], []), name


def test_imputed_values_are_what_the_latent_decodes_to(finished: Ordered, model: Path, tmp_path: Path) -> None:
    joint = opened(finished, "joint.h5ad", tmp_path)
    latent = Latent(np.asarray(joint.obsm["X_crossview"]), frozenset(Modality))
    for modality in Modality:
        found = opened(finished, f"imputed-{modality.value}.h5ad", tmp_path)
        wanted = load_bundle(model).translator.decode(latent, modality).values
        np.testing.assert_allclose(found.X, wanted, atol=1e-5)
        assert found.uns["crossview"]["modality"] == modality.value


def test_the_report_holds_scores_with_intervals_and_nulls(finished: Ordered) -> None:
    report = json.loads(finished.output("report.json"))
    views = report["structure"]["views"]
    for view in ("joint", "rna", "atac"):
        score = views[view]["kmeans"]["ari"]
        assert score["interval"][0] <= score["value"] <= score["interval"][1]
        assert abs(score["nulls"]["shuffled"]) < 0.1
    assert views["joint"]["kmeans"]["ari"]["value"] > 0.8  # built cells: a right model must find their kinds
    rna = report["imputation"]["rna"]["scores"]["cell_pearson"]
    assert rna["value"] > max(rna["nulls"].values())
    assert report["embedding"] == {"dimensions": 16, "source": ["atac", "rna"], "decoded_apart": {}}
    assert report["coverage"]["rna"]["share"] == 1.0
    summary = finished.events()[-1]["summary"]
    assert summary["cells"] == 160
    assert summary["ari"]["joint"]["kmeans"] == views["joint"]["kmeans"]["ari"]["value"]


def test_chunks_do_not_show_in_the_result(finished: Ordered, model: Path, tmp_path: Path) -> None:
    other = order_joint(tmp_path, model, label="cell_type", chunk_cells=160, umap=False)
    assert run(other) == 0
    mine, theirs = (embedded_of(attempt_of(o.uri, o.job, 1)) for o in (other, finished))
    np.testing.assert_allclose(mine.whole.joint.values, theirs.whole.joint.values, atol=1e-6)
    np.testing.assert_allclose(mine.half.joint.values, theirs.half.joint.values, atol=1e-6)
    clusters = [json.loads(each.output("cells.json"))["cluster_kmeans"] for each in (other, finished)]
    assert clusters[0] == clusters[1]


def test_a_file_in_another_order_with_other_suffixes_gives_the_same_view(
    finished: Ordered, model: Path, tmp_path: Path
) -> None:
    from engine.intake.canonical import canonicalise
    from engine.types import Cells, as_names
    from tests.builders import write_h5ad

    ordered = order_joint(tmp_path, model, umap=False)
    cells = built_cells().atac.rows(np.random.default_rng(0).permutation(160)[:140])
    renamed = Cells(cells.space, cells.counts, as_names(f"{name}-1" for name in cells.barcodes), cells.obs)
    canonicalise(write_h5ad(renamed, tmp_path / "other.h5ad"), tmp_path / "other.clean.h5ad")
    document = json.loads(ordered.store.get_bytes(layout.order(ordered.job, 1)))
    ordered.store.put_file("datasets/other.h5ad", tmp_path / "other.clean.h5ad")
    document["datasets"]["atac"]["key"] = "datasets/other.h5ad"
    ordered.again(2, datasets=document["datasets"])
    assert run(ordered, 2) == 0
    found = embedded_of(attempt_of(ordered.uri, ordered.job, 2))
    whole = embedded_of(attempt_of(finished.uri, finished.job, 1))
    place = {name: i for i, name in enumerate(whole.barcodes)}
    rows = [place[name] for name in found.barcodes]
    assert len(rows) == 140
    np.testing.assert_allclose(found.whole.joint.values, whole.whole.joint.values[rows], atol=1e-5)
    report = json.loads(ordered.output("report.json", 2))
    assert any("Left out: 20 only in RNA" in note for note in report["notes"])


class Interrupted(SerialExecutor):
    """Stops for good after so many tasks, as a machine that goes away."""

    def __init__(self, uri: str, after: int) -> None:
        super().__init__(uri)
        self.left = after
        self.ran: list[str] = []

    def run(self, tasks: Sequence[Task]) -> Any:
        for receipt in super().run(tasks):
            if not self.left:
                raise driver.Stopped
            self.left -= 1
            self.ran.append(receipt.task.kind)
            yield receipt


def test_finished_parts_are_not_embedded_again(finished: Ordered, model: Path, tmp_path: Path) -> None:
    ordered = order_joint(tmp_path, model, label="cell_type", export=True)
    first = Interrupted(ordered.uri, after=2)
    run_attempt(ordered.store, ordered.job, 1, first)
    assert first.ran == ["embed", "embed"]
    parts = {key: ordered.store.get_bytes(key) for key in ordered.parts()}
    assert len(parts) >= 2
    ordered.again(2)
    seen: list[Receipt] = []

    class Watching(SerialExecutor):
        def run(self, tasks: Sequence[Task]) -> Any:
            for receipt in super().run(tasks):
                seen.append(receipt)
                yield receipt

    assert run_attempt(ordered.store, ordered.job, 2, Watching(ordered.uri)) == 0
    reused = [r.result["reused"] for r in seen if r.task.kind == "embed"]
    assert reused == [True, True, *reused[2:]]
    assert all(ordered.store.get_bytes(key) == data for key, data in parts.items())
    assert_same_joint(finished, ordered, attempt=2)


def test_a_cancel_mark_ends_it_as_cancelled(model: Path, tmp_path: Path) -> None:
    ordered = order_joint(tmp_path, model, chunk_cells=1, umap=False)
    local = ForkedRunner(tmp_path / "runner", workers=1)
    local.submit(submission="job1-1", job="job1", attempt=1, store=ordered.uri)
    until(lambda: any(event["kind"] == "stage" for event in ordered.events()), bool, seconds=150)
    ordered.store.put_once(layout.cancel_mark(ordered.job, 1), b"")
    until(lambda: ordered.events()[-1]["kind"], driver.TERMINAL.__contains__, seconds=150)
    assert ordered.events()[-1]["kind"] == "cancelled"
    local.close()


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"clusters": 161}, "bad-setting", "161 clusters"),
        ({"min_coverage": 1.0}, "feature-mismatch", "genes found"),
    ],
)
def test_what_cannot_be_done_fails_with_its_own_code(
    model: Path, tmp_path: Path, changes: dict[str, Any], code: str, said: str
) -> None:
    ordered = order_joint(tmp_path, model, umap=False, **changes)
    if code == "feature-mismatch":
        _rename_genes(ordered, tmp_path)
    assert run(ordered) == driver.FAILED
    failure = ordered.events()[-1]["failure"]
    assert failure["code"] == code
    assert said in failure["message"]
    assert failure["hint"]


def _rename_genes(ordered: Ordered, folder: Path) -> None:
    """One gene the model does not know, where it asks for all of its own."""
    from engine.intake.canonical import canonicalise
    from engine.types import Cells, FeatureSpace, as_names
    from tests.builders import write_h5ad

    rna = built_cells().rna
    names = as_names(["NOBODY", *rna.space.names[1:]])
    other = Cells(FeatureSpace(Modality.RNA, names, "hg38"), rna.counts, rna.barcodes, rna.obs)
    canonicalise(write_h5ad(other, folder / "named.h5ad"), folder / "named.clean.h5ad")
    key = json.loads(ordered.store.get_bytes(layout.order(ordered.job, 1)))["datasets"]["rna"]["key"]
    ordered.store.put_file(key, folder / "named.clean.h5ad")
