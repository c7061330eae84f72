"""Intake in a child process that holds no credentials and cannot outgrow its limits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import engine
from engine import errors
from engine.errors import BadInput, CorruptMatrix, CrossViewError, TooLarge
from engine.intake.canonical import Progress
from engine.intake.limits import Limits, human
from engine.intake.summary import Summary
from engine.types import Modality

KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8", "LD_LIBRARY_PATH")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


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
) -> Summary:
    """`canonicalise` in a process of its own; the same result and the same errors.

    Raises whatever intake raises, TooLarge when a limit of memory, time or disk was met, CorruptMatrix when the
    file broke the reader. On any failure nothing remains beside `out`.
    """
    limits = limits or Limits()
    request = {
        "path": str(path.absolute()),
        "out": str(out.absolute()),
        "limits": limits.to_json(),
        "modality": modality.value if modality else None,
        "source": source,
    }
    try:
        with tempfile.TemporaryFile() as stderr, _process(limits, stderr) as (process, timed_out):
            answer = _talk(process, request, progress or (lambda done, of: None))
            process.wait()
            return _settle(answer, process.returncode, timed_out.is_set(), limits, source or path.name, _tail(stderr))
    finally:
        out.with_name(out.name + ".partial").unlink(missing_ok=True)
        shutil.rmtree(out.with_name(out.name + ".scratch"), ignore_errors=True)


@contextmanager
def _process(
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


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _talk(process: subprocess.Popen[str], request: Mapping[str, Any], progress: Progress) -> Mapping[str, Any] | None:
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
        else:
            answer = message
    return answer


def _tail(stderr: IO[bytes]) -> str:
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 2_000))
    return stderr.read().decode("utf-8", "replace").strip()


def _settle(
    answer: Mapping[str, Any] | None, code: int, timed_out: bool, limits: Limits, name: str, said: str
) -> Summary:
    if answer is not None and "summary" in answer and code == 0:
        return Summary.from_json(answer["summary"])
    if answer is not None and "error" in answer:
        raise error_from(answer["error"])
    smaller = "Split the file by sample, or keep raw counts only, stored sparse."
    if timed_out:
        raise TooLarge(f"Reading {name} took longer than {limits.wall_seconds:,.0f} s and was stopped.", hint=smaller)
    if code == -signal.SIGXCPU:
        raise TooLarge(f"Reading {name} needed more than {limits.cpu_seconds:,} s of computing.", hint=smaller)
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
