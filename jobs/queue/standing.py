"""The line as it stands: who comes next, each job's place, and when it will be done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from jobs import estimate
from jobs.keeping.actor import PERSON
from jobs.queue import wait
from jobs.queue.order import line_up
from jobs.shown import job_view
from jobs.state import JobState
from storage.tables import marks
from storage.tables import queue as table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from jobs.queue.rules import Rules
    from jobs.views import JobView
    from storage.tables.jobs import JobRow
    from storage.tables.queue import ShortRow

RECENT = timedelta(days=1)  # of use that counts  # ours
AT_WORK = (JobState.SUBMITTED, JobState.RUNNING, JobState.CANCELLING)


@dataclass
class Standing:
    """One moment of the queue; read at first need and then kept. conn: must be open while it is asked."""

    conn: DuckDBPyConnection
    rules: Rules
    owner: str = PERSON  # whose marks are shown

    @cached_property
    def running(self) -> list[ShortRow]:
        return table.short(self.conn, states=AT_WORK)

    @cached_property
    def line(self) -> list[ShortRow]:
        """Those that wait, the next first."""
        waiting = table.short(self.conn, states=(JobState.QUEUED,))
        used = table.used_s(self.conn, since=table.ago(RECENT)) if len({job.owner for job in waiting}) > 1 else {}
        return line_up(
            waiting,
            running=Counter(job.owner for job in self.running),
            used_hours={owner: seconds / 3_600 for owner, seconds in used.items()},
        )

    @cached_property
    def places(self) -> dict[str, int]:
        """1 for the job that comes next."""
        return {job.id: place for place, job in enumerate(self.line, start=1)}

    @cached_property
    def ends(self) -> dict[str, estimate.Interval]:
        """Seconds from now to the end of each job that waits, with the wait for those ahead."""
        left = [_left(job) for job in self.running]
        found = wait.ends([_whole(job) for job in self.line], running=left, places=self.rules.places)
        return {job.id: end for job, end in zip(self.line, found, strict=True)}

    @cached_property
    def marks(self) -> marks.Marks:
        """Stars, labels and the bin."""
        return marks.all_of(self.conn, owner=self.owner)

    def view(self, row: JobRow, *, from_cache: bool = False) -> JobView:
        """The job as it stands: its place in the queue, what is left of its estimate, what people put on it."""
        its = self.marks.of(row.id)
        put = {"labels": its.labels, "starred": its.row.starred, "bin_until": its.row.bin_until}
        return self._placed(row, from_cache=from_cache).model_copy(update=put)

    def _placed(self, row: JobRow, *, from_cache: bool) -> JobView:
        if row.state != JobState.QUEUED or row.id not in self.places:
            return job_view(row, eta_s=estimate.of_row(row), from_cache=from_cache)
        known = row.expected_high is not None
        return job_view(
            row, position=self.places[row.id], eta_s=self.ends[row.id] if known else None, from_cache=from_cache
        )

    def views(self, rows: Iterable[JobRow]) -> list[JobView]:
        return [self.view(row) for row in rows]


def _whole(job: ShortRow) -> estimate.Interval | None:
    if job.expected_low is None or job.expected_high is None:
        return None
    return job.expected_low, job.expected_high


def _left(job: ShortRow) -> estimate.Interval | None:
    whole = _whole(job)
    if whole is None or job.started_at is None:
        return whole
    return estimate.remaining(whole, time.time() - job.started_at)
