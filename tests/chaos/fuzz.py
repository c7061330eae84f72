"""Intake against files changed at random: `python -m tests.chaos.fuzz --files 10000 --seed 0` prints JSON figures.

One parent imports the readers once and forks a child a file; the child gives up its rights as the real one does and
serves one request. The parent judges as `engine.intake.child` does, and looks at what is left.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import CrossViewError
from engine.intake.canonical import canonicalise, settle
from engine.intake.child import judge, request_for
from engine.intake.corpus import CLEANED, SOUND
from engine.intake.corpus.kit import canary, was_read
from engine.intake.corpus.outcome import UPLOAD
from engine.intake.corpus.packs import files, good_fragments, mends_beside, write_tar, write_zip
from engine.intake.corpus.sound import faults_of
from engine.intake.limits import Limits
from engine.intake.mends import Mends
from engine.intake.reader import serve
from engine.types import Modality
from tests.chaos.mutate import mutated
from tests.chaos.mutate_packs import mutated_pack

LIMITS = Limits(memory_bytes=2 * 10**9, cpu_seconds=10, step_cpu_seconds=2, wall_seconds=120.0, output_bytes=50 * 10**6)
PEAK_BYTES = 512 * 10**6


@dataclass
class Figures:
    """What happened, file by file, added up. wrong: what may never be, with how the file was made."""

    files: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    signals: Counter[str] = field(default_factory=Counter)
    peak_bytes: int = 0
    slowest_s: float = 0.0
    wrong: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """How a child ended: its last word (None: none), exit code, whether it was stopped, and what it took."""

    answer: dict[str, Any] | None
    code: int
    late: bool
    peak_bytes: int
    cpu_s: float


def forked(
    path: Path, out: Path, limits: Limits = LIMITS, *, modality: Modality | None = None, mends: Mends | None = None
) -> Ended:
    """`path` read into `out` by a fork of this process; never longer than the limit of time."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            os.dup2(os.open(os.devnull, os.O_RDWR), 2)
            code = serve(request_for(path, out, limits=limits, modality=modality, mends=mends), writing)
        finally:
            os._exit(code)
    os.close(writing)
    said, late = _listen(reading, limits.wall_seconds)
    if late:
        os.kill(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    peak = used.ru_maxrss * 1024
    return Ended(_last(said), os.waitstatus_to_exitcode(status), late, peak, used.ru_utime + used.ru_stime)


def _listen(reading: int, seconds: float) -> tuple[bytes, bool]:
    said, until = b"", time.monotonic() + seconds
    with os.fdopen(reading, "rb", buffering=0) as stream:
        while (left := until - time.monotonic()) > 0:
            if select.select([stream], [], [], left)[0]:
                piece = stream.read(65_536)
                if not piece:
                    return said, False
                said += piece
    return said, True


def _last(said: bytes) -> dict[str, Any] | None:
    """The last whole line that is an answer."""
    for line in reversed(said.splitlines()):
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if "summary" in message or "error" in message:
            return dict(message)
    return None


def warm(folder: Path) -> None:
    """Everything a child will import, imported once here."""
    for name, write in SOUND.items():
        write(folder / name)
        canonicalise(folder / name, folder / "warm.h5ad")
        if faults := faults_of(folder / "warm.h5ad"):
            raise AssertionError(f"{name} is no good file to begin with: {faults}")
    mends = mends_beside(folder / "peaks.txt")
    for path in (write_tar(files(), folder / "a.tar.gz"), write_zip(files(), folder / "a.zip"), folder / "fragments"):
        if path.name == "fragments":
            path.write_bytes(good_fragments())
        canonicalise(path, folder / "warm.h5ad", modality=_modality(path), mends=mends)
        if faults := faults_of(folder / "warm.h5ad"):
            raise AssertionError(f"{path.name} is no good source to begin with: {faults}")


def _modality(path: Path) -> Modality | None:
    """Of a folder or an archive, which hold both; what else there is says its own."""
    return None if path.name.startswith(("fragments", "upload")) else Modality.RNA


def one(number: int, seed: int, folder: Path, figures: Figures, keep: Path | None) -> None:
    """One changed file, or archive, or folder, read and judged."""
    path, store, rng = folder / UPLOAD, folder / "store", np.random.default_rng([seed, number])
    packs, mends = folder / "upload", mends_beside(folder / "peaks.txt")
    if number % 2:
        packs.mkdir()
        path, made = mutated_pack(packs, rng)
    else:
        made = mutated(path, rng)
    work, clean = store / "clean.h5ad.scratch", store / "clean.h5ad"
    work.mkdir(parents=True)
    faults: list[str] = []
    ended = forked(path, work / clean.name, modality=_modality(path), mends=mends)
    try:
        judge(ended.answer, ended.code, ended.late, LIMITS, "a.h5ad", "")
        settle(work / clean.name, clean)
        outcome = CLEANED
        faults += faults_of(clean)
    except CrossViewError as problem:
        outcome = problem.code
    except Exception as error:
        outcome = type(error).__name__
        faults.append(f"raised {error!r:.300}")
    shutil.rmtree(work)
    if outcome == CLEANED:
        clean.unlink(missing_ok=True)
    if left := [*store.iterdir()]:
        faults.append(f"left {left}")
    beside = {entry.name for entry in folder.iterdir()} - {"outside", "store", UPLOAD, "upload", "peaks.txt"}
    faults += [f"wrote {beside} beside the upload"] if beside else []
    faults += ["read a file outside"] if was_read(folder / UPLOAD) else []
    faults += ["ran past its time"] if ended.late else []
    faults += [f"held {ended.peak_bytes // 10**6} MB"] if ended.peak_bytes > PEAK_BYTES else []
    figures.files += 1
    figures.kinds[made.partition(" ")[0]] += 1
    figures.outcomes[outcome] += 1
    if ended.code < 0:
        figures.signals[signal.Signals(-ended.code).name] += 1
    figures.peak_bytes = max(figures.peak_bytes, ended.peak_bytes)
    figures.slowest_s = max(figures.slowest_s, ended.cpu_s)
    if faults or (ended.code < 0 and keep):
        figures.wrong += [{"file": number, "made": made, "outcome": outcome, "faults": faults}] if faults else []
        if keep:
            _kept(path, keep / f"{seed}-{number}-{path.name}")
    (folder / UPLOAD).unlink(missing_ok=True)
    shutil.rmtree(packs, ignore_errors=True)


def _kept(path: Path, into: Path) -> None:
    with suppress(shutil.Error):  # a pipe cannot be copied
        (shutil.copytree if path.is_dir() else shutil.copy)(path, into)


def fuzz(count: int, seed: int, *, keep: Path | None = None) -> dict[str, Any]:
    """That many files through as many children; the figures, fit for JSON."""
    began, figures = time.monotonic(), Figures()
    with tempfile.TemporaryDirectory(prefix="crossview-fuzz-") as name:
        warmed, folder = Path(name) / "warm", Path(name) / "work"
        for each in (warmed, folder):
            each.mkdir()
        warm(warmed)
        canary(folder / UPLOAD)
        with suppress(KeyboardInterrupt):  # Ctrl-C: the figures so far
            for number in range(count):
                one(number, seed, folder, figures, keep)
                if number % 500 == 499:
                    print(f"{number + 1} of {count}, wrong: {len(figures.wrong)}", file=sys.stderr, flush=True)
    return {
        "files": figures.files,
        "seed": seed,
        "kinds": dict(figures.kinds.most_common()),
        "outcomes": dict(figures.outcomes.most_common()),
        "reader_ended_by_signal": dict(figures.signals),
        "wrong": figures.wrong,
        "seconds": round(time.monotonic() - began, 1),
        "slowest_cpu_seconds": round(figures.slowest_s, 2),
        "child_peak_mb": round(figures.peak_bytes / 10**6, 1),
        "parent_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 10**6, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=None, help="folder for files that broke a reader or a rule")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped from outside: the figures so far
    figures = fuzz(asked.files, asked.seed, keep=asked.keep)
    print(json.dumps(figures))
    return 1 if figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
