"""Uploads under way and done, as the service remembers them; the bytes are in the upload area."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRow:
    TABLE: ClassVar[str] = "uploads"
    JSON: ClassVar[frozenset[str]] = frozenset()

    id: str
    owner: str = "local"
    name: str
    size: int | None = None
    received: int = 0
    sha256: str | None = None
    state: str
    created_at: datetime = field(default_factory=rows.utcnow)
    updated_at: datetime = field(default_factory=rows.utcnow)


def insert(conn: DuckDBPyConnection, upload: UploadRow) -> None:
    rows.insert(conn, upload)


def get(conn: DuckDBPyConnection, id: str) -> UploadRow | None:
    found = rows.select(conn, UploadRow, "where id = ?", [id])
    return found[0] if found else None


def find(conn: DuckDBPyConnection, *, owner: str | None = None, limit: int = 100) -> list[UploadRow]:
    """Newest first."""
    where, values = ("", []) if owner is None else ("where owner = ?", [owner])
    return rows.select(conn, UploadRow, f"{where} order by created_at desc, id limit ?", [*values, limit])


def change(conn: DuckDBPyConnection, id: str, **changes: Any) -> bool:
    return rows.update(conn, UploadRow, {"updated_at": rows.utcnow(), **changes}, "id = ?", [id])


def delete(conn: DuckDBPyConnection, id: str) -> bool:
    line = conn.execute("delete from uploads where id = ?", [id]).fetchone()
    return line is not None and int(line[0]) > 0
