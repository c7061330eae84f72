"""Wrong clocks, without a line in the product: a `sitecustomize` that Python reads before anything else."""

from __future__ import annotations

from pathlib import Path

TEXT = '''"""Of a fault suite: a Python that starts while the file `shift` says so has its clock that far off."""
from pathlib import Path

try:
    _shift = float((Path(__file__).parent / "shift").read_text())
except (OSError, ValueError):
    _shift = 0.0
if _shift:
    import time

    _seconds, _nanoseconds = time.time, time.time_ns
    time.time = lambda: _seconds() + _shift
    time.time_ns = lambda: _nanoseconds() + int(_shift * 1e9)
'''


class Clock:
    """The clock of what starts from now on with `folder` on its PYTHONPATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "sitecustomize.py").write_text(TEXT, encoding="utf-8")
        self.set(0.0)

    def set(self, shift_s: float) -> None:
        partial = self.folder / "shift.partial"
        partial.write_text(str(shift_s), encoding="utf-8")
        partial.replace(self.folder / "shift")
