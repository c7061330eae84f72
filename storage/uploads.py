"""Uploads that come in slices: straight to disk, resumable, checked end to end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from storage.errors import Corrupt, OffsetMismatch, TooLarge, UploadBusy, UploadIncomplete, UploadMissing
from storage.files import (
    BLOCK,
    check_room,
    display_name,
    human_bytes,
    make_folders,
    publish,
    room_for,
    sync_folder,
)

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """size: what the sender announced, if anything. sha256: known once it is finished."""

    id: str
    name: str
    size: int | None
    received: int
    created_at: datetime
    updated_at: datetime
    finished: bool
    sha256: str | None
    owner: str = "local"


@dataclass(frozen=True, slots=True)
class FinishedUpload:
    id: str
    name: str
    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Meta:
    id: str
    name: str
    size: int | None
    created_at: str
    sha256: str | None = None
    owner: str = "local"


@dataclass(slots=True)
class _Tally:
    """How many bytes are on disk for good, and their running SHA-256."""

    received: int
    digest: Any

    def copy(self) -> _Tally:
        return _Tally(self.received, self.digest.copy())


class UploadArea:
    """A folder with one sub-folder an upload, named by an id of ours: the user's file name is never a path."""

    def __init__(self, root: str | Path, *, max_bytes: int = 64 << 30, keep_free: int = 1 << 30) -> None:
        self.root = Path(root).resolve()
        self.max_bytes = max_bytes
        self.keep_free = keep_free
        make_folders(self.root)
        self._guard = threading.Lock()
        self._busy: set[str] = set()
        self._tallies: dict[str, _Tally] = {}

    def create(self, name: str, size: int | None = None, *, owner: str = "local") -> str:
        """A new upload's id. Raises TooLarge and StoreFull before a byte is sent."""
        if size is not None:
            self._check_size(size)
        check_room(size or 0, self.root, keep_free=self.keep_free)
        id = secrets.token_hex(16)
        folder = self.root / id
        with room_for("a new upload", self.root):
            folder.mkdir(mode=0o700)
            (folder / "data.partial").touch(mode=0o600)
            self._save(_Meta(id, display_name(name), size, datetime.now(UTC).isoformat(), owner=owner))
        sync_folder(self.root)
        return id

    def get(self, id: str, *, owner: str | None = None) -> Upload:
        """owner: of whom it must be. Raises UploadMissing, also for another's."""
        meta = self._load(id)
        if owner is not None and meta.owner != owner:
            raise _missing(id)
        with self._still_there(id):
            state = self._stat(meta)
        return Upload(
            id=id,
            name=meta.name,
            size=meta.size,
            received=state.st_size,
            created_at=datetime.fromisoformat(meta.created_at),
            updated_at=datetime.fromtimestamp(state.st_mtime, UTC),
            finished=meta.sha256 is not None,
            sha256=meta.sha256,
            owner=meta.owner,
        )

    def list(self) -> list[Upload]:
        found = []
        for entry in self.root.iterdir():
            with contextlib.suppress(UploadMissing):
                found.append(self.get(entry.name))
        return sorted(found, key=lambda upload: upload.created_at)

    def append(self, id: str, offset: int, chunks: Iterable[bytes], *, sha256: str | None = None) -> int:
        """Writes a slice as it comes; returns how many bytes the upload has now.

        When the sender breaks off, what came is kept and the next slice begins there; with `sha256` (of this slice)
        it is kept whole or not at all. Raises OffsetMismatch, TooLarge, UploadBusy, StoreFull, Corrupt, UploadMissing.
        """
        with self._slice(id, offset, sha256) as write:
            for chunk in chunks:
                write(chunk)
        return self.get(id).received

    def finish(self, id: str, sha256: str | None = None) -> FinishedUpload:
        """Closes the upload and gives its file. Asked again, it answers the same.

        Raises UploadIncomplete; Corrupt when the bytes are not those announced, and then the upload is gone.
        """
        meta = self._load(id)
        if meta.sha256 is None:  # one that is closed changes no more: any number may ask for it at once
            with self._alone(id):
                meta = self._mend(self._load(id))
                if meta.sha256 is None:
                    meta = self._close(meta, sha256)
        if sha256 is not None and sha256.lower() != meta.sha256:
            raise Corrupt(f"Upload {meta.name!r} is finished and has another SHA-256.", hint="Begin a new upload.")
        with self._still_there(id):
            size = self._stat(meta).st_size
        return FinishedUpload(id, meta.name, self._data(meta), size, str(meta.sha256))

    def discard(self, id: str) -> bool:
        """Removes the upload and its bytes; whether it was there. Raises UploadBusy."""
        if not _ID.fullmatch(id) or not (self.root / id).is_dir():
            return False
        with self._alone(id):
            self._tallies.pop(id, None)
            shutil.rmtree(self.root / id)
        return True

    def sweep(self, older_than: timedelta, *, now: datetime | None = None) -> tuple[str, ...]:
        """Removes uploads that nothing was added to for so long; returns their ids."""
        limit = (now or datetime.now(UTC)) - older_than
        old = [upload.id for upload in self.list() if upload.updated_at < limit]
        gone = []
        for id in old:
            with contextlib.suppress(UploadBusy):
                if self.discard(id):
                    gone.append(id)
        return tuple(gone)

    # -- one slice -----------------------------------------------------------------------------------------------

    @contextmanager
    def _slice(self, id: str, offset: int, sha256: str | None) -> Iterator[Callable[[bytes], None]]:
        with self._alone(id):
            meta = self._mend(self._load(id))
            if meta.sha256 is not None:
                raise UploadMissing(f"Upload {meta.name!r} is finished already.", hint="Begin a new upload.")
            kept = self._tally(meta)
            if offset != kept.received:
                raise OffsetMismatch(
                    f"The slice begins at byte {offset}; {kept.received} bytes of {meta.name!r} are here.",
                    expected=kept.received,
                    hint=f"Send on from byte {kept.received}.",
                )
            path = self._data(meta)
            descriptor = os.open(path, os.O_WRONLY)
            tally = kept.copy()
            slice_digest = hashlib.sha256()
            turn = threading.Lock()
            over = False

            def write(chunk: bytes) -> None:
                with turn:
                    if over:  # a thread of a cancelled request, too late: the file is no longer ours
                        return
                    self._check_size(tally.received + len(chunk), meta)
                    with room_for(f"upload {meta.name!r}", self.root):
                        _write_all(descriptor, chunk, tally.received)
                    tally.received += len(chunk)
                    tally.digest.update(chunk)
                    if sha256 is not None:
                        slice_digest.update(chunk)

            whole = False
            try:
                yield write
                whole = True
            finally:
                with turn:
                    over = True
                    good = sha256 is None or (whole and slice_digest.hexdigest() == sha256.lower())
                    kept = tally if good else kept
                    os.ftruncate(descriptor, kept.received)  # half a block may stand behind what was counted
                    os.close(descriptor)
                    self._tallies[id] = kept
            if not good:
                raise Corrupt(
                    f"Bytes {offset} to {tally.received} of {meta.name!r} arrived altered: their SHA-256 is not the "
                    "announced one.",
                    hint=f"Send the slice from byte {offset} again.",
                )

    def _tally(self, meta: _Meta) -> _Tally:
        """The running hash, read back from the file when another process began the upload."""
        path = self._data(meta)
        with self._still_there(meta.id):
            size = path.stat().st_size
            known = self._tallies.get(meta.id)
            if known is not None and known.received == size:
                return known
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
        return _Tally(size, digest)

    def _close(self, meta: _Meta, sha256: str | None) -> _Meta:
        tally = self._tally(meta)
        if meta.size is not None and tally.received != meta.size:
            raise UploadIncomplete(
                f"{tally.received} of {meta.size} bytes of {meta.name!r} are here.",
                hint=f"Send on from byte {tally.received}.",
            )
        found = str(tally.digest.hexdigest())
        if sha256 is not None and found != sha256.lower():
            shutil.rmtree(self.root / meta.id)
            self._tallies.pop(meta.id, None)
            raise Corrupt(
                f"{meta.name!r} arrived with SHA-256 {found}, not {sha256.lower()} as announced.",
                hint="It was altered on the way: upload it again.",
            )
        closed = _Meta(meta.id, meta.name, meta.size, meta.created_at, found, meta.owner)
        publish(self._data(meta), self._data(closed))
        self._save(closed)
        self._tallies.pop(meta.id, None)
        return closed

    # -- the folder ----------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self, id: str) -> Iterator[None]:
        with self._guard:
            if id in self._busy:
                raise UploadBusy(f"Upload {id} is being written by another request.", hint="Wait for it to end.")
            self._busy.add(id)
        try:
            yield
        finally:
            with self._guard:
                self._busy.discard(id)

    @contextmanager
    def _still_there(self, id: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise _missing(id) from error

    def _load(self, id: str) -> _Meta:
        if not _ID.fullmatch(id):
            raise _missing(id)
        with self._still_there(id):
            return _Meta(**json.loads((self.root / id / "meta.json").read_text(encoding="utf-8")))

    def _mend(self, meta: _Meta) -> _Meta:
        """Undoes the half of a finish that a process left when it ended between the file's new name and its note."""
        folder = self.root / meta.id
        if meta.sha256 is None and (folder / "data").exists():
            os.replace(folder / "data", folder / "data.partial")
        return meta

    def _stat(self, meta: _Meta) -> os.stat_result:
        try:
            return self._data(meta).stat()
        except FileNotFoundError:
            return (self.root / meta.id / "data").stat()  # finished a moment ago, not yet noted

    def _save(self, meta: _Meta) -> None:
        path = self.root / meta.id / "meta.json"
        partial = path.with_name("meta.json.partial")
        partial.write_text(json.dumps(asdict(meta)), encoding="utf-8")
        publish(partial, path)

    def _data(self, meta: _Meta) -> Path:
        return self.root / meta.id / ("data.partial" if meta.sha256 is None else "data")

    def _check_size(self, size: int, meta: _Meta | None = None) -> None:
        if size > self.max_bytes:
            raise TooLarge(
                f"The file has {human_bytes(size)} or more; at most {human_bytes(self.max_bytes)} are taken.",
                hint="Take fewer cells or features, or ask the operator to raise the limit.",
            )
        if meta is not None and meta.size is not None and size > meta.size:
            raise TooLarge(f"More bytes came than the {meta.size} announced for {meta.name!r}.", hint="Begin again.")


def _write_all(descriptor: int, chunk: bytes, offset: int) -> None:
    view = memoryview(chunk)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _missing(id: str) -> UploadMissing:
    return UploadMissing(f"There is no upload {id[:40]!r}.", hint="It may have been idle too long: begin a new one.")
