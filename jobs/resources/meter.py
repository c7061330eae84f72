"""A thread that watches this process while it works for an attempt, and leaves what it saw beside the events.

Workers are other processes, on other machines, and may be killed: what each saw so far lies in the store, one small
object a process, written again as it grows. Whoever reads puts them together.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs import layout
from jobs.resources.points import Point, Record, Series
from jobs.resources.probe import Gpu, Shared, machine, name_of_process, resident

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore

log = logging.getLogger(__name__)

EVERY_S = 1.0  # between two looks  # ours
WRITE_S = 2.0  # between two writes at least  # ours
PATIENCE = 200  # and so many times what the last one took: half a per cent of the time  # ours


@dataclass
class Meter:
    """Of this process and one attempt. `at` says what it is doing; outside of that nothing is looked at."""

    open: Callable[[], ArtifactStore]
    job: str
    attempt: int
    role: str = "worker"
    name: str = field(default_factory=name_of_process)
    series: Series = field(default_factory=Series)
    cost_s: float = 0.0
    _stages: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _end: threading.Event = field(default_factory=threading.Event)
    _shared: Shared = field(default_factory=Shared)
    _gpu: Gpu = field(default_factory=Gpu)
    _since: tuple[float, float, float] = (0.0, 0.0, 0.0)  # moment, by the steady clock, processor seconds
    _most: int = 0
    _written: tuple[float, float, str] | None = None  # when, what it took, at which stage

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """Watched meanwhile; within another stage of the same process the inner one counts."""
        outermost = not self._stages
        if outermost:
            self._begin()
        else:
            self.look()
        self._stages.append(stage)
        if outermost:
            self._end = threading.Event()
            threading.Thread(target=self._loop, args=(self._end,), name="meter", daemon=True).start()
        try:
            yield
        finally:
            if outermost:
                self._end.set()
            self.look()
            self._stages.pop()
            if outermost:
                self._keep(stage, last=True)

    def say(self, stage: str) -> None:
        """The innermost stage is this one from now on."""
        if self._stages and self._stages[-1] != stage:
            self.look()
            self._stages[-1] = stage

    def look(self) -> None:
        """What was taken since the last look, as a point. Whatever goes wrong here costs no work."""
        began = time.thread_time()
        try:
            with self._lock:
                self._look()
        except Exception:
            log.debug("This process could not be measured.", exc_info=True)
        self.cost_s += time.thread_time() - began

    def _begin(self) -> None:
        self._since = (time.time(), time.monotonic(), time.process_time())
        self._most = resident()[1]

    def _look(self) -> None:
        if not self._stages:
            return
        at, steady, cpu = self._since
        self._since = (time.time(), time.monotonic(), time.process_time())
        now, most = resident()
        gpu, gpu_memory = self._gpu.read()
        self.series.add(
            Point(
                at=round(at, 3),
                seconds=round(self._since[1] - steady, 3),
                stage=self._stages[-1],
                cpu_s=round(max(0.0, self._since[2] - cpu), 4),
                memory=most if most > self._most else now,  # it may have had more for a moment
                shared=self._shared.read(now),
                gpu=gpu,
                gpu_memory=gpu_memory,
            )
        )
        self._most = most

    def _loop(self, end: threading.Event) -> None:
        while not end.wait(EVERY_S):
            self.look()
            self._keep(self._stages[-1] if self._stages else "", last=False)

    def _keep(self, stage: str, *, last: bool) -> None:
        """Written where that costs next to nothing; at the end of a task also when its stage is new."""
        if not self._writing.acquire(blocking=False):
            return
        try:
            if self._due(stage, last=last):
                began, spent = time.monotonic(), time.thread_time()
                with self._lock:
                    document = self._record().document()
                key = layout.resource(self.job, self.attempt, self.name)
                self.open().put_bytes(key, json.dumps(document, separators=(",", ":"), allow_nan=False).encode())
                self.cost_s += time.thread_time() - spent
                self._written = (time.monotonic(), time.monotonic() - began, stage)
        except Exception:
            log.debug("What this process takes could not be written.", exc_info=True)
            self._written = (time.monotonic(), WRITE_S, stage)
        finally:
            self._writing.release()

    def _due(self, stage: str, *, last: bool) -> bool:
        if self._written is None:
            return True
        when, took, then = self._written
        waited = time.monotonic() - when
        if last and (stage != then or self.role == "driver"):
            return True
        return waited >= max(0.0 if last else WRITE_S, PATIENCE * took)

    def _record(self) -> Record:
        return Record(
            process=self.name,
            role=self.role,
            machine=machine(),
            cost_s=round(self.cost_s, 4),
            gpu_name=self._gpu.name,
            points=tuple(self.series.points),
        )


_here: dict[tuple[str, str, int], Meter] = {}  # the last one of this process: its workers serve one attempt
_choosing = threading.Lock()


def meter_of(uri: str, job: str, attempt: int, *, role: str = "worker") -> Meter:
    """This process's meter for the attempt, made when it is first asked for."""
    from jobs.work import open_store

    key = (uri, job, attempt)
    with _choosing:
        if key not in _here:
            _here.clear()
            _here[key] = Meter(lambda: open_store(uri), job, attempt, role=role)
        return _here[key]
