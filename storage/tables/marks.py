"""Stars, labels, the bin and models taken off the offer: what people put on things, apart from the things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from storage.tables import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRow:
    """object: id of a job or a model. bin_until: when a job in the bin is deleted; None outside of it."""

    TABLE: ClassVar[str] = "marks"
    JSON: ClassVar[frozenset[str]] = frozenset()

    owner: str = "local"
    object: str
    starred: bool = False
    retired: bool = False
    bin_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    TABLE: ClassVar[str] = "labels"
    JSON: ClassVar[frozenset[str]] = frozenset()

    owner: str = "local"
    object: str
    label: str


@dataclass(frozen=True, slots=True)
class Marked:
    """All that is on one thing. labels: in the order of the alphabet."""

    row: MarkRow
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Marks:
    """Everything that one person put on anything. Few things carry any of it."""

    found: Mapping[str, Marked] = field(default_factory=dict)

    def of(self, object: str) -> Marked:
        return self.found.get(object) or Marked(MarkRow(object=object))


def all_of(conn: DuckDBPyConnection, *, owner: str | None = None) -> Marks:
    """owner: only what this one put; None: what anybody did."""
    whose, values = ("where owner = ?", [owner]) if owner is not None else ("", [])
    marks = {row.object: row for row in rows.select(conn, MarkRow, whose, values)}
    labels: dict[str, list[str]] = {}
    for row in rows.select(conn, LabelRow, f"{whose} order by object, label", values):
        labels.setdefault(row.object, []).append(row.label)
    return Marks(
        {
            object: Marked(marks.get(object) or MarkRow(object=object), tuple(labels.get(object, ())))
            for object in {*marks, *labels}
        }
    )


def change(conn: DuckDBPyConnection, object: str, *, owner: str, **changes: Any) -> bool:
    """Sets starred, retired or bin_until; False where it was so already."""
    there = rows.select(conn, MarkRow, "where object = ? and owner = ?", [object, owner])
    before = there[0] if there else MarkRow(owner=owner, object=object)
    after = replace(before, **changes)
    if after == before:
        return False
    conn.execute("delete from marks where object = ? and owner = ?", [object, owner])
    if after != MarkRow(owner=owner, object=object):
        rows.insert(conn, after)
    return True


def add_label(conn: DuckDBPyConnection, object: str, label: str, *, owner: str) -> None:
    remove_label(conn, object, label, owner=owner)
    rows.insert(conn, LabelRow(owner=owner, object=object, label=label))


def remove_label(conn: DuckDBPyConnection, object: str, label: str, *, owner: str) -> None:
    conn.execute("delete from labels where object = ? and owner = ? and label = ?", [object, owner, label])


def labels_of(conn: DuckDBPyConnection, object: str, *, owner: str) -> list[str]:
    found = rows.select(conn, LabelRow, "where object = ? and owner = ? order by label", [object, owner])
    return [row.label for row in found]


def label_counts(conn: DuckDBPyConnection, *, owner: str) -> dict[str, int]:
    """Jobs by label, those in the bin left out; the most used first."""
    found = conn.execute(
        "select label, count(*) from labels where owner = ? "
        "and object in (select id from jobs) "
        "and object not in (select object from marks where bin_until is not null) "
        "group by label order by count(*) desc, label",
        [owner],
    ).fetchall()
    return {str(label): int(n) for label, n in found}


def over(conn: DuckDBPyConnection, now: datetime) -> list[str]:
    """Ids of what lies in the bin longer than it may, the longest first."""
    found = rows.select(conn, MarkRow, "where bin_until <= ? order by bin_until, object", [now])
    return [row.object for row in found]


def forget(conn: DuckDBPyConnection, object: str) -> None:
    conn.execute("delete from marks where object = ?", [object])
    conn.execute("delete from labels where object = ?", [object])
