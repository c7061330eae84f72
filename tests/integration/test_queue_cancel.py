"""A cancel where the worker is frozen: the job ends, the process too, nothing is left, and a retry works."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.types import Direction
from jobs import layout
from jobs.bootstrap import build_service
from jobs.client_local import LocalClient
from jobs.service import JobService
from jobs.spec import TranslateSpec
from jobs.state import TERMINAL, JobState
from tests.forked import ForkedRunner
from tests.labs import MODEL, build_catalog, imported, lab_settings, until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[JobService]:
    settings = lab_settings(tmp_path / "home", build_catalog(tmp_path / "pretrained"))
    made = build_service(settings, runner=ForkedRunner(settings.home / "runner", workers=1))
    made.start()
    yield made
    made.close()


def driver_of(service: JobService, submission: str) -> psutil.Process:
    known = service.settings.home / "runner" / submission / "pid.json"
    until(known.exists, bool)
    return psutil.Process(json.loads(known.read_text())["pid"])


def tidied(service: JobService, id: str) -> bool:
    with service.database.read() as conn:
        (line,) = conn.execute("select logged = attempt and swept = attempt from jobs where id = ?", [id]).fetchall()
    return bool(line[0])


def test_a_frozen_attempt_is_cancelled_all_the_same(service: JobService) -> None:
    client = LocalClient(service)
    rna = imported(client, f"example:{MODEL}/rna").id
    spec = TranslateSpec(model=MODEL, rna=rna, directions=(Direction.RNA_TO_ATAC,), umap=False, chunk_cells=1)
    job = client.submit(spec)
    until(lambda: client.job(job.id), lambda view: view.state is JobState.RUNNING)
    process = driver_of(service, f"{job.id}-1")
    os.kill(process.pid, signal.SIGSTOP)
    client.cancel(job.id)
    assert until(lambda: client.job(job.id), lambda view: view.state in TERMINAL).state is JobState.CANCELLED
    until(lambda: process.is_running() and process.status() != psutil.STATUS_ZOMBIE, lambda alive: not alive)
    until(lambda: tidied(service, job.id), bool)
    left = service.store.list(layout.job_prefix(job.id))
    assert not [key for key in left if "/parts/" in key or "/pieces/" in key or "/out/" in key]
    client.retry(job.id)
    assert until(lambda: client.job(job.id), lambda view: view.state in TERMINAL).state is JobState.SUCCEEDED
    until(lambda: tidied(service, job.id), bool)
    left = service.store.list(layout.job_prefix(job.id))
    assert {key.split("/")[2] for key in left if "/out/" in key} == {"2"}
    assert not [key for key in left if "/parts/" in key or "/pieces/" in key]
    assert client.report(job.id)["job"] == job.id
