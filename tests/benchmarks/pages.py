"""The job page at 100,000 cells and a gene of 1,000,000, in Chromium against a real server; an idle server's memory.

Built from seeds, not committed. Everything goes down the path of any job but the maps: UMAP of so many cells takes
minutes and is not what is measured, so their cells lie where two of their latents say.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from engine.types import Direction, Latent, Modality, as_names
from jobs import layout
from jobs.bootstrap import build_service
from jobs.client_http import HttpClient
from jobs.client_local import LocalClient
from jobs.runners.base import Capacity, RunnerState, RunnerStatus
from jobs.service import JobService
from jobs.spec import TranslateSpec
from jobs.state import JobState
from jobs.views import JobView
from tests.builders import paired, write_h5ad
from tests.labs import MODEL, build_catalog, control_plane, ended, free_port, imported, lab_settings, ready

CELLS, MANY = 100_000, 1_000_000
TABS = ("Overview", "Scorecard", "Genes", "Cells", "Profiles", "Logs", "Resources", "Provenance")
FIRST_S, WHOLE_S, GENE_S, IDLE_MB = 1.5, 3.0, 2.0, 400.0
CHROMIUM = "/usr/bin/chromium"
VISITS = 3  # of each tab
CORES = {0, 1}  # what the server, the browser and its parts may use


@dataclass
class InProcess:
    """A runner that works in this process, on made-up maps."""

    name: str = "local"
    _done: dict[str, RunnerState] = field(default_factory=dict)

    def capacity(self) -> Capacity:
        return Capacity(2.0, 0.0, 64 * 2**30, 1)

    def submit(self, *, submission: str, job: str, attempt: int, store: str) -> None:
        if submission in self._done:
            return
        self._done[submission] = RunnerState.RUNNING
        threading.Thread(target=self._work, args=(submission, job, attempt, store), daemon=True).start()

    def _work(self, submission: str, job: str, attempt: int, store: str) -> None:
        from jobs.driver import run_attempt
        from jobs.runners.local import SerialExecutor
        from jobs.work import open_store

        with made_up_maps():
            run_attempt(open_store(store), job, attempt, SerialExecutor(store))
        self._done[submission] = RunnerState.SUCCEEDED

    def status(self, submission: str) -> RunnerStatus:
        return RunnerStatus(self._done.get(submission, RunnerState.UNKNOWN))

    def stop(self, submission: str, *, force: bool = False) -> None: ...

    def logs(self, submission: str) -> str:
        return ""

    def close(self) -> None: ...


@contextmanager
def made_up_maps() -> Iterator[None]:
    import engine.maps as maps

    before = maps.map_of_prediction, maps.map_of_counts
    maps.map_of_prediction = lambda source, **_: maps.CellMap(drawn(source.shape[0]))
    maps.map_of_counts = lambda cells, **_: maps.CellMap(drawn(len(cells.barcodes)))
    try:
        yield
    finally:
        maps.map_of_prediction, maps.map_of_counts = before


def drawn(n: int) -> Any:
    """Places of as many cells as the real maps draw."""
    from engine.maps import _sample

    xy_n2 = np.full((n, 2), np.nan, dtype=np.float32)
    chosen = _sample(n, 0)
    xy_n2[chosen] = places(len(chosen))
    return xy_n2


def places(n: int) -> Any:
    """Eight round heaps."""
    rng = np.random.default_rng(3)
    heap = rng.integers(0, 8, n)
    middle = 6 * np.stack([np.cos(heap * np.pi / 4), np.sin(heap * np.pi / 4)], axis=1)
    return (middle + rng.normal(size=(n, 2))).astype(np.float32)


@contextmanager
def built(folder: Path, cells: int, many: int) -> Iterator[tuple[Path, Path, str, str]]:
    """Home and catalog of a lab with a finished job of `cells` cells and one of `many`; their ids."""
    catalog, home = build_catalog(folder / "pretrained"), folder / "home"
    pair = paired(cells=cells, genes=60, peaks=90, rng=np.random.default_rng(7))
    files = [write_h5ad(pair.of(m), catalog / f"{m.value}.h5ad") for m in Modality]
    service = build_service(lab_settings(home, catalog), runner=InProcess())
    service.start()
    try:
        client = LocalClient(service)
        ids = {m.value: imported(client, str(path)).id for m, path in zip(Modality, files, strict=True)}
        spec = TranslateSpec(model=MODEL, directions=(Direction.ATAC_TO_RNA,), chunk_cells=20_000, **ids)
        job = ended(client, client.submit(spec, title="A hundred thousand cells"), seconds=3_600)
        assert job.state is JobState.SUCCEEDED, job.failure
        yield home, catalog, job.id, enlarged(service, job, many)
    finally:
        service.close()


def enlarged(service: JobService, job: JobView, many: int) -> str:
    """The same job with the latents of `many` cells, as rows and files: no one waits for a translation of them here."""
    from engine.translate import Encoded
    from jobs.export import write_latent
    from jobs.results.latents import read_latent
    from storage.files import sha256_of
    from storage.tables import artifacts, jobs

    direction = Direction.ATAC_TO_RNA
    name, id = f"{direction.value}/latent.h5ad", f"{job.id}-many"
    kept = read_latent(service.results.open_artifact(job.id, name), direction.source)
    rng = np.random.default_rng(1)
    values = np.tile(kept.latent.values, (many // len(kept.latent) + 1, 1))[:many]
    values += rng.normal(scale=0.05, size=values.shape).astype(np.float32)
    names = as_names([f"cell-{i}" for i in range(many)])
    encoded = Encoded(Latent(values, kept.latent.source), np.ones(many, dtype=np.float32), names)
    path = service.settings.home / "latent.h5ad"
    write_latent(path, encoded, labels={}, maps={"prediction": places(many)}, provenance={"job": id})
    key = layout.output(id, 1, name)
    service.store.put_file(key, path)
    with service.database.read() as conn:
        row = jobs.get(conn, job.id)
        old = artifacts.get(conn, job=job.id, attempt=1, name=name)
    assert row is not None
    assert old is not None
    row = replace(row, id=id, title="A million cells", cache_key=None, result={**(row.result or {}), "cells": many})
    latent = replace(old, job=id, uri=key, bytes=path.stat().st_size, sha256=sha256_of(path))
    path.unlink()

    with service.database.read() as conn:
        others = [replace(each, job=id) for each in artifacts.find(conn, job=job.id, attempt=1) if each.name != name]

    def write(conn: Any) -> None:
        jobs.insert(conn, row)
        for each in (latent, *others):  # its report and tables are those of the smaller job
            artifacts.put(conn, each)

    service.database.write_now(write)
    return id


@dataclass(frozen=True)
class Figures:
    """Seconds. first, whole: of each tab, to its first words and until nothing moves, medians of VISITS.

    cpu: processor seconds of the server for each tab: what a busy machine does not change. gene: of a million cells,
    decoded and sent, the first time and another; gene_drawn: from its name to its map on a page that is open, the
    median. idle_mb: of the server before anybody looked; used_mb: afterwards.
    """

    cells: int
    many: int
    first: dict[str, float]
    whole: dict[str, float]
    cpu: dict[str, float]
    gene_first: float
    gene_again: float
    gene_cpu: float
    gene_drawn: float
    idle_mb: float
    used_mb: float

    @property
    def good(self) -> bool:
        return (
            max(self.first.values()) < FIRST_S
            and max(self.whole.values()) < WHOLE_S
            and max(self.gene_first, self.gene_drawn) < GENE_S
            and self.idle_mb < IDLE_MB
        )

    def line(self) -> str:
        tabs = ", ".join(f"{n} {self.first[n]:.1f}/{self.whole[n]:.1f} (cpu {self.cpu[n]:.1f})" for n in self.first)
        return (
            f"job page of {self.cells:,} cells, first words / still, s: {tabs} (limits {FIRST_S}/{WHOLE_S}); a gene of "
            f"{self.many:,} cells on its map {self.gene_first:.2f} s, another {self.gene_again:.2f} s (limit {GENE_S}; "
            f"cpu {self.gene_cpu:.2f}), drawn {self.gene_drawn:.2f} s "
            f"after its name; server idle {self.idle_mb:.0f} MB (limit {IDLE_MB:.0f}), afterwards "
            f"{self.used_mb:.0f} MB"
        )


def measure(cells: int = CELLS, many: int = MANY) -> Figures:
    folder = Path(tempfile.mkdtemp(prefix="cv-pages-"))
    try:
        with built(folder, cells, many) as (home, catalog, job, large):
            pass
        port = free_port()
        with control_plane(home, catalog, port) as process, HttpClient(f"http://127.0.0.1:{port}") as client:
            ready(client, process, home)
            time.sleep(3)  # what a start leaves to be done
            server = psutil.Process(process.pid)
            idle = memory(server)
            first, whole, cpu = pages(f"http://127.0.0.1:{port}", job, lambda: busy(server))
            spent = busy(server)
            gene_first = timed(lambda: client.binned(large, Direction.ATAC_TO_RNA, "GENE00003"))
            gene_cpu = busy(server) - spent
            gene_again = timed(lambda: client.binned(large, Direction.ATAC_TO_RNA, "GENE00004"))
            drawn = drawn_gene(f"http://127.0.0.1:{port}", large)
            return Figures(
                cells, many, first, whole, cpu, gene_first, gene_again, gene_cpu, drawn, idle, memory(server)
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pages(
    address: str, job: str, spent: Callable[[], float]
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Each tab in a page of its own, as whoever was here before sees it: the first page fills caches on both sides."""
    seen: dict[str, list[tuple[float, float, float]]] = {tab: [] for tab in TABS}
    with visitor() as browser:
        visited(browser, f"{address}/job?id={job}", spent)
        for _ in range(VISITS):
            for tab in TABS:
                seen[tab].append(visited(browser, f"{address}/job?id={job}&tab={tab}", spent))
    middle = {tab: [median(each) for each in zip(*found, strict=True)] for tab, found in seen.items()}
    first, whole, cpu = ({tab: found[i] for tab, found in middle.items()} for i in range(3))
    return first, whole, cpu


@contextmanager
def visitor() -> Iterator[Any]:
    """A browser's context in Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser.new_context(viewport={"width": 1440, "height": 900})
        finally:
            browser.close()


def visited(browser: Any, address: str, spent: Callable[[], float]) -> tuple[float, float, float]:
    """Seconds to the first words and until all is still, and processor seconds of the server."""
    page = browser.new_page()
    before, began = spent(), time.monotonic()
    page.goto(address)
    page.get_by_text("Can I trust it?").first.wait_for(timeout=120_000)
    first = time.monotonic() - began
    page.wait_for_function(STILL, timeout=240_000, polling=50)
    whole = time.monotonic() - began - QUIET_S
    page.close()
    return first, whole, spent() - before


def drawn_gene(address: str, job: str) -> float:
    """Seconds from a gene's name to its map, of a job too large to draw each cell; the page is open already."""
    took = []
    with visitor() as browser:
        page = browser.new_page()
        page.goto(f"{address}/job?id={job}&gene=GENE00002")
        page.wait_for_function(f"() => ({MAP})() !== ''", timeout=120_000)
        for gene in ("GENE00005", "GENE00006", "GENE00007"):
            page.wait_for_function(STILL, timeout=120_000, polling=50)
            before = page.evaluate(MAP)
            box = page.get_by_label("Search a gene")
            box.fill(gene)
            began = time.monotonic()
            box.press("Enter")
            page.wait_for_function(f"(before) => ![before, ''].includes(({MAP})())", arg=before, polling=30)
            took.append(time.monotonic() - began)
    return median(took)


QUIET_S = 0.4
MAP = "() => document.querySelector('.st-key-squares-prediction canvas.marks')?.toDataURL() ?? ''"  # as it is drawn
STILL = """() => {
  const busy = document.querySelector('[data-testid="stStatusWidget"], [data-testid="stSkeleton"], .stSpinner');
  const open = [...document.querySelectorAll('[data-testid="stVegaLiteChart"]')].filter((e) => e.offsetParent);
  const drawn = open.every((e) => e.querySelector('svg.marks, canvas.marks'));
  const now = performance.now();
  if (busy || !drawn) { window.__since = undefined; return false; }
  window.__since = window.__since ?? now;
  return now - window.__since > 400;
}"""


def timed(ask: Callable[[], Any]) -> float:
    began = time.monotonic()
    ask()
    return time.monotonic() - began


def busy(server: psutil.Process) -> float:
    return float(sum(server.cpu_times()[:2]))


def memory(server: psutil.Process) -> float:
    """MB of the server and what it started, shared pages counted once."""
    return sum(p.memory_full_info().pss for p in [server, *server.children(recursive=True)]) / 2**20


def main() -> int:
    """`python -m tests.benchmarks.pages [CELLS MANY]`."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, CORES & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    found = measure(*map(int, sys.argv[1:3]))
    print(found.line())
    print(json.dumps({"benchmark": "pages", **asdict(found)}), file=sys.stderr)
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
