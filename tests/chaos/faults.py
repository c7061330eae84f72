"""What can go wrong, one function a fault: each says in a few words what it hit, or None where nothing was there.

All are real: signals to real processes, a disk that is full, an object that is gone. What dies is started again by the
operator of the site (site.Site.mend), as a supervisor would; a fault that freezes something wakes it itself.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from jobs import layout
from jobs.client_http import HttpClient
from jobs.state import JobState
from jobs.views import JobView
from storage.errors import StorageError
from tests.chaos.cluster import Node
from tests.chaos.site import Site
from tests.labs import until

DRIVER = "jobs.runners.ray.driver"
TASKS = ("ray::translate", "ray::score", "ray::map", "ray::publish")
LEFT_BYTES = 64 * 1024  # on a disk that is called full
Fault = Callable[[Site, random.Random], str | None]


# -- what dies ---------------------------------------------------------------------------------------------------------


def worker_killed(site: Site, rng: random.Random) -> str | None:
    return _kill(rng, [p for node in site.cluster.both() for p in node.named(*TASKS)], "worker")


def driver_killed(site: Site, rng: random.Random) -> str | None:
    return _kill(rng, drivers(site), "driver")


def raylet_killed(site: Site, rng: random.Random) -> str | None:
    return _kill(rng, site.cluster.second.named("raylet/raylet"), "raylet of the second node")


def head_killed(site: Site, rng: random.Random) -> str | None:
    return _kill(rng, site.cluster.head.named("gcs/gcs_server"), "GCS of the head")


def control_plane_killed(site: Site, rng: random.Random) -> str | None:
    if site.server is None or site.server.poll() is not None:
        return None
    site.server.kill()
    site.server.wait()
    return "control plane"


def s3_killed(site: Site, rng: random.Random) -> str | None:
    """Away for up to 8 s, longer than any single request is tried."""
    if site.s3 is None or not site.s3.alive:
        return None
    with site.held():
        site.s3.kill()
        away_s = rng.uniform(0, 8)
        time.sleep(away_s)
    return f"S3, away for {away_s:.1f} s"


# -- what freezes and wakes --------------------------------------------------------------------------------------------


def worker_frozen(site: Site, rng: random.Random) -> str | None:
    """Past the heartbeat (3 s without a word), and on as if nothing had been."""
    found = [p for node in site.cluster.both() for p in node.named(*TASKS)]
    return _freeze(rng, found, "worker", seconds=rng.uniform(4, 8))


def driver_frozen(site: Site, rng: random.Random) -> str | None:
    return _freeze(rng, drivers(site), "driver", seconds=rng.uniform(4, 8))


def control_plane_frozen(site: Site, rng: random.Random) -> str | None:
    if site.server is None or site.server.poll() is not None:
        return None
    return _freeze(rng, [psutil.Process(site.server.pid)], "control plane", seconds=rng.uniform(2, 6))


def node_frozen(site: Site, rng: random.Random) -> str | None:
    """The whole second node stands still until Ray gives its work to others, and then wakes beside them."""
    node = site.cluster.second
    if not node.alive or site.cluster.living() != 2 or not node.named(*TASKS):
        return None
    with site.held():
        frozen = node.members()
        _signal(frozen, signal.SIGSTOP)
        try:
            missed = _within(60, lambda: site.cluster.living() == 1)
            time.sleep(rng.uniform(2, 5))  # its tasks begin elsewhere
        finally:
            _signal(frozen, signal.SIGCONT)
        time.sleep(3)  # and what woke may do what it likes
    return f"second node, {'given up by Ray' if missed else 'not missed'}, awake again"


def driver_beside_successor(site: Site, rng: random.Random) -> str | None:
    """A driver stands still while Ray believes it dead; it wakes when the next attempt runs."""
    found = drivers(site)
    if not found:
        return None
    driver = rng.choice(found)
    job, attempt = job_of(driver)
    if job is None:
        return None
    with contextlib.suppress(psutil.Error):
        driver.suspend()
        # Ray's watcher would end the driver with its supervisor, as it could not on a machine out of reach.
        for process in _watchers(driver, site.cluster.head):
            process.kill()
        successor = _within(60, lambda: (now := _job(site, job)) is not None and now.attempt > attempt)
        if successor:
            _within(20, lambda: (now := _job(site, job)) is not None and now.state is JobState.RUNNING)
        driver.resume()
        return f"driver of {job}-{attempt}, awake beside {'its successor' if successor else 'nobody'}"
    return None


def clock_skewed(site: Site, rng: random.Random) -> str | None:
    """Drivers and workers that start in the next seconds live an hour off."""
    shift_s = rng.choice((-3600.0, 3600.0))
    site.shims.shift(shift_s)
    time.sleep(rng.uniform(6, 12))
    site.shims.shift(0.0)
    return f"clocks {shift_s:+.0f} s"


# -- what is lost or full ----------------------------------------------------------------------------------------------


def event_dropped(site: Site, rng: random.Random) -> str | None:
    """An event of a running attempt is gone before the control plane can read it."""
    if site.server is None or site.server.poll() is not None:
        return None
    server = psutil.Process(site.server.pid)
    running = [job for job in _jobs(site) if job.state is JobState.RUNNING]
    if not running:
        return None
    job = rng.choice(running)
    with contextlib.suppress(psutil.Error, StorageError):
        prefix = layout.events(job.id, job.attempt)
        server.suspend()
        try:
            before = site.store.list(prefix)
            if _within(8, lambda: len(site.store.list(prefix)) > len(before) + 1):
                key = site.store.list(prefix)[len(before)]
                site.store.delete(key)
                return f"event {Path(key).stem} of {job.id}-{job.attempt}"
        finally:
            server.resume()
    return None


def disk_filled(site: Site, rng: random.Random) -> str | None:
    """Nothing can be written to the home, nor to a store in it, for some seconds."""
    seconds = rng.uniform(4, 10)
    if not site.mounted:
        site.shims.fill(True)
        time.sleep(seconds)
        site.shims.fill(False)
        return f"ENOSPC from every open for {seconds:.1f} s"
    filler = site.home / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while (free := shutil.disk_usage(site.home).free) > LEFT_BYTES:
                file.write(b"\0" * min(free - LEFT_BYTES // 2, 2**22))
        time.sleep(seconds)
    finally:
        filler.unlink(missing_ok=True)
    return f"disk of the home, full for {seconds:.1f} s"


FAULTS: Mapping[str, tuple[Fault, int]] = {
    "worker killed": (worker_killed, 4),
    "driver killed": (driver_killed, 3),
    "raylet killed": (raylet_killed, 1),
    "head killed": (head_killed, 1),
    "control plane killed": (control_plane_killed, 3),
    "S3 killed": (s3_killed, 2),
    "worker frozen": (worker_frozen, 2),
    "driver frozen": (driver_frozen, 1),
    "control plane frozen": (control_plane_frozen, 1),
    "node woken beside its successor": (node_frozen, 1),
    "driver woken beside its successor": (driver_beside_successor, 2),
    "clock skewed": (clock_skewed, 1),
    "event dropped": (event_dropped, 2),
    "disk filled": (disk_filled, 2),
}


def deck(rng: random.Random, names: Sequence[str] = ()) -> list[str]:
    """Every fault as often as it weighs, in an order of this seed's."""
    cards = [name for name, (_, weight) in FAULTS.items() for _ in range(weight) if not names or name in names]
    rng.shuffle(cards)
    return cards


# -- targets -----------------------------------------------------------------------------------------------------------


def drivers(site: Site) -> list[psutil.Process]:
    """The Python processes of drivers, without the shells around them."""
    found = []
    for process in site.cluster.head.named(DRIVER) + site.cluster.second.named(DRIVER):
        with contextlib.suppress(psutil.Error):
            if "python" in process.cmdline()[0]:
                found.append(process)
    return found


def job_of(driver: psutil.Process) -> tuple[str | None, int]:
    with contextlib.suppress(psutil.Error, ValueError):
        words = driver.cmdline()
        return words[words.index("--job") + 1], int(words[words.index("--attempt") + 1])
    return None, 0


def _watchers(driver: psutil.Process, head: Node) -> list[psutil.Process]:
    """The supervisor of a driver's Ray job, and the shell that would end the driver with it."""
    found = []
    with contextlib.suppress(psutil.Error):
        parents = driver.parents()
        supervisor = next((p for p in parents if "JobSupervisor" in " ".join(p.cmdline())), None)
        if supervisor is not None:
            group = os.getpgid(driver.pid)
            shells = [p for p in supervisor.children(recursive=True) if "kill -s 0" in " ".join(p.cmdline())]
            found = [*(p for p in shells if os.getpgid(p.pid) != group or p.pid != driver.pid), supervisor]
    return found


def _kill(rng: random.Random, found: list[psutil.Process], what: str) -> str | None:
    if not found:
        return None
    victim = rng.choice(found)
    with contextlib.suppress(psutil.NoSuchProcess):
        victim.kill()
        return what
    return None


def _freeze(rng: random.Random, found: list[psutil.Process], what: str, *, seconds: float) -> str | None:
    if not found:
        return None
    victim = rng.choice(found)
    with contextlib.suppress(psutil.NoSuchProcess):
        victim.suspend()
        time.sleep(seconds)
        victim.resume()
        return f"{what}, for {seconds:.1f} s"
    return None


def _signal(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    with contextlib.suppress(AssertionError):
        return bool(until(condition, bool, seconds=seconds))
    return False


def _jobs(site: Site) -> list[JobView]:
    try:
        with HttpClient(site.url) as client:
            return client.jobs(limit=10_000)
    except Exception:  # a control plane that is away has nothing to say
        return []


def _job(site: Site, id: str) -> JobView | None:
    return next((job for job in _jobs(site) if job.id == id), None)
