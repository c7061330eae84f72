"""Who did what, appended in the transaction of the act; each entry names the digest of the one before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

START = "0" * 64  # what the first entry has before it


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """seq counts from 1 without gaps. object: an id, never a name a person chose."""

    TABLE: ClassVar[str] = "audit"
    JSON: ClassVar[frozenset[str]] = frozenset({"detail"})

    seq: int
    moment: datetime
    who: str
    via: str
    act: str
    object: str
    outcome: str
    detail: Mapping[str, Any]
    previous: str
    digest: str = ""

    def sealed(self) -> str:
        """SHA-256 of everything else in the row."""
        said = [
            self.seq, self.moment.astimezone(UTC).isoformat(timespec="microseconds"), self.who, self.via, self.act,
            self.object, self.outcome, dict(self.detail), self.previous,
        ]  # fmt: skip
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def append(
    conn: DuckDBPyConnection,
    *,
    who: str,
    via: str,
    act: str,
    object: str,
    outcome: str = "done",
    detail: Mapping[str, Any] | None = None,
) -> AuditRow:
    """The entry as it was added, after the newest there is."""
    seq, previous = head(conn)
    row = AuditRow(
        seq=seq + 1, moment=rows.utcnow(), who=who, via=via, act=act, object=object, outcome=outcome,
        detail=json.loads(json.dumps(detail or {}, default=str)), previous=previous,
    )  # fmt: skip
    row = replace(row, digest=row.sealed())
    rows.insert(conn, row)
    return row


def head(conn: DuckDBPyConnection) -> tuple[int, str]:
    """Number and digest of the newest entry."""
    line = conn.execute("select seq, digest from audit order by seq desc limit 1").fetchone()
    return (int(line[0]), str(line[1])) if line else (0, START)


def find(
    conn: DuckDBPyConnection,
    *,
    since: datetime | None = None,
    object: str | None = None,
    who: str | None = None,
    limit: int = 200,
    before: int | None = None,
) -> list[AuditRow]:
    """Newest first. before: the seq of the last entry of the page before."""
    conditions, values = ["true"], []
    wanted = (("moment >= ?", since), ("object = ?", object), ("who = ?", who), ("seq < ?", before))
    for condition, value in wanted:
        if value is not None:
            conditions.append(condition)
            values.append(value)
    tail = f"where {' and '.join(conditions)} order by seq desc limit ?"
    return rows.select(conn, AuditRow, tail, [*values, limit])


def everything(conn: DuckDBPyConnection) -> list[AuditRow]:
    """Oldest first."""
    return rows.select(conn, AuditRow, "order by seq")


def first_break(entries: Iterable[AuditRow]) -> tuple[int, str] | None:
    """The first entry, oldest first, that is not as it was written, and what is wrong with it; None for a whole log."""
    expected, previous = 1, START
    for row in entries:
        if row.seq != expected:
            return expected, f"entry {expected} is missing"
        if row.previous != previous:
            return row.seq, f"entry {row.seq} does not follow entry {row.seq - 1}"
        if row.digest != row.sealed():
            return row.seq, f"entry {row.seq} was changed after it was written"
        expected, previous = row.seq + 1, row.digest
    return None
