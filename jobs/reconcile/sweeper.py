"""After the end of an attempt: its log is kept, its processes are seen out, and what nobody will read is removed.

A live attempt is never touched: an attempt is over when the job row stands at a later one or in a final state, and the
runner says that nothing of it runs any more. The thread that submits is the one that sweeps, so that no attempt can
begin meanwhile. What a retry would go on from stays: parts and checkpoints of what failed or was lost, checkpoints of
what was cancelled. Orders, marks and events stay as well: by them a worker that wakes up late knows to stop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs import layout
from jobs.failures import scrub
from jobs.reconcile.moves import state_of
from jobs.runners.base import Runner, RunnerState, RunnerUnreachable
from jobs.state import TERMINAL, JobState
from storage.tables import jobs as table
from storage.tables import queue as queue_table
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore
    from storage.database import Database
    from storage.tables.jobs import JobRow

log = logging.getLogger(__name__)

AT_ONCE = 20  # jobs in one look, so that others do not wait long  # ours
FILES_EVERY_S = 60.0  # between two looks at what was left half-written  # ours
LINGER_S = 5.0  # for a process to end by itself after its last word  # ours
STILL_THERE = frozenset({RunnerState.PENDING, RunnerState.RUNNING})
READ_AGAIN = ("checkpoints/", "bundle/", "entries/")  # of a training, by its next attempt alone


@dataclass
class Sweeper:
    """Asked at every look of the reconciler. lingering: submissions told to end that the runner still runs."""

    database: Database
    store: ArtifactStore
    runner: Runner
    lingering: frozenset[str] = field(default=frozenset())
    clock: Callable[[], float] = time.monotonic
    _files_at: float = 0.0

    def sweep(self) -> None:
        if self.clock() >= self._files_at:
            self._files_at = self.clock() + FILES_EVERY_S
            try:
                self.store.sweep_unfinished()
            except Exception:
                log.exception("Unfinished writes could not be swept; trying again.")
        with self.database.read() as conn:
            ids = queue_table.untidied(conn, terminal=sorted(TERMINAL), limit=AT_ONCE)
        still: set[str] = set()
        for id in ids:
            try:
                still |= self._tidy(id)
            except RunnerUnreachable:
                return  # nothing is known of what runs there
            except Exception:
                log.exception("What job %s left could not be tidied up; trying again.", id)
        self.lingering = frozenset(still)

    def _tidy(self, id: str) -> set[str]:
        """Submissions of this job that were told to end and have not."""
        with self.database.read() as conn:
            row = table.get(conn, id)
        if row is None:
            return set()
        ended = state_of(row) in TERMINAL
        last = row.attempt if ended else row.attempt - 1
        first = (min(row.logged, row.swept) if ended else row.logged) + 1
        there = {submission for n in range(first, last + 1) if self._runs(submission := f"{id}-{n}")}
        if there:
            return self._see_out(row, there)
        for number in range(row.logged + 1, last + 1):
            self._keep_log(row, number)
        if ended:
            self._remove(row)
        changes = {"logged": last, **({"swept": last} if ended else {})}
        if not self.database.write_now(
            lambda conn: table.change(conn, id, attempt=row.attempt, keep_time=True, **changes)
        ):
            self._remove_deleted(id)
        return set()

    def _remove_deleted(self, id: str) -> None:
        """A job that was deleted while its log was being kept leaves nothing either."""
        with self.database.read() as conn:
            gone = table.get(conn, id) is None
        if gone:
            self.store.delete_prefix(layout.job_prefix(id))

    def _runs(self, submission: str) -> bool:
        return self.runner.status(submission).state in STILL_THERE

    def _see_out(self, row: JobRow, there: set[str]) -> set[str]:
        """Told to end at once where it was cancelled, else after a while: its last word is hardly spoken."""
        told = state_of(row) is JobState.CANCELLED or row.cancel_requested
        if not told and (utcnow() - row.updated_at).total_seconds() < LINGER_S:
            return set()
        for submission in there:
            self.runner.stop(submission, force=True)
        return there

    def _keep_log(self, row: JobRow, number: int) -> None:
        if text := self.runner.logs(f"{row.id}-{number}"):
            self.store.put_bytes(layout.log(row.id, number), scrub(text).encode())

    def _remove(self, row: JobRow) -> None:
        done = state_of(row) is JobState.SUCCEEDED
        for number in range(row.swept + 1, row.attempt + 1):
            self.store.delete_prefix(layout.pieces(row.id, number))
            if not (done and number == row.attempt):
                self.store.delete_prefix(layout.outputs(row.id, number))
        if done or state_of(row) is JobState.CANCELLED:
            self.store.delete_prefix(layout.parts(row.id))
        if done and row.kind in ("train", "benchmark"):
            for name in READ_AGAIN:
                self.store.delete_prefix(layout.training(row.id, row.spec_digest, name))
