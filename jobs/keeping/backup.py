"""Making a backup while everything runs: the tables as of one moment, then the objects they name, as one stream.

Objects never change once they are named by a row, and nothing is deleted while the stream lasts: what belongs to the
moment of the tables is still there when its turn comes.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from jobs import layout
from jobs.errors import BadRequest, Conflict
from jobs.keeping import archive
from jobs.keeping.archive import BLOCK, Manifest, Member
from jobs.keeping.audit import entry
from jobs.version import code_version
from storage import dump
from storage.artifacts import LocalStore
from storage.errors import ArtifactMissing
from storage.tables import audit as audit_table
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.artifacts import ArtifactStore
    from storage.database import Database

FOLDERS = ("datasets/", "results/", "bundles/", "models/", "content/")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the rows of one moment name. digests: SHA-256 by key, where rows know it. jobs: whose results belong."""

    digests: dict[str, str]
    required: frozenset[str]
    jobs: frozenset[str]


@dataclass
class Backup:
    """One at a time. pause: set while it lasts, so that nothing is deleted."""

    home: Path
    database: Database
    store: ArtifactStore
    pause: threading.Event
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def stream(self, *, reference: bool = False) -> Generator[bytes]:
        """A tar, block by block. Raises BadRequest, Conflict before the first block."""
        if reference and isinstance(self.store, LocalStore):
            raise BadRequest(
                "The objects of a local store cannot be left where they are.",
                hint="Leave --reference out: it is for S3.",
            )
        if not self._turn.acquire(blocking=False):
            raise Conflict("A backup is being made already.", hint="Wait for its end.")
        blocks = self._blocks(reference)
        return _begun(next(blocks), blocks)  # here, in the name of whoever asked

    def _blocks(self, reference: bool) -> Generator[bytes]:
        self.pause.set()
        try:
            self.database.write_now(entry("admin.backup", "all"))
            members: list[Member] = []
            with tempfile.TemporaryDirectory(prefix="backup-", dir=self.home / "scratch") as folder:
                rows, ledger, head, wanted = self._tables(Path(folder))
                for name in rows:
                    yield from _member(f"tables/{name}.jsonl", Path(folder) / name, members)
            objects: list[Member] = []
            missing, damaged = set(wanted.required), []
            for key in self._keys(wanted):
                try:
                    if reference:
                        objects.append(Member(key, self.store.size(key), wanted.digests.get(key, "")))
                    else:
                        with self.store.open_local(key) as path:
                            yield from _member(f"objects/{key}", path, members)
                        objects.append(Member(key, members[-1].bytes, members[-1].sha256))
                except (ArtifactMissing, FileNotFoundError):
                    continue  # of an attempt that goes on: what it no longer needs
                missing.discard(key)
                if objects[-1].sha256 != wanted.digests.get(key, objects[-1].sha256):
                    damaged.append(key)
            for path in sorted(each for each in (self.home / "models").rglob("*") if each.is_file()):
                yield from _member(path.relative_to(self.home).as_posix(), path, members)
            manifest = Manifest(
                made_at=utcnow().isoformat(),
                version=code_version(),
                store=self.store.uri(),
                referenced=reference,
                migrations=ledger,
                rows=rows,
                members=[asdict(each) for each in members],
                objects=[{"key": each.name, "bytes": each.bytes, "sha256": each.sha256} for each in objects],
                head=head,
                missing=sorted(missing),
                damaged=damaged,
            ).encode()
            yield from archive.small(archive.MANIFEST, manifest)
            yield from archive.small(archive.SEAL, hashlib.sha256(manifest).hexdigest().encode() + b"\n")
            yield archive.ending()
        finally:
            self.pause.clear()
            self._turn.release()

    def _tables(self, folder: Path) -> tuple[dict[str, int], list[list[object]], str, Wanted]:
        """Every table as a file, all of the same moment; rows by table, the ledger, the head of the audit log."""
        with self.database.read() as conn:
            rows = {}
            for name in dump.tables(conn):
                with (folder / name).open("wb") as file:
                    for lines in dump.lines(conn, name):
                        file.write(lines)
                line = conn.execute(f'select count(*) from "{name}"').fetchone()
                rows[name] = int(line[0]) if line else 0
            number, digest = audit_table.head(conn)
            return rows, dump.ledger(conn), f"{number}:{digest}", wanted_of(conn)

    def _keys(self, wanted: Wanted) -> Iterator[str]:
        for folder in FOLDERS:
            for key in self.store.list(folder):
                if folder == "results/" and key.split("/")[1] not in wanted.jobs:
                    continue  # asked for after that moment
                if folder == "datasets/" and key not in wanted.required:
                    continue
                yield key


def _begun(first: bytes, rest: Generator[bytes]) -> Generator[bytes]:
    """Ends with its reader: one who goes away in the middle stops the backup."""
    try:
        yield first
        yield from rest
    finally:
        rest.close()


def wanted_of(conn: DuckDBPyConnection) -> Wanted:
    """The objects that rows name, and the SHA-256 they must have."""
    datasets = conn.execute(
        "select distinct digest from datasets where state = 'ready' and deleted_at is null and digest is not null"
    ).fetchall()
    digests = {layout.dataset(str(digest)): str(digest) for (digest,) in datasets}
    outputs = conn.execute(
        "select a.uri, a.sha256 from artifacts a join jobs j on j.id = a.job and j.attempt = a.attempt "
        "where j.state = 'SUCCEEDED'"
    ).fetchall()
    digests.update({str(key): str(digest) for key, digest in outputs})
    models = conn.execute("select distinct digest from models where deleted_at is null").fetchall()
    bundles = {layout.bundle(str(digest)) + "bundle.json" for (digest,) in models}
    jobs = conn.execute("select id from jobs").fetchall()
    return Wanted(digests, frozenset({*digests, *bundles}), frozenset(str(id) for (id,) in jobs))


def _member(name: str, path: Path, members: list[Member]) -> Iterator[bytes]:
    """A file as a member; its SHA-256 is known when it has gone through."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        yield archive.header(name, size)
        digest = hashlib.sha256()
        yield from _blocks(file, size, digest.update)
        yield archive.padding(size)
    members.append(Member(name, size, digest.hexdigest()))


def _blocks(file: IO[bytes], size: int, seen: Callable[[bytes], None]) -> Iterator[bytes]:
    left = size
    while left:
        block = file.read(min(BLOCK, left))
        if not block:
            raise OSError(f"a file ended {left} bytes early while it was backed up")
        seen(block)
        left -= len(block)
        yield block
