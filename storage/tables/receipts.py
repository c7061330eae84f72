"""Deletions: what is going, from before the first object goes; what went, once it is seen to be gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """state: "going" until the objects are seen to be gone, then "gone". sha256: of a document that is finished."""

    TABLE: ClassVar[str] = "receipts"
    JSON: ClassVar[frozenset[str]] = frozenset({"document"})

    id: str
    owner: str = "local"
    kind: str
    object: str
    state: str = "going"
    document: Mapping[str, Any]
    sha256: str | None = None
    created_at: datetime = field(default_factory=rows.utcnow)


def insert(conn: DuckDBPyConnection, row: ReceiptRow) -> None:
    rows.insert(conn, row)


def get(conn: DuckDBPyConnection, id: str) -> ReceiptRow | None:
    found = rows.select(conn, ReceiptRow, "where id = ?", [id])
    return found[0] if found else None


def find(
    conn: DuckDBPyConnection,
    *,
    owner: str | None = None,
    state: str | None = None,
    limit: int = 200,
    behind: Sequence[int | str] | None = None,
) -> list[ReceiptRow]:
    """Newest first. behind: less microseconds, and id, of the last one of the page before."""
    conditions, values = ["true"], list[Any]()
    for condition, value in (("owner = ?", owner), ("state = ?", state)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if behind is not None:
        conditions.append("(-epoch_us(created_at), id) > (?, ?)")
        values.extend(behind)
    tail = f"where {' and '.join(conditions)} order by created_at desc, id limit ?"
    return rows.select(conn, ReceiptRow, tail, [*values, limit])


def note(conn: DuckDBPyConnection, id: str, *, document: Mapping[str, Any]) -> bool:
    """What is known so far of a deletion that is going."""
    return rows.update(conn, ReceiptRow, {"document": document}, "id = ? and state = ?", [id, "going"])


def finish(conn: DuckDBPyConnection, id: str, *, document: Mapping[str, Any], sha256: str) -> bool:
    """Whether it was still going: a receipt is finished once and never changes again."""
    changes = {"state": "gone", "document": document, "sha256": sha256}
    return rows.update(conn, ReceiptRow, changes, "id = ? and state = ?", [id, "going"])
