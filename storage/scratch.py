"""Half-written files and folders of running tasks, and the end of those whose process was killed.

Each is held by a lock that dies with its process: one that can be had is the evidence, not age and not a number.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from storage.errors import UnsuitableStore

LOCK = ".lock"
BEING_MADE_S = 60.0  # between a folder and the lock on it  # ours
OLD_S = 3_600.0  # of a half-written file that nobody holds; where locks are unknown, age is all there is  # ours


def private_tmp() -> Path:
    """This user's folder among the temporary ones. Raises UnsuitableStore when somebody else made it."""
    folder = Path(tempfile.gettempdir()) / f"crossview-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UnsuitableStore(
            f"{folder} is not a folder of this user alone.", hint="Remove it, or set TMPDIR to a folder of your own."
        )
    return folder


@contextmanager
def own_folder(base: Path) -> Iterator[Path]:
    """An empty folder under `base` while the context lasts; nobody sweeps it before this process ends."""
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    sweep(base)
    while True:
        folder = Path(tempfile.mkdtemp(dir=base, prefix=f"{os.getpid()}-"))
        descriptor = _locked(folder)
        if descriptor is not None:
            break
    try:
        files = folder / "files"  # beside the lock: who lists it finds only what was put there
        files.mkdir(mode=0o700)
        yield files
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """The lock of a new folder; None where a sweeper took it for abandoned in the moment before."""
    try:
        descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    except FileNotFoundError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if os.fstat(descriptor).st_nlink:
        return descriptor
    os.close(descriptor)
    return None


def sweep(base: Path) -> int:
    """How many folders of dead processes went."""
    return sum(_removed(folder) for folder in (base.iterdir() if base.is_dir() else ()) if folder.is_dir())


def _removed(folder: Path) -> bool:
    """Whether the folder was nobody's; its lock is held until it is gone."""
    try:
        if time.time() - folder.stat().st_mtime < BEING_MADE_S and not (folder / LOCK).exists():
            return False
        descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        return False  # gone meanwhile, or not ours
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


@contextmanager
def held(file: IO[bytes]) -> Iterator[None]:
    """Nobody sweeps the file in this context, also after it was closed in it."""
    descriptor = os.dup(file.fileno())
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def sweep_files(folder: Path, *, older_s: float = OLD_S) -> int:
    """How many files that nobody holds, and remains of removed folders, went; younger ones may just be begun."""
    swept = 0
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # gone meanwhile, or not ours
            if time.time() - path.stat().st_ctime < older_s:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
            swept += 1
    return swept
