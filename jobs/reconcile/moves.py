"""How a job row changes state: the table of moves is asked, then the row is compared and set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobs.notify import record
from jobs.runners import memory
from jobs.state import BY_OPERATOR, TERMINAL, JobState, check_move
from jobs.views import Failure
from storage.tables import jobs as table
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.tables.jobs import JobRow

AUTOMATIC_RETRIES = 2  # of a LOST attempt, before a person must decide  # ours
BACKOFF_S = (2.0, 30.0)  # before each of them  # ours
MEMORY_STEPS = 2  # doublings of the memory before a person must decide  # ours
MEMORY_CODES = frozenset({"out-of-memory", "worker-died"})  # a worker killed without a word most likely was for memory

LOST = Failure(
    code="lost",
    message="The place where the job ran vanished before it finished.",
    hint="Nothing is wrong with the input: run it again. Finished parts are kept.",
)

SHORT = Failure(
    code="out-of-memory",
    message="The machine where the job ran was short of memory and ended it.",
    hint="Run it on a node with more memory; a translation also with smaller chunks (chunk_cells).",
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
    moved = table.move(
        conn,
        id=row.id,
        from_state=row.state,
        attempt=row.attempt,
        to_state=to.value,
        reason=reason,
        moment=moment,
        **changes,
    )
    if moved and to in TERMINAL:
        kept = row.failure if to in (JobState.FAILED, JobState.CANCELLED) else None
        failure = changes.get("failure") or kept
        record.job_ended(conn, row, to, failure=failure, moment=moment)
    return moved


def requeue(
    conn: DuckDBPyConnection, row: JobRow, *, reason: str, automatic: int = 0, memory_step: int | None = None
) -> bool:
    """The next attempt of a job that ended without a result. automatic: how many such retries nobody asked for.

    memory_step: doublings of the memory from now on; as before when left out.
    """
    if automatic or memory_step is not None:
        record.tried_again(conn, row)
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
        memory_step=row.memory_step if memory_step is None else memory_step,
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
    short = memory.WORDS.search(reason) is not None
    failure = SHORT if short and failure is LOST else failure
    if not move(conn, row, JobState.LOST, reason=reason, failure=failure.model_dump()):
        return False
    tried = automatic_retries(row.result)
    if tried < AUTOMATIC_RETRIES:
        lost = table.get(conn, row.id)
        assert lost is not None  # moved in this transaction
        step, size = row.memory_step, ""
        if short and step < MEMORY_STEPS:
            step, size = step + 1, ", with more memory a task"
        why = f"automatic retry {tried + 1} of {AUTOMATIC_RETRIES}{size}"
        requeue(conn, lost, reason=why, automatic=tried + 1, memory_step=step)
    return True


def fail(conn: DuckDBPyConnection, row: JobRow, *, reason: str, failure: Failure) -> bool:
    """FAILED; where memory was short, QUEUED again in the same transaction, one size up, while sizes are left."""
    if not move(conn, row, JobState.FAILED, reason=reason, message="", failure=failure.model_dump()):
        return False
    if failure.code in MEMORY_CODES and row.memory_step < MEMORY_STEPS and state_of(row) is not JobState.CANCELLING:
        failed = table.get(conn, row.id)
        assert failed is not None  # moved in this transaction
        step = row.memory_step + 1
        requeue(
            conn,
            failed,
            reason=f"memory was short: automatic retry {step} of {MEMORY_STEPS}, {2**step} times the memory a task",
            automatic=automatic_retries(row.result),
            memory_step=step,
        )
    return True


def stopped(conn: DuckDBPyConnection, row: JobRow, *, reason: str) -> bool:
    """The end of an attempt that was told to stop: CANCELLED by a person, FAILED where its time was up."""
    by_clock = row.failure is not None and row.failure.get("code") != BY_OPERATOR
    return move(conn, row, JobState.FAILED if by_clock else JobState.CANCELLED, reason=reason, message="")


def expire(conn: DuckDBPyConnection, row: JobRow, failure: Failure) -> bool:
    """Its time is up: told to stop as by a cancel, with the failure it will end in."""
    return move(
        conn, row, JobState.CANCELLING, reason=failure.message, cancel_requested=True, failure=failure.model_dump()
    )


def automatic_retries(result: Mapping[str, Any] | None) -> int:
    return int((result or {}).get("automatic_retries", 0))


def backoff_s(row: JobRow) -> float:
    """How long a queued job waits before its attempt is submitted."""
    tried = automatic_retries(row.result)
    return BACKOFF_S[min(tried, len(BACKOFF_S)) - 1] if tried else 0.0
