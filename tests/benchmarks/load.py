"""Fifty people at once over REST, for half a minute: how long answers take, what fails, and whether memory stays flat.

Each looks at lists, a job, its events, tables and values, and thinks for a while in between. The server is the whole
one (pages, routes, background work) in a process of its own, on loopback; `python -m tests.benchmarks.load`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil

from jobs.client_http import HttpClient
from tests.labs import MODEL, build_catalog, control_plane, ended, free_port, ready

PEOPLE, SECONDS, THINK_S = 50, 30.0, 1.0  # think times are exponential, this their mean
P95_MS, IDLE_MB, GROWTH_MB = 200.0, 400.0, 30.0
MIB = 2**20


@dataclass(frozen=True)
class Load:
    """Milliseconds at the client; MiB of the server's process. by_route: p95 of each kind of request."""

    requests: int
    errors: int
    p50: float
    p95: float
    p99: float
    by_route: dict[str, float]
    idle_mb: float
    before_mb: float
    after_mb: float
    cpu_ms: float  # processor time of the server a request

    @property
    def good(self) -> bool:
        flat = self.after_mb - self.before_mb < GROWTH_MB
        return self.errors == 0 and self.p95 < P95_MS and self.idle_mb < IDLE_MB and flat

    def line(self) -> str:
        slowest = sorted(self.by_route.items(), key=lambda each: -each[1])[:4]
        return (
            f"{PEOPLE} people over REST: {self.requests} requests, {self.errors} errors, p50 {self.p50:.0f} ms, "
            f"p95 {self.p95:.0f} ms, p99 {self.p99:.0f} ms, {self.cpu_ms:.1f} ms of processor a request; "
            f"memory idle {self.idle_mb:.0f} MB, before {self.before_mb:.0f} MB, after {self.after_mb:.0f} MB; "
            f"slowest: {', '.join(f'{name} {ms:.0f} ms' for name, ms in slowest)}"
        )


def measure(*, people: int = PEOPLE, seconds: float = SECONDS) -> Load:
    with tempfile.TemporaryDirectory(prefix="crossview-load-") as name:
        home, port = Path(name) / "home", free_port()
        home.mkdir()
        catalog = build_catalog(Path(name) / "pretrained")
        address = f"http://127.0.0.1:{port}"
        with control_plane(home, catalog, port) as process, HttpClient(address) as client:
            ready(client, process, home)
            server = psutil.Process(process.pid)
            idle = _mb(server)
            job = ended(client, client.submit_example(MODEL))
            asked = _requests(job.id)
            asyncio.run(_crowd(address, asked, people=people, seconds=3.0))  # everything is loaded that will be
            before, cpu = _mb(server), _cpu(server)
            took, errors = asyncio.run(_crowd(address, asked, people=people, seconds=seconds))
            every = np.array([ms for each in took.values() for ms in each])
            p50, p95, p99 = (float(np.percentile(every, q)) for q in (50, 95, 99))
            return Load(
                requests=len(every),
                errors=errors,
                p50=p50,
                p95=p95,
                p99=p99,
                by_route={route: float(np.percentile(each, 95)) for route, each in took.items()},
                idle_mb=idle,
                before_mb=before,
                after_mb=_mb(server),
                cpu_ms=(_cpu(server) - cpu) * 1_000 / len(every),
            )


def _requests(job: str) -> Sequence[tuple[str, str, dict[str, object] | None]]:
    values = {"direction": "rna-to-atac", "features": ["chr1:1000-1400", "chr2:1000-1400"]}
    return [
        ("list", "jobs?limit=50", None),
        ("show", f"jobs/{job}", None),
        ("events", f"jobs/{job}/events", None),
        ("report", f"jobs/{job}/report", None),
        ("table", f"jobs/{job}/tables/rna-to-atac/cells", None),
        ("search", f"jobs/{job}/search/atac-to-rna?query=GENE&limit=20", None),
        ("values", f"jobs/{job}/values", values),
        ("files", f"jobs/{job}/artifacts", None),
        ("logs", f"jobs/{job}/logs", None),
        ("datasets", "datasets", None),
        ("holdings", "holdings", None),
        ("usage", "usage", None),
        ("models", "models", None),
        ("recipes", "recipes", None),
        ("inbox", "notifications", None),
        ("health", "health", None),
    ]


async def _crowd(
    address: str, asked: Sequence[tuple[str, str, dict[str, object] | None]], *, people: int, seconds: float
) -> tuple[dict[str, list[float]], int]:
    took: dict[str, list[float]] = defaultdict(list)
    errors = 0
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=people)

    async def person(number: int, http: httpx.AsyncClient) -> None:
        nonlocal errors
        rng = np.random.default_rng(number)
        await asyncio.sleep(rng.uniform(0, THINK_S))
        while time.monotonic() < end:
            route, path, body = asked[int(rng.integers(len(asked)))]
            start = time.monotonic()
            answer = await (http.get(path) if body is None else http.post(path, json=body))
            took[route].append((time.monotonic() - start) * 1_000)
            errors += answer.is_error
            await asyncio.sleep(rng.exponential(THINK_S))

    base = f"{address}/api/v1/"
    async with httpx.AsyncClient(base_url=base, limits=limits, timeout=60, trust_env=False) as http:
        await asyncio.gather(*(person(number, http) for number in range(people)))
    return took, errors


def _mb(process: psutil.Process) -> float:
    return process.memory_info().rss / MIB


def _cpu(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


if __name__ == "__main__":
    found = measure()
    print(found.line())
    sys.exit(0 if found.good else 1)
