"""What finished jobs took, kept in memory until another one finishes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jobs.state import JobState
from storage.tables import jobs as job_table
from storage.tables import queue as table

if TYPE_CHECKING:
    from storage.database import Database

V = TypeVar("V")
LOOKED_AT = 200  # finished jobs of a kind  # ours


@dataclass(frozen=True, slots=True)
class Past:
    """One finished job. seconds: from start to end."""

    spec: Mapping[str, Any]
    cells: int
    seconds: float


class Recent(Generic[V]):
    """The last few answers by their question, for any thread."""

    def __init__(self, size: int) -> None:
        self._size, self._kept, self._lock = size, dict[Hashable, V](), threading.Lock()

    def get(self, key: Hashable) -> V | None:
        with self._lock:
            return self._kept.get(key)

    def put(self, key: Hashable, value: V) -> None:
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self._size:
                del self._kept[next(iter(self._kept))]


@dataclass
class History:
    """Asked at every submission, changed at every end: read again only when a job of the kind has ended since."""

    database: Database
    _kept: dict[str, tuple[tuple[int, datetime | None], list[Past]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def alike(self, kind: str, same: Callable[[Mapping[str, Any]], bool]) -> list[tuple[int, float]]:
        """(cells, seconds) of finished jobs of this kind whose spec is `same`."""
        return [(past.cells, past.seconds) for past in self._of(kind) if same(past.spec)]

    def _of(self, kind: str) -> list[Past]:
        with self.database.read() as conn:
            now = table.history_at(conn, kind=kind, state=JobState.SUCCEEDED)
            with self._lock:
                known = self._kept.get(kind)
            if known is not None and known[0] == now:
                return known[1]
            rows = job_table.find(conn, kind=kind, states=[JobState.SUCCEEDED], limit=LOOKED_AT)
        found = []
        for row in rows:
            cells = (row.result or {}).get("cells")
            if cells and row.started_at and row.finished_at:
                found.append(Past(row.spec, int(cells), (row.finished_at - row.started_at).total_seconds()))
        with self._lock:
            self._kept[kind] = (now, found)
        return found
