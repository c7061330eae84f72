"""How a job row changes state: the table of moves is asked, then the row is compared and set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobs.state import TERMINAL, JobState, check_move
from jobs.views import Failure
from storage.tables import jobs as table
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.tables.jobs import JobRow

AUTOMATIC_RETRIES = 2  # of a LOST attempt, before a person must decide  # ours
BACKOFF_S = (2.0, 30.0)  # before each of them  # ours

LOST = Failure(
    code="lost",
    message="The place where the job ran vanished before it finished.",
    hint="Nothing is wrong with the input: run it again. Finished parts are kept.",
)

PASSING = frozenset({"source-unreachable", "store-full", "disk-full"})  # of the place: it may be well in a minute


def state_of(row: JobRow) -> JobState:
    return JobState(row.state)


def move(
    conn: DuckDBPyConnection,
    row: JobRow,
    to: JobState,
    *,
    reason: str,
    moment: datetime | None = None,
    **changes: Any,
) -> bool:
    """Moves the job if its row still stands where `row` saw it; False when somebody was faster.

    Raises IllegalMove when the table of moves does not lead there.
    """
    check_move(state_of(row), to)
    moment = moment or utcnow()
    if to in TERMINAL:
        changes.setdefault("finished_at", moment)
    return table.move(
        conn,
        id=row.id,
        from_state=row.state,
        attempt=row.attempt,
        to_state=to.value,
        reason=reason,
        moment=moment,
        **changes,
    )


def requeue(conn: DuckDBPyConnection, row: JobRow, *, reason: str, automatic: int = 0) -> bool:
    """The next attempt of a job that ended without a result. automatic: how many such retries nobody asked for."""
    result = {**(row.result or {}), "automatic_retries": automatic}
    return move(
        conn,
        row,
        JobState.QUEUED,
        reason=reason,
        new_attempt=row.attempt + 1,
        stage="",
        done=0,
        total=0,
        message="Waiting to be tried again" if automatic else "",
        failure=None,
        result=result,
        ray_submission=None,
        cancel_requested=False,
        started_at=None,
        finished_at=None,
        heartbeat_at=None,
    )


def lose(conn: DuckDBPyConnection, row: JobRow, *, reason: str, failure: Failure = LOST) -> bool:
    """LOST on positive evidence, and QUEUED again in the same transaction while automatic retries are left."""
    if not move(conn, row, JobState.LOST, reason=reason, failure=failure.model_dump()):
        return False
    tried = automatic_retries(row.result)
    if tried < AUTOMATIC_RETRIES:
        lost = table.get(conn, row.id)
        assert lost is not None  # moved in this transaction
        requeue(conn, lost, reason=f"automatic retry {tried + 1} of {AUTOMATIC_RETRIES}", automatic=tried + 1)
    return True


def automatic_retries(result: Mapping[str, Any] | None) -> int:
    return int((result or {}).get("automatic_retries", 0))


def backoff_s(row: JobRow) -> float:
    """How long a queued job waits before its attempt is submitted."""
    tried = automatic_retries(row.result)
    return BACKOFF_S[min(tried, len(BACKOFF_S)) - 1] if tried else 0.0
