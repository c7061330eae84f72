"""What people are told: a row is written in the transaction of the change it tells of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from storage.tables import deliveries, rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationRow:
    """subject: id of the job or dataset. addressed: whether its deliveries were written (there may be none)."""

    TABLE: ClassVar[str] = "notifications"
    JSON: ClassVar[frozenset[str]] = frozenset({"failure"})

    id: str
    owner: str = "local"
    event: str
    subject: str
    kind: str
    attempt: int = 1
    title: str = ""
    failure: Mapping[str, Any] | None = None
    moment: datetime = field(default_factory=rows.utcnow)
    read_at: datetime | None = None
    addressed: bool = False


def insert(conn: DuckDBPyConnection, notification: NotificationRow) -> None:
    rows.insert(conn, notification)


def get(conn: DuckDBPyConnection, id: str) -> NotificationRow | None:
    found = rows.select(conn, NotificationRow, "where id = ?", [id])
    return found[0] if found else None


def find(
    conn: DuckDBPyConnection,
    *,
    owner: str,
    unread_only: bool = False,
    limit: int = 50,
    behind: Sequence[int | str] | None = None,
) -> list[NotificationRow]:
    """Newest first. behind: microseconds and id of the last one of the page before."""
    conditions, values = ["owner = ?"], list[Any]([owner])
    if unread_only:
        conditions.append("read_at is null")
    if behind is not None:
        conditions.append("(epoch_us(moment), id) < (?, ?)")
        values.extend(behind)
    tail = f"where {' and '.join(conditions)} order by moment desc, id desc limit ?"
    return rows.select(conn, NotificationRow, tail, [*values, limit])


def unread(conn: DuckDBPyConnection, *, owner: str) -> int:
    line = conn.execute(
        "select count(*) from notifications where owner = ? and read_at is null", [owner]
    ).fetchone()  # fmt: skip
    return int(line[0]) if line else 0


def last(conn: DuckDBPyConnection, *, owner: str, event: str) -> datetime | None:
    """When they were last told of such an event."""
    found = rows.select(
        conn, NotificationRow, "where owner = ? and event = ? order by moment desc limit 1", [owner, event]
    )
    return found[0].moment if found else None


def mark_read(
    conn: DuckDBPyConnection, *, owner: str, ids: Sequence[str] = (), through: str = "", subject: str = ""
) -> None:
    """Those of these ids, those not newer than `through`, and those about `subject`."""
    conditions, values = ["subject = ?"], [subject]
    if ids:
        conditions.append(f"id in ({', '.join('?' for _ in ids)})")
        values.extend(ids)
    if through:
        conditions.append("(moment, id) <= (select (moment, id) from notifications where id = ? and owner = ?)")
        values.extend([through, owner])
    where = f"owner = ? and read_at is null and ({' or '.join(conditions)})"
    rows.update(conn, NotificationRow, {"read_at": rows.utcnow()}, where, [owner, *values])


def unaddressed(conn: DuckDBPyConnection) -> list[NotificationRow]:
    """Oldest first."""
    return rows.select(conn, NotificationRow, "where not addressed order by moment, id")


def mark_addressed(conn: DuckDBPyConnection, id: str) -> bool:
    return rows.update(conn, NotificationRow, {"addressed": True}, "id = ? and not addressed", [id])


def withdraw(conn: DuckDBPyConnection, *, subject: str, attempt: int) -> None:
    """Unsays what was said of this attempt and not addressed yet."""
    values = [subject, attempt]
    conn.execute("delete from notifications where subject = ? and attempt = ? and not addressed", values)


def forget(conn: DuckDBPyConnection, subject: str) -> None:
    """Removes what was told of a job or dataset that is deleted, sent or not."""
    deliveries.forget(conn, "select id from notifications where subject = ?", [subject])
    conn.execute("delete from notifications where subject = ?", [subject])


def sweep(conn: DuckDBPyConnection, *, before: datetime) -> None:
    """Removes what is older."""
    deliveries.forget(conn, "select id from notifications where moment < ?", [before])
    conn.execute("delete from notifications where moment < ?", [before])
