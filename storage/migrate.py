"""The steps that bring a database file to the tables this code knows, each applied once and remembered."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import MigrationMismatch

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from duckdb import DuckDBPyConnection

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

_LEDGER = """
create table if not exists schema_migrations (
    number integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load(folder: Path | None = None) -> tuple[Migration, ...]:
    """The migrations of a folder (ours by default), in order. Raises ValueError for a twin.

    A number may be missing: branches that grew side by side take numbers of their own, and each step is applied once.
    """
    source: Traversable = folder or resources.files("storage") / "migrations"
    found = []
    for entry in source.iterdir():
        if match := _NAME.fullmatch(entry.name):
            # Line ends must not change the checksum: some checkouts rewrite them.
            sql = entry.read_text(encoding="utf-8").replace("\r\n", "\n")
            found.append(Migration(int(match[1]), match[2], sql))
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    if len(set(numbers)) != len(numbers) or (numbers and numbers[0] != 1):
        raise ValueError(f"Migrations must be numbered from 1, none twice; found {numbers} in {source}.")
    return tuple(found)


def apply(conn: DuckDBPyConnection, migrations: tuple[Migration, ...]) -> list[int]:
    """Applies what is missing, each in its own transaction; returns the numbers applied.

    Raises MigrationMismatch when the file is newer than this code, or an applied step was edited.
    """
    conn.execute(_LEDGER)
    applied = {
        int(number): (str(name), str(checksum))
        for number, name, checksum in conn.execute("select number, name, checksum from schema_migrations").fetchall()
    }
    _check(applied, migrations)
    todo = [migration for migration in migrations if migration.number not in applied]
    for migration in todo:
        _apply_one(conn, migration)
    return [migration.number for migration in todo]


def _check(applied: dict[int, tuple[str, str]], migrations: tuple[Migration, ...]) -> None:
    known = {migration.number for migration in migrations}
    if unknown := set(applied) - known:
        raise MigrationMismatch(
            f"The database has table version {max(unknown)}; this code knows versions up to {max(known, default=0)}.",
            hint="Run the newer version of CrossView that wrote it, or start with another data folder.",
        )
    for migration in migrations:
        name, checksum = applied.get(migration.number, (migration.name, migration.checksum))
        if checksum != migration.checksum:
            raise MigrationMismatch(
                f"Step {migration.number} ({name}) of the tables was changed after this database applied it.",
                hint="Restore the file under storage/migrations and put the change into a new one.",
            )


def _apply_one(conn: DuckDBPyConnection, migration: Migration) -> None:
    conn.execute("begin")
    try:
        conn.execute(migration.sql)
        conn.execute(
            "insert into schema_migrations (number, name, checksum) values (?, ?, ?)",
            [migration.number, migration.name, migration.checksum],
        )
        conn.execute("commit")
    except Exception as error:
        error.add_note(f"while applying migration {migration.number:04d}_{migration.name}")
        conn.execute("rollback")
        raise
