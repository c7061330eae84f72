"""What the service needs of a place to run attempts, and what a driver needs of a place to run tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class RunnerState(StrEnum):
    """What the place says of an attempt. It is asked, never trusted alone."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"  # it answers, and knows no such attempt


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    state: RunnerState
    message: str = ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """Of all nodes together. largest_bytes: memory of the largest one, where that is known; a task fits on one node."""

    cpus: float
    gpus: float
    memory_bytes: float
    nodes: int
    largest_bytes: float = 0.0


class RunnerUnreachable(Exception):
    """The place does not answer. Nothing follows from silence: ask again later."""


class Runner(Protocol):
    name: str

    def capacity(self) -> Capacity: ...

    def submit(self, *, submission: str, job: str, attempt: int, store: str) -> None:
        """Start `driver` for results/<job>/<attempt>/order.json in the store. The same submission twice is one."""
        ...

    def status(self, submission: str) -> RunnerStatus: ...
    def stop(self, submission: str, *, force: bool = False) -> None: ...
    def logs(self, submission: str) -> str: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work as it crosses a process: a name in work.TASKS and plain JSON arguments, no arrays."""

    kind: str
    arguments: dict[str, Any]
    label: str = ""
    weight: int = 1  # cells or blocks, for progress


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a task says when done: references, counts and digests, no arrays."""

    task: Task
    result: dict[str, Any]


class Executor(Protocol):
    """Runs tasks somewhere; yields receipts as they finish."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Receipt]: ...
