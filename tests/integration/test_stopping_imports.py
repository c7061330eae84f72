"""Cells on their way that nobody wants any more: gone within moments wherever they are, and never published later."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from pathlib import Path

import numpy as np
import pytest

from app.api import create_app
from engine.types import Modality
from jobs.bootstrap import opened
from jobs.cli import main
from jobs.client import Client
from jobs.client_local import LocalClient
from jobs.importing import stopping
from jobs.importing.bringing import Bringing
from jobs.importing.importer import Importer
from jobs.settings import S3Settings, Settings
from storage.artifacts import LocalStore
from storage.guard import WebRules
from storage.tables import datasets as table
from tests.builders import paired
from tests.frozen import frozen_readers
from tests.labs import MODEL, lab_settings, refused, served, until
from tests.multiome import write_h5mu
from tests.webserver import Site, site

FROZEN = 30.0  # seconds that a test waits for what must happen


@pytest.fixture(scope="module")
def slow() -> Iterator[Site]:
    with site() as server:
        yield server


@pytest.fixture(scope="module")
def settings(slow: Site, catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One import at a time; the web and S3 are the slow server."""
    rules = WebRules(plain_http=True, networks=(ip_network("127.0.0.1"),), ports=frozenset({slow.port}))
    s3 = S3Settings(endpoint=f"http://127.0.0.1:{slow.port}", access_key_id="key", secret_access_key="secret")
    return replace(lab_settings(tmp_path_factory.mktemp("home"), catalog), import_workers=1, fetch=rules, s3=s3)


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    with opened(settings) as client:
        yield client


class Stuck:
    """A page that says `head` and no more until it is `over`, then that there is nothing.

    reached: somebody asked; hung_up: and closed the connection.
    """

    def __init__(self, *, head: bytes) -> None:
        self.head, self.reached, self.hung_up, self.over = head, threading.Event(), threading.Event(), threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(self.head)
        self.reached.set()
        handler.connection.settimeout(0.05)
        while not self.over.is_set():
            try:
                if not handler.connection.recv(1):
                    self.hung_up.set()
                    break
            except TimeoutError:
                continue
        else:
            handler.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        handler.close_connection = True


def traces(settings: Settings) -> list[Path]:
    kept = (settings.home / name for name in ("store", "uploads", "scratch"))
    return [path for folder in kept for path in folder.rglob("*") if path.is_file()]


def upload(client: Client, path: Path) -> str:
    id = client.create_upload(name=path.name, size=path.stat().st_size).id
    client.append_upload(id, offset=0, chunks=[path.read_bytes()])
    client.finish_upload(id)
    return f"upload:{id}"


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "import-work"]


def example(catalog: Path) -> Path:
    return catalog / MODEL / "example" / "rna.h5ad"


def test_a_download_that_hangs_and_what_waits_behind_it_are_stopped(
    client: Client, settings: Settings, slow: Site, catalog: Path
) -> None:
    stuck = slow.pages["/cells.h5ad"] = Stuck(head=b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + bytes(70_000))
    first = client.import_dataset(f"http://127.0.0.1:{slow.port}/cells.h5ad?sig=hush").id
    waiting = client.import_dataset(upload(client, example(catalog))).id
    assert stuck.reached.wait(FROZEN)
    until(lambda: client.dataset(first).stage, lambda stage: stage == "downloading")
    assert [path.name for path in traces(settings) if path.parent.name == first] == ["original.partial"]
    with refused("conflict"):
        client.delete_dataset(waiting)
    assert client.cancel_dataset(waiting).state == "cancelled"
    assert [path.parent.name for path in traces(settings)] == [first]  # the upload went with it
    stopped = client.cancel_dataset(first)
    assert (stopped.state, stopped.failure) == ("cancelled", None)
    assert "hush" not in stopped.model_dump_json()
    assert traces(settings) == []
    assert stuck.hung_up.wait(FROZEN)  # nobody stays at that server
    assert client.cancel_dataset(first) == stopped  # asking twice is asking once
    with refused("not-ready"):
        client.preflight(model=MODEL, rna=first)
    client.delete_dataset(first)
    client.delete_dataset(waiting)


def test_a_server_that_never_answers_is_left_waiting(
    client: Client, settings: Settings, slow: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 is asked by a library that cannot be interrupted: its thread is left behind, and ends when it hears again."""
    monkeypatch.setattr(stopping, "GRACE_S", 0.1)
    stuck = slow.pages["/cells/none.h5ad"] = Stuck(head=b"")
    begun = client.import_dataset("s3://cells/none.h5ad").id
    assert stuck.reached.wait(FROZEN)
    assert client.cancel_dataset(begun).state == "cancelled"
    assert (traces(settings), stuck.hung_up.is_set(), len(workers())) == ([], False, 1)
    stuck.over.set()
    until(workers, lambda left: not left)
    assert (client.dataset(begun).state, traces(settings)) == ("cancelled", [])


def test_a_reader_at_work_is_killed_and_its_upload_goes(
    client: Client, settings: Settings, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with frozen_readers(monkeypatch) as (pids, begun):
        id = client.import_dataset(upload(client, example(catalog))).id
        assert begun.wait(FROZEN)
        assert client.cancel_dataset(id).state == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert traces(settings) == []
    assert [note.title for note in client.list_notifications().notifications if note.subject == id] == []


def test_one_half_of_a_file_is_stopped_and_the_other_arrives(
    client: Client, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_h5mu(paired(cells=30, genes=60, peaks=90, rng=np.random.default_rng(3)), tmp_path / "both.h5mu")
    with frozen_readers(monkeypatch) as (_, begun):
        rna, atac = client.import_pair(upload(client, tmp_path / "both.h5mu"))
        assert begun.wait(FROZEN)
        assert client.cancel_dataset(rna.id).state == "cancelled"
        found = until(lambda: client.dataset(atac.id), lambda view: view.state != "importing")
    assert (found.state, found.modality, client.dataset(rna.id).state) == ("ready", Modality.ATAC, "cancelled")
    with refused("conflict"):
        client.cancel_dataset(atac.id)
    client.delete_dataset(atac.id)
    until(lambda: traces(settings), lambda left: not left)


def held(patch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """The store takes files only once the second event is set; the first: one is on its way."""
    reached, go_on = threading.Event(), threading.Event()
    usual: Callable[..., None] = LocalStore.put_file

    def put_file(self: LocalStore, key: str, path: Path) -> None:
        with path.open("rb"):
            reached.set()
            assert go_on.wait(FROZEN)
            copy = path.with_name("copy")
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(b"whatever it had read")
            usual(self, key, copy)

    patch.setattr(LocalStore, "put_file", put_file)
    return reached, go_on


def test_what_ends_too_late_is_not_published(tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "GRACE_S", 0.1)
    settings = lab_settings(tmp_path, catalog)
    with opened(settings) as client, monkeypatch.context() as patch:
        reached, go_on = held(patch)
        id = client.import_dataset(upload(client, example(catalog))).id
        assert reached.wait(FROZEN)
        assert client.cancel_dataset(id).state == "cancelled"
        assert traces(settings) == []
        go_on.set()  # the copy reaches the store after all
        until(workers, lambda left: not left)
        assert (client.dataset(id).state, traces(settings)) == ("cancelled", [])
        with patch.context() as unscheduled:  # stopped in the moment before it stood in the queue
            unscheduled.setattr(Importer, "_schedule", lambda self, rows: None)
            early = client.import_dataset(f"example:{MODEL}/rna").id
            client.cancel_dataset(early)
        assert isinstance(client, LocalClient)
        with client.service.database.read() as conn:
            row = table.get(conn, early)
        assert row is not None
        Bringing(client.service.importer, [row]).run()
    with opened(settings) as client:  # nothing is taken up again
        assert {view.state for view in client.datasets()} == {"cancelled"}
        assert (workers(), traces(settings)) == ([], [])
        assert client.keeping.usage().datasets == 0


def test_the_command_line_lists_and_stops(
    client: Client, catalog: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(create_app(client)) as address, frozen_readers(monkeypatch) as (_, begun):
        monkeypatch.setenv("CROSSVIEW_API_URL", address)
        id = client.import_dataset(upload(client, example(catalog)), name="week 1").id
        assert begun.wait(FROZEN)
        assert main(["data", "list"]) == 0
        assert f"{id}  importing" in capsys.readouterr().out
        assert main(["data", "cancel", id]) == 0
        assert capsys.readouterr().out == f"{id}  cancelled  week 1\n"
        assert main(["data", "cancel", "ds-none"]) == 2
