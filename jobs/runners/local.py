"""Attempts on this machine without a cluster: each in a session of its own, so that it outlives the dashboard."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.driver import Stopped, drained, run_attempt
from jobs.logs import scrub_streams
from jobs.notify.settings import without_private
from jobs.runners import memory
from jobs.runners.base import Capacity, Receipt, RunnerState, RunnerStatus, Task
from jobs.work import open_store, run_task

TRIES = 3  # of a task whose worker dies  # ours
LOG_TAIL = 2**18  # bytes of a log that are read  # ours
ORPHAN_S = 1.0  # between two looks of a worker for its driver  # ours
GRACE_S = 10.0  # for a new process to show itself  # ours


# -- running tasks ---------------------------------------------------------------------------------------------------


@dataclass
class SerialExecutor:
    """Tasks one after the other, in this process."""

    store_uri: str
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, tasks: Sequence[Task]) -> Iterator[Receipt]:
        for task in tasks:
            if self._stopped.is_set():
                raise Stopped
            yield run_task(self.store_uri, task)

    def stop(self) -> None:
        self._stopped.set()

    def roomier(self, step: int) -> None:
        """One task at a time is all there is to give."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class PoolExecutor:
    """Tasks side by side in worker processes; a worker that dies costs its tasks nothing but time."""

    store_uri: str
    workers: int
    _stopped: threading.Event = field(default_factory=threading.Event)
    _pool: ProcessPoolExecutor | None = None
    _why: dict[str, str] = field(default_factory=dict)

    def run(self, tasks: Sequence[Task]) -> Iterator[Receipt]:
        tries = dict.fromkeys(range(len(tasks)), 0)
        while tries:
            for receipt, place in self._round(tasks, tries):
                if receipt is not None:
                    del tries[place]
                    yield receipt
                elif tries[place] >= TRIES:
                    del tries[place]
                    yield drained(tasks[place], times=TRIES, **self._why)

    def _round(self, tasks: Sequence[Task], tries: dict[int, int]) -> Iterator[tuple[Receipt | None, int]]:
        """Until all are done or the pool breaks; then those in flight are given back with one try more."""
        waiting, flying = list(tries), dict[Future[Receipt], int]()
        pool = self._running()
        try:
            while waiting or flying:
                while waiting and len(flying) < 2 * self.workers:
                    place = waiting.pop(0)
                    flying[pool.submit(run_task, self.store_uri, tasks[place])] = place
                done, _ = wait(flying, timeout=0.2, return_when=FIRST_COMPLETED)
                if self._stopped.is_set():
                    raise Stopped
                for future in done:
                    receipt = future.result()
                    yield receipt, flying.pop(future)
        except BrokenProcessPool:
            self._why = memory.why_it_died(_exit_codes(pool))
            self._abandon()
            if self._stopped.is_set():
                raise Stopped from None
            for place in flying.values():
                tries[place] += 1
                yield None, place

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            from multiprocessing import get_context

            self._pool = ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"), initializer=_as_worker)
        return self._pool

    def _abandon(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def roomier(self, step: int) -> None:
        """Fewer side by side."""
        self.workers = max(1, self.workers >> step)

    def stop(self) -> None:
        from multiprocessing import active_children

        self._stopped.set()
        for worker in active_children():
            worker.kill()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=not self._stopped.is_set(), cancel_futures=True)
            self._pool = None


def _exit_codes(pool: ProcessPoolExecutor) -> list[int]:
    """Of the workers that ended; those that live are ended by the pool itself."""
    processes = list((pool._processes or {}).values())
    for process in processes:
        process.join(0.5)
    return [process.exitcode for process in processes if process.exitcode]


def _as_worker() -> None:
    """Workers leave Ctrl-C and SIGTERM to the driver, which ends them; where the driver was killed they end too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    scrub_streams()
    threading.Thread(target=_end_with, args=(os.getppid(),), name="orphan-watch", daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_S)
    os._exit(1)


# -- the process of an attempt ---------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m jobs.runners.local --store URI --job ID --attempt N [--workers N] [--state FOLDER]`."""
    parser = argparse.ArgumentParser(prog="python -m jobs.runners.local")
    parser.add_argument("--store", required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--attempt", required=True, type=int)
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--state", type=Path, default=None)
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _stop)
    scrub_streams()
    many = given.workers > 1
    executor = PoolExecutor(given.store, given.workers) if many else SerialExecutor(given.store)
    try:
        # A serial executor works in this thread: only a signal breaks into that.
        interrupt = None if many else lambda: os.kill(os.getpid(), signal.SIGTERM)
        code = run_attempt(open_store(given.store), given.job, given.attempt, executor, interrupt=interrupt)
    except BaseException:
        if given.state is not None:
            _write_json(given.state / "exit.json", {"code": 70})
        raise
    finally:
        executor.close()
    if given.state is not None:
        _write_json(given.state / "exit.json", {"code": code})
    return code


def _stop(number: int, frame: object) -> None:
    raise Stopped


# -- the runner ------------------------------------------------------------------------------------------------------


@dataclass
class LocalRunner:
    """Starts attempts as processes of this machine. folder: keeps pid, exit code and log of each submission.

    workers: processes an attempt may use for its tasks.
    """

    folder: Path
    workers: int = field(default_factory=lambda: min(4, os.cpu_count() or 1))
    name: str = "local"

    def capacity(self) -> Capacity:
        room = memory.of_this_machine()
        return Capacity(float(os.cpu_count() or 1), 0.0, room, 1, largest_bytes=room)

    def submit(self, *, submission: str, job: str, attempt: int, store: str) -> None:
        place = self._place(submission)
        if (place / "pid.json").exists() or (place / "exit.json").exists():
            return
        place.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "jobs.runners.local", "--store", store, "--job", job]
        command += ["--attempt", str(attempt), "--workers", str(self.workers), "--state", str(place)]
        environ = {**without_private(os.environ), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        pid = self._begin(command, place / "log.txt", environ)
        known = {"pid": pid, "born": _born(pid) or time.time(), "memory_kills": memory.kills()}
        _write_json(place / "pid.json", known)

    def _begin(self, command: list[str], log: Path, environ: Mapping[str, str]) -> int:
        """The pid of the attempt's process, in a session of its own, its words in the log."""
        with log.open("ab") as out:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environ,
            )
        # Reaped as soon as it ends, so that a dead process never looks alive; nobody else waits for it.
        threading.Thread(target=child.wait, name=f"reap-{child.pid}", daemon=True).start()
        return child.pid

    def status(self, submission: str) -> RunnerStatus:
        place = self._place(submission)
        if not (place / "pid.json").exists() and not (place / "exit.json").exists():
            return RunnerStatus(RunnerState.UNKNOWN, "never started here")
        if self._alive(place):
            return RunnerStatus(RunnerState.RUNNING)
        if (place / "exit.json").exists():  # asked after the process: it writes this last
            code = _read_json(place / "exit.json").get("code")
            state = RunnerState.SUCCEEDED if code == 0 else RunnerState.FAILED
            return RunnerStatus(state, f"exit code {code}")
        if (place / "stopped").exists():
            return RunnerStatus(RunnerState.STOPPED, "stopped when asked")
        killed = memory.kills() > int(_read_json(place / "pid.json").get("memory_kills", 0))
        why = "; the kernel ended processes here that ran out of memory" if killed else ""
        return RunnerStatus(RunnerState.FAILED, f"the process ended without a word{why}")

    def stop(self, submission: str, *, force: bool = False) -> None:
        """The process and its workers: they share one session. Nothing is done to a pid that is someone else's."""
        place = self._place(submission)
        if not self._alive(place):
            return
        (place / "stopped").touch()
        with suppress(ProcessLookupError):
            os.killpg(int(_read_json(place / "pid.json")["pid"]), signal.SIGKILL if force else signal.SIGTERM)

    def logs(self, submission: str) -> str:
        path = self._place(submission) / "log.txt"
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL))
            return file.read().decode(errors="replace")

    def close(self) -> None:
        """Attempts go on: the next control plane finds them by their folder."""

    def _place(self, submission: str) -> Path:
        if not submission or "/" in submission or submission.startswith("."):
            raise ValueError(f"{submission!r} is no name of a submission")
        return self.folder / submission

    def _alive(self, place: Path) -> bool:
        if not (place / "pid.json").exists():
            return False
        known = _read_json(place / "pid.json")
        born = _born(int(known["pid"]))
        return born is not None and abs(born - float(known["born"])) < GRACE_S


def _born(pid: int) -> float | None:
    """When the process of this number started; None when there is none, or only its remains."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def _write_json(path: Path, document: dict[str, Any]) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    sys.exit(main())
