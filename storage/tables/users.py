"""People who may use this CrossView."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """state: "new" (an operator who has no account yet) | "active" | "disabled". password: an argon2id hash.

    way: "local" | "oidc" | "proxy"; subject: who they are to an identity provider or proxy.
    """

    TABLE: ClassVar[str] = "users"
    JSON: ClassVar[frozenset[str]] = frozenset()

    id: str
    email: str
    name: str = ""
    role: str = "user"
    state: str = "active"
    password: str | None = field(default=None, repr=False)
    way: str = "local"
    subject: str = ""
    created_at: datetime = field(default_factory=rows.utcnow)
    seen_at: datetime | None = None
    password_at: datetime | None = None


def insert(conn: DuckDBPyConnection, user: UserRow) -> None:
    rows.insert(conn, user)


def get(conn: DuckDBPyConnection, id: str) -> UserRow | None:
    found = rows.select(conn, UserRow, "where id = ?", [id])
    return found[0] if found else None


def by_email(conn: DuckDBPyConnection, email: str) -> UserRow | None:
    """email: as it is kept, in small letters."""
    found = rows.select(conn, UserRow, "where email = ? and email <> ''", [email])
    return found[0] if found else None


def by_subject(conn: DuckDBPyConnection, way: str, subject: str) -> UserRow | None:
    found = rows.select(conn, UserRow, "where way = ? and subject = ?", [way, subject])
    return found[0] if found else None


def find(conn: DuckDBPyConnection) -> list[UserRow]:
    """Oldest first."""
    return rows.select(conn, UserRow, "order by created_at, id")


def change(conn: DuckDBPyConnection, id: str, **changes: Any) -> bool:
    return rows.update(conn, UserRow, changes, "id = ?", [id])
