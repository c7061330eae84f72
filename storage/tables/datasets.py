"""Cells that were brought in: one row from the first moment of the import on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from storage.tables import keyed, notifications, rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRow:
    """digest, modality, cells, features, uri and bytes are known once the import is done."""

    TABLE: ClassVar[str] = "datasets"
    JSON: ClassVar[frozenset[str]] = frozenset({"summary", "failure"})

    id: str
    owner: str = "local"
    name: str
    state: str
    digest: str | None = None
    modality: str | None = None
    cells: int | None = None
    features: int | None = None
    genome: str | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    uri: str | None = None
    bytes: int | None = None
    origin: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0
    failure: Mapping[str, Any] | None = None
    created_at: datetime = field(default_factory=rows.utcnow)
    deleted_at: datetime | None = None


def insert(conn: DuckDBPyConnection, dataset: DatasetRow) -> None:
    rows.insert(conn, dataset)


def get(conn: DuckDBPyConnection, id: str) -> DatasetRow | None:
    """The dataset, also when it is marked deleted: jobs of the past name it."""
    found = rows.select(conn, DatasetRow, "where id = ?", [id])
    return found[0] if found else None


def find(
    conn: DuckDBPyConnection, *, owner: str | None = None, digest: str | None = None, state: str | None = None,
    limit: int = 100,
) -> list[DatasetRow]:  # fmt: skip
    """Newest first, without the deleted."""
    conditions, values = ["deleted_at is null"], []
    for condition, value in (("owner = ?", owner), ("digest = ?", digest), ("state = ?", state)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    tail = f"where {' and '.join(conditions)} order by created_at desc, id limit ?"
    return rows.select(conn, DatasetRow, tail, [*values, limit])


def change(conn: DuckDBPyConnection, id: str, *, from_state: str | None = None, **changes: Any) -> bool:
    """Sets columns; with `from_state`, only while the dataset is in that state."""
    if from_state is None:
        return rows.update(conn, DatasetRow, changes, "id = ?", [id])
    return rows.update(conn, DatasetRow, changes, "id = ? and state = ?", [id, from_state])


def mark_deleted(conn: DuckDBPyConnection, id: str, *, moment: datetime | None = None) -> bool:
    """What was told of it is removed: an inbox names nothing that is gone."""
    notifications.forget(conn, id)
    keyed.forget(conn, id)
    changes = {"deleted_at": moment or rows.utcnow()}
    return rows.update(conn, DatasetRow, changes, "id = ? and deleted_at is null", [id])
