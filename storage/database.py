"""The system of record: one process owns the file, one thread writes it, anyone may read."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import duckdb

from storage import migrate
from storage.errors import DatabaseBroken, DatabaseClosed, DatabaseLocked, StorageError, StoreFull

Connection: TypeAlias = duckdb.DuckDBPyConnection
T = TypeVar("T")

BATCH = 64  # writes in one transaction: one fsync for all of them; ours
CHECKPOINT_WAL_BYTES = 16 << 20  # DuckDB's own default
CHECKPOINT_ROOM_BYTES = 64 << 20  # ours; see Database._checkpoint

_NO_ROOM = re.compile(r"no space left|file too large|disk quota|disk full", re.IGNORECASE)
_OWNER = re.compile(r"held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")

_open_lock = threading.Lock()
_open_here: set[str] = set()


@dataclass(frozen=True, slots=True)
class _Write:
    fn: Callable[[Connection], Any]
    future: Future[Any]


@dataclass(frozen=True, slots=True)
class _Failed:
    """index: the write that failed, or None when the commit itself did."""

    index: int | None
    error: BaseException


class Database:
    """The open file. Make it with `Database.open`; close it, or use it in a `with` statement."""

    def __init__(self, path: Path, conn: Connection, *, batch: int = BATCH) -> None:
        self.path = path
        self._conn = conn
        self._batch = batch
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards _closed, _broken and the making of cursors
        self._closed = False
        self._broken: DatabaseBroken | None = None
        # A daemon, so that a program that forgets to close can still end: nothing acknowledged depends on it.
        self._thread = threading.Thread(target=self._loop, name="database-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: str | Path, *, migrations: tuple[migrate.Migration, ...] | None = None) -> Self:
        """Opens or makes the file and brings its tables up to date.

        Raises DatabaseLocked when another process (or this one) has it open, MigrationMismatch, StoreFull.
        """
        path = Path(path).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        _claim(path)
        try:
            conn = _connect(path)
            try:
                migrate.apply(conn, migrate.load() if migrations is None else migrations)
            except BaseException:
                conn.close()
                raise
        except BaseException as error:
            _release(path)
            if isinstance(error, duckdb.Error):
                raise _explain(error, path) from error
            raise
        return cls(path, conn)

    def write(self, fn: Callable[[Connection], T]) -> Future[T]:
        """Runs `fn` on the writer thread; the future is done when its changes are safely on disk.

        Writes that wait together are committed together. A write that raises undoes only itself, so `fn` may be
        run twice: it must touch nothing but the connection it is given, and never commit or roll back.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise DatabaseClosed(f"The database {self.path} is closed.")
            if self._broken is not None:
                raise self._broken
            # Who asks is asked by the write too: it runs in another thread, but in the context of its caller.
            context = copy_context()
            self._queue.put(_Write(lambda conn: context.run(fn, conn), future))
        return future

    def write_now(self, fn: Callable[[Connection], T]) -> T:
        """`write`, waiting for the result."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("write_now inside a write would wait for itself: use the connection that was given.")
        return self.write(fn).result()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A cursor that sees one moment of the database and cannot change it."""
        cursor = self._cursor()
        try:
            cursor.execute("begin transaction read only")
            yield cursor
        except duckdb.FatalException as error:
            raise self._break(error) from error
        finally:
            cursor.close()

    @property
    def broken(self) -> DatabaseBroken | None:
        """Why this object is of no use any more, or None: then the process must be started again."""
        return self._broken

    def close(self) -> None:
        """Finishes what was accepted, folds the log into the file and gives the file back."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        if self._broken is None:
            self._checkpoint()
        self._conn.close()
        _release(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _cursor(self) -> Connection:
        with self._lock:
            if self._closed:
                raise DatabaseClosed(f"The database {self.path} is closed.")
            if self._broken is not None:
                raise self._broken
            return self._conn.cursor()

    # -- the writer thread ---------------------------------------------------------------------------------------

    def _loop(self) -> None:
        while batch := self._next_batch():
            self._settle(batch)
            if self._broken is None and self._log_bytes() > CHECKPOINT_WAL_BYTES:
                self._checkpoint()

    def _next_batch(self) -> list[_Write]:
        """The writes that wait, at most a batch; empty when the database is closing and all are done."""
        batch: list[_Write] = []
        with contextlib.suppress(queue.Empty):
            while len(batch) < self._batch:
                item = self._queue.get(block=not batch)
                if item is None:
                    self._queue.put(None)  # seen again by the next call, which then ends the loop
                    break
                if item.future.set_running_or_notify_cancel():
                    batch.append(item)
        return batch

    def _settle(self, batch: Sequence[_Write]) -> None:
        """Commits a batch together, or, when one of them fails, the others without it."""
        pending = [list(batch)]
        while pending:
            group = pending.pop()
            if self._broken is not None:
                _fail(group, self._broken)
                continue
            failed = self._commit(group)
            if failed is None:
                continue
            error = self._understand(failed.error)
            ours = isinstance(failed.error, duckdb.Error) and isinstance(error, StorageError)
            if len(group) == 1 or ours:  # a full or broken disk fails everybody alike
                _fail(group, error)
            elif failed.index is None:
                pending.extend([write] for write in reversed(group))
            else:
                cut = failed.index
                pending.extend(part for part in (group[cut + 1 :], [group[cut]], group[:cut]) if part)

    def _commit(self, group: Sequence[_Write]) -> _Failed | None:
        conn, results = self._conn, []
        for index, write in enumerate(group):
            try:
                if index == 0:
                    conn.execute("begin")
                    number = _transaction(conn)
                results.append(write.fn(conn))
                # DuckDB "commits" an aborted transaction without a word and without its changes:
                # a write that swallowed its own SQL error is found out here.
                if _transaction(conn) != number:
                    raise RuntimeError("A write must not commit or roll back: the writer thread does.")
            except BaseException as error:
                self._roll_back()
                return _Failed(index, error)
        try:
            conn.execute("commit")
        except BaseException as error:
            self._roll_back()
            return _Failed(None, error)
        for write, result in zip(group, results, strict=True):
            write.future.set_result(result)
        return None

    def _roll_back(self) -> None:
        with contextlib.suppress(duckdb.Error):  # a commit that failed has rolled back already
            self._conn.execute("rollback")

    def _understand(self, error: BaseException) -> BaseException:
        if isinstance(error, duckdb.FatalException):
            return self._break(error)
        return _explain(error, self.path) if isinstance(error, duckdb.Error) else error

    def _break(self, error: BaseException) -> DatabaseBroken:
        with self._lock:
            if self._broken is None:
                self._broken = DatabaseBroken(
                    f"The database {self.path} stopped itself: {_first_line(error)}",
                    hint="Make room on the disk if it is full, then start the process again: "
                    "everything that was acknowledged is kept.",
                )
            return self._broken

    def _log_bytes(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return self.path.with_name(self.path.name + ".wal").stat().st_size
        return 0

    def _checkpoint(self) -> None:
        """Folds the log into the file, if there is surely room.

        A checkpoint that runs out of disk invalidates the open database, a long log only costs a slower start.
        """
        if shutil.disk_usage(self.path.parent).free < 2 * self._log_bytes() + CHECKPOINT_ROOM_BYTES:
            return
        try:
            self._conn.execute("checkpoint")
        except duckdb.TransactionException:
            pass  # a reader holds an old moment: the next batch tries again
        except duckdb.FatalException as error:
            self._break(error)


def _transaction(conn: Connection) -> int:
    row = conn.execute("select txid_current()").fetchone()
    assert row is not None  # a select without a where always has a row
    return int(row[0])


def _fail(group: Sequence[_Write], error: BaseException) -> None:
    for write in group:
        write.future.set_exception(error)


def _connect(path: Path) -> Connection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": "2",  # rows of jobs, not analytics: leave the processors to the workers
        "memory_limit": "1GB",
        "wal_autocheckpoint": "1TB",  # Database._checkpoint decides instead
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    conn = duckdb.connect(str(path), config=config)
    try:
        conn.execute("set timezone = 'UTC'")
        conn.execute("pragma disable_checkpoint_on_shutdown")
        conn.execute("set enable_external_access = false")  # no SQL text may ever read another file
    except BaseException:
        conn.close()
        raise
    return conn


def _claim(path: Path) -> None:
    # DuckDB's lock is between processes: within one, a second open would succeed and write beside the first.
    with _open_lock:
        if str(path) in _open_here:
            raise DatabaseLocked(
                f"The database {path} is already open in this process ({os.getpid()}).",
                hint="Use the Database that is open, or close it first.",
            )
        _open_here.add(str(path))


def _release(path: Path) -> None:
    with _open_lock:
        _open_here.discard(str(path))


def _explain(error: duckdb.Error, path: Path) -> BaseException:
    """The error in our words where we have any, else itself."""
    text = str(error)
    if "Could not set lock" in text:
        return _locked(text, path)
    if _NO_ROOM.search(text):
        return StoreFull(
            f"The disk that holds the database {path} is full: the change was not saved.",
            hint=f"Free space under {path.parent}; reading still works and nothing that was saved is lost.",
        )
    if isinstance(error, duckdb.IOException):
        return StorageError(f"The database {path} could not be read or written: {_first_line(error)}")
    return error


def _locked(text: str, path: Path) -> DatabaseLocked:
    owner = _OWNER.search(text)
    if owner is None:
        return DatabaseLocked(f"The database {path} is in use by another process.", hint="Stop that process first.")
    pid = owner["pid"]
    return DatabaseLocked(
        f"The database {path} is in use by process {pid} ({Path(owner['program']).name}).",
        hint=f"Use the dashboard that is running, or stop it first: Ctrl-C in its terminal, or `kill {pid}`.",
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
