"""Tokens for scripts. Only the SHA-256 of each is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    TABLE: ClassVar[str] = "tokens"
    JSON: ClassVar[frozenset[str]] = frozenset({"scopes"})

    id: str
    digest: str
    owner: str
    name: str
    scopes: Sequence[str]
    created_at: datetime = field(default_factory=rows.utcnow)
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None


def insert(conn: DuckDBPyConnection, token: TokenRow) -> None:
    rows.insert(conn, token)


def by_digest(conn: DuckDBPyConnection, digest: str) -> TokenRow | None:
    found = rows.select(conn, TokenRow, "where digest = ?", [digest])
    return found[0] if found else None


def find(conn: DuckDBPyConnection, *, owner: str) -> list[TokenRow]:
    """Newest first, without the revoked."""
    return rows.select(conn, TokenRow, "where owner = ? and revoked_at is null order by created_at desc, id", [owner])


def used(conn: DuckDBPyConnection, id: str, moment: datetime) -> bool:
    return rows.update(conn, TokenRow, {"used_at": moment}, "id = ?", [id])


def revoke(conn: DuckDBPyConnection, *, owner: str, id: str = "") -> bool:
    """One of this owner, or all; whether there was any."""
    which, values = ("and id = ?", [id]) if id else ("", [])
    where = f"owner = ? and revoked_at is null {which}"
    return rows.update(conn, TokenRow, {"revoked_at": rows.utcnow()}, where, [owner, *values])
