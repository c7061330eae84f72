"""A backup as a file: one tar, its manifest last, every member named there with its SHA-256.

tables/NAME.jsonl     rows, every value as text; the first line says columns and types
objects/KEY           an object of the artifact store
models/ID/FILE        a model the lab added
manifest.json         what is above; manifest.sha256: of manifest.json
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from jobs.errors import Conflict
from jobs.keeping.errors import BadBackup
from jobs.keeping.views import BackupView
from storage.files import publish, room_for

FORMAT = 1
MANIFEST, SEAL = "manifest.json", "manifest.sha256"
BLOCK = 1 << 20  # bytes handed on at once  # ours
_TAR = 512


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds. rows: by table. migrations: number, name and checksum of the steps the tables stand at.

    objects: key, bytes and (where known) SHA-256, held as members unless `referenced`, where store says where they are.
    head: of the audit log. missing, damaged: keys. left_out: what of the home is no part of a backup.
    """

    format: int = FORMAT
    made_at: str
    version: str
    store: str
    referenced: bool
    migrations: list[list[Any]]
    rows: dict[str, int]
    members: list[dict[str, Any]]
    objects: list[dict[str, Any]]
    head: str
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=lambda: ["uploads under way", "caches", "logs", "settings, secrets"])

    def encode(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1, ensure_ascii=False).encode()


def header(name: str, size: int) -> bytes:
    """What stands in a tar before a member of this size."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    return info.tobuf(tarfile.PAX_FORMAT)


def padding(size: int) -> bytes:
    return b"\0" * (-size % _TAR)


def ending() -> bytes:
    return b"\0" * (2 * _TAR)


def small(name: str, data: bytes) -> Iterator[bytes]:
    """A member that is in memory."""
    yield header(name, len(data)) + data + padding(len(data))


def write_to(into: Path, stream: Callable[[], Iterable[bytes]]) -> BackupView:
    """The stream as a file that appears when it is whole and was read back. Raises Conflict, BadBackup, StoreFull."""
    if into.exists():
        raise Conflict(f"{into} is there already.", hint="Give another name: a backup overwrites nothing.")
    if not into.parent.is_dir():
        raise Conflict(f"There is no folder {into.parent}.", hint="Make it first.")
    partial = into.with_name(f".{into.name}.{uuid.uuid4().hex}.partial")
    try:
        with room_for("the backup", into.parent), os.fdopen(_private(partial), "wb") as file:
            for block in stream():
                file.write(block)
        with Archive.open(partial) as archive:
            view = archive.view(into)
        publish(partial, into)
    finally:
        partial.unlink(missing_ok=True)
    return view


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


@dataclass
class Archive:
    """An open backup whose manifest is whole. Everything else is checked as it is read."""

    path: Path
    tar: tarfile.TarFile
    manifest: Manifest
    sha256: str
    _members: dict[str, Member] = field(init=False)
    _places: dict[str, tarfile.TarInfo] = field(init=False)

    def __post_init__(self) -> None:
        self._members = {each["name"]: Member(**each) for each in self.manifest.members}
        self._places = {info.name: info for info in self.tar.getmembers()}
        for name, member in self._members.items():
            place = self._places.get(name)
            if place is None or place.size != member.bytes or not place.isreg():
                raise damaged(self.path, name)

    @classmethod
    def open(cls, path: Path) -> Archive:
        """Raises BadBackup, naming what is wrong with it."""
        if not path.is_file():
            raise BadBackup(f"There is no backup {path}.", hint="Check the path.")
        try:
            tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed with the archive
        except (tarfile.TarError, OSError, EOFError) as error:
            raise BadBackup(
                f"{path.name} is no backup: {error}.", hint="Give a file of `crossview admin backup`."
            ) from error
        try:
            return cls._read(path, tar)
        except BaseException:
            tar.close()
            raise

    @classmethod
    def _read(cls, path: Path, tar: tarfile.TarFile) -> Archive:
        try:
            names = tar.getnames()
            if MANIFEST not in names or SEAL not in names:
                raise BadBackup(
                    f"{path.name} ends before its manifest: it is cut short.",
                    hint="Use another backup: this is not whole.",
                )
            data, seal = (_all(tar, name) for name in (MANIFEST, SEAL))
        except (tarfile.TarError, OSError, EOFError) as error:
            raise BadBackup(f"{path.name} cannot be read: {error}.", hint="Use another backup.") from error
        digest = hashlib.sha256(data).hexdigest()
        if seal.decode(errors="replace").strip() != digest:
            raise damaged(path, MANIFEST)
        document = json.loads(data)
        if document.get("format") != FORMAT:
            raise BadBackup(
                f"{path.name} has format {document.get('format')}; this code reads {FORMAT}.",
                hint="Restore it with the version of CrossView that made it.",
            )
        return cls(path, tar, Manifest(**document), digest)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.tar.close()

    def names(self, folder: str) -> list[str]:
        return [name for name in self._members if name.startswith(folder)]

    def read(self, name: str) -> Iterator[bytes]:
        """A member block by block. Raises BadBackup at its end when it is not what the manifest says."""
        member, digest = self._members[name], hashlib.sha256()
        source = self.tar.extractfile(self._places[name])
        assert source is not None  # a regular file: looked at when the archive was opened
        try:
            with source:
                while block := source.read(BLOCK):
                    digest.update(block)
                    yield block
        except (tarfile.TarError, OSError, EOFError) as error:
            raise damaged(self.path, name) from error
        if digest.hexdigest() != member.sha256:
            raise damaged(self.path, name)

    def check(self, name: str) -> None:
        """Raises BadBackup when the member is not what the manifest says."""
        for _ in self.read(name):
            pass

    def copy(self, name: str, file: IO[bytes]) -> str:
        """The member into a file; its SHA-256. Raises BadBackup."""
        for block in self.read(name):
            file.write(block)
        return self._members[name].sha256

    def view(self, path: Path) -> BackupView:
        m = self.manifest
        return BackupView(
            path=str(path),
            bytes=self.path.stat().st_size,
            sha256=self.sha256,
            tables=m.rows,
            objects=len(m.objects),
            objects_bytes=sum(int(each["bytes"]) for each in m.objects),
            referenced=m.referenced,
            missing=tuple(m.missing),
            damaged=tuple(m.damaged),
        )


def damaged(path: Path, name: str) -> BadBackup:
    return BadBackup(
        f"{path.name} is damaged: {name} is not as it was written.",
        hint="Nothing was restored. Use another backup, or another copy of this one.",
    )


def _all(tar: tarfile.TarFile, name: str) -> bytes:
    source = tar.extractfile(name)
    if source is None:
        raise tarfile.TarError(f"{name} is no file")
    with source:
        return source.read()
