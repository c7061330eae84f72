"""Jobs and the append-only record of what happened to them; a state changes by compare-and-set alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from storage.tables import keyed, marks, notifications, rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """last_event: the highest outbox number of the current attempt that was applied.

    expected_low, expected_high: seconds, from start to end. time_limit_s: of one attempt. memory_step: how often the
    memory was doubled. logged, swept: the highest attempt whose log was kept, and whose remains were removed.
    """

    TABLE: ClassVar[str] = "jobs"
    JSON: ClassVar[frozenset[str]] = frozenset({"spec", "failure", "result"})

    id: str
    kind: str
    state: str
    attempt: int = 1
    spec: Mapping[str, Any]
    spec_digest: str
    cache_key: str | None = None
    owner: str = "local"
    title: str = ""
    submitted_at: datetime = field(default_factory=rows.utcnow)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime = field(default_factory=rows.utcnow)
    heartbeat_at: datetime | None = None
    stage: str = ""
    done: int = 0
    total: int = 0
    message: str = ""
    failure: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    ray_submission: str | None = None
    cancel_requested: bool = False
    last_event: int = 0
    priority: str = "normal"
    expected_low: float | None = None
    expected_high: float | None = None
    time_limit_s: float | None = None
    memory_step: int = 0
    logged: int = 0
    swept: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """seq counts from 1 within the job, over all attempts."""

    TABLE: ClassVar[str] = "job_events"
    JSON: ClassVar[frozenset[str]] = frozenset({"detail"})

    job: str
    attempt: int
    seq: int
    moment: datetime
    kind: str
    from_state: str | None = None
    to_state: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def insert(conn: DuckDBPyConnection, job: JobRow) -> None:
    """Adds the job and its first event, `created`."""
    rows.insert(conn, job)
    add_event(conn, job=job.id, attempt=job.attempt, kind="created", to_state=job.state, moment=job.submitted_at)


def get(conn: DuckDBPyConnection, id: str) -> JobRow | None:
    found = rows.select(conn, JobRow, "where id = ?", [id])
    return found[0] if found else None


def find(
    conn: DuckDBPyConnection,
    *,
    owner: str | None = None,
    states: Iterable[str] | None = None,
    kind: str | None = None,
    limit: int = 100,
    behind: Sequence[int | str] | None = None,
) -> list[JobRow]:
    """Newest first. behind: less microseconds, and id, of the last job of the page before."""
    conditions, values = ["true"], list[Any]()
    for condition, value in (("owner = ?", owner), ("kind = ?", kind)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if behind is not None:
        conditions.append("(-epoch_us(submitted_at), id) > (?, ?)")
        values.extend(behind)
    if states is not None:
        wanted = [str(state) for state in states]
        conditions.append(f"state in ({', '.join('?' for _ in wanted)})" if wanted else "false")
        values.extend(wanted)
    tail = f"where {' and '.join(conditions)} order by submitted_at desc, id limit ?"
    return rows.select(conn, JobRow, tail, [*values, limit])


def move(
    conn: DuckDBPyConnection,
    *,
    id: str,
    from_state: str,
    attempt: int,
    to_state: str,
    reason: str,
    new_attempt: int | None = None,
    moment: datetime | None = None,
    **changes: Any,
) -> bool:
    """Moves the job if it still stands where the caller saw it, and records it; False when somebody was faster.

    new_attempt: begins another attempt, whose outbox is counted from the start. changes: other columns to set.
    """
    moment = moment or rows.utcnow()
    if new_attempt is not None:
        changes = {"last_event": 0, **changes, "attempt": new_attempt}
    moved = rows.update(
        conn,
        JobRow,
        {"updated_at": moment, **changes, "state": to_state},
        "id = ? and state = ? and attempt = ?",
        [id, from_state, attempt],
    )
    if moved:
        add_event(
            conn,
            job=id,
            attempt=attempt if new_attempt is None else new_attempt,
            kind="moved",
            from_state=from_state,
            to_state=to_state,
            moment=moment,
            detail={"reason": reason},
        )
    return moved


def apply_event(
    conn: DuckDBPyConnection, *, id: str, attempt: int, number: int, moment: datetime | None = None, **changes: Any
) -> bool:
    """Applies what outbox object `number` of this attempt says, once; False when it was applied before or is stale."""
    moment = moment or rows.utcnow()
    return rows.update(
        conn,
        JobRow,
        {"updated_at": moment, **changes, "last_event": number},
        "id = ? and attempt = ? and last_event < ?",
        [id, attempt, number],
    )


def change(conn: DuckDBPyConnection, id: str, *, attempt: int, keep_time: bool = False, **changes: Any) -> bool:
    """Sets columns that are not the state, of one attempt. Raises ValueError for `state`: that is `move`.

    keep_time: the job itself did not change.
    """
    if "state" in changes:
        raise ValueError("A state changes through `move` alone.")
    stamped = changes if keep_time else {"updated_at": rows.utcnow(), **changes}
    return rows.update(conn, JobRow, stamped, "id = ? and attempt = ?", [id, attempt])


def add_event(
    conn: DuckDBPyConnection,
    *,
    job: str,
    attempt: int,
    kind: str,
    from_state: str | None = None,
    to_state: str | None = None,
    moment: datetime | None = None,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Appends to the job's record; returns the event's seq."""
    line = conn.execute("select coalesce(max(seq), 0) + 1 from job_events where job = ?", [job]).fetchone()
    seq = int(line[0]) if line else 1
    event = JobEvent(
        job=job,
        attempt=attempt,
        seq=seq,
        moment=moment or rows.utcnow(),
        kind=kind,
        from_state=from_state,
        to_state=to_state,
        detail=detail or {},
    )
    rows.insert(conn, event)
    return seq


def events(conn: DuckDBPyConnection, job: str, *, after: int = 0) -> list[JobEvent]:
    return rows.select(conn, JobEvent, "where job = ? and seq > ? order by seq", [job, after])


def delete(conn: DuckDBPyConnection, id: str) -> bool:
    """Removes the job with its events, marks, notifications and rows of artifacts; the files are the caller's."""
    notifications.forget(conn, id)
    keyed.forget(conn, id)
    marks.forget(conn, id)
    conn.execute("delete from job_events where job = ?", [id])
    conn.execute("delete from artifacts where job = ?", [id])
    line = conn.execute("delete from jobs where id = ?", [id]).fetchone()
    return line is not None and int(line[0]) > 0
