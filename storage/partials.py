"""Files that are being written, held by a lock that dies with its writer; what dead writers left is removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

FOLDER = ".partial"  # of a local store
BEING_MADE_S = 60.0  # between a file and the lock on it  # ours
GRAVE_S = 3_600.0  # for a folder to be removed by whoever began it  # ours


@contextmanager
def held(file: IO[bytes]) -> Iterator[None]:
    """A lock on the file while the context lasts, also after the file itself was closed."""
    descriptor = os.dup(file.fileno())
    try:
        with contextlib.suppress(OSError):  # a file system without locks: nothing is swept there either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sweep(root: Path) -> int:
    """How many half-written files and half-removed folders of a local store went: those whose writer is dead."""
    swept = 0
    for entry in (root / FOLDER).iterdir() if (root / FOLDER).is_dir() else ():
        with contextlib.suppress(OSError):  # gone meanwhile
            age = time.time() - entry.stat().st_ctime
            if entry.is_dir() and age > GRAVE_S:
                shutil.rmtree(entry, ignore_errors=True)
                swept += 1
            elif entry.is_file() and age > BEING_MADE_S and _is_free(entry):
                entry.unlink()
                swept += 1
    return swept


def _is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
