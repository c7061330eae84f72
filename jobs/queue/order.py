"""The order of the jobs that wait, as one pure function.

The next place goes to the user with the least load: attempts that run now, plus hours that the user's jobs took in the
last day. Each place given adds one to that load, so that users alternate. Of one user, and between users of the same
load, higher priority comes first, then the older job. A priority thus orders a user's own jobs and overtakes nobody
who used less.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol, TypeVar


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


ONE = 1_000  # of a load: whole numbers, so that equal is equal
RANK = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}


class Waits(Protocol):
    """What the order depends on. submitted_at: seconds since 1970."""

    @property
    def id(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def priority(self) -> str: ...
    @property
    def submitted_at(self) -> float: ...


W = TypeVar("W", bound=Waits)
Key = tuple[int, float, str]


def line_up(waiting: Iterable[W], *, running: Mapping[str, int], used_hours: Mapping[str, float]) -> list[W]:
    """All that wait, the next first. running: attempts by owner. used_hours: of the last day, by owner."""
    own: dict[str, deque[W]] = defaultdict(deque)
    for job in sorted(waiting, key=_key):
        own[job.owner].append(job)
    heads: list[tuple[int, Key, str]] = []
    for owner, jobs in own.items():
        load = ONE * running.get(owner, 0) + round(ONE * used_hours.get(owner, 0.0))
        heads.append((load, _key(jobs[0]), owner))
    heapq.heapify(heads)
    line: list[W] = []
    while heads:
        load, _, owner = heads[0]
        line.append(own[owner].popleft())
        if own[owner]:
            heapq.heapreplace(heads, (load + ONE, _key(own[owner][0]), owner))
        else:
            heapq.heappop(heads)
    return line


def _key(job: Waits) -> Key:
    return RANK[Priority(job.priority)], job.submitted_at, job.id
