"""Invitations and resets: links that work once and for a while. The id is the SHA-256 of the link's secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

INVITE, RESET = "invite", "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRow:
    """kind: "invite" (owner: the operator who made it; role: of the account to come) | "reset" (owner: whose)."""

    TABLE: ClassVar[str] = "links"
    JSON: ClassVar[frozenset[str]] = frozenset()

    id: str
    kind: str
    email: str
    role: str = "user"
    owner: str
    created_at: datetime = field(default_factory=rows.utcnow)
    expires_at: datetime
    used_at: datetime | None = None


def insert(conn: DuckDBPyConnection, link: LinkRow) -> None:
    rows.insert(conn, link)


def live(conn: DuckDBPyConnection, id: str, kind: str, now: datetime) -> LinkRow | None:
    found = rows.select(
        conn, LinkRow, "where id = ? and kind = ? and used_at is null and expires_at > ?", [id, kind, now]
    )
    return found[0] if found else None


def find(conn: DuckDBPyConnection, kind: str, now: datetime) -> list[LinkRow]:
    """Those that still work, the newest first."""
    tail = "where kind = ? and used_at is null and expires_at > ? order by created_at desc"
    return rows.select(conn, LinkRow, tail, [kind, now])


def use(conn: DuckDBPyConnection, id: str) -> bool:
    """Whether it was this call that used it up."""
    return rows.update(conn, LinkRow, {"used_at": rows.utcnow()}, "id = ? and used_at is null", [id])


def drop(conn: DuckDBPyConnection, kind: str, email: str) -> bool:
    """Those to this address work no longer; whether there was any."""
    where = "kind = ? and email = ? and used_at is null"
    return rows.update(conn, LinkRow, {"used_at": rows.utcnow()}, where, [kind, email])


def sweep(conn: DuckDBPyConnection, *, before: datetime) -> None:
    conn.execute("delete from links where expires_at < ?", [before])
