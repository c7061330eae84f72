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
    """label: what people call the channel. error: what it last failed of. due_at: not before, while it is pending.

    owner: whose own address it is; empty for one of the whole lab.
    """

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
    owner: str = ""


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


def due_owners(conn: DuckDBPyConnection, *, moment: datetime) -> list[str]:
    """Users to whose own addresses something is due, the one who waits longest first."""
    found = conn.execute(
        "select owner from deliveries where owner <> '' and state = ? and due_at <= ? "
        "group by owner order by min(due_at), owner",
        [PENDING, moment],
    ).fetchall()
    return [str(owner) for (owner,) in found]


def due_of(conn: DuckDBPyConnection, *, owner: str, moment: datetime, limit: int = 20) -> list[DeliveryRow]:
    """Those to a user's own addresses whose time has come, the longest due first."""
    tail = "where owner = ? and state = ? and due_at <= ? order by due_at, notification, channel limit ?"
    return rows.select(conn, DeliveryRow, tail, [owner, PENDING, moment, limit])


def change(conn: DuckDBPyConnection, delivery: DeliveryRow, **changes: Any) -> bool:
    """Sets columns while it is pending and stands where the caller saw it."""
    where = "notification = ? and channel = ? and state = ? and tries = ?"
    key = [delivery.notification, delivery.channel, PENDING, delivery.tries]
    return rows.update(conn, DeliveryRow, changes, where, key)


def abandon(conn: DuckDBPyConnection, *, channels: Collection[str], error: str, lab_only: bool = False) -> None:
    """Gives up what is pending for any channel but these. lab_only: what goes to users' own addresses is left."""
    others = f"and channel not in ({', '.join('?' for _ in channels)})" if channels else ""
    others += " and owner = ''" if lab_only else ""
    changes = {"state": GAVE_UP, "error": error}
    rows.update(conn, DeliveryRow, changes, f"state = ? {others}", [PENDING, *channels])


def forget(conn: DuckDBPyConnection, which: str, values: Sequence[Any]) -> None:
    """Removes those of the notifications that the select `which` names."""
    conn.execute(f"delete from deliveries where notification in ({which})", list(values))
