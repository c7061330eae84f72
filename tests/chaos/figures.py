"""What is left of the promises: every figure counted from the API, the database, the store and the process table."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from jobs.client_http import HttpClient
from jobs.runners.ray.cluster import bearer
from jobs.state import TERMINAL, JobState
from jobs.views import JobView
from storage.database import Database
from storage.scratch import sweep, sweep_files
from storage.tables import artifacts as artifact_table
from storage.tables import jobs as job_table
from tests.chaos.faults import DRIVER, TASKS
from tests.chaos.site import Site
from tests.chaos.stream import Told
from tests.labs import until

NOBODY = b"job-" + b"0" * 12
SHOWN = 8  # of each kind
Digests = Mapping[str, str]


@dataclass
class Figures:
    """problems: what breaks a promise; empty when all were kept."""

    numbers: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def check(self, what: str, wrong: Iterable[str], *, of: int | None = None) -> None:
        """The number of what is wrong, and the first of it as problems."""
        found = list(wrong)
        self.numbers[what] = len(found) if of is None else f"{len(found)} of {of}"
        self.problems += [f"{what}: {each}" for each in found[:SHOWN]]
        self.problems += [f"{what}: and {len(found) - SHOWN} more"] if len(found) > SHOWN else []

    def markdown(self) -> str:
        lines = ["| figure | value |", "|---|---|"]
        lines += [f"| {name} | {_said(value)} |" for name, value in self.numbers.items()]
        if self.problems:
            lines += ["", "Broken:", "", *(f"- {problem}" for problem in self.problems)]
        return "\n".join(lines) + "\n"

    def json(self) -> str:
        return json.dumps({"figures": self.numbers, "problems": self.problems}, indent=1, default=str)


def digests(client: HttpClient, job: str) -> Digests:
    """Of each file of a finished job, with the job's own name taken out."""
    return {
        artifact.name: hashlib.sha256(
            client.open_artifact(job, artifact.name).read_bytes().replace(job.encode(), NOBODY)
        ).hexdigest()
        for artifact in client.artifacts(job)
    }


def audit_api(
    figures: Figures, client: HttpClient, told: Mapping[str, Told], undisturbed: Mapping[str, Digests]
) -> None:
    """What the API says after all. undisturbed: digests by spec digest."""
    known = {job.id: job for job in client.jobs(limit=10_000)}
    states = Counter(job.state.value for id, job in known.items() if id in told)
    figures.numbers["jobs accepted"] = len(told)
    figures.numbers["ended as"] = dict(states)
    figures.check("accepted and not known any more", (id for id in told if id not in known))
    figures.check(
        "accepted and not in a final state", (i for i in told if i in known and known[i].state not in TERMINAL)
    )
    done = [id for id in told if id in known and known[id].state is JobState.SUCCEEDED]
    figures.check(
        "successes whose bytes differ from an undisturbed run",
        (f"{id}: {', '.join(different)}" for id in done if (different := _different(client, told[id], undisturbed))),
        of=len(done),
    )
    figures.numbers["attempts"] = dict(sorted(Counter(known[id].attempt for id in told if id in known).items()))
    failures = {id: known[id].failure for id in told if id in known and known[id].state is JobState.FAILED}
    figures.numbers["failures by code"] = dict(Counter(f.code for f in failures.values() if f is not None))
    figures.check(
        "failures of our own making",
        (
            f"{id}: {f.message}\n{f.detail}" if f else f"{id}: failed and says nothing"
            for id, f in failures.items()
            if f is None or f.code == "internal-error"
        ),
    )
    told_events = sum(len(each.events) for each in told.values())
    figures.check("acknowledged events lost or changed", _lost_events(client, told), of=told_events)


def _different(client: HttpClient, told: Told, undisturbed: Mapping[str, Digests]) -> list[str]:
    wanted, found = undisturbed[told.spec.digest], digests(client, told.id)
    return sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))


def _lost_events(client: HttpClient, told: Mapping[str, Told]) -> Iterable[str]:
    for id, each in told.items():
        now = {event.seq: event for event in client.events(id)}
        yield from (f"{id} event {seq}" for seq, event in each.events.items() if now.get(seq) != event)


# -- processes ---------------------------------------------------------------------------------------------------------


def audit_processes(figures: Figures, site: Site, *, seconds: float = 40.0) -> None:
    """With everything still up: nothing works for a job that has ended, and no place to work is taken."""

    def busy() -> list[str]:
        return [line for node in site.cluster.both() for p in node.named(DRIVER, *TASKS) if (line := _line(p))]

    _settled(lambda: not busy(), seconds)
    figures.check("processes that work for ended jobs", busy())
    figures.check("Ray jobs that have not ended", _ray_jobs(site))
    _settled(lambda: _free(site) == {"CPU": 2.0}, seconds)
    free = _free(site)
    figures.check("slots not free", [] if free.get("CPU") == 2.0 else [f"{free} of 2 processors are free"])


def audit_after_end(figures: Figures, site: Site) -> None:
    """Everything was asked to end: nothing is left."""
    if site.s3 is not None:
        site.s3.kill()
    _settled(lambda: not site.members(), 15.0)
    figures.check("orphan processes", [line for p in site.members() if (line := _line(p))])


def _ray_jobs(site: Site) -> list[str]:
    answer = httpx.get(
        f"{site.cluster.address}/api/jobs/", headers=bearer(site.cluster.token), timeout=20, trust_env=False
    )
    return [job["submission_id"] for job in answer.json() if job["status"] in ("PENDING", "RUNNING")]


def _free(site: Site) -> dict[str, float]:
    """Processors that nobody holds, as Ray itself counts them."""
    program = (
        "import json, ray; ray.init(address='auto', logging_level='ERROR', log_to_driver=False); "
        "print(json.dumps({k: v for k, v in ray.available_resources().items() if k == 'CPU'}))"
    )
    environ = {**site.cluster.head.environ, "RAY_ADDRESS": site.cluster.gcs}
    ran = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=120)
    lines = ran.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else {"error": 0.0}


def _line(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        if process.status() != psutil.STATUS_ZOMBIE:
            return f"{process.pid} {' '.join(process.cmdline())[:160]}"
    return ""


# -- database, store, files --------------------------------------------------------------------------------------------


def audit_records(figures: Figures, site: Site) -> None:
    """The control plane has ended: its database and the store, side by side."""
    keys = site.store.list("results")
    with Database.open(site.home / "crossview.duckdb") as database, database.read() as conn:
        rows = {row.id: row for row in job_table.find(conn, limit=100_000)}
        visible: dict[str, list[str]] = {}
        twice = []
        for row in rows.values():
            ends = [e for e in job_table.events(conn, row.id) if e.to_state == JobState.SUCCEEDED.value]
            shown = {
                attempt: [artifact.name for artifact in artifact_table.find(conn, job=row.id, attempt=attempt)]
                for attempt in range(1, row.attempt + 1)
            }
            with_files = [attempt for attempt, names in shown.items() if names]
            succeeded = row.state == JobState.SUCCEEDED.value
            if len(ends) > 1 or with_files != ([row.attempt] if succeeded else []):
                twice.append(f"{row.id} is {row.state}, {len(ends)} successes, files of the attempts {with_files}")
            visible[row.id] = shown.get(row.attempt, [])
        active = [row.id for row in rows.values() if row.state not in {str(state) for state in TERMINAL}]
    figures.check("results visible twice, or of a job without success", twice)
    figures.check("slots still counted as taken", active)
    figures.check("files of a result that are not in the store", _missing(keys, rows, visible))


def audit_store(figures: Figures, site: Site, client: HttpClient, *, seconds: float = 60.0) -> None:
    """The control plane still runs, and had time to sweep."""
    jobs = {job.id: job for job in client.jobs(limit=10_000)}
    done = [job for job in jobs.values() if job.state is JobState.SUCCEEDED]
    visible = {job.id: {f"{job.attempt}/out/{artifact.name}" for artifact in client.artifacts(job.id)} for job in done}

    def orphans() -> list[str]:
        return list(_orphans(site.store.list("results"), jobs, visible))

    _settled(lambda: not orphans(), seconds)
    figures.check("files in the store that no job has", orphans())


def _orphans(keys: Iterable[str], jobs: Mapping[str, JobView], visible: Mapping[str, set[str]]) -> Iterable[str]:
    """Outputs that no visible result names, what tasks of ended jobs left for one another, and files of no job.

    Orders, events and marks stay: by them a worker that wakes late knows to stop; parts of what did not succeed stay
    for its next attempt.
    """
    for key in keys:
        _, job, rest = key.split("/", 2)
        if job not in jobs:
            yield f"{key} (no such job)"
        elif rest not in visible.get(job, ()) and (
            re.match(r"\d+/(out|pieces)/", rest) or (rest.startswith("parts/") and job in visible)
        ):
            yield f"{key} ({jobs[job].state}, attempt {jobs[job].attempt})"


def _missing(keys: Iterable[str], rows: Mapping[str, Any], visible: Mapping[str, list[str]]) -> Iterable[str]:
    there = set(keys)
    for job, names in visible.items():
        wanted = (f"results/{job}/{rows[job].attempt}/out/{name}" for name in names)
        yield from (key for key in wanted if key not in there)


def audit_files(figures: Figures, site: Site) -> None:
    """Everything has ended: what lies where only unfinished work lies, before and after it is swept."""
    figures.numbers["temporary files that killed processes left"] = len(_temporary(site))
    for folder in (site.home / "cache" / "scratch", *(site.root / "tmp").glob("crossview-*")):
        sweep(folder)
    if (partial := site.home / "store" / ".partial").exists():
        sweep_files(partial, older_s=0)
    figures.check("temporary files after the sweep", _temporary(site))


def _temporary(site: Site) -> list[str]:
    """Files of uploads, imports and tasks, of S3 objects looked at, and whatever is called partial."""
    places = [site.home / name for name in ("uploads", "scratch", "cache/scratch", "store/.partial")]
    places += (site.root / "tmp").glob("crossview-*")
    found = {path for place in places for path in place.rglob("*") if not path.is_dir()}
    found |= {path for path in site.home.rglob("*.partial") if path.is_file()}
    return sorted(str(path.relative_to(site.root)) for path in found)


def _settled(condition: Any, seconds: float) -> None:
    with contextlib.suppress(AssertionError):
        until(condition, bool, seconds=seconds)


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {count}" for name, count in value.items()) or "none"
    return str(value)


def write(figures: Figures, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "figures.md").write_text(figures.markdown(), encoding="utf-8")
    (out / "figures.json").write_text(figures.json() + "\n", encoding="utf-8")
