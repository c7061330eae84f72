"""Sign-ins that failed, counted by whatever they are counted by; the key is a hash that names nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class TryRow:
    """failures: since the last success. until: before which no other try is looked at."""

    TABLE: ClassVar[str] = "tries"
    JSON: ClassVar[frozenset[str]] = frozenset()

    id: str
    failures: int
    last_at: datetime
    until: datetime | None = None


def of(conn: DuckDBPyConnection, ids: Sequence[str]) -> dict[str, TryRow]:
    marks = ", ".join("?" for _ in ids)
    return {row.id: row for row in rows.select(conn, TryRow, f"where id in ({marks})", ids)}


def put(conn: DuckDBPyConnection, row: TryRow) -> None:
    forget(conn, [row.id])
    rows.insert(conn, row)


def forget(conn: DuckDBPyConnection, ids: Sequence[str]) -> None:
    conn.execute(f"delete from tries where id in ({', '.join('?' for _ in ids)})", list(ids))


def sweep(conn: DuckDBPyConnection, *, before: datetime) -> None:
    conn.execute("delete from tries where last_at < ?", [before])
