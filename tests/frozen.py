"""Readers of files that stand still, as those of a huge file seem to."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from engine.intake import child


@contextmanager
def frozen_readers(patch: pytest.MonkeyPatch) -> Iterator[tuple[list[int], threading.Event]]:
    """The first child stands still as soon as it runs: the id of its process, and that there is one."""
    pids: list[int] = []
    begun = threading.Event()
    usual = child.reading_process

    @contextmanager
    def reading(*given: Any, **more: Any) -> Iterator[tuple[subprocess.Popen[str], threading.Event]]:
        with usual(*given, **more) as (process, timed_out):
            if not begun.is_set():
                os.kill(process.pid, signal.SIGSTOP)
                pids.append(process.pid)
                begun.set()
            yield process, timed_out

    with patch.context() as patched:
        patched.setattr(child, "reading_process", reading)
        yield pids, begun
