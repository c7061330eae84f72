"""Rows as frozen dataclasses: the fields are the columns, JSON is parsed, moments are UTC."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Row(Protocol):
    """TABLE: its name. JSON: the columns that hold a JSON document as text."""

    TABLE: ClassVar[str]
    JSON: ClassVar[frozenset[str]]
    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=Row)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utcnow() -> datetime:
    return datetime.now(UTC)


def columns(row: type[Row] | Row) -> list[str]:
    return [field.name for field in fields(row)]


def select(conn: DuckDBPyConnection, row: type[R], tail: str = "", values: Sequence[Any] = ()) -> list[R]:
    """Rows of a table; `tail` is everything after `from <table>`."""
    names, moments = columns(row), _moments(row)
    # As microseconds: the driver's own way to a datetime asks pytz for every single one.
    wanted = ", ".join(f"epoch_us({name})" if name in moments else name for name in names)
    found = conn.execute(f"select {wanted} from {row.TABLE} {tail}", [_plain(value) for value in values]).fetchall()
    decoders = [_moment if name in moments else _document if name in row.JSON else None for name in names]
    return [
        row(**{n: v if how is None or v is None else how(v) for n, v, how in zip(names, line, decoders, strict=True)})
        for line in found
    ]


def insert(conn: DuckDBPyConnection, row: Row) -> None:
    names = columns(row)
    marks = ", ".join("?" for _ in names)
    values = [encode(row, name, getattr(row, name)) for name in names]
    conn.execute(f"insert into {row.TABLE} ({', '.join(names)}) values ({marks})", values)


def update(
    conn: DuckDBPyConnection, row: type[Row], changes: Mapping[str, Any], where: str, values: Sequence[Any]
) -> bool:
    """Whether a row was there to change. Raises ValueError for a column the table has not."""
    if unknown := set(changes) - set(columns(row)):
        raise ValueError(f"{row.TABLE} has no column {', '.join(sorted(unknown))}.")
    assignments = ", ".join(f"{name} = ?" for name in changes)
    new = [encode(row, name, value) for name, value in changes.items()]
    sql = f"update {row.TABLE} set {assignments} where {where}"
    line = conn.execute(sql, [*new, *(_plain(value) for value in values)]).fetchone()
    return line is not None and int(line[0]) > 0


def encode(row: type[Row] | Row, name: str, value: Any) -> Any:
    """A field as the database keeps it."""
    if name in row.JSON and value is not None:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone: moments are kept in UTC.")
        return value.astimezone(UTC)
    return str(value) if isinstance(value, str) else value  # enums of words become the word


@lru_cache
def _moments(row: type[Row]) -> frozenset[str]:
    """The columns that hold a moment, by the types of the fields."""
    return frozenset(field.name for field in fields(row) if str(field.type).startswith("datetime"))


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _document(text: str) -> Any:
    return json.loads(text)
