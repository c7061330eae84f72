"""A page of a table that lies as parquet: chosen by values, searched, sorted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.errors import BadRequest
from jobs.views import TableView

PAGE_ROWS = 1_000
MOST_ROWS = 100_000  # at once  # ours
ROW = "file_row_number"  # DuckDB's: rows of equal rank stay as they were written
TEXT, FLAG = "VARCHAR", "BOOLEAN"
REAL = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Asked:
    """where: exact values of columns, as text. query: a part of any column of text. sort: a column."""

    where: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    sort: str = ""
    descending: bool = False
    limit: int = PAGE_ROWS
    offset: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST_ROWS or self.offset < 0:
            raise BadRequest(
                f"{self.limit:,} rows from row {self.offset:,} were asked for.",
                hint=f"Ask for 1 to {MOST_ROWS:,} rows from row 0 on.",
            )


def page(path: Path, asked: Asked) -> TableView:
    """Raises BadRequest for a column that is not there, with those that are."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as conn:
        source = conn.execute("select * from read_parquet(?) limit 0", [str(path)])
        kinds = {str(name): _kind(str(kind)) for name, kind, *_ in source.description or ()}
        for name in (*asked.where, *([asked.sort] if asked.sort else [])):
            _require(name, kinds)
        conditions = [*_equal(asked.where, kinds), *_found(asked.query, kinds)]
        words = " and ".join(f"({sql})" for sql, _ in conditions) or "true"
        given = [str(path), *(value for _, values in conditions for value in values)]
        total = conn.execute(f"select count(*) from read_parquet(?) where {words}", given).fetchone()
        chosen = conn.execute(
            f"select {', '.join(map(_quoted, kinds))} from read_parquet(?, file_row_number = true) where {words} "
            f"order by {_order(asked, kinds)} limit ? offset ?",
            [*given, asked.limit, asked.offset],
        ).fetchall()
    assert total is not None  # of count(*)
    columns = {name: [_plain(row[i]) for row in chosen] for i, name in enumerate(kinds)}
    return TableView(columns=columns, total=int(total[0]))


def _require(name: str, kinds: Mapping[str, str]) -> None:
    if name not in kinds:
        raise BadRequest(f"The table has no column {name[:80]!r}.", hint=f"Its columns: {', '.join(kinds)}.")


def _equal(where: Mapping[str, str], kinds: Mapping[str, str]) -> Iterator[tuple[str, Sequence[str]]]:
    for name, value in where.items():
        yield f"cast({_quoted(name)} as varchar) = ?", [value.lower() if kinds[name] == FLAG else value]


def _found(query: str, kinds: Mapping[str, str]) -> Iterator[tuple[str, Sequence[str]]]:
    wanted = query.strip().lower()
    if not wanted:
        return
    texts = [name for name, kind in kinds.items() if kind == TEXT]
    yield " or ".join(f"contains(lower({_quoted(name)}), ?)" for name in texts) or "false", [wanted] * len(texts)


def _order(asked: Asked, kinds: Mapping[str, str]) -> str:
    """What has no number comes last, whichever way."""
    if not asked.sort:
        return ROW
    column = _quoted(asked.sort)
    missing = f"{column} is null" + (f" or isnan({column})" if kinds[asked.sort] in REAL else "")
    return f"{missing}, {column} {'desc' if asked.descending else 'asc'}, {ROW}"


def _kind(kind: str) -> str:
    return TEXT if kind.upper().startswith(("ENUM", "STRING", TEXT)) else kind.upper()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
