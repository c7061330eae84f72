"""Where users want to be told: who gets e-mail, and webhooks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class MailedRow:
    """A user whose ends of jobs are mailed to the address of the account."""

    TABLE: ClassVar[str] = "mailed"
    JSON: ClassVar[frozenset[str]] = frozenset()

    owner: str
    since: datetime = field(default_factory=rows.utcnow)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRow:
    """url: its path may be a secret. secret: `whsec_…`, kept as it is, since every message is signed with it."""

    TABLE: ClassVar[str] = "webhooks"
    JSON: ClassVar[frozenset[str]] = frozenset()

    id: str
    owner: str
    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    created_at: datetime = field(default_factory=rows.utcnow)


def is_mailed(conn: DuckDBPyConnection, owner: str) -> bool:
    return bool(rows.select(conn, MailedRow, "where owner = ?", [owner]))


def set_mailed(conn: DuckDBPyConnection, owner: str, mailed: bool) -> bool:
    """False where it was so already."""
    if is_mailed(conn, owner) == mailed:
        return False
    if mailed:
        rows.insert(conn, MailedRow(owner=owner))
    else:
        conn.execute("delete from mailed where owner = ?", [owner])
    return True


def insert(conn: DuckDBPyConnection, hook: WebhookRow) -> None:
    rows.insert(conn, hook)


def webhooks(conn: DuckDBPyConnection, owner: str) -> list[WebhookRow]:
    """Oldest first."""
    return rows.select(conn, WebhookRow, "where owner = ? order by created_at, id", [owner])


def remove(conn: DuckDBPyConnection, owner: str, id: str) -> bool:
    line = conn.execute("delete from webhooks where owner = ? and id = ?", [owner, id]).fetchone()
    return line is not None and int(line[0]) > 0
