"""A thousand jobs asked for over HTTP of a server in its own process: how long a submission and a list take.

The runner is a Ray that is not there, so that all of them stay in the queue: nothing but the queue is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from engine.types import Direction
from jobs.client_http import HttpClient
from jobs.errors import Unreachable
from jobs.spec import TranslateSpec
from tests.labs import MODEL, build_catalog, free_port, imported, server_command, until

JOBS = 1_000
ASKERS = 4  # people who submit at the same time
LISTS = 200
SUBMIT_P95_MS, LIST_P95_MS = 100.0, 50.0


@dataclass(frozen=True)
class Figures:
    """Milliseconds, at the client. beside: by ASKERS at once, the others by one who waits for each.

    submit_cpu, list_cpu: processor time of the server for one of them, its background work included: what a busy
    machine does not change.
    """

    submit_p50: float
    submit_p95: float
    beside_p50: float
    beside_p95: float
    list_p50: float
    list_p95: float
    full_list_p95: float
    submit_cpu: float
    list_cpu: float
    lost: int

    @property
    def good(self) -> bool:
        return self.submit_p95 < SUBMIT_P95_MS and self.list_p95 < LIST_P95_MS and self.lost == 0

    def line(self) -> str:
        return (
            f"{JOBS:,} queued jobs over HTTP: submit p50 {self.submit_p50:.0f} ms, p95 {self.submit_p95:.0f} ms "
            f"(limit {SUBMIT_P95_MS:.0f}), {ASKERS} at once p50 {self.beside_p50:.0f} ms, p95 {self.beside_p95:.0f}; "
            f"list (200) p50 {self.list_p50:.0f} ms, p95 {self.list_p95:.0f} ms (limit {LIST_P95_MS:.0f}), of all "
            f"{JOBS:,} p95 {self.full_list_p95:.0f} ms; server's processor time "
            f"{self.submit_cpu:.0f} ms a submission, {self.list_cpu:.0f} ms a list; lost {self.lost}"
        )


def measure() -> Figures:
    """Half of the jobs are asked for one after the other, half by several at once; then the lists."""
    with tempfile.TemporaryDirectory(prefix="cv-queue-") as folder, server(Path(folder)) as (address, spent):
        with HttpClient(address) as client:
            rna = imported(client, f"example:{MODEL}/rna").id
            before = spent()
            alone, first = _submit(client, rna, range(JOBS // 2))
            submit_cpu = (spent() - before) / len(alone)
        with ThreadPoolExecutor(ASKERS) as askers:
            parts = [range(JOBS // 2 + i, JOBS, ASKERS) for i in range(ASKERS)]
            several = list(askers.map(lambda part: _as_one(address, rna, part), parts))
        accepted = {*first, *(id for _, ids in several for id in ids)}
        with HttpClient(address) as client:
            before = spent()
            short = [_timed(lambda: client.jobs()) for _ in range(LISTS)]
            list_cpu = (spent() - before) / LISTS
            full = [_timed(lambda: client.jobs(limit=10_000)) for _ in range(10)]
            there = {job.id for job in client.jobs(limit=10_000)}
    beside = [ms for times, _ in several for ms in times]
    return Figures(
        *_percentiles(alone), *_percentiles(beside), *_percentiles(short), _percentiles(full)[1],
        submit_cpu, list_cpu, lost=JOBS - len(accepted & there),
    )  # fmt: skip


def _as_one(address: str, rna: str, seeds: range) -> tuple[list[float], list[str]]:
    with HttpClient(address) as client:
        return _submit(client, rna, seeds)


def _submit(client: HttpClient, rna: str, seeds: range) -> tuple[list[float], list[str]]:
    """Milliseconds and id of each job; seeds differ, so that no two ask the same."""
    times, ids = [], []
    for seed in seeds:
        spec = TranslateSpec(model=MODEL, rna=rna, directions=(Direction.RNA_TO_ATAC,), seed=seed, umap=False)
        began = time.perf_counter()
        ids.append(client.submit(spec).id)
        times.append(1_000 * (time.perf_counter() - began))
    return times, ids


def _timed(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return 1_000 * (time.perf_counter() - began)


def _percentiles(times: list[float]) -> tuple[float, float]:
    p50, p95 = np.percentile(times, [50, 95])
    return float(p50), float(p95)


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """`uvicorn` with the service of a lab as a process of its own; its address, and its processor time in ms so far."""
    port = free_port()
    environ = {
        **os.environ,
        "CROSSVIEW_HOME": str(folder / "home"),
        "CROSSVIEW_PRETRAINED": str(build_catalog(folder / "pretrained")),
        "CROSSVIEW_RUNNER": "ray",
        "CROSSVIEW_RAY_ADDRESS": f"http://127.0.0.1:{free_port()}",
        "CROSSVIEW_PORT": str(port),
    }
    for name in ("CROSSVIEW_STORE", "CROSSVIEW_API_URL", "CROSSVIEW_USER_QUEUED"):
        environ.pop(name, None)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(server_command(port), stdout=log, stderr=log, env=environ)
    try:
        with HttpClient(f"http://127.0.0.1:{port}") as client:
            until(lambda: _answers(client, process, folder), bool)
        its = psutil.Process(process.pid)
        yield f"http://127.0.0.1:{port}", lambda: 1_000 * sum(its.cpu_times()[:2])
    finally:
        process.terminate()
        process.wait()


def _answers(client: HttpClient, process: subprocess.Popen[bytes], folder: Path) -> bool:
    assert process.poll() is None, (folder / "server.log").read_text()
    try:
        return bool(client.health().version)
    except Unreachable:
        return False


def main() -> int:
    """`python -m tests.benchmarks.queue`."""
    found = measure()
    print(found.line())
    print(json.dumps({"benchmark": "queue", **asdict(found)}), file=sys.stderr)
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
