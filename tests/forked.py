"""Attempts forked from a process that has imported everything: the same work, without six seconds of importing each.

Only how the process begins differs from a LocalRunner's; test_driver and every server in its own process use that.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jobs.runners import local
from jobs.runners.local import LocalRunner

HEAVY = (
    "anndata", "h5py", "pandas", "scipy.sparse.linalg", "sklearn.cluster", "sklearn.decomposition", "sklearn.neighbors",
    "torch", "engine.benchmark", "engine.joint", "engine.translators.registry", "jobs.analysis.conduct",
    "jobs.joint.conduct", "jobs.training.conduct", "jobs.work",
)  # fmt: skip


@dataclass
class Nursery:
    """One for a test process: started with the first attempt, it forks attempts until its line is closed."""

    _process: subprocess.Popen[bytes] | None = None
    _line: socket.socket | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def fork(self, argv: list[str], log: Path, environ: Mapping[str, str]) -> int:
        """The pid of a new attempt, in a session of its own, its words in the log."""
        with self._turn:
            if self._line is None:
                self._start()
            assert self._line is not None
            self._line.sendall(json.dumps({"argv": argv, "log": str(log), "environ": dict(environ)}).encode() + b"\n")
            return int(self._line.makefile("rb").readline())

    def close(self) -> None:
        """Attempts that run go on."""
        if self._line is not None and self._process is not None:
            self._line.close()
            self._process.wait(60)
        self._line = self._process = None

    def _start(self) -> None:
        """A fresh interpreter, not a fork of the test process: that one has threads, and what tests changed."""
        # The usual threading layer of numba ends a process that was forked after it had begun.
        environ = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_THREADING_LAYER": "workqueue"}
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environ,
            )  # fmt: skip


NURSERY = Nursery()
IMPORTS = os.environ.get("PYTHONPATH")


class ForkedRunner(LocalRunner):
    """A LocalRunner whose attempts begin as forks, but for those that would import from elsewhere."""

    def _begin(self, command: list[str], log: Path, environ: Mapping[str, str]) -> int:
        if environ.get("PYTHONPATH") != IMPORTS:
            return super()._begin(command, log, environ)
        return NURSERY.fork(command[command.index("jobs.runners.local") + 1 :], log, environ)


@contextmanager
def nursery() -> Iterator[None]:
    try:
        yield
    finally:
        NURSERY.close()


def serve(number: int) -> None:
    """number: the file descriptor of the line on which attempts are asked for."""
    from engine import maps

    for name in HEAVY:
        importlib.import_module(name)
    maps.main()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # an attempt that ended leaves no remains
    with socket.socket(fileno=number) as line:
        for asked in line.makefile("rb"):
            pid = os.fork()
            if pid == 0:
                line.close()
                _attempt(**json.loads(asked))
            line.sendall(b"%d\n" % pid)


def _attempt(argv: list[str], log: str, environ: dict[str, str]) -> None:
    """Never returns."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        os.environ.clear()
        os.environ.update(environ)
        code = local.main(argv)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
