"""Until when something is kept; what has no row here is kept until somebody deletes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRow:
    """until: None where a person said that it stays."""

    TABLE: ClassVar[str] = "retention"
    JSON: ClassVar[frozenset[str]] = frozenset()

    object: str
    until: datetime | None
    changed_at: datetime = field(default_factory=rows.utcnow)


def put(conn: DuckDBPyConnection, row: RetentionRow) -> None:
    forget(conn, row.object)
    rows.insert(conn, row)


def forget(conn: DuckDBPyConnection, object: str) -> None:
    conn.execute("delete from retention where object = ?", [object])


def all_of(conn: DuckDBPyConnection) -> dict[str, RetentionRow]:
    return {row.object: row for row in rows.select(conn, RetentionRow)}


def expired(conn: DuckDBPyConnection, now: datetime) -> list[RetentionRow]:
    """The longest overdue first."""
    return rows.select(conn, RetentionRow, "where until <= ? order by until, object", [now])
