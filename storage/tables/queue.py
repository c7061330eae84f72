"""The jobs that wait and that run, as few columns as their order needs; and the one place where a job is let in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from storage.tables import jobs, rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.tables.jobs import JobRow


class ShortRow(NamedTuple):
    """A job without its documents. Moments are seconds since 1970; what is expected, seconds from start to end."""

    id: str
    owner: str
    priority: str
    submitted_at: float
    started_at: float | None
    expected_low: float | None
    expected_high: float | None


def short(conn: DuckDBPyConnection, *, states: Sequence[str]) -> list[ShortRow]:
    """Jobs in these states, in no order."""
    found = conn.execute(
        "select id, owner, priority, epoch(submitted_at), epoch(started_at), expected_low, expected_high "
        f"from jobs where state in {_marks(states)}",
        [*map(str, states)],
    ).fetchall()
    return [ShortRow(*line) for line in found]


def used_s(conn: DuckDBPyConnection, *, since: datetime) -> dict[str, float]:
    """By owner: seconds from start to end of the attempts that ended after `since`."""
    found = conn.execute(
        "select owner, sum(epoch(finished_at) - epoch(started_at)) from jobs "
        "where finished_at > ? and started_at is not null group by owner",
        [since],
    ).fetchall()
    return {str(owner): max(0.0, float(seconds)) for owner, seconds in found}


def prioritise(conn: DuckDBPyConnection, id: str, priority: str, *, state: str = "QUEUED") -> bool:
    """Whether the job still waited. Its age stays what it was."""
    return rows.update(conn, jobs.JobRow, {"priority": priority}, "id = ? and state = ?", [id, state])


def count(conn: DuckDBPyConnection, *, owner: str, state: str) -> int:
    line = conn.execute("select count(*) from jobs where owner = ? and state = ?", [owner, str(state)]).fetchone()
    return int(line[0]) if line else 0


def same(
    conn: DuckDBPyConnection, *, cache_key: str, owner: str, finished: str, under_way: Sequence[str]
) -> Iterator[JobRow]:
    """Jobs of this owner that ask the same: the newest finished ones, then those under way that nobody told to stop."""
    found = conn.execute(
        "select id from jobs where cache_key = ? and owner = ? "
        f"and (state = ? or (not cancel_requested and state in {_marks(under_way)})) "
        "and id not in (select object from marks where bin_until is not null) "
        "order by state <> ?, finished_at desc, submitted_at desc",
        [cache_key, owner, str(finished), *map(str, under_way), str(finished)],
    ).fetchall()
    for (id,) in found:
        if (row := jobs.get(conn, str(id))) is not None:
            yield row


def untidied(conn: DuckDBPyConnection, *, terminal: Sequence[str], limit: int = 200) -> list[str]:
    """Ids of jobs with an attempt that is over and whose log was not kept yet, or whose remains still lie there."""
    found = conn.execute(
        f"select id from jobs where logged < attempt - 1 "
        f"or (state in {_marks(terminal)} and (logged < attempt or swept < attempt)) order by updated_at limit ?",
        [*map(str, terminal), limit],
    ).fetchall()
    return [str(id) for (id,) in found]


def history_at(conn: DuckDBPyConnection, *, kind: str, state: str) -> tuple[int, datetime | None]:
    """How many jobs of a kind stand in a state, and when the last of them ended: whether anything was added."""
    line = conn.execute(
        "select count(*), max(finished_at) from jobs where kind = ? and state = ?", [kind, str(state)]
    ).fetchone()
    return (int(line[0]), line[1]) if line else (0, None)


def ago(span: timedelta) -> datetime:
    return rows.utcnow() - span


def _marks(values: Sequence[str]) -> str:
    return f"({', '.join('?' for _ in values)})" if values else "(null)"
