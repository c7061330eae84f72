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
from engine.intake.corpus.sound import faults_of
from engine.intake.limits import Limits
from engine.intake.names import clean

SECONDS, BYTES = 10.0, 512 * 10**6  # what no hostile file may exceed
LATEST = 60.0  # seconds by the clock, after which nothing but waiting can be the reason


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


def run_corpus(attacks: Sequence[str] | None = None, *, limits: Limits | None = None) -> Iterator[Outcome]:
    """Each attack (None: all) in a private folder of its own, which is gone before the next."""
    for name in CORPUS if attacks is None else attacks:
        with tempfile.TemporaryDirectory(prefix="crossview-intake-") as folder:
            yield run_attack(name, Path(folder), limits=limits)


def run_attack(name: str, folder: Path, *, limits: Limits | None = None) -> Outcome:
    """One attack in an empty folder."""
    made = CORPUS[name]
    path, out = folder / "upload.h5ad", folder / "out"
    out.mkdir()
    made.write(path)
    costs: list[Cost] = []
    faults: list[str] = []
    try:
        run_in_child(path, out / "clean.h5ad", limits=limits, cost=costs.append)
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
    if was_read(path):
        faults.append("a file outside the upload folder was read")
    if cost.cpu_seconds > SECONDS or cost.seconds > LATEST:  # a busy machine is no fault of the file's
        faults.append(f"it took more than {SECONDS:.0f} s")
    if cost.peak_bytes > BYTES:
        faults.append(f"it held more than {BYTES // 10**6} MB")
    return Outcome(name, made.expected, got, cost.seconds, cost.peak_bytes, tuple(faults))
