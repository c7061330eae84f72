"""The rows of every table as lines of text and back, whatever the tables are: for backups, while others write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from storage.errors import Corrupt

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LEDGER = "schema_migrations"
ROWS = 5_000  # at once  # ours


def tables(conn: DuckDBPyConnection) -> list[str]:
    """Every table of ours but the ledger of migrations."""
    found = conn.execute("select table_name from duckdb_tables() order by table_name").fetchall()
    return [str(name) for (name,) in found if name != LEDGER]


def ledger(conn: DuckDBPyConnection) -> list[list[Any]]:
    """Number, name and checksum of every step that was applied."""
    return [
        list(line) for line in conn.execute(f"select number, name, checksum from {LEDGER} order by number").fetchall()
    ]


def lines(conn: DuckDBPyConnection, table: str) -> Iterator[bytes]:
    """First the columns with their types, then a row a line; values as the database writes them, null as null."""
    columns = _columns(conn, table)
    yield _line(columns)
    words = ", ".join(f'cast("{name}" as varchar)' for name, _ in columns)
    # a cursor of its own within the same moment would be another transaction: rows are taken in pages instead
    conn.execute(f'select {words} from "{table}" order by all')
    while page := conn.fetchmany(ROWS):
        yield b"".join(_line(row) for row in page)


def load(conn: DuckDBPyConnection, table: str, blocks: Iterable[bytes]) -> int:
    """Adds the rows of a dump to an empty table; how many. Raises Corrupt when they do not fit it."""
    import pyarrow as pa

    rows = _rows(blocks)
    columns = next(rows, None)
    here = _columns(conn, table)
    if columns is None or [list(each) for each in columns] != [list(each) for each in here]:
        raise Corrupt(
            f"The rows of {table} do not fit the table of this version.", hint="Use the version that wrote them."
        )
    casts = ", ".join(f'cast("{name}" as {kind})' for name, kind in here)
    count = 0
    while page := list(islice(rows, ROWS)):
        texts = [pa.array([row[n] for row in page], pa.string()) for n in range(len(here))]
        conn.register("incoming_rows", pa.table(texts, names=[name for name, _ in here]))
        conn.execute(f'insert into "{table}" select {casts} from incoming_rows')
        conn.unregister("incoming_rows")
        count += len(page)
    return count


def _columns(conn: DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    sql = "select column_name, data_type from duckdb_columns() where table_name = ? order by column_index"
    return [(str(name), str(kind)) for name, kind in conn.execute(sql, [table]).fetchall()]


def _line(values: Iterable[Any]) -> bytes:
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _rows(blocks: Iterable[bytes]) -> Iterator[list[Any]]:
    rest = b""
    for block in chain(blocks, (b"\n",)):
        *whole, rest = (rest + block).split(b"\n")
        yield from (json.loads(line) for line in whole if line)
