"""Where results, bundles and canonical copies live: a local folder here, S3 in artifacts_s3, one contract for both."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from storage.errors import ArtifactMissing, BadKey, BadUri, Corrupt, UnsuitableStore
from storage.files import BLOCK, make_folders, publish, room_for, sha256_of, sync_file, sync_folder
from storage.s3 import S3Profile, shown
from storage.scratch import held, sweep_files

PARTIALS = ".partial"  # of a local store: the folder of what is being written
_PART = re.compile(r"[A-Za-z0-9_=+@,-][A-Za-z0-9._=+@,-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ArtifactStore(Protocol):
    """Objects under keys such as `results/7f/1/out/report.json`. A reader sees a whole object or none.

    Prefixes are folders: `results/7` never means `results/77`.
    """

    def put_bytes(self, key: str, data: bytes) -> None: ...

    def put_file(self, key: str, path: Path) -> None: ...

    def put_once(self, key: str, data: bytes) -> bool:
        """Writes unless the key exists, atomically among all writers; whether it was written.

        A writer that is told no after a broken connection may find its own bytes there.
        """
        ...

    def put_content(self, path: Path, *, sha256: str | None = None, move: bool = False) -> str:
        """Stores a file under the key of its own content, once; `move` may take the file away.

        sha256: what the content is known to be; Raises Corrupt when it is not.
        """
        ...

    def get_bytes(self, key: str) -> bytes:
        """Raises ArtifactMissing."""
        ...

    def open_local(self, key: str) -> AbstractContextManager[Path]:
        """A local file with the object's bytes, for reading, while the context lasts. Raises ArtifactMissing."""
        ...

    def exists(self, key: str) -> bool: ...

    def size(self, key: str) -> int:
        """Bytes. Raises ArtifactMissing."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """The keys under a folder, sorted."""
        ...

    def delete(self, key: str) -> bool:
        """Whether it was there."""
        ...

    def delete_prefix(self, prefix: str) -> int:
        """How many objects went."""
        ...

    def sweep_unfinished(self) -> int:
        """How many writes that their writers did not end went; what may still be written stays."""
        ...

    def uri(self, key: str = "") -> str: ...

    def presigned(self, key: str, *, seconds: int, name: str, media_type: str) -> str | None:
        """An address from which anyone may download the object for so long, as `name`; None where a store has none."""
        ...


def check_key(key: str) -> str:
    """The key itself. Raises BadKey for one that is absolute, leads upwards, or that not every store can keep."""
    parts = key.split("/")
    if len(key) > 900 or not all(_PART.fullmatch(part) for part in parts):
        raise BadKey(
            f"{shown(key)} is not a key of the artifact store.",
            hint="Keys are words of letters, digits and ._=+@,- joined by single slashes; no word begins with a dot.",
        )
    return key


def check_prefix(prefix: str) -> str:
    """The folder without its closing slash; "" is the whole store."""
    folder = prefix.removesuffix("/")
    return check_key(folder) if folder else ""


def content_key(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise BadKey(f"{shown(sha256)} is not a SHA-256 in hexadecimal.")
    return f"content/{sha256[:2]}/{sha256}"


def verified_digest(path: Path, expected: str | None) -> str:
    """The file's SHA-256. Raises Corrupt when it is not the expected one."""
    found = sha256_of(path)
    if expected is not None and found != expected:
        raise Corrupt(f"{path.name} has SHA-256 {found}, not {expected} as announced.", hint="Bring the file again.")
    return found


class LocalStore:
    """A folder. It may be shared by machines if its file system is one that knows hard links and atomic renames."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).resolve()
        self._partial = self.root / PARTIALS  # no key begins with a dot: nothing half-written is ever listed
        try:
            make_folders(self._partial)
            sweep_files(self._partial)
        except OSError as error:
            raise UnsuitableStore(
                f"{self.root} cannot hold artifacts ({error.strerror}).",
                hint="Set CROSSVIEW_STORE to a folder that this user may write, or to s3://bucket/prefix.",
            ) from error

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def put_bytes(self, key: str, data: bytes) -> None:
        final = self._path(key)
        with self._writing(key) as (partial, file):
            file.write(data)
            file.close()
            publish(partial, final)

    def put_file(self, key: str, path: Path) -> None:
        final = self._path(key)
        with self._writing(key) as (partial, file), path.open("rb") as source:
            shutil.copyfileobj(source, file, BLOCK)
            file.close()
            publish(partial, final)

    def put_once(self, key: str, data: bytes) -> bool:
        final = self._path(key)
        with self._writing(key) as (partial, file):
            file.write(data)
            file.close()
            sync_file(partial)
            make_folders(final.parent)
            try:
                os.link(partial, final)
            except FileExistsError:
                return False
            except OSError as error:
                raise self._no_links(error) from error
            sync_folder(final.parent)
        return True

    def put_content(self, path: Path, *, sha256: str | None = None, move: bool = False) -> str:
        if move:
            return self._take_content(path, sha256)
        digest = hashlib.sha256()
        with self._writing(path.name) as (partial, file), path.open("rb") as source:
            while block := source.read(BLOCK):
                digest.update(block)
                file.write(block)
            file.close()
            if sha256 is not None and digest.hexdigest() != sha256:
                verified_digest(path, sha256)
            key = content_key(digest.hexdigest())
            if not self.exists(key):
                publish(partial, self._path(key))
        return key

    def _take_content(self, path: Path, sha256: str | None) -> str:
        key = content_key(verified_digest(path, sha256))
        if self.exists(key):
            path.unlink()
            return key
        try:
            publish(path, self._path(key))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self.put_file(key, path)  # from another disk: a copy, and only then the end of the original
            path.unlink()
        return key

    def get_bytes(self, key: str) -> bytes:
        with self._reading(key):
            return self._path(key).read_bytes()

    @contextmanager
    def open_local(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        if not path.is_file():
            raise missing(key, self.uri())
        yield path

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def size(self, key: str) -> int:
        if not self.exists(key):
            raise missing(key, self.uri())
        with self._reading(key):
            return self._path(key).stat().st_size

    def list(self, prefix: str = "") -> list[str]:
        folder = self.root / check_prefix(prefix)
        return sorted(path.relative_to(self.root).as_posix() for path in self._files(folder))

    def delete(self, key: str) -> bool:
        try:
            self._path(key).unlink()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
            if self.exists(key):
                raise
            return False
        return True

    def delete_prefix(self, prefix: str) -> int:
        folder = self._path(check_prefix(prefix))
        if not folder.is_dir():
            return 0
        # First out of sight in one step, so that nobody reads a folder that is half gone.
        grave = self._partial / uuid.uuid4().hex
        try:
            os.replace(folder, grave)
        except FileNotFoundError:  # somebody else deleted it just now: a sweep and a person may meet
            return 0
        count = sum(1 for _ in self._files(grave))
        shutil.rmtree(grave, ignore_errors=True)  # what stays is out of sight, and swept
        return count

    def sweep_unfinished(self) -> int:
        return sweep_files(self._partial)

    def uri(self, key: str = "") -> str:
        return (self._path(key) if key else self.root).as_uri()

    def presigned(self, key: str, *, seconds: int, name: str, media_type: str) -> str | None:
        check_key(key)
        return None

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _files(self, folder: Path) -> Iterator[Path]:
        for base, folders, names in os.walk(folder):
            if Path(base) == self.root:
                folders.remove(self._partial.name)
            yield from (Path(base) / name for name in names)

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise missing(key, self.uri()) from error

    @contextmanager
    def _writing(self, what: str) -> Iterator[tuple[Path, IO[bytes]]]:
        partial = self._partial / f"{uuid.uuid4().hex}.partial"
        try:
            with room_for(what, self.root), partial.open("xb") as file, held(file):
                yield partial, file
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()

    def _no_links(self, error: OSError) -> UnsuitableStore:
        return UnsuitableStore(
            f"The file system of {self.root} cannot make hard links ({error.strerror}).",
            hint="Set CROSSVIEW_STORE to a folder on another file system, or to s3://bucket/prefix.",
        )


def missing(key: str, store: str) -> ArtifactMissing:
    return ArtifactMissing(f"The artifact store {store} has no {key}.")


def store_from_uri(uri: str, *, profile: S3Profile | None = None) -> ArtifactStore:
    """`/folder`, `file:///folder` or `s3://bucket/prefix`. Raises BadUri."""
    scheme = urlsplit(uri).scheme.lower() if "://" in uri else ""
    if scheme == "s3":
        from storage.artifacts_s3 import S3Store

        return S3Store.from_uri(uri, profile=profile)
    if scheme == "file":
        parts = urlsplit(uri)
        if parts.netloc not in {"", "localhost"}:
            raise BadUri(f"{shown(uri)} names another machine.", hint="Write file:///folder, or just /folder.")
        return LocalStore(unquote(parts.path))
    if scheme or not uri.strip():
        raise BadUri(f"{shown(uri)} is not a place for artifacts.", hint="Use a folder or s3://bucket/prefix.")
    return LocalStore(uri)
