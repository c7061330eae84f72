"""Intake in a child process that holds no credentials and cannot outgrow its limits."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import engine
from engine import errors
from engine.errors import BadInput, BadSetting, CorruptMatrix, CrossViewError, TooLarge
from engine.intake.canonical import Progress, settle
from engine.intake.limits import Limits, human
from engine.intake.mends import Mends
from engine.intake.summary import Summary
from engine.types import Modality

log = logging.getLogger("crossview.intake")

KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8", "LD_LIBRARY_PATH")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

Until = Callable[[Callable[[], None]], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one reading took: seconds by the clock and of computing, and the most memory the child held, in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the child may know: where Python is, the language, one thread, no filter plug-ins. Nothing secret."""
    kept = {name: environ[name] for name in KEPT if name in environ}
    path = [str(Path(engine.__file__).resolve().parent.parent), *environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **kept,
        **dict.fromkeys(THREADS, "1"),
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HDF5_PLUGIN_PRELOAD": "::",  # HDF5's own word for: load no plug-in
    }


def run_in_child(
    path: Path,
    out: Path,
    *,
    limits: Limits | None = None,
    modality: Modality | None = None,
    source: str | None = None,
    progress: Progress | None = None,
    mends: Mends | None = None,
    cost: Callable[[Cost], None] | None = None,
    until: Until | None = None,
) -> Summary:
    """`canonicalise` in a process of its own; the same result and the same errors.

    cost: called with what the child took, also where it was refused or ended badly.
    until: given what ends the child at once, from any thread, for as long as the child works.
    Raises whatever intake raises, TooLarge when a limit of memory, time or disk was met, CorruptMatrix when the
    file broke the reader. On any failure nothing remains beside `out`.
    """
    limits = limits or Limits()
    if out.exists() and os.path.samefile(path, out):
        raise BadSetting(f"{path.name} would be read and written at once: input and copy are the same file.")
    work = out.with_name(out.name + ".scratch")  # the only folder the child may write to
    request = request_for(
        path, work / "clean.h5ad", limits=limits, modality=modality, source=source or path.name, mends=mends
    )
    began = time.monotonic()
    try:
        work.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryFile() as stderr,
            reading_process(limits, stderr) as (process, timed_out),
            (until or _never)(lambda: _kill(process)),
        ):
            answer = talk(process, request, progress or (lambda done, of: None))
            cpu, peak = _wait(process)
            if cost is not None:
                cost(Cost(time.monotonic() - began, cpu, int((answer or {}).get("peak_bytes") or peak)))
            late = timed_out.is_set()
            summary = judge(answer, process.returncode, late, limits, source or path.name, tail(stderr))
        settle(work / "clean.h5ad", out)
        return summary
    finally:
        shutil.rmtree(work, ignore_errors=True)


def request_for(
    path: Path,
    out: Path,
    *,
    limits: Limits,
    modality: Modality | None = None,
    source: str | None = None,
    mends: Mends | None = None,
) -> dict[str, Any]:
    """What `engine.intake.reader` is asked; plain values, fit for JSON."""
    return {
        "path": str(path.absolute()),
        "out": str(out.absolute()),
        "limits": limits.to_json(),
        "modality": modality.value if modality else None,
        "source": source,
        "mends": (mends or Mends()).to_json(),
    }


def _wait(process: subprocess.Popen[str]) -> tuple[float, int]:
    """The child ended and collected; returns its seconds of computing and most bytes held (0 where not known).

    Of a child that ended without a word, what its parent held may count.
    """
    try:
        _, status, used = os.wait4(process.pid, 0)
    except ChildProcessError:  # the timer was first
        process.wait()
        return 0.0, 0
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def reading_process(
    limits: Limits, stderr: IO[bytes], *, pass_fds: tuple[int, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], threading.Event]]:
    timed_out = threading.Event()
    process = subprocess.Popen(
        [sys.executable, "-P", "-s", "-m", "engine.intake"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        env=child_environment(os.environ),
        start_new_session=True,
        pass_fds=pass_fds,
    )

    def too_long() -> None:
        timed_out.set()
        _kill(process)

    timer = threading.Timer(limits.wall_seconds, too_long)
    timer.daemon = True
    timer.start()
    try:
        yield process, timed_out
    finally:
        timer.cancel()
        _kill(process)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None and not stream.closed:
                stream.close()


def _never(kill: Callable[[], None]) -> AbstractContextManager[None]:
    return nullcontext()


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def talk(process: subprocess.Popen[str], request: Mapping[str, Any], progress: Progress) -> Mapping[str, Any] | None:
    """Send the request, pass progress on, return the last word: {"summary": …} or {"error": …}."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.close()
    except BrokenPipeError:
        return None
    answer: Mapping[str, Any] | None = None
    for line in process.stdout:
        try:
            message = json.loads(line)
        except ValueError:  # cut off in the middle of a line
            break
        if "progress" in message:
            progress(*message["progress"])
        elif "missing" in message:
            _warn(tuple(message["missing"]))
        else:
            answer = message
    return answer


@cache
def _warn(missing: tuple[str, ...]) -> None:
    """Once for each process that reads files: whoever runs it should know what does not protect it."""
    log.warning("Intake reads files with less protection than it should have: %s", " ".join(missing))


def tail(stderr: IO[bytes]) -> str:
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 2_000))
    return stderr.read().decode("utf-8", "replace").strip()


def judge(
    answer: Mapping[str, Any] | None, code: int, timed_out: bool, limits: Limits, name: str, said: str
) -> Summary:
    """The summary of a child that ended well; raises what it answered, or what its end says of the file."""
    if answer is not None and "summary" in answer and code == 0:
        return Summary.from_json(answer["summary"])
    if answer is not None and "error" in answer:
        raise error_from(answer["error"])
    smaller = "Split the file by sample, or keep raw counts only, stored sparse."
    if timed_out:
        raise TooLarge(f"Reading {name} took longer than {limits.wall_seconds:,.0f} s and was stopped.", hint=smaller)
    if code == -signal.SIGXCPU:
        raise TooLarge(
            f"Reading {name} needed more than {limits.step_cpu_seconds:,} s of computing for one step, "
            f"as damaged files do that send HDF5 in circles, or {limits.cpu_seconds:,} s in all.",
            hint=f"Write it again from AnnData, or copy it again if it broke off. {smaller}",
        )
    if code == -signal.SIGXFSZ:
        raise TooLarge(f"The clean copy of {name} exceeds {human(limits.output_bytes)}.", hint=smaller)
    if code in (-signal.SIGKILL, -signal.SIGABRT) or "MemoryError" in said:
        raise TooLarge(f"Reading {name} needed more memory than there is.", hint=smaller)
    problem = CorruptMatrix(
        f"{name} stopped the isolated reader (exit {code}): the file is damaged in a way HDF5 does not notice.",
        hint="Write it again from AnnData, or copy it again if it broke off.",
    )
    problem.add_note(said)
    raise problem


def error_from(document: Mapping[str, str]) -> CrossViewError:
    """The error of this code, with its message and hint; BadInput where the code is unknown."""
    return _classes().get(document["code"], BadInput)(document["message"], hint=document["hint"])


def _classes() -> dict[str, type[CrossViewError]]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CrossViewError)]
    return {kind.code: kind for kind in kinds}
