"""What is kept, for how long, and who did what with it: over a real database and store, in process and over HTTP."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.errors import CrossViewError
from jobs import layout
from jobs.client_http import HttpClient
from jobs.client_local import LocalClient
from jobs.errors import Conflict, NotFound
from jobs.keeping.actor import acting_as
from jobs.keeping.errors import OverQuota
from jobs.service import JobService
from jobs.state import JobState
from storage.errors import StorageError
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table
from storage.tables import models as model_table
from storage.tables.jobs import JobRow
from storage.tables.models import ModelRow
from storage.tables.rows import utcnow
from tests.kept import cells, job, opened, translation
from tests.labs import MODEL, imported, served


@pytest.fixture
def service(tmp_path: Path, catalog: Path) -> Iterator[JobService]:
    made = opened(tmp_path / "home", catalog)
    yield made
    made.close()


def acts(service: JobService) -> list[tuple[str, str, str]]:
    return [(each.act, each.object, each.outcome) for each in service.keeping.audit()][::-1]


class TestDeleting:
    def test_the_receipt_says_what_went_and_covers_itself(self, service: JobService) -> None:
        row = cells(service, "ds-1")
        with acting_as("local", "page"):
            receipt = service.delete_dataset("ds-1")
        document = receipt.document
        assert (receipt.state, document["digest"], document["bytes"], document["name"]) == (
            "gone", row.digest, 5, "patient-7.h5ad",
        )  # fmt: skip
        assert document["objects"] == [{"key": layout.dataset(str(row.digest)), "bytes": 5}]
        assert document["verified"]["empty"] == [layout.dataset(str(row.digest))]
        assert (document["by"], document["via"]) == ("local", "page")
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert receipt.sha256 == hashlib.sha256(text.encode()).hexdigest()
        assert service.store.list() == []
        with pytest.raises(NotFound):
            service.dataset("ds-1")
        assert service.keeping.receipt(receipt.id) == receipt  # kept when the row is gone
        assert service.keeping.audit()[0].detail["sha256"] == receipt.sha256

    def test_the_same_content_of_another_dataset_stays(self, service: JobService) -> None:
        row = cells(service, "ds-1")
        cells(service, "ds-2")
        receipt = service.delete_dataset("ds-1")
        assert receipt.document["kept"] == [{"key": layout.dataset(str(row.digest)), "why": "also ds-2"}]
        assert service.store.exists(layout.dataset(str(row.digest)))
        service.delete_dataset("ds-2")
        assert service.store.list() == []

    def test_cells_a_job_needs_stay_and_the_refusal_is_written_down(self, service: JobService) -> None:
        cells(service, "ds-1")
        job(service, "job-1", "ds-1", state=JobState.RUNNING)
        with pytest.raises(Conflict, match="used by job job-1"):
            service.delete_dataset("ds-1")
        assert ("dataset.delete", "ds-1", "refused") in acts(service)
        assert service.keeping.holding("ds-1").running == ("job-1",)

    def test_what_carries_the_cells_goes_before_them_or_with_them(self, service: JobService) -> None:
        cells(service, "ds-1")
        job(service, "job-1", "ds-1", kind="train")
        model = ModelRow(
            id="mine", name="Mine", digest="d" * 64, translator="knn", job="job-1", datasets=["ds-1"], holds_cells=True
        )
        service.store.put_bytes(layout.bundle("d" * 64) + "weights", b"cells inside")
        service.database.write_now(lambda conn: model_table.put(conn, model))
        assert service.keeping.holding("ds-1").held_by == ("mine", "job-1")
        with pytest.raises(Conflict, match="mine, job-1 hold cells"):
            service.delete_dataset("ds-1")
        receipt = service.delete_dataset("ds-1", cascade=True)
        assert receipt.document["held_cells"] == ["mine", "job-1"]
        assert len(receipt.document["receipts"]) == 2
        assert service.store.list() == []

    def test_a_deletion_that_was_cut_short_is_gone_on_with(self, tmp_path: Path, catalog: Path) -> None:
        service = opened(tmp_path / "home", catalog)
        row = cells(service, "ds-1")
        key = layout.dataset(str(row.digest))
        forget = service.keeping.deleter._forget_dataset("ds-1", [], "asked by a person")
        service.database.write_now(forget)  # and here the process ended
        assert service.store.exists(key)
        service.close()
        again = opened(tmp_path / "home", catalog)
        try:
            assert [each.state for each in again.keeping.receipts()] == ["going"]
            assert again.keeping.deleter.resume() == 1
            assert not again.store.exists(key)
            assert [each.state for each in again.keeping.receipts()] == ["gone"]
            assert again.keeping.verify_audit().whole
        finally:
            again.close()

    def test_what_went_before_the_process_ended_is_on_the_receipt(self, service: JobService) -> None:
        cells(service, "ds-1")
        job(service, "job-1", "ds-1")
        deleter = service.keeping.deleter
        row = service.database.write_now(deleter._forget_job("job-1", "asked by a person"))
        deleter._empty(row, row.document["prefixes"])  # and here the process ended
        assert deleter.resume() == 1
        (receipt,) = service.keeping.receipts()
        assert [each["key"] for each in receipt.document["objects"]] == [layout.output("job-1", 1, "report.json")]

    def test_cells_deleted_between_the_look_and_the_job_refuse_the_job(self, service: JobService) -> None:
        cells(service, "ds-1")
        spec = translation("ds-1")
        row = JobRow(id="job-1", kind="translate", state="QUEUED", spec=spec.model_dump(mode="json"), spec_digest="x")
        admit = service.importer.gate.job(row)
        service.delete_dataset("ds-1")
        with pytest.raises(NotFound, match="deleted meanwhile"):
            service.database.write_now(admit)


class TestClocks:
    def test_a_new_dataset_is_kept_as_long_as_was_said(self, tmp_path: Path, catalog: Path) -> None:
        service = opened(tmp_path / "home", catalog, retention_days=30)
        try:
            row = cells(service, "ds-1")
            assert service.keeping.holding("ds-1").dataset.until == row.created_at + timedelta(days=30)
            assert service.keeping.keep("ds-1", days=None).dataset.until is None
            later = service.keeping.keep("ds-1", days=90).dataset.until
            assert later is not None
            assert later > utcnow() + timedelta(days=89)
            assert acts(service).count(("dataset.keep", "ds-1", "done")) == 2
        finally:
            service.close()

    def test_what_is_over_goes_with_a_receipt_and_what_is_used_stays(self, tmp_path: Path, catalog: Path) -> None:
        service = opened(tmp_path / "home", catalog, retention_days=1, result_days=1)
        try:
            cells(service, "ds-1", b"old")
            cells(service, "ds-2", b"used")
            job(service, "job-1", "ds-2", state=JobState.RUNNING)
            cells(service, "ds-3", b"kept")
            service.keeping.keep("ds-3", days=None)
            job(service, "job-2", "ds-3")
            sweeper = service.keeping.sweeper
            assert sweeper.sweep() == []
            sweeper.now = lambda: utcnow() + timedelta(days=2)
            assert sweeper.sweep() == ["ds-1", "job-2"]
            assert {each.id for each in service.datasets()} == {"ds-2", "ds-3"}
            receipt = next(each for each in service.keeping.receipts() if each.object == "ds-1")
            assert (receipt.document["by"], receipt.document["reason"]) == ("crossview", "its time was over")
            before = len(acts(service))
            assert sweeper.sweep() == []
            assert len(acts(service)) == before  # what stays is not refused anew every minute
        finally:
            service.close()


class TestQuota:
    def test_bytes_are_refused_before_anything_begins(self, tmp_path: Path, catalog: Path) -> None:
        service = opened(tmp_path / "home", catalog, quota_bytes=2_000)
        client = LocalClient(service)
        try:
            cells(service, "ds-1", b"x" * 1_500)
            with pytest.raises(OverQuota, match=r"1.5 KiB of 2.0 KiB are used .*no room for this upload"):
                client.create_upload(name="more.h5ad", size=1_000)
            assert service.uploads.list() == []
            upload = client.create_upload(name="fits.h5ad", size=400)  # announced bytes count from now on
            with pytest.raises(OverQuota):
                client.create_upload(name="both-do-not.h5ad", size=400)
            client.append_upload(upload.id, offset=0, chunks=[b"y" * 400])
            usage = client.keeping.usage()
            assert (usage.bytes, usage.datasets_bytes, usage.uploads_bytes) == (1_900, 1_500, 400)
            service.store.put_bytes("results/x", b"")
            cells(service, "ds-2", b"z" * 100)
            with pytest.raises(OverQuota, match="result of this job"):
                job(service, "job-1", "ds-1")
            with pytest.raises(OverQuota):
                client.import_dataset(str(catalog / MODEL / "example" / "rna.h5ad"))
            assert len(client.datasets()) == 2
            client.delete_dataset("ds-2")
            job(service, "job-1", "ds-1")
        finally:
            service.close()

    def test_the_same_content_counts_once_and_datasets_are_counted(self, tmp_path: Path, catalog: Path) -> None:
        service = opened(tmp_path / "home", catalog, quota_datasets=2)
        try:
            cells(service, "ds-1", b"x" * 100)
            cells(service, "ds-2", b"x" * 100)
            assert service.keeping.usage().bytes == 100
            with pytest.raises(OverQuota, match="2 of 2 datasets"):
                cells(service, "ds-3")
        finally:
            service.close()

    def test_over_http_it_is_a_507_with_the_same_words(self, tmp_path: Path, catalog: Path) -> None:
        from app.api import create_app

        service = opened(tmp_path / "home", catalog, quota_bytes=10)
        try:
            with served(create_app(LocalClient(service))) as address, HttpClient(address) as client:
                with pytest.raises(CrossViewError, check=lambda error: error.code == "over-quota") as caught:
                    client.create_upload(name="more.h5ad", size=1_000)
                assert "Delete what is no longer needed" in caught.value.hint
                import httpx

                answer = httpx.post(f"{address}/api/v1/uploads", json={"name": "a", "size": 11}, trust_env=False)
                assert (answer.status_code, answer.json()["code"]) == (507, "over-quota")
        finally:
            service.close()


class TestAudit:
    def test_every_act_is_there_with_who_and_from_where_and_no_name(self, service: JobService) -> None:
        from app.api import create_app

        cells(service, "ds-1")
        job(service, "job-1", "ds-1", state=JobState.FAILED)
        with served(create_app(LocalClient(service))) as address, HttpClient(address) as client:
            client.retry("job-1")
            client.cancel("job-1")
            client.keeping.keep("ds-1", days=3)
            client.delete_job("job-1")
            client.delete_dataset("ds-1")
            log = client.keeping.audit(limit=100)
            assert client.keeping.audit(object="ds-1")[-1].act == "dataset.import"
            assert client.keeping.audit(since=utcnow() + timedelta(days=1)) == []
            assert client.keeping.verify_audit() == service.keeping.verify_audit()
            assert [each.object for each in client.keeping.receipts()] == ["ds-1", "job-1"]
        assert [each.act for each in log][::-1] == [
            "dataset.import", "job.submit", "job.retry", "job.cancel", "dataset.keep",
            "job.delete", "job.gone", "dataset.delete", "dataset.gone",
        ]  # fmt: skip
        assert {(each.who, each.via) for each in log if each.act == "job.cancel"} == {("local", "api 127.0.0.1")}
        assert "patient" not in json.dumps([each.model_dump(mode="json") for each in log])

    def test_a_model_put_there_without_a_server_is_written_down_once(self, service: JobService, catalog: Path) -> None:
        shutil.copytree(catalog / MODEL, service.settings.home / "models" / "mine")
        for _ in range(2):
            service.keeping.sweeper.sweep()
        assert acts(service) == [("model.add", "mine", "done")]

    def test_a_download_is_written_down(self, service: JobService) -> None:
        cells(service, "ds-1")
        job(service, "job-1", "ds-1")
        LocalClient(service).open_artifact("job-1", "report.json")
        assert acts(service)[-1] == ("result.download", "job-1", "done")

    def test_an_act_that_fails_leaves_no_entry_that_it_was_done(self, service: JobService) -> None:
        cells(service, "ds-1")
        before = acts(service)
        with pytest.raises(StorageError, match="full"):
            service.database.write_now(_half(service))
        assert acts(service) == before

    @pytest.mark.parametrize(
        ("harm", "said"),
        [
            ("update audit set object = 'ds-9' where seq = 2", "entry 2 was changed"),
            ("update audit set moment = moment - interval 1 day where seq = 1", "entry 1 was changed"),
            ("delete from audit where seq = 2", "entry 2 is missing"),
            ("delete from audit where seq >= 3", "entry 3 is not the one that was noted"),
            ("update receipts set document = '{}'", "is not as it was written"),
        ],
    )
    def test_tampering_shows(self, service: JobService, harm: str, said: str) -> None:
        cells(service, "ds-1")
        service.delete_dataset("ds-1")
        head = service.keeping.verify_audit().head
        assert service.keeping.verify_audit(head=head).whole
        service.database.write_now(lambda conn: conn.execute(harm) and None)
        found = service.keeping.verify_audit(head=head)
        assert not found.whole
        assert said in found.message


def _half(service: JobService) -> Any:
    from jobs.keeping.audit import noted

    def fails(conn: Any) -> None:
        dataset_table.mark_deleted(conn, "ds-1")
        job_table.find(conn)
        raise StorageError("The disk is full.")

    return noted("dataset.delete", "ds-1", fails)


def test_damaged_cells_are_named_and_mended_by_bringing_them_again(service: JobService) -> None:
    client = LocalClient(service)
    dataset = imported(client, f"example:{MODEL}/rna")
    key = layout.dataset(str(dataset.digest))
    path = Path(service.settings.store) / key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CrossViewError, match=key, check=lambda error: error.code == "corrupt"):
        client.preflight(model=MODEL, rna=dataset.id)
    imported(client, f"example:{MODEL}/rna")
    assert client.preflight(model=MODEL, rna=dataset.id).verdict != "refused"
