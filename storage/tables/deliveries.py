"""Where each notification was sent: a row a channel, from the moment it was decided on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PENDING, SENT, GAVE_UP = "pending", "sent", "gave-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """label: what people call the channel. error: what it last failed of. due_at: not before, while it is pending."""

    TABLE: ClassVar[str] = "deliveries"
    JSON: ClassVar[frozenset[str]] = frozenset()

    notification: str
    channel: str
    label: str
    state: str = PENDING
    tries: int = 0
    due_at: datetime = field(default_factory=rows.utcnow)
    error: str = ""
    sent_at: datetime | None = None


def insert(conn: DuckDBPyConnection, delivery: DeliveryRow) -> None:
    rows.insert(conn, delivery)


def of(conn: DuckDBPyConnection, notifications: Sequence[str]) -> list[DeliveryRow]:
    """Those of these notifications, by channel."""
    marks = ", ".join("?" for _ in notifications)
    where = f"where notification in ({marks}) order by channel" if notifications else "where false"
    return rows.select(conn, DeliveryRow, where, notifications)


def due(conn: DuckDBPyConnection, *, channel: str, moment: datetime, limit: int = 20) -> list[DeliveryRow]:
    """Those of a channel whose time has come, the longest due first."""
    tail = "where channel = ? and state = ? and due_at <= ? order by due_at, notification limit ?"
    return rows.select(conn, DeliveryRow, tail, [channel, PENDING, moment, limit])


def change(conn: DuckDBPyConnection, delivery: DeliveryRow, **changes: Any) -> bool:
    """Sets columns while it is pending and stands where the caller saw it."""
    where = "notification = ? and channel = ? and state = ? and tries = ?"
    key = [delivery.notification, delivery.channel, PENDING, delivery.tries]
    return rows.update(conn, DeliveryRow, changes, where, key)


def abandon(conn: DuckDBPyConnection, *, channels: Collection[str], error: str) -> None:
    """Gives up what is pending for any channel but these."""
    others = f"and channel not in ({', '.join('?' for _ in channels)})" if channels else ""
    changes = {"state": GAVE_UP, "error": error}
    rows.update(conn, DeliveryRow, changes, f"state = ? {others}", [PENDING, *channels])


def forget(conn: DuckDBPyConnection, which: str, values: Sequence[Any]) -> None:
    """Removes those of the notifications that the select `which` names."""
    conn.execute(f"delete from deliveries where notification in ({which})", list(values))
