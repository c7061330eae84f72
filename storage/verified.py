"""Stored bytes against the SHA-256 that was recorded when they were written: looked at before they are used."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from storage.errors import CorruptObject
from storage.files import sha256_of

AGAIN_S = 3600.0  # after which a file that looks untouched is read once more  # ours
MOST_KEPT = 4096  # files remembered  # ours

_lock = threading.Lock()
_seen: dict[tuple[str, int, int, int, str], float] = {}


def verify(path: Path, sha256: str, *, what: str, mend: str, clock: float | None = None) -> None:
    """Reads the whole file, once an hour and whenever it changed. Raises CorruptObject; what, mend: its words."""
    now = time.monotonic() if clock is None else clock
    state = path.stat()
    key = (str(path), state.st_ino, state.st_size, state.st_mtime_ns, sha256)
    with _lock:
        fresh = now - _seen.get(key, -AGAIN_S) < AGAIN_S
    if fresh:
        return
    found = sha256_of(path)
    if found != sha256:
        raise CorruptObject(
            f"{what} is damaged where it is stored: its SHA-256 is {found[:12]}…, not {sha256[:12]}… as recorded.",
            hint=mend,
        )
    with _lock:
        while len(_seen) >= MOST_KEPT:
            del _seen[next(iter(_seen))]
        _seen[key] = now
