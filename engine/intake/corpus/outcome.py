"""One attack made, given to the real child, and judged: its code, what it cost, what it left or touched."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import CrossViewError
from engine.intake.child import Cost, run_in_child
from engine.intake.corpus.kit import CLEANED, CORPUS, was_read
from engine.intake.corpus.packs import FORMATS, mends_beside
from engine.intake.corpus.sound import faults_of
from engine.intake.limits import Limits
from engine.intake.mends import Mends
from engine.intake.names import clean
from engine.types import Modality

SECONDS, BYTES = 10.0, 512 * 10**6  # what no hostile file may exceed
LATEST = 60.0  # seconds by the clock, after which nothing but waiting can be the reason


UPLOAD = "upload.h5ad"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is read, as what, and what must become of it."""

    path: Path
    expected: str
    modality: Modality | None = None
    mends: Mends | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attack. faults: what should not be, besides another code than expected."""

    attack: str
    expected: str
    got: str
    seconds: float
    peak_bytes: int
    faults: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.got == self.expected and not self.faults


def attacks() -> list[str]:
    """Their names: of single HDF5 files, then of folders, archives and fragments."""
    return [*CORPUS, *FORMATS]


def run_corpus(names: Sequence[str] | None = None, *, limits: Limits | None = None) -> Iterator[Outcome]:
    """Each attack (None: all) in a private folder of its own, which is gone before the next."""
    for name in attacks() if names is None else names:
        with tempfile.TemporaryDirectory(prefix="crossview-intake-") as folder:
            yield run_attack(name, Path(folder), limits=limits)


def run_attack(name: str, folder: Path, *, limits: Limits | None = None) -> Outcome:
    """One attack in an empty folder."""
    limits = limits or Limits()
    asked, out = made(name, folder, limits), folder / "out"
    out.mkdir()
    costs: list[Cost] = []
    faults: list[str] = []
    try:
        run_in_child(
            asked.path, out / "clean.h5ad", limits=limits, cost=costs.append, modality=asked.modality, mends=asked.mends
        )
        got = CLEANED
        faults += faults_of(out / "clean.h5ad")
        (out / "clean.h5ad").unlink()
    except CrossViewError as problem:
        got = problem.code
        faults += [] if clean(problem.message, longest=10_000) == problem.message else ["its message is no clean text"]
    cost = costs[0] if costs else Cost(0.0, 0.0, 0)
    if left := [entry.name for entry in out.iterdir()]:
        faults.append(f"it left {', '.join(left)}")
        shutil.rmtree(out)
    if was_read(folder / UPLOAD):
        faults.append("a file outside the upload folder was read")
    if cost.cpu_seconds > SECONDS or cost.seconds > LATEST:  # a busy machine is no fault of the file's
        faults.append(f"it took more than {SECONDS:.0f} s")
    if cost.peak_bytes > BYTES:
        faults.append(f"it held more than {BYTES // 10**6} MB")
    return Outcome(name, asked.expected, got, cost.seconds, cost.peak_bytes, tuple(faults))


def made(name: str, folder: Path, limits: Limits) -> Asked:
    """The attack in an empty folder."""
    if name in CORPUS:
        CORPUS[name].write(folder / UPLOAD)
        return Asked(folder / UPLOAD, CORPUS[name].expected)
    (folder / "upload").mkdir()
    made = FORMATS[name]
    path = made.write(folder / "upload", limits)
    return Asked(path, made.expected, made.modality, mends_beside(folder / "peaks.txt"))
