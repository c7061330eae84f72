"""Requests that carry a key of their sender's: asked again within a day, they are answered as the first time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRow:
    """fingerprint: of what was asked. process: that answers it. made: ids of what it made so far.

    status, body: of the answer, once there is one; the body goes with what it names.
    """

    TABLE: ClassVar[str] = "keyed_requests"
    JSON: ClassVar[frozenset[str]] = frozenset({"made"})

    owner: str
    key: str
    fingerprint: str
    process: str
    made: tuple[str, ...] = ()
    status: int | None = None
    body: str | None = None
    until: datetime


def insert(conn: DuckDBPyConnection, row: KeyedRow) -> None:
    rows.insert(conn, row)


def get(conn: DuckDBPyConnection, owner: str, key: str) -> KeyedRow | None:
    found = rows.select(conn, KeyedRow, "where owner = ? and key = ?", [owner, key])
    return found[0] if found else None


def change(conn: DuckDBPyConnection, owner: str, key: str, **changes: object) -> bool:
    return rows.update(conn, KeyedRow, changes, "owner = ? and key = ?", [owner, key])


def note(conn: DuckDBPyConnection, owner: str, key: str, ids: Iterable[str]) -> None:
    """Adds to what the request made, in the transaction that makes it."""
    if (row := get(conn, owner, key)) is not None:
        change(conn, owner, key, made=[*row.made, *ids])


def remove(conn: DuckDBPyConnection, owner: str, key: str) -> None:
    conn.execute("delete from keyed_requests where owner = ? and key = ?", [owner, key])


def forget(conn: DuckDBPyConnection, id: str) -> None:
    """Drops answers that name what is deleted; the key goes on standing for it."""
    conn.execute("update keyed_requests set body = null where contains(made, ?)", [f'"{id}"'])


def sweep(conn: DuckDBPyConnection, *, before: datetime) -> None:
    """Removes what expired."""
    conn.execute("delete from keyed_requests where until < ?", [before])
