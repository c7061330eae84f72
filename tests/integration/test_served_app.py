"""The whole server as it is started in earnest: pages and routes in one process, guarded, frugal."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from jobs.client_http import HttpClient
from tests.labs import build_catalog, control_plane, free_port, ready

pytestmark = pytest.mark.slow

MIB = 2**20


@dataclass(frozen=True)
class Server:
    port: int
    pid: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home, port = tmp_path_factory.mktemp("home"), free_port()
    catalog = build_catalog(tmp_path_factory.mktemp("catalog") / "pretrained")
    with control_plane(home, catalog, port) as process, HttpClient(f"http://127.0.0.1:{port}") as client:
        ready(client, process, home)
        yield Server(port, process.pid)


def get(server: Server, path: str, **headers: str) -> httpx.Response:
    return httpx.get(server.address + path, headers=headers, trust_env=False, timeout=60)


def test_pages_and_routes_come_from_one_process(server: Server) -> None:
    assert "text/html" in get(server, "/").headers["content-type"]
    assert get(server, "/_stcore/health").text == "ok"
    health = get(server, "/api/v1/health").json()
    assert (health["name"], health["runner"], health["runner_alive"]) == ("crossview", "local", True)


def test_the_document_names_every_route(server: Server) -> None:
    document = get(server, "/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.")
    for path in ("/health", "/uploads/{id}", "/datasets", "/jobs/{id}/artifacts/{name}", "/models/{id}"):
        assert f"/api/v1{path}" in document["paths"]


@pytest.mark.parametrize("path", ["/", "/api/v1/jobs", "/_stcore/health", "/_stcore/host-config"])
def test_a_name_that_is_not_this_machine_is_refused(server: Server, path: str) -> None:
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1:1", f"127.0.0.1.evil.example:{server.port}"):
        assert get(server, path, host=host).status_code == 403
    assert get(server, path, host=f"localhost:{server.port}").status_code == 200


def test_another_site_cannot_send_a_form(server: Server) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", f"http://evil.example:{server.port}"):
        answer = httpx.post(
            f"{server.address}/api/v1/jobs/example", json={}, headers={"origin": origin}, trust_env=False, timeout=60
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong-host")
    assert get(server, "/api/v1/jobs", origin=server.address).status_code == 200


def test_another_site_cannot_open_the_pages_socket(server: Server) -> None:
    async def handshake(origin: str) -> int:
        url = f"ws://127.0.0.1:{server.port}/_stcore/stream"
        try:
            async with connect(url, origin=origin, subprotocols=["streamlit"], proxy=None):  # type: ignore[arg-type, list-item]
                return 101
        except InvalidStatus as refusal:
            return refusal.response.status_code

    assert asyncio.run(handshake("https://evil.example")) == 403
    assert asyncio.run(handshake(server.address)) == 101


def test_200_mb_arrive_while_memory_hardly_grows(server: Server) -> None:
    process = psutil.Process(server.pid)
    block = bytes(range(256)) * (MIB // 256)
    slices, per_slice = 7, 30
    peak, over = Peak(process), hashlib.sha256()
    with HttpClient(server.address) as client:
        upload = client.create_upload(name="large.h5ad", size=slices * per_slice * MIB)
        with peak:
            for number in range(slices):
                client.append_upload(upload.id, offset=number * per_slice * MIB, chunks=[block] * per_slice)
                for _ in range(per_slice):
                    over.update(block)
            done = client.finish_upload(upload.id, sha256=over.hexdigest())
    assert (done.received, done.finished) == (slices * per_slice * MIB, True)
    assert peak.growth < 100 * MIB, f"{peak.growth / MIB:.0f} MiB"


class Peak:
    """How far a process grew beyond what it had at the start."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._end, self.growth = process, threading.Event(), 0

    def __enter__(self) -> None:
        self._start = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.01):
            self.growth = max(self.growth, self._process.memory_info().rss - self._start)
