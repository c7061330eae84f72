"""Models that were trained here, as the service remembers them; the files are in the artifact store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """digest: of the bundle. datasets: ids of what it was trained on. holds_cells: its files carry training cells."""

    TABLE: ClassVar[str] = "models"
    JSON: ClassVar[frozenset[str]] = frozenset({"datasets"})

    id: str
    owner: str = "local"
    name: str
    digest: str
    translator: str
    job: str
    datasets: Sequence[str] = ()
    holds_cells: bool = False
    created_at: datetime = field(default_factory=rows.utcnow)
    deleted_at: datetime | None = None


def put(conn: DuckDBPyConnection, model: ModelRow) -> None:
    """Adds the model, or replaces the one of the same id: an event applied again is harmless."""
    conn.execute("delete from models where id = ?", [model.id])
    rows.insert(conn, model)


def get(conn: DuckDBPyConnection, id: str) -> ModelRow | None:
    found = rows.select(conn, ModelRow, "where id = ? and deleted_at is null", [id])
    return found[0] if found else None


def find(conn: DuckDBPyConnection, *, limit: int = 10_000) -> list[ModelRow]:
    """Newest first, without the deleted."""
    return rows.select(conn, ModelRow, "where deleted_at is null order by created_at desc, id limit ?", [limit])


def mark_deleted(conn: DuckDBPyConnection, id: str, *, moment: datetime | None = None) -> bool:
    changes = {"deleted_at": moment or rows.utcnow()}
    return rows.update(conn, ModelRow, changes, "id = ? and deleted_at is null", [id])
