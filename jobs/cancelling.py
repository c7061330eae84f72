"""Stopping a job that waits or runs: for whoever it belongs to, and for an operator, who sees nothing of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jobs import layout
from jobs.accounts import access
from jobs.accounts.views import LONGEST_REASON
from jobs.errors import BadRequest, Conflict, NotFound
from jobs.keeping.audit import noted
from jobs.reconcile.moves import move, state_of
from jobs.state import BY_OPERATOR, TERMINAL, JobState
from jobs.submitting import one_line, row_of
from jobs.views import Failure
from storage.errors import StorageError
from storage.tables import jobs as job_table
from storage.tables import users as user_table
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.artifacts import ArtifactStore
    from storage.database import Database
    from storage.tables.jobs import JobRow

log = logging.getLogger(__name__)
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Canceller:
    """wake: tells the reconciler that an attempt has to be stopped."""

    database: Database
    store: ArtifactStore
    wake: Callable[[], None]

    def own(self, id: str) -> None:
        """Asking twice is asking once. Raises NotFound, NotAllowed, Conflict for a job that has ended."""
        while True:
            with self.database.read() as conn:
                row = row_of(conn, id)
            if (here := state_of(row)) in TERMINAL:
                said = f"The job has ended already: it is {here.value.lower()}."
                raise Conflict(said, hint="There is nothing to stop.")
            if here is JobState.CANCELLING or self._step(row, "job.cancel", reason="asked by a person"):
                return

    def anybodys(self, id: str, *, reason: str = "") -> None:
        """Another's job, whose owner is told by whom and why; an operator's own as always, without a word.

        Raises NotAllowed, BadRequest, NotFound for what neither waits nor runs.
        """
        access.require_operator()
        words = one_line(reason)
        if len(reason.strip()) > LONGEST_REASON:
            raise BadRequest(
                f"The reason has {len(reason):,} characters.",
                hint=f"Write at most {LONGEST_REASON}: the owner reads it.",
            )
        while True:
            with self.database.read() as conn:
                row = job_table.get(conn, id)
                told = _told(conn, words).model_dump()
            if row is None or state_of(row) in TERMINAL:
                raise NotFound(f"No job {id[:80]!r} waits or runs.", hint="It may have ended: look at the queue again.")
            if row.owner == access.owner():
                self.own(id)
                return
            if state_of(row) is JobState.CANCELLING or self._step(
                row, "admin.cancel", {"owner": row.owner}, reason="asked by an operator", failure=told
            ):
                return

    def _step(self, row: JobRow, act: str, detail: Mapping[str, str] = NOTHING, *, reason: str, **changes: Any) -> bool:
        """False where it moved on between the look and this step: then it takes another look. detail: of the log."""
        to = JobState.CANCELLED if state_of(row) is JobState.QUEUED else JobState.CANCELLING

        def step(conn: DuckDBPyConnection) -> bool:
            return move(conn, row, to, reason=reason, cancel_requested=True, **changes)

        if not self.database.write_now(noted(act, row.id, step, **detail)):
            return False
        if to is JobState.CANCELLED:
            self._mark_ordered(row)
        self.wake()
        return True

    def _mark_ordered(self, row: JobRow) -> None:
        """A queued attempt may be in the runner's hands: by a step that was cut short before it could say so."""
        try:
            if self.store.exists(layout.order(row.id, row.attempt)):
                self.store.put_once(layout.cancel_mark(row.id, row.attempt), b"cancel\n")
        except StorageError as error:  # it then runs to its end, and nobody sees what it does
            log.warning("Job %s is cancelled, but its mark could not be left: %s", row.id, error)


def _told(conn: DuckDBPyConnection, reason: str) -> Failure:
    """What the owner reads of it: that, why, who and when."""
    user = user_table.get(conn, access.owner())
    who = (user.name or user.email) if user is not None else "whoever runs this CrossView"
    return Failure(
        code=BY_OPERATOR,
        message=f"Cancelled by an operator: {reason}" if reason else "Cancelled by an operator.",
        hint=f"Ask {who}, who did so on {utcnow():%Y-%m-%d at %H:%M} UTC, or run it again.",
    )
