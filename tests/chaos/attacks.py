"""Every attack of the corpus through a fork of one parent: `python -m tests.chaos.attacks` says what became of it."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import CrossViewError
from engine.intake.child import judge
from engine.intake.corpus import CLEANED, FORMATS
from engine.intake.corpus.kit import was_read
from engine.intake.corpus.outcome import UPLOAD, attacks, made
from engine.intake.corpus.sound import faults_of
from engine.intake.limits import Limits
from tests.chaos.fuzz import forked, warm

LIMITS = replace(Limits(), step_cpu_seconds=2, wall_seconds=120.0)
# The same bombs, at a size that costs a test nothing; `crossview doctor --intake` meets them at their real size.
SMALL = replace(LIMITS, inflation=50, inflation_from=1 << 24, objects=500, cell_values=100_000)


def attacked(name: str, folder: Path) -> dict[str, Any]:
    """One attack in an empty folder: its code, what is said of it, what it cost, what it left or touched."""
    store = folder / "store"
    work = store / "work"
    work.mkdir(parents=True)
    limits = SMALL if name in FORMATS else LIMITS
    asked = made(name, folder, limits)
    ended = forked(asked.path, work / "clean.h5ad", limits, modality=asked.modality, mends=asked.mends)
    told: dict[str, Any] = {"message": "", "hint": "", "faults": []}
    try:
        judge(ended.answer, ended.code, ended.late, limits, "a.h5ad", "")
        told |= {"got": CLEANED, "faults": faults_of(work / "clean.h5ad")}
    except CrossViewError as problem:
        told |= {"got": problem.code, "message": problem.message, "hint": problem.hint}
        if ended.code == 2 and (left := [*work.iterdir()]):  # one that was killed is cleaned up after
            told["faults"].append(f"left {left}")
    beside = {entry.name for entry in store.iterdir()} - {"work"}
    told["faults"] += [f"wrote {beside}"] if beside else []
    told["faults"] += ["read a file outside the upload folder"] if was_read(folder / UPLOAD) else []
    return {**told, "late": ended.late, "cpu_s": ended.cpu_s, "peak_bytes": ended.peak_bytes}


def main() -> int:
    """All attacks, or those named; one JSON document on stdout."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="crossview-attacks-") as name:
        folder = Path(name) / "one"
        warm(Path(name))
        for attack in sys.argv[1:] or attacks():
            folder.mkdir()
            found[attack] = attacked(attack, folder)
            shutil.rmtree(folder)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
