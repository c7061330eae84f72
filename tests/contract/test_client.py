"""One contract, two clients: in process and over HTTP say the same of the same lab."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest

from engine.analysis.embeddings import EXTRA
from engine.errors import CrossViewError
from engine.types import Direction, Modality
from jobs import layout
from jobs.bootstrap import build_service
from jobs.cli import main
from jobs.client import Client
from jobs.client_http import HttpClient
from jobs.client_local import LocalClient
from jobs.keeping.restore import restore
from jobs.spec import TranslateSpec
from jobs.state import JobState
from jobs.views import JobView
from tests.forked import ForkedRunner
from tests.frozen import frozen_readers
from tests.labs import MODEL, ended, imported, lab_settings, refused, until

BOTH = (Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA)


@pytest.fixture(scope="module")
def rna(in_process: Client) -> str:
    return imported(in_process, f"example:{MODEL}/rna").id


@pytest.fixture(scope="module")
def atac(in_process: Client) -> str:
    return imported(in_process, f"example:{MODEL}/atac").id


@pytest.fixture(scope="module")
def finished(in_process: Client, rna: str, atac: str) -> JobView:
    spec = TranslateSpec(model=MODEL, rna=rna, atac=atac, directions=BOTH, chunk_cells=10, umap=False)
    job = ended(in_process, in_process.submit(spec, title="Both ways"))
    assert job.state is JobState.SUCCEEDED, job.failure
    return job


def missing(client: Client, upload: str) -> bool:
    try:
        client.upload(upload)
    except CrossViewError as error:
        return error.code == "upload-not-found"
    return False


class TestClient:
    def test_it_is_healthy_and_names_its_version(self, client: Client) -> None:
        health = client.health()
        assert (health.runner, health.runner_alive) == ("local", True)
        assert health.version
        assert health.lacking == tuple(name for name in EXTRA if find_spec(EXTRA[name]) is None)

    def test_models_carry_their_card_and_example(self, client: Client) -> None:
        (model,) = client.models()
        assert model == client.model(MODEL)
        assert (model.id, model.example_cells, model.spaces) == (MODEL, 24, {"rna": 60, "atac": 90})
        assert model.card.startswith("# Tiny")

    def test_an_upload_in_slices_becomes_a_dataset(self, client: Client, catalog: Path) -> None:
        data = (catalog / MODEL / "example" / "rna.h5ad").read_bytes()
        upload = client.create_upload(name="mine.h5ad", size=len(data))
        half = len(data) // 2
        first = client.append_upload(upload.id, offset=0, chunks=[data[:100], data[100:half]])
        assert first.received == half
        slice_digest = hashlib.sha256(data[half:]).hexdigest()
        client.append_upload(upload.id, offset=half, chunks=[data[half:]], sha256=slice_digest)
        done = client.finish_upload(upload.id, sha256=hashlib.sha256(data).hexdigest())
        assert done.finished
        dataset = imported(client, f"upload:{upload.id}")
        assert (dataset.state, dataset.cells, dataset.modality, dataset.name) == (
            "ready", 24, Modality.RNA, "mine.h5ad",
        )  # fmt: skip
        until(lambda: missing(client, upload.id), bool)  # the clean copy is the only one kept
        client.delete_dataset(dataset.id)
        with refused("not-found"):
            client.dataset(dataset.id)

    def test_an_upload_asked_for_twice_is_imported_once(self, client: Client) -> None:
        upload = client.create_upload(name="twice.h5ad")
        client.append_upload(upload.id, offset=0, chunks=[b"nothing of use"])
        client.finish_upload(upload.id)
        first = client.import_dataset(f"upload:{upload.id}")
        with suppress(CrossViewError):  # the first may have ended meanwhile, and the file is gone with it
            client.import_dataset(f"upload:{upload.id}")
        assert [each.id for each in client.datasets() if each.origin == first.origin] == [first.id]

    def test_an_import_is_stopped_once_and_for_good(self, client: Client, atac: str) -> None:
        with pytest.MonkeyPatch.context() as patch, frozen_readers(patch) as (pids, begun):
            id = client.import_dataset(f"example:{MODEL}/rna").id
            assert begun.wait(30)
            stopped = client.cancel_dataset(id)
        assert (stopped.state, stopped.stage, stopped.failure) == ("cancelled", "", None)
        assert not psutil.pid_exists(pids[0])
        assert client.cancel_dataset(id) == client.dataset(id) == stopped
        client.delete_dataset(id)
        with refused("not-found"):
            client.cancel_dataset(id)
        with refused("conflict"):
            client.cancel_dataset(atac)

    def test_a_damaged_slice_is_refused_and_can_be_sent_again(self, client: Client) -> None:
        upload = client.create_upload(name="mine.h5ad")
        with refused("checksum-mismatch"):
            client.append_upload(upload.id, offset=0, chunks=[b"altered"], sha256="0" * 64)
        assert client.upload(upload.id).received == 0
        assert client.append_upload(upload.id, offset=0, chunks=[b"whole"]).received == 5

    def test_a_slip_in_the_checksum_does_not_cost_the_upload(self, client: Client) -> None:
        with refused("bad-request"):
            client.create_upload(name="mine.h5ad", size=-1)
        upload = client.create_upload(name="mine.h5ad")
        client.append_upload(upload.id, offset=0, chunks=[b"whole"])
        with refused("bad-request"):
            client.finish_upload(upload.id, sha256="sha256:abc")
        assert client.finish_upload(upload.id).received == 5

    def test_a_slice_at_the_wrong_place_is_refused(self, client: Client) -> None:
        upload = client.create_upload(name="mine.h5ad")
        with refused("offset-mismatch"):
            client.append_upload(upload.id, offset=7, chunks=[b"late"])

    def test_a_file_that_is_not_hdf5_fails_its_import_alone(self, client: Client) -> None:
        upload = client.create_upload(name="notes.h5ad")
        client.append_upload(upload.id, offset=0, chunks=[b"not a matrix" * 100])
        client.finish_upload(upload.id)
        dataset = imported(client, f"upload:{upload.id}")
        assert dataset.state == "failed"
        assert dataset.failure is not None
        assert dataset.failure.code == "not-hdf5"
        with refused("not-hdf5"):
            client.preflight(model=MODEL, rna=dataset.id)

    @pytest.mark.parametrize(
        ("source", "code"),
        [
            ("/etc/passwd", "bad-source"),
            ("example:tiny/protein", "bad-source"),
            ("example:nothing/rna", "unknown-model"),
            ("ftp://example.org/x.h5ad", "bad-source"),
            ("https://[::1/x.h5ad", "bad-uri"),
            ("http://example.org/x.h5ad", "source-not-allowed"),
            ("https://me:secret@example.org/x.h5ad", "bad-uri"),
            ("https://drive.google.com/drive/folders/1AbCdEfGhIjKl", "bad-uri"),
            ("s3://Bucket/x.h5ad", "bad-uri"),
            ("/etc/\0passwd", "bad-source"),
            ("", "bad-source"),
            ("upload:" + "0" * 32, "upload-not-found"),
        ],
    )
    def test_sources_that_cannot_be_read_are_refused_at_once(self, client: Client, source: str, code: str) -> None:
        before = len(client.datasets())
        with refused(code):
            client.import_dataset(source)
        assert len(client.datasets()) == before

    def test_what_cannot_be_looked_at_from_afar_is_refused(self, client: Client) -> None:
        for source, code in (("/etc/passwd", "bad-source"), ("https://127.0.0.1/x", "source-not-allowed")):
            with refused(code):
                client.glance(source)
        with refused("unknown-model"):
            client.glance("https://127.0.0.1/x", model="nothing")

    def test_a_file_under_an_opened_folder_can_be_imported(self, client: Client, catalog: Path) -> None:
        dataset = imported(client, str(catalog / MODEL / "example" / "atac.h5ad"))
        assert (dataset.state, dataset.modality, dataset.features) == ("ready", Modality.ATAC, 90)

    def test_preflight_says_what_can_be_run_and_scored(self, client: Client, rna: str, atac: str) -> None:
        both = client.preflight(model=MODEL, rna=rna, atac=atac)
        assert (set(both.directions), set(both.truth), both.cells, both.paired_cells) == (set(BOTH), set(BOTH), 24, 24)
        assert both.verdict != "refused"
        assert both.seconds is not None
        one = client.preflight(model=MODEL, rna=rna)
        assert (one.directions, one.truth) == ((Direction.RNA_TO_ATAC,), ())

    def test_cells_given_as_the_other_modality_are_refused(self, client: Client, rna: str) -> None:
        spec = TranslateSpec(model=MODEL, atac=rna, directions=(Direction.ATAC_TO_RNA,))
        with refused("wrong-modality"):
            client.submit(spec)

    def test_what_does_not_exist_is_not_found(self, client: Client, rna: str) -> None:
        for ask in (client.job, client.events, client.logs, client.cancel, client.retry, client.report):
            with refused("not-found"):
                ask("job-0")
        with refused("unknown-model"):
            client.submit(TranslateSpec(model="nothing", rna=rna, directions=(Direction.RNA_TO_ATAC,)))
        with refused("not-found"):
            client.dataset("ds-0")

    def test_a_finished_job_tells_its_story(self, client: Client, finished: JobView) -> None:
        job = client.job(finished.id)
        assert job == finished
        assert (job.state, job.attempt, job.cells, job.title) == (JobState.SUCCEEDED, 1, 24, "Both ways")
        assert set(job.truth) == set(BOTH)
        assert job in client.jobs()
        moves = [event.to_state for event in client.events(job.id) if event.to_state]
        assert moves == [JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING, JobState.SUCCEEDED]
        later = client.events(job.id, after=2)
        assert [event.seq for event in later] == [event.seq for event in client.events(job.id)][2:]

    def test_a_success_is_not_run_again(self, client: Client, finished: JobView) -> None:
        for ask in (client.cancel, client.retry):
            with refused("conflict"):
                ask(finished.id)

    def test_the_same_question_gets_the_same_job(self, client: Client, finished: JobView, rna: str, atac: str) -> None:
        spec = TranslateSpec(model=MODEL, rna=rna, atac=atac, directions=BOTH, chunk_cells=10, umap=False)
        again = client.submit(spec)
        assert (again.id, again.from_cache) == (finished.id, True)

    def test_the_report_is_strict_json_with_both_directions(self, client: Client, finished: JobView) -> None:
        report = client.report(finished.id)
        assert set(report["directions"]) == {"rna-to-atac", "atac-to-rna"}
        assert report["job"] == finished.id
        json.dumps(report, allow_nan=False)

    def test_tables_have_columns_of_one_length(self, client: Client, finished: JobView) -> None:
        for direction in BOTH:
            cells = client.table(finished.id, direction, "cells")
            assert {len(column) for column in cells.values()} == {24}
            features = client.table(finished.id, direction, "features")
            assert len({len(column) for column in features.values()}) == 1
        with refused("bad-request"):
            client.table(finished.id, BOTH[0], "secrets")

    def test_genes_are_found_by_name(self, client: Client, finished: JobView) -> None:
        hits = client.search(finished.id, Direction.ATAC_TO_RNA, "gene00007")
        assert [hit.name for hit in hits] == ["GENE00007"]
        assert len(client.search(finished.id, Direction.ATAC_TO_RNA, "GENE", limit=5)) == 5
        assert client.search(finished.id, Direction.ATAC_TO_RNA, "NOTHING") == []

    def test_peaks_are_found_by_region_by_name_and_near_a_gene(self, client: Client, finished: JobView) -> None:
        direction = Direction.RNA_TO_ATAC
        hits = client.search(finished.id, direction, "chr2:0-12,000")
        assert [hit.name for hit in hits] == ["chr2:1000-1400", "chr2:11000-11400"]
        assert [hit.name for hit in client.search(finished.id, direction, "chr2:1000-1400")] == ["chr2:1000-1400"]
        near = client.search(finished.id, direction, "OR4F5")
        assert near
        assert all(hit.name.startswith("chr1:") and "TSS of OR4F5" in hit.note for hit in near)

    def test_values_are_predicted_and_measured_on_one_scale(self, client: Client, finished: JobView) -> None:
        for direction, names in ((BOTH[0], ["chr1:1000-1400", "chr2:1000-1400"]), (BOTH[1], ["GENE00003"])):
            values = client.values(finished.id, direction, features=names)
            assert (values.features, values.modality, len(values.barcodes)) == (tuple(names), direction.target, 24)
            assert np.shape(values.predicted) == np.shape(values.truth) == (24, len(names))
            assert np.isfinite(values.predicted).all()
            some = client.values(finished.id, direction, features=names, cells=values.barcodes[3:5])
            assert some.barcodes == values.barcodes[3:5]
            assert some.predicted is not None
            assert values.predicted is not None
            np.testing.assert_allclose(some.predicted, values.predicted[3:5], atol=1e-6)

    def test_the_measured_input_can_be_looked_at_too(self, client: Client, finished: JobView) -> None:
        values = client.values(
            finished.id, Direction.RNA_TO_ATAC, features=["GENE00001", "GENE00002"], modality=Modality.RNA
        )
        assert values.predicted is None
        assert np.shape(values.truth) == (24, 2)

    @pytest.mark.parametrize("direction", BOTH)
    def test_two_groups_of_cells_are_told_apart_as_their_values_say(
        self, client: Client, finished: JobView, direction: Direction
    ) -> None:
        cells = client.table(finished.id, direction, "cells")["barcode"]
        a, b = cells[:7], cells[10:]
        found = client.exploring.compare(finished.id, direction, a=a, b=b, limit=5)
        assert (len(found.features), found.cells, found.of, found.tested) == (
            5, (7, 14), (7, 14), 90 if direction is BOTH[0] else 60,
        )  # fmt: skip
        sizes = np.abs(found.difference)
        assert (np.diff(sizes) <= 0).all()
        values = [client.values(finished.id, direction, features=found.features, cells=group) for group in (a, b)]
        predicted, measured = ([np.mean(getattr(v, what), axis=0) for v in values] for what in ("predicted", "truth"))
        np.testing.assert_allclose(found.predicted_a, predicted[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.difference, predicted[0] - predicted[1], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(found.measured_a, measured[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.measured_b, measured[1], rtol=1e-4, atol=1e-6)
        everything = client.exploring.compare(finished.id, direction, a=a, b=b)
        assert everything.features[:5] == found.features
        assert everything.measured_a is not None
        assert everything.measured_b is not None
        apart = np.subtract(everything.measured_a, everything.measured_b)
        assert found.agreement == pytest.approx(np.corrcoef(everything.difference, apart)[0, 1], abs=1e-3)

    def test_groups_that_cannot_be_compared_are_refused(self, client: Client, finished: JobView) -> None:
        cells = client.table(finished.id, BOTH[0], "cells")["barcode"]
        for a, b in ((cells[:2], cells[5:]), (cells[:6], cells[5:]), (cells[:6], [])):
            with refused("bad-request"):
                client.exploring.compare(finished.id, BOTH[0], a=a, b=b)
        with refused("cells-do-not-match"):
            client.exploring.compare(finished.id, BOTH[0], a=["x", "y", "z"], b=cells[5:])

    def test_a_stretch_of_the_genome_is_the_mean_of_its_cells(self, client: Client, finished: JobView) -> None:
        view = client.exploring.genome(finished.id, BOTH[0], "chr2:0-25,000", label="cell_type")
        assert view.peaks == ("chr2:1000-1400", "chr2:11000-11400", "chr2:21000-21400")
        cells = client.table(finished.id, BOTH[0], "cells")
        assert set(view.groups) == set(cells["cell_type"])
        kind = view.groups[0]
        own = [cell for cell, name in zip(cells["barcode"], cells["cell_type"], strict=True) if name == kind]
        values = client.values(finished.id, BOTH[0], features=view.peaks, cells=own)
        assert values.predicted is not None
        assert values.truth is not None
        np.testing.assert_allclose(view.coverage["imputed"][kind], np.mean(values.predicted, axis=0), atol=1e-4)
        np.testing.assert_allclose(view.coverage["raw"][kind], np.mean(values.truth, axis=0), atol=1e-4)
        back = client.exploring.genome(finished.id, BOTH[1], "chr2:0-25,000")
        assert set(back.coverage) == {"raw"}  # peaks are what it started from
        with refused("bad-request"):
            client.exploring.genome(finished.id, BOTH[0], "chr2:0-25,000", label="no such column")
        with refused("not-found"):
            client.exploring.genome(finished.id, BOTH[0], "NOSUCHGENE")

    def test_unknown_features_and_cells_are_refused(self, client: Client, finished: JobView) -> None:
        with refused("unknown-feature"):
            client.values(finished.id, Direction.ATAC_TO_RNA, features=["NOTHING"])
        with refused("cells-do-not-match"):
            client.values(finished.id, Direction.ATAC_TO_RNA, features=["GENE00001"], cells=["nobody"])

    def test_files_are_what_their_checksums_say(self, client: Client, finished: JobView) -> None:
        files = {each.name: each for each in client.artifacts(finished.id)}
        assert {"report.json", "rna-to-atac/latent.h5ad", "atac-to-rna/scores.csv"} <= set(files)
        for name, each in files.items():
            data = client.open_artifact(finished.id, name).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (each.bytes, each.sha256)
        with refused("not-found"):
            client.open_artifact(finished.id, "../../crossview.duckdb")

    def test_what_is_kept_is_said_and_its_clock_can_be_set(self, client: Client, finished: JobView, rna: str) -> None:
        usage = client.keeping.usage()
        assert usage.bytes == usage.datasets_bytes + usage.results_bytes + usage.uploads_bytes
        assert usage.results_bytes >= sum(file.bytes for file in client.artifacts(finished.id))
        holding = next(each for each in client.keeping.holdings() if each.dataset.id == rna)
        assert finished.id in holding.used_by
        until = client.keeping.keep(rna, days=10).dataset.until
        assert until is not None
        assert client.dataset(rna).until == until
        assert client.keeping.keep(rna, days=None).dataset.until is None
        for days in (0, 10**6):
            with refused("bad-request"):
                client.keeping.keep(rna, days=days)
        with refused("not-found"):
            client.keeping.receipt("receipt-0")
        assert client.keeping.verify_audit().whole

    def test_a_backup_restored_elsewhere_answers_the_same(
        self, client: Client, finished: JobView, catalog: Path, tmp_path: Path
    ) -> None:
        backup = client.keeping.backup(tmp_path / "all.tar")
        assert (backup.missing, backup.damaged) == ((), ())
        restore(tmp_path / "all.tar", tmp_path / "new")
        service = build_service(
            lab_settings(tmp_path / "new", catalog), runner=ForkedRunner(tmp_path / "runner", workers=1)
        )
        try:
            there = LocalClient(service)
            assert there.job(finished.id) == client.job(finished.id)
            assert there.datasets() == client.datasets()
            assert there.report(finished.id) == client.report(finished.id)
            features = tuple(client.table(finished.id, BOTH[0], "features")["name"][:3])
            ours, theirs = (each.values(finished.id, BOTH[0], features=features) for each in (client, there))
            assert ours == theirs
            for file in client.artifacts(finished.id):
                assert there.open_artifact(finished.id, file.name).stat().st_size == file.bytes
        finally:
            service.close()

    def test_a_job_can_be_cancelled_tried_again_and_deleted(self, client: Client, rna: str) -> None:
        spec = TranslateSpec(model=MODEL, rna=rna, directions=(Direction.RNA_TO_ATAC,), chunk_cells=1, umap=False)
        job = client.submit(spec, fresh=True)
        with refused("not-ready"):
            client.report(job.id)
        with refused("not-ready"):
            client.capsule(job.id)
        assert client.provenance(job.id).files == ()
        with refused("conflict"):
            client.delete_job(job.id)
        with refused("conflict"):
            client.delete_dataset(rna)
        client.cancel(job.id)
        stopped = ended(client, job)
        assert stopped.state is JobState.CANCELLED
        with refused("conflict"):
            client.cancel(job.id)
        again = client.retry(job.id)
        assert again.attempt == 2
        client.cancel(job.id)
        assert ended(client, again).state is JobState.CANCELLED
        client.delete_job(job.id)
        with refused("not-found"):
            client.job(job.id)

    def test_what_a_job_took_is_kept_by_stage(self, client: Client, finished: JobView) -> None:
        took = client.resources(finished.id)
        assert (took.attempt, took.attempts, took.gpu_name) == (1, (1,), "")
        assert {"prepare", "translate", "score", "publish"} <= {use.stage for use in took.stages}
        assert len(took.memory) == len(took.cores) == len(took.stage)
        assert took.peak > 50e6
        assert took.cpu_s > 0
        assert took.expected is not None
        assert client.resources(finished.id, attempt=1) == took
        with refused("not-found"):
            client.resources(finished.id, attempt=2)
        with refused("not-found"):
            client.resources("job-000000000000")

    def test_a_result_says_where_it_came_from(self, client: Client, finished: JobView) -> None:
        said = client.provenance(finished.id)
        assert said.inputs["rna"].digest == client.dataset(str(finished.spec["rna"])).digest
        assert said.model is not None
        assert said.model.digest == finished.bundle
        assert [(f.name, f.sha256) for f in said.files] == [(a.name, a.sha256) for a in client.artifacts(finished.id)]

    def test_a_map_that_was_not_drawn_is_said(self, client: Client, finished: JobView) -> None:
        with refused("not-found"):
            client.binned(finished.id, Direction.ATAC_TO_RNA, "GENE00003")
        with refused("bad-request"):
            client.binned(finished.id, Direction.ATAC_TO_RNA, "GENE00003", map="moon")

    def test_a_capsule_is_the_same_every_time(self, client: Client, finished: JobView) -> None:
        first = client.capsule(finished.id)
        assert first == client.capsule(finished.id)
        assert first.startswith(b"PK")
        with refused("not-found"):
            client.capsule("job-000000000000")

    def test_what_ended_is_in_the_inbox_until_it_is_read_or_deleted(self, client: Client, finished: JobView) -> None:
        told = {each.subject: each for each in client.list_notifications(limit=1_000).notifications}
        job = told[finished.id]
        assert (job.event, job.headline, job.title) == ("job.succeeded", "Translation succeeded", "Both ways")
        upload = client.create_upload(name="notes.h5ad")
        client.append_upload(upload.id, offset=0, chunks=[b"not a matrix" * 100])
        client.finish_upload(upload.id)
        dataset = imported(client, f"upload:{upload.id}")
        inbox = client.list_notifications(limit=1, unread_only=True)
        (its,) = inbox.notifications
        assert (its.event, its.subject, its.title, its.read) == ("import.failed", dataset.id, "notes.h5ad", False)
        assert its.failure is not None
        assert its.failure.code == "not-hdf5"
        assert client.mark_read(ids=[its.id]) == inbox.unread - 1
        assert client.mark_read(through=its.id) == client.mark_read(subject=finished.id) == 0
        assert client.list_notifications(unread_only=True).notifications == ()
        with refused("bad-request"):
            client.mark_read()
        client.delete_dataset(dataset.id)
        assert dataset.id not in {each.subject for each in client.list_notifications().notifications}

    def test_the_example_runs_both_ways_with_truth(self, client: Client) -> None:
        job = client.submit_example()
        assert set(job.truth) == set(BOTH)
        assert job.title == "Example: Built cells of three types"
        client.cancel(job.id)
        assert ended(client, job).state in {JobState.CANCELLED, JobState.SUCCEEDED}


def test_the_command_line_reads_the_inbox(
    over_http: HttpClient, finished: JobView, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSVIEW_API_URL", over_http._base)
    assert main(["jobs", "inbox", "--read"]) == 0
    assert f"Translation succeeded: Both ways  ({finished.id})" in capsys.readouterr().out
    assert main(["jobs", "inbox", "--unread", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"notifications": [], "unread": 0}


def test_the_command_line_says_what_a_job_took(
    over_http: HttpClient, finished: JobView, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSVIEW_API_URL", over_http._base)
    assert main(["jobs", "show", finished.id, "--resources"]) == 0
    said = capsys.readouterr().out
    assert "translate" in said
    assert "were estimated" in said
    assert "No GPU was used." in said


def test_the_command_line_packs_a_job(
    over_http: HttpClient, finished: JobView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSVIEW_API_URL", over_http._base)
    assert main(["capsule", "create", finished.id, "--out", str(tmp_path / "it.zip")]) == 0
    assert (tmp_path / "it.zip").read_bytes() == over_http.capsule(finished.id)


def test_a_deleted_job_leaves_nothing_of_what_it_took(in_process: Client, rna: str) -> None:
    spec = TranslateSpec(model=MODEL, rna=rna, directions=(Direction.RNA_TO_ATAC,), umap=False, seed=5)
    job = ended(in_process, in_process.submit(spec))
    assert isinstance(in_process, LocalClient)
    store = in_process._service.store
    assert store.list(layout.resources(job.id, 1))
    in_process.delete_job(job.id)
    assert store.list(layout.job_prefix(job.id)) == []
