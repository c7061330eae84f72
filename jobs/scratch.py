"""Folders of running tasks, and the end of those whose task was killed: held by a lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BEING_MADE_S = 60.0  # between a folder and the lock on it  # ours


@contextmanager
def own_folder(base: Path) -> Iterator[Path]:
    """A folder under `base` while the context lasts; nobody sweeps it before this process ends."""
    base.mkdir(parents=True, exist_ok=True)
    sweep(base)
    with tempfile.TemporaryDirectory(dir=base, prefix=f"{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        descriptor = os.open(folder, os.O_RDONLY)  # of the folder itself: it holds the task's files and nothing else
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(folder)
        finally:
            os.close(descriptor)


def sweep(base: Path) -> int:
    """How many folders of dead processes went. A lock that can be had is the evidence, not age and not a number."""
    swept = 0
    for folder in base.iterdir() if base.is_dir() else ():
        if folder.is_dir() and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
    return swept


def _is_abandoned(folder: Path) -> bool:
    try:
        if time.time() - folder.stat().st_mtime < BEING_MADE_S:
            return False
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False  # gone meanwhile, or not ours
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
