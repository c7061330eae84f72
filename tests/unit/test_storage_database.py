"""The database keeps what it acknowledged, whoever fails, dies or fills the disk."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from concurrent.futures import wait
from contextvars import ContextVar
from pathlib import Path

import duckdb
import pytest

from storage import migrate
from storage.database import Connection, Database
from storage.errors import DatabaseClosed, DatabaseLocked, MigrationMismatch, StorageError
from storage.migrate import Migration

TABLE = (Migration(1, "numbers", "create table numbers (n integer primary key)"),)


@pytest.fixture
def database(tmp_path: Path):
    with Database.open(tmp_path / "db.duckdb", migrations=TABLE) as opened:
        yield opened


def add(number: int):
    def write(conn: Connection) -> int:
        conn.execute("insert into numbers values (?)", [number])
        return number

    return write


def numbers(database: Database) -> list[int]:
    with database.read() as conn:
        return [n for (n,) in conn.execute("select n from numbers order by n").fetchall()]


def test_a_write_returns_its_result_once_it_is_kept(database: Database):
    assert database.write_now(add(7)) == 7
    assert numbers(database) == [7]


def test_writes_that_wait_together_are_committed_together(database: Database):
    gate = threading.Event()
    transactions: set[int] = set()

    def note(conn: Connection) -> None:
        transactions.add(conn.execute("select txid_current()").fetchone()[0])

    first = database.write(lambda conn: gate.wait(10))
    futures = [database.write(note) for _ in range(40)]
    gate.set()
    wait([first, *futures])
    assert len(transactions) == 1


def test_a_write_that_fails_undoes_only_itself(database: Database):
    gate = threading.Event()
    database.write(lambda conn: gate.wait(10))
    futures = [database.write(add(n)) for n in (1, 2, 2, 3, 1, 4)]
    gate.set()
    wait(futures)
    assert [f.exception() is None for f in futures] == [True, True, False, True, False, True]
    assert isinstance(futures[2].exception(), duckdb.ConstraintException)
    assert numbers(database) == [1, 2, 3, 4]


def test_a_refusal_of_ours_inside_a_write_fails_that_write_alone(database: Database):
    gate = threading.Event()

    def refuse(conn: Connection) -> None:
        raise StorageError("not like this")

    database.write(lambda conn: gate.wait(10))
    good, bad, also_good = database.write(add(1)), database.write(refuse), database.write(add(2))
    gate.set()
    wait([good, bad, also_good])
    assert (good.exception(), also_good.exception()) == (None, None)
    assert isinstance(bad.exception(), StorageError)
    assert numbers(database) == [1, 2]


def test_a_write_that_swallows_its_own_sql_error_is_not_acknowledged(database: Database):
    database.write_now(add(1))

    def swallow(conn: Connection) -> None:
        conn.execute("insert into numbers values (2)")
        with contextlib.suppress(duckdb.ConstraintException):
            conn.execute("insert into numbers values (1)")

    with pytest.raises(duckdb.TransactionException):
        database.write_now(swallow)
    assert numbers(database) == [1]


def test_a_write_may_not_commit_by_itself(database: Database):
    with pytest.raises((RuntimeError, duckdb.TransactionException)):
        database.write_now(lambda conn: conn.execute("commit"))
    assert database.write_now(add(5)) == 5


def test_a_write_inside_a_write_is_refused_rather_than_waiting_for_itself(database: Database):
    with pytest.raises(RuntimeError, match="wait for itself"):
        database.write_now(lambda conn: database.write_now(add(1)))


def test_a_cancelled_write_never_runs(database: Database):
    gate = threading.Event()
    database.write(lambda conn: gate.wait(10))
    cancelled, kept = database.write(add(1)), database.write(add(2))
    assert cancelled.cancel()
    gate.set()
    kept.result()
    assert numbers(database) == [2]


def test_a_reader_sees_one_moment(database: Database):
    with database.read() as conn:
        before = conn.execute("select count(*) from numbers").fetchall()
        database.write_now(add(1))
        assert conn.execute("select count(*) from numbers").fetchall() == before
    assert numbers(database) == [1]


def test_a_reader_cannot_write(database: Database):
    with pytest.raises(duckdb.TransactionException), database.read() as conn:
        conn.execute("insert into numbers values (1)")


def test_sql_cannot_read_other_files(database: Database, tmp_path: Path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(duckdb.PermissionException), database.read() as conn:
        conn.execute(f"select * from read_csv('{tmp_path / 'secret.csv'}')")


def test_closing_finishes_what_was_accepted_and_leaves_no_log(tmp_path: Path):
    path = tmp_path / "db.duckdb"
    database = Database.open(path, migrations=TABLE)
    futures = [database.write(add(n)) for n in range(200)]
    database.close()
    assert all(future.done() for future in futures)
    assert not path.with_name("db.duckdb.wal").exists()
    with pytest.raises(DatabaseClosed):
        database.write(add(1000))
    with Database.open(path, migrations=TABLE) as again:
        assert numbers(again) == list(range(200))


def test_a_second_open_in_this_process_is_refused(database: Database):
    with pytest.raises(DatabaseLocked, match="already open in this process"):
        Database.open(database.path, migrations=TABLE)


def test_a_second_process_is_told_which_one_to_stop(tmp_path: Path):
    owner = _python(
        "import sys; from storage.database import Database; db = Database.open(sys.argv[1]); print('open', flush=True);"
        "sys.stdin.read()",
        tmp_path / "db.duckdb",
    )
    try:
        assert owner.stdout.readline() == "open\n"
        with pytest.raises(DatabaseLocked, match=rf"in use by process {owner.pid} .*kill {owner.pid}"):
            Database.open(tmp_path / "db.duckdb")
    finally:
        owner.communicate("", timeout=20)
    Database.open(tmp_path / "db.duckdb").close()  # a refused open leaves nothing claimed


@pytest.mark.parametrize("survive", [30, 150])
def test_a_killed_process_loses_no_acknowledged_write(tmp_path: Path, survive: int):
    writer = _python(
        "import sys\nfrom storage.database import Database\n"
        "db = Database.open(sys.argv[1])\n"
        "db.write_now(lambda conn: conn.execute('create table kept (n integer)') and None)\n"
        "for n in range(100000):\n"
        "    db.write_now(lambda conn: conn.execute('insert into kept values (?)', [n]) and None)\n"
        "    print(n, flush=True)\n",
        tmp_path / "db.duckdb",
    )
    acknowledged = [int(writer.stdout.readline()) for _ in range(survive)]
    writer.kill()
    rest, _ = writer.communicate(timeout=20)
    acknowledged += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    with Database.open(tmp_path / "db.duckdb") as database, database.read() as conn:
        kept = {n for (n,) in conn.execute("select n from kept").fetchall()}
    assert kept >= set(acknowledged)
    assert len(kept) <= len(acknowledged) + 1


FULL_DISK = """
import os, resource, sys
from storage.database import Database
from storage.errors import StoreFull, DatabaseBroken
from storage.migrate import Migration
db = Database.open(sys.argv[1], migrations=(Migration(1, "t", "create table t (n integer, x text)"),))
def put(n, size):
    db.write_now(lambda conn: conn.execute("insert into t values (?, ?)", [n, os.urandom(size).hex()]) and None)
def count():
    with db.read() as conn: return conn.execute("select count(*) from t").fetchone()[0]
put(0, 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
n = 1
try:
    while n < 1000: put(n, 50_000); n += 1
except StoreFull as error: print("full", "not saved" in str(error))
print("reads", count() == n)
put(n, 10); print("small writes go on", count() == n + 1)
try: db.write_now(lambda conn: conn.execute("checkpoint") and None)
except Exception: pass
db._checkpoint()
print("broken", db.broken is not None)
for use in (count, lambda: put(0, 1)):
    try: use()
    except DatabaseBroken as error: print("says", "start the process again" in str(error))
db.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
db = Database.open(sys.argv[1], migrations=(Migration(1, "t", "create table t (n integer, x text)"),))
print("kept", count() == n + 1)
db.close()
"""


def test_a_full_disk_refuses_writes_keeps_reads_and_loses_nothing(tmp_path: Path):
    run = _python(FULL_DISK, tmp_path / "db.duckdb")
    out, err = run.communicate(timeout=60)
    expected = "full True\nreads True\nsmall writes go on True\nbroken True\nsays True\nsays True\nkept True\n"
    assert (out, run.returncode) == (expected, 0), err


def test_migrations_are_applied_once(tmp_path: Path):
    path = tmp_path / "db.duckdb"
    Database.open(path).close()
    with Database.open(path) as database, database.read() as conn:
        ledger = conn.execute("select number, checksum from schema_migrations order by number").fetchall()
    assert ledger == [(m.number, m.checksum) for m in migrate.load()]


def test_a_later_migration_keeps_the_rows(tmp_path: Path):
    path = tmp_path / "db.duckdb"
    with Database.open(path, migrations=TABLE) as database:
        database.write_now(add(3))
    more = (*TABLE, Migration(2, "words", "alter table numbers add column word text default 'three'"))
    with Database.open(path, migrations=more) as database, database.read() as conn:
        assert conn.execute("select * from numbers").fetchall() == [(3, "three")]


def test_a_failing_migration_leaves_the_file_as_it_was(tmp_path: Path):
    path = tmp_path / "db.duckdb"
    Database.open(path, migrations=TABLE).close()
    bad = (*TABLE, Migration(2, "bad", "create table half (n integer); create table numbers (n integer)"))
    with pytest.raises(duckdb.CatalogException):
        Database.open(path, migrations=bad)
    with Database.open(path, migrations=TABLE) as database, database.read() as conn:
        tables = {name for (name,) in conn.execute("select table_name from duckdb_tables()").fetchall()}
    assert tables == {"numbers", "schema_migrations"}


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path):
    more = (*TABLE, Migration(2, "more", "create table more (n integer)"))
    Database.open(tmp_path / "db.duckdb", migrations=more).close()
    with pytest.raises(MigrationMismatch, match="version 2; this code knows versions up to 1"):
        Database.open(tmp_path / "db.duckdb", migrations=TABLE)


def test_a_migration_may_not_be_edited_after_it_was_applied(tmp_path: Path):
    Database.open(tmp_path / "db.duckdb", migrations=TABLE).close()
    with pytest.raises(MigrationMismatch, match="changed after"):
        Database.open(tmp_path / "db.duckdb", migrations=(Migration(1, "numbers", "create table numbers (n bigint)"),))


def test_a_gap_in_the_migrations_is_found(tmp_path: Path):
    (tmp_path / "0001_one.sql").write_text("select 1")
    (tmp_path / "0003_three.sql").write_text("select 3")
    with pytest.raises(ValueError, match="numbered"):
        migrate.load(tmp_path)


def _python(code: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_a_write_runs_in_the_context_of_its_caller(tmp_path: Path) -> None:
    asking: ContextVar[str] = ContextVar("asking", default="nobody")
    with Database.open(tmp_path / "c.duckdb") as database:
        asking.set("anna")
        assert database.write_now(lambda conn: asking.get()) == "anna"
        asking.set("bert")
        assert database.write(lambda conn: asking.get()).result() == "bert"
