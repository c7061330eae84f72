"""A small lab for tests of the service: a trained bundle in a catalog, its example, a home, and a running service."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import uvicorn
from starlette.types import ASGIApp

from engine.bundle import make_manifest, save_bundle
from engine.errors import CrossViewError
from engine.nulls import Nulls
from engine.translators.base import Hooks, Recipe
from engine.translators.baselines.ridge import RidgeRecipe
from jobs.client import Client
from jobs.client_http import HttpClient
from jobs.errors import Unreachable
from jobs.mending import MendOptions
from jobs.settings import Settings
from jobs.views import DatasetView, JobView
from tests.builders import paired, split_of, write_h5ad

MODEL = "tiny"
CATALOG = """
[[bundle]]
id = "tiny"
title = "Built cells of three types"
tissue = "none: built cells"
recommended_for = "Tests."
not_for = "Anything else."
licence = "MIT"
"""
T = TypeVar("T")


def build_catalog(folder: Path, *, example_of: int = 24, recipe: Recipe | None = None) -> Path:
    """A folder as `pretrained/`: one bundle (ridge) and, as its example, the 24 cells it never saw (or more)."""
    pair = paired(cells=160, genes=60, peaks=90, rng=np.random.default_rng(7))
    split = split_of(pair)
    train = pair.named(split.train)
    translator = (recipe or RidgeRecipe()).fit(pair, split, Hooks(seed=0))
    manifest = make_manifest(
        translator, id=MODEL, train=train, split=split, seed=0, code_version="test", settings={}, filters={}
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_bundle(folder / MODEL, translator, Nulls.fit(train), manifest)
    (folder / MODEL / "CARD.md").write_text("# Tiny\n", encoding="utf-8")
    (folder / MODEL / "example").mkdir()
    test = pair.named(list(pair.barcodes[-example_of:]))
    write_h5ad(test.rna, folder / MODEL / "example" / "rna.h5ad")
    write_h5ad(test.atac, folder / MODEL / "example" / "atac.h5ad")
    (folder / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    return folder


def lab_settings(home: Path, catalog: Path) -> Settings:
    return Settings(
        home=home,
        store=str(home / "store"),
        runner="local",
        pretrained=catalog,
        import_roots=(catalog.resolve(),),
        poll_seconds=0.05,
    )


def until(look: Callable[[], T], done: Callable[[T], bool], *, seconds: float = 90.0) -> T:
    """Looks again and again until it is done; fails after a while, showing what was seen last."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if done(seen):
            return seen
        assert time.monotonic() < end, f"still {seen!r} after {seconds:.0f} s"
        time.sleep(0.05)


def imported(client: Client, source: str, *, mends: MendOptions | None = None) -> DatasetView:
    """The dataset once its import has ended, well or badly."""
    begun = client.import_dataset(source, mends=mends)
    return until(lambda: client.dataset(begun.id), lambda view: view.state != "importing")


def ended(client: Client, job: JobView, *, seconds: float = 240.0) -> JobView:
    """The job once it has ended."""
    from jobs.state import TERMINAL

    return until(lambda: client.job(job.id), lambda view: view.state in TERMINAL, seconds=seconds)


def refused(code: str) -> pytest.RaisesContext[CrossViewError]:  # type: ignore[name-defined]
    """Expects the error of this code, with a message."""
    return pytest.raises(CrossViewError, check=lambda error: error.code == code and bool(error.message))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def nobody() -> Iterator[str]:
    """`host:port` at which nobody listens, held so that nobody begins to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The app behind a real HTTP server of this process; its address."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off", proxy_headers=False)
    )
    thread = threading.Thread(target=server.run, name="test-server")
    thread.start()
    try:
        until(lambda: server.started, bool, seconds=20)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def server_command(port: int) -> list[str]:
    """As `crossview up` starts it, on this machine alone."""
    words = f"-m uvicorn app.serve:app --host 127.0.0.1 --port {port} --no-proxy-headers --log-level warning"
    return [sys.executable, *words.split()]


@contextmanager
def control_plane(home: Path, catalog: Path, port: int, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """`uvicorn app.serve:app` as a process of its own; killed at the end if it still lives. settings: of its own."""
    environ = {
        **os.environ,
        "CROSSVIEW_HOME": str(home),
        "CROSSVIEW_RUNNER": "local",
        "CROSSVIEW_PRETRAINED": str(catalog),
        "CROSSVIEW_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
        **settings,
    }
    environ.pop("CROSSVIEW_STORE", None)
    environ.pop("CROSSVIEW_API_URL", None)
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(server_command(port), stdout=log, stderr=subprocess.STDOUT, env=environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ready(client: HttpClient, process: subprocess.Popen[bytes], home: Path, *, alone: bool = False) -> None:
    """alone: without the place where its jobs would run."""

    def alive() -> bool:
        assert process.poll() is None, (home / "server.log").read_text()
        try:
            return client.health().runner_alive or alone
        except Unreachable:
            return False

    until(alive, bool, seconds=60)
