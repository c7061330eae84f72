"""What an attempt of a job left in the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRow:
    TABLE: ClassVar[str] = "artifacts"
    JSON: ClassVar[frozenset[str]] = frozenset()

    job: str
    attempt: int
    name: str
    uri: str
    bytes: int
    sha256: str
    media_type: str = "application/octet-stream"
    created_at: datetime = field(default_factory=rows.utcnow)


def put(conn: DuckDBPyConnection, artifact: ArtifactRow) -> None:
    """Adds the artifact, or replaces the one of the same job, attempt and name: an event applied again is harmless."""
    key = [artifact.job, artifact.attempt, artifact.name]
    conn.execute("delete from artifacts where job = ? and attempt = ? and name = ?", key)
    rows.insert(conn, artifact)


def find(conn: DuckDBPyConnection, *, job: str, attempt: int) -> list[ArtifactRow]:
    return rows.select(conn, ArtifactRow, "where job = ? and attempt = ? order by name", [job, attempt])


def get(conn: DuckDBPyConnection, *, job: str, attempt: int, name: str) -> ArtifactRow | None:
    found = rows.select(conn, ArtifactRow, "where job = ? and attempt = ? and name = ?", [job, attempt, name])
    return found[0] if found else None
