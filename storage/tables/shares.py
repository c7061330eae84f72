"""What owners let others see: a job or a model, to one user or to the whole lab."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LAB = "*"  # everybody who is signed in


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRow:
    """kind: "job" | "model". reader: id of a user, or LAB."""

    TABLE: ClassVar[str] = "shares"
    JSON: ClassVar[frozenset[str]] = frozenset()

    kind: str
    object: str
    owner: str
    reader: str
    created_at: datetime = field(default_factory=rows.utcnow)


def put(conn: DuckDBPyConnection, share: ShareRow) -> None:
    remove(conn, kind=share.kind, object=share.object, reader=share.reader)
    rows.insert(conn, share)


def remove(conn: DuckDBPyConnection, *, kind: str, object: str, reader: str) -> bool:
    line = conn.execute(
        "delete from shares where kind = ? and object = ? and reader = ?", [kind, object, reader]
    ).fetchone()  # fmt: skip
    return line is not None and int(line[0]) > 0


def of(conn: DuckDBPyConnection, *, kind: str, object: str) -> list[ShareRow]:
    return rows.select(conn, ShareRow, "where kind = ? and object = ? order by created_at", [kind, object])


def reaches(conn: DuckDBPyConnection, *, kind: str, object: str, reader: str) -> bool:
    """Whether this user may see it although it is another's."""
    line = conn.execute(
        "select count(*) from shares where kind = ? and object = ? and reader in (?, ?)", [kind, object, reader, LAB]
    ).fetchone()
    return line is not None and int(line[0]) > 0


def seen_by(conn: DuckDBPyConnection, *, kind: str, reader: str) -> set[str]:
    """Ids of what others let this user see."""
    found = conn.execute(
        "select distinct object from shares where kind = ? and reader in (?, ?)", [kind, reader, LAB]
    ).fetchall()
    return {str(object) for (object,) in found}


def forget(conn: DuckDBPyConnection, object: str) -> None:
    """Of a thing that is deleted."""
    conn.execute("delete from shares where object = ?", [object])
