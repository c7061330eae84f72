"""A wrong clock, and a full disk where none may be mounted, without a line in the product: a `sitecustomize`.

Python reads it before anything else where its folder is on PYTHONPATH.
"""

from __future__ import annotations

from pathlib import Path

TEXT = '''"""Of a fault suite: a clock that is off by what `shift` says; a disk that is full while there is `full`."""
import builtins
import errno
import io
import os
from pathlib import Path

_here = Path(__file__).parent
try:
    _shift = float((_here / "shift").read_text())
except (OSError, ValueError):
    _shift = 0.0
if _shift:
    import time

    _seconds, _nanoseconds = time.time, time.time_ns
    time.time = lambda: _seconds() + _shift
    time.time_ns = lambda: _nanoseconds() + int(_shift * 1e9)

_open, _full, _disk = io.open, str(_here / "full"), os.environ.get("CROSSVIEW_HOME", "/nowhere")


def _open_where_there_is_room(file, mode="r", *rest, **named):
    if set("wxa+") & set(mode) and str(file).startswith(_disk) and os.path.exists(_full):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
    return _open(file, mode, *rest, **named)


if (_here / "shimmed").exists():
    io.open = builtins.open = _open_where_there_is_room
'''


class Shims:
    """disk: whether opening a file of the home for writing is to ask `full` first."""

    def __init__(self, folder: Path, *, disk: bool) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "sitecustomize.py").write_text(TEXT, encoding="utf-8")
        if disk:
            (folder / "shimmed").touch()

    def shift(self, seconds: float) -> None:
        """Of the clock of what starts from now on."""
        partial = self.folder / "shift.partial"
        partial.write_text(str(seconds), encoding="utf-8")
        partial.replace(self.folder / "shift")

    def fill(self, full: bool) -> None:
        """Of what runs and of what starts."""
        if full:
            (self.folder / "full").touch()
        else:
            (self.folder / "full").unlink(missing_ok=True)
