"""All of it in one file and back: while others write, and refused by name when a byte is not as it was."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import layout
from jobs.bootstrap import build_service
from jobs.cli import main
from jobs.client_http import HttpClient
from jobs.client_local import LocalClient
from jobs.errors import Conflict
from jobs.keeping.archive import Archive
from jobs.keeping.audit import entry
from jobs.keeping.errors import BadBackup, NotEmpty
from jobs.keeping.restore import restore
from jobs.service import JobService
from jobs.settings import Settings
from storage import dump
from storage.tables import jobs as job_table
from tests.forked import ForkedRunner
from tests.kept import cells, job, opened
from tests.labs import lab_settings, served, until


@pytest.fixture
def service(tmp_path: Path, catalog: Path) -> Iterator[JobService]:
    """Three datasets, a deletion, two jobs with results."""
    made = opened(tmp_path / "home", catalog)
    for n in range(3):
        cells(made, f"ds-{n}", f"cells {n} µ".encode() * 1000)
    job(made, "job-1", "ds-1")
    job(made, "job-2", "ds-2")
    made.delete_dataset("ds-0")
    yield made
    made.close()


@pytest.fixture
def backup(service: JobService, tmp_path: Path) -> Path:
    LocalClient(service).keeping.backup(tmp_path / "all.tar")
    return tmp_path / "all.tar"


def everything(service: JobService) -> dict[str, list[bytes]]:
    """Every row of every table, as text."""
    with service.database.read() as conn:
        return {table: b"".join(dump.lines(conn, table)).splitlines() for table in dump.tables(conn)}


def reopened(home: Path, catalog: Path) -> JobService:
    return build_service(lab_settings(home, catalog), runner=ForkedRunner(home / "runner", workers=1))


def test_a_backup_made_while_others_write_is_one_moment_of_it_all(
    service: JobService, catalog: Path, tmp_path: Path
) -> None:
    stop, written = threading.Event(), threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            text = f"line {n}"
            service.database.write_now(
                lambda conn, said=text: job_table.add_event(
                    conn, job="job-1", attempt=1, kind="log", detail={"l": said}
                )
            )
            service.database.write_now(entry("test.write", "job-1"))
            written.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert written.wait(30)
        stream = service.keeping.backup()
        with (tmp_path / "all.tar").open("wb") as file:
            file.write(next(stream))
            with pytest.raises(Conflict, match="backup is being made"):
                service.delete_dataset("ds-1")
            with pytest.raises(Conflict, match="already"):
                service.keeping.backup()
            file.writelines(stream)
    finally:
        stop.set()
        thread.join()
    view = restore(tmp_path / "all.tar", tmp_path / "new")
    assert (view.missing, view.damaged) == ((), ())
    service.delete_dataset(cells(service, "ds-9").id)  # and afterwards things go again
    restored = reopened(tmp_path / "new", catalog)
    try:
        ours, theirs = LocalClient(service), LocalClient(restored)
        assert theirs.datasets() == ours.datasets()
        assert theirs.jobs() == ours.jobs()
        for id in ("job-1", "job-2"):
            name = theirs.artifacts(id)[0].name
            assert theirs.open_artifact(id, name).read_bytes() == ours.open_artifact(id, name).read_bytes()
        for each in theirs.datasets():
            key = layout.dataset(str(each.digest))
            assert restored.store.get_bytes(key) == service.store.get_bytes(key)
        assert theirs.keeping.verify_audit().whole
        before, after = service.database, restored.database
        with before.read() as conn, after.read() as other:
            lines = [event.detail for event in job_table.events(other, "job-1")]
            assert lines
            assert lines == [event.detail for event in job_table.events(conn, "job-1")][: len(lines)]
        assert "admin.restore" in [each.act for each in theirs.keeping.audit(limit=5)]
    finally:
        restored.close()


def test_a_restore_is_what_was_backed_up_row_for_row(
    service: JobService, backup: Path, catalog: Path, tmp_path: Path
) -> None:
    restore(backup, tmp_path / "new")
    restored = reopened(tmp_path / "new", catalog)
    try:
        theirs, ours = everything(restored), everything(service)
        added = theirs["audit"].pop()
        assert b"admin.restore" in added
        assert theirs == ours
        assert sorted(restored.store.list()) == sorted(service.store.list())
    finally:
        restored.close()


@pytest.mark.parametrize("member", ["objects/results/job-1/1/out/report.json", "tables/jobs.jsonl", "manifest.json"])
def test_a_flipped_byte_is_refused_by_name_and_leaves_nothing(
    service: JobService, backup: Path, tmp_path: Path, member: str
) -> None:
    with Archive.open(backup) as archive:
        place = archive.tar.getmember(member)
    data = bytearray(backup.read_bytes())
    data[place.offset_data + place.size // 2] ^= 1
    backup.write_bytes(data)
    with pytest.raises(BadBackup, match=member.replace(".", r"\.")):
        restore(backup, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".restoring")]


def test_a_backup_that_is_cut_short_is_refused(service: JobService, backup: Path, tmp_path: Path) -> None:
    data = backup.read_bytes()
    for end in (0, 700, len(data) // 2, len(data) - 4096):
        backup.write_bytes(data[:end])
        with pytest.raises(BadBackup):
            restore(backup, tmp_path / "new")


def test_a_client_that_goes_away_in_the_middle_stops_the_backup(service: JobService) -> None:
    from app.api import create_app

    cells(service, "ds-large", bytes(24_000_000))  # more than the sockets between them hold
    with served(create_app(LocalClient(service))) as address, HttpClient(address) as client:
        stream = client.keeping.stream()
        next(stream)
        assert service.keeping.deleter.pause.is_set()
        stream.close()
        until(lambda: service.keeping.deleter.pause.is_set(), lambda held: not held)
    service.delete_dataset("ds-large")


def test_nothing_is_overwritten(service: JobService, backup: Path, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="there already"):
        LocalClient(service).keeping.backup(backup)
    with pytest.raises(NotEmpty, match="is not empty"):
        restore(backup, service.settings.home)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "object").write_bytes(b"x")
    with pytest.raises(NotEmpty, match="holds objects"):
        restore(backup, tmp_path / "new", store=str(tmp_path / "full"))
    assert not (tmp_path / "new").exists()


def test_what_the_store_lacks_or_has_otherwise_is_said(service: JobService, tmp_path: Path) -> None:
    lacking = layout.output("job-1", 1, "report.json")
    other = layout.output("job-2", 1, "report.json")
    service.store.delete(lacking)
    service.store.put_bytes(other, b"something else")
    view = LocalClient(service).keeping.backup(tmp_path / "all.tar")
    assert (view.missing, view.damaged) == ((lacking,), (other,))
    assert restore(tmp_path / "all.tar", tmp_path / "new").missing == (lacking,)


def test_the_command_reaches_a_running_server_and_works_without_one(
    service: JobService,
    tmp_path: Path,
    catalog: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from app.api import create_app

    monkeypatch.setenv("CROSSVIEW_HOME", str(service.settings.home))
    monkeypatch.setenv("CROSSVIEW_RUNNER", "local")
    monkeypatch.setenv("CROSSVIEW_PRETRAINED", str(catalog))
    with served(create_app(LocalClient(service))) as address:
        monkeypatch.setenv("CROSSVIEW_PORT", address.rpartition(":")[2])
        with HttpClient(address) as client:
            assert client.keeping.usage() == service.keeping.usage()
        assert main(["admin", "backup", str(tmp_path / "served.tar"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["missing"] == []
        assert service.keeping.audit()[0].via == "api 127.0.0.1"
    service.close()
    assert main(["admin", "backup", str(tmp_path / "alone.tar")]) == 0
    assert "objects" in capsys.readouterr().out
    assert main(["admin", "quota"]) == 0
    assert "2 datasets, 2 jobs" in capsys.readouterr().out
    assert main(["admin", "audit", "--object", "ds-0"]) == 0
    assert "dataset.delete" in capsys.readouterr().out
    assert main(["admin", "audit", "--verify", "--json"]) == 0
    head = json.loads(capsys.readouterr().out)["head"]
    assert main(["admin", "audit", "--head", head[:-1] + ("0" if head[-1] != "0" else "1")]) == 2
    assert main(["admin", "users"]) == 0
    for name in ("served", "alone"):
        assert main(["admin", "restore", str(tmp_path / f"{name}.tar"), "--home", str(tmp_path / name)]) == 0
        assert Settings.from_env({"CROSSVIEW_HOME": str(tmp_path / name)}).database.is_file()
    assert main(["admin", "restore", str(tmp_path / "alone.tar"), "--home", str(tmp_path / "alone")]) == 2
