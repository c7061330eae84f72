"""Writing files so that a reader sees all of one or nothing, also after the power fails."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import StoreFull

BLOCK = 4 << 20  # bytes read at a time; ours

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def sha256_of(path: Path, *, each: Callable[[], None] | None = None) -> str:
    """each: called for every block; may raise to stop."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            if each is not None:
                each()
    return digest.hexdigest()


@contextmanager
def room_for(what: str, where: Path) -> Iterator[None]:
    """Turns "no space left" into StoreFull, which names what did not fit."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull(
                f"There is no room left under {where} for {what}.", hint="Free space there, then try again."
            ) from error
        raise


def check_room(size: int, where: Path, *, keep_free: int = 0) -> None:
    """Raises StoreFull when `size` more bytes would leave less than `keep_free`."""
    free = shutil.disk_usage(where).free
    if size + keep_free > free:
        raise StoreFull(
            f"{human_bytes(size)} are needed under {where}, and {human_bytes(max(0, free - keep_free))} can be used.",
            hint="Free space there, or bring a smaller file.",
        )


def make_folders(folder: Path) -> None:
    """mkdir -p whose result outlives a power failure."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(partial: Path, final: Path) -> None:
    """Gives a finished file its name, replacing what had it."""
    sync_file(partial)
    make_folders(final.parent)
    os.replace(partial, final)
    sync_folder(final.parent)


def display_name(name: str, *, fallback: str = "unnamed", limit: int = 200) -> str:
    """A name people may be shown: no control or direction characters, no folders. Never to be used as a path."""
    last = re.split(r"[\\/]", name)[-1]
    kept = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c)[0] != "C").strip()
    return kept[:limit] or fallback


def human_bytes(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
