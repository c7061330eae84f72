"""What the store and the runner say against what we recorded; started again, it settles what is left.

All state is in the database and the store. Silence never ends a job: only the outbox, or the runner's own word
that an attempt is over, does.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import layout
from jobs.failures import failure_of
from jobs.queue.rules import Rules
from jobs.queue.standing import AT_WORK, Standing
from jobs.reconcile import clock, orders, outbox
from jobs.reconcile.moves import PASSING, backoff_s, expire, lose, move, state_of, stopped
from jobs.reconcile.sweeper import Sweeper
from jobs.runners.base import Runner, RunnerState, RunnerUnreachable
from jobs.spec import model_digest, read_spec
from jobs.state import TERMINAL, JobState
from storage.errors import StorageError
from storage.tables import jobs as table
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from jobs.views import Failure
    from storage.artifacts import ArtifactStore
    from storage.database import Database
    from storage.tables.jobs import JobRow

log = logging.getLogger(__name__)

QUIET_S = 3.0  # without an event before the runner is asked; drivers speak every 2 s  # ours
QUIET_STOPPING_S = 1.0  # the same of an attempt that was told to stop  # ours
STOP_AFTER_S = 2.0  # from the cancel mark to asking the runner  # ours
FORCE_AFTER_S = 3.0  # to insisting  # ours
LEAVE_AFTER_S = 4.0  # and to calling it ended: the sweeper sees out what still runs  # ours
TELL_EVERY_S = 60.0  # that the runner is away: a log is read, not filled  # ours
WAITING = frozenset({RunnerState.PENDING, RunnerState.RUNNING})
ALL = 10_000
Unread = Callable[["ArtifactStore", "JobRow"], list[outbox.Event]]


@dataclass
class Reconciler:
    """One thread that moves jobs on. bundle_folder: where the bundle of this digest lies."""

    database: Database
    store: ArtifactStore
    runner: Runner
    bundle_folder: Callable[[str], Path | None]
    store_uri: str
    rules: Rules = field(default_factory=Rules)
    period_s: float = 0.5
    clock: Callable[[], float] = time.monotonic
    _cancelled_at: dict[tuple[str, int], float] = field(default_factory=dict)
    _tell_after: float = 0.0  # by the clock, that the runner does not answer
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="reconciler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends after the look in progress; attempts go on without us."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        """Look now: something was asked."""
        self._wake.set()

    @cached_property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.database, self.store, self.runner)

    def tick(self) -> None:
        """One look at every job that is in the runner's hands; then the free places are filled, in order."""
        with self.database.read() as conn:
            busy = table.find(conn, states=AT_WORK, limit=ALL)
        for row in sorted(busy, key=lambda row: (row.submitted_at, row.id)):
            self._safely(self._settle, row)
        self._fill()
        self.sweeper.sweep()

    def _fill(self) -> None:
        with self.database.read() as conn:
            standing = Standing(conn, self.rules)
            running = Counter(job.owner for job in standing.running)
            free = self.rules.places - running.total() - len(self.sweeper.lingering)
            line = standing.line if free > 0 else []
        for job in line:
            if free <= 0:
                return
            if self.rules.user_running and running[job.owner] >= self.rules.user_running:
                continue
            with self.database.read() as conn:
                row = table.get(conn, job.id)
            if row is None or state_of(row) is not JobState.QUEUED or not self._due(row):
                continue
            running[job.owner] += 1
            free -= 1
            if not self._safely(self._submit, row):
                return  # the runner is away for the others too

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self.tick()
            except Exception:
                log.exception("The jobs could not be looked at; trying again.")
            self._wake.wait(self.period_s)
            self._wake.clear()

    def _safely(self, step: Callable[[JobRow], None], row: JobRow) -> bool:
        """One job's trouble is not the others'. False where the runner did not answer."""
        try:
            step(row)
        except RunnerUnreachable as error:
            if self.clock() >= self._tell_after:
                log.warning("Job %s: the runner does not answer (%s); nothing follows from that.", row.id, error)
                self._tell_after = self.clock() + TELL_EVERY_S
            return False
        except Exception:
            log.exception("Job %s could not be looked at; trying again.", row.id)
        return True

    # -- submitting ----------------------------------------------------------------------------------------------

    def _due(self, row: JobRow) -> bool:
        return (utcnow() - row.updated_at).total_seconds() >= backoff_s(row)

    def _submit(self, row: JobRow) -> None:
        """Order first, then the runner, then the row: a crash in between repeats what may be repeated."""
        submission = f"{row.id}-{row.attempt}"
        try:
            self._publish(row)
            self.runner.submit(submission=submission, job=row.id, attempt=row.attempt, store=self.store_uri)
        except RunnerUnreachable:
            raise
        except Exception as error:
            if isinstance(error, StorageError) and error.code in PASSING:
                raise
            self._fail(row, error)
            return
        moved = self.database.write_now(
            lambda conn: move(conn, row, JobState.SUBMITTED, reason="handed to the runner", ray_submission=submission)
        )
        if not moved:  # cancelled while we were at it
            self._mark(row)
            self.runner.stop(submission)

    def _publish(self, row: JobRow) -> None:
        if bundle := model_digest(read_spec(row.spec)):
            orders.publish_bundle(self.store, bundle, self.bundle_folder)
        with self.database.read() as conn:
            document = orders.order_document(conn, row)
        orders.publish_order(self.store, document)

    def _fail(self, row: JobRow, error: Exception) -> None:
        failure = failure_of(error).model_dump()
        log.warning("Job %s cannot be submitted: %s", row.id, failure["message"])
        self.database.write_now(
            lambda conn: move(conn, row, JobState.FAILED, reason="could not be submitted", failure=failure)
        )

    # -- settling ------------------------------------------------------------------------------------------------

    def _settle(self, row: JobRow) -> None:
        here = self._pull(row)
        if here is None:
            return
        if (failure := clock.ran_too_long(here, self.rules, utcnow())) is not None:
            here = self._expire(here, failure)
        quiet = QUIET_S
        if state_of(here) is JobState.CANCELLING:
            self._press(here)
            if self._pressed_s(here) >= LEAVE_AFTER_S:
                # Whoever still works there finds the mark, and nothing of this attempt can become visible any more.
                self._vanished(here, f"told to stop {LEAVE_AFTER_S:.0f} s ago; the sweeper sees it out")
                return
            quiet = QUIET_STOPPING_S
        if (utcnow() - (here.heartbeat_at or here.updated_at)).total_seconds() < quiet:
            return
        if (found := self._pull(here, unread=outbox.past_gaps)) is None:
            return
        here = found
        assert here.ray_submission is not None  # set with SUBMITTED
        try:
            status = self.runner.status(here.ray_submission)
        except RunnerUnreachable:
            if self._pressed_s(here) < STOP_AFTER_S:
                raise
            self._vanished(here, "cancelled while the runner does not answer")
            return
        if status.state in WAITING:
            if (failure := clock.never_started(here, self.rules, utcnow())) is not None:
                self._press(self._expire(here, failure))
            return
        # What it said before it ended lies in the store by now: read once more before deciding.
        there = self._pull(here)
        if there is not None:
            self._vanished(there, f"the runner says {status.state}: {status.message}".rstrip(": "))

    def _pull(self, row: JobRow, *, unread: Unread = outbox.unread) -> JobRow | None:
        """Applies the outbox; the row as it is then, or None once this attempt has ended."""
        while events := unread(self.store, row):
            self.database.write_now(partial(outbox.apply, id=row.id, attempt=row.attempt, events=events))
            with self.database.read() as conn:
                after = table.get(conn, row.id)
            if after is None or after.attempt != row.attempt or state_of(after) in TERMINAL:
                self._cancelled_at.pop((row.id, row.attempt), None)
                return None
            row = after
        return row

    def _vanished(self, row: JobRow, reason: str) -> None:
        self._cancelled_at.pop((row.id, row.attempt), None)
        if state_of(row) is JobState.CANCELLING:
            self.database.write_now(lambda conn: stopped(conn, row, reason=reason))
        else:
            log.warning("Job %s, attempt %d was lost: %s", row.id, row.attempt, reason)
            self.database.write_now(lambda conn: lose(conn, row, reason=reason))
            with contextlib.suppress(StorageError):  # who still works there holds a place until the successor begins
                self._mark(row)

    def _expire(self, row: JobRow, failure: Failure) -> JobRow:
        """The row as it stands then: on its way to a failure, unless somebody was faster."""
        log.warning("Job %s, attempt %d: %s", row.id, row.attempt, failure.message)
        self.database.write_now(lambda conn: expire(conn, row, failure))
        with self.database.read() as conn:
            return table.get(conn, row.id) or row

    def _press(self, row: JobRow) -> None:
        """The mark first; then the runner is asked, and at last told."""
        self._mark(row)
        self._cancelled_at.setdefault((row.id, row.attempt), self.clock())
        since = self._pressed_s(row)
        patience = STOP_AFTER_S if row.started_at else 0.0  # nobody is there yet to see the mark
        if since >= patience and row.ray_submission is not None:
            with contextlib.suppress(RunnerUnreachable):
                self.runner.stop(row.ray_submission, force=since >= FORCE_AFTER_S)

    def _pressed_s(self, row: JobRow) -> float:
        """Seconds since this process marked the attempt as cancelled; 0 when it did not."""
        return self.clock() - self._cancelled_at.get((row.id, row.attempt), self.clock())

    def _mark(self, row: JobRow) -> None:
        self.store.put_once(layout.cancel_mark(row.id, row.attempt), b"cancel\n")
