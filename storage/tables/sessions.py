"""Browsers that are signed in. The id is the SHA-256 of what the cookie holds; the cookie's value is kept nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """address, agent: of the browser that signed in."""

    TABLE: ClassVar[str] = "sessions"
    JSON: ClassVar[frozenset[str]] = frozenset()

    id: str
    owner: str
    way: str = "local"
    address: str = ""
    agent: str = ""
    created_at: datetime = field(default_factory=rows.utcnow)
    seen_at: datetime = field(default_factory=rows.utcnow)
    ended_at: datetime | None = None


def insert(conn: DuckDBPyConnection, session: SessionRow) -> None:
    rows.insert(conn, session)


def get(conn: DuckDBPyConnection, id: str) -> SessionRow | None:
    found = rows.select(conn, SessionRow, "where id = ?", [id])
    return found[0] if found else None


def find(conn: DuckDBPyConnection, *, owner: str) -> list[SessionRow]:
    """Those not ended, the last used first; some may have run out."""
    return rows.select(conn, SessionRow, "where owner = ? and ended_at is null order by seen_at desc", [owner])


def used_from(conn: DuckDBPyConnection, *, owner: str, address: str) -> bool:
    """Whether this user was ever signed in from there, as far as is remembered."""
    line = conn.execute(
        "select count(*) from sessions where owner = ? and address = ?", [owner, address]
    ).fetchone()  # fmt: skip
    return line is not None and int(line[0]) > 0


def seen(conn: DuckDBPyConnection, id: str, moment: datetime) -> bool:
    return rows.update(conn, SessionRow, {"seen_at": moment}, "id = ? and ended_at is null", [id])


def end(conn: DuckDBPyConnection, *, owner: str, id: str = "", but: str = "") -> None:
    """One of this owner, or all, or all but one."""
    conditions, values = ["owner = ?", "ended_at is null"], [owner]
    for condition, value in (("id = ?", id), ("id <> ?", but)):
        if value:
            conditions.append(condition)
            values.append(value)
    rows.update(conn, SessionRow, {"ended_at": rows.utcnow()}, " and ".join(conditions), values)


def sweep(conn: DuckDBPyConnection, *, before: datetime) -> None:
    """Forgets those that nobody used since."""
    conn.execute("delete from sessions where seen_at < ?", [before])
