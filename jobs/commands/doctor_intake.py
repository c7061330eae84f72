"""`crossview doctor --intake`: every file of the hostile corpus through the real reader, and what became of it."""

from __future__ import annotations

import sys
from typing import Any

from engine.intake.corpus.outcome import BYTES, SECONDS, Outcome, attacks, run_corpus
from engine.intake.probe import kernel, protections


def examine_intake(*, only: str = "") -> dict[str, Any]:
    """Protections in force, and the outcome of each attack whose name contains `only`; progress on stderr."""
    names = [name for name in attacks() if only in name]
    outcomes: list[Outcome] = []
    for outcome in run_corpus(names):
        outcomes.append(outcome)
        _progress(len(outcomes), len(names), outcome.attack)
    _progress(0, 0, "")
    return {
        "ok": bool(outcomes) and all(outcome.ok for outcome in outcomes),
        "kernel": kernel(),
        "protections": protections(),
        "limits": {"seconds": SECONDS, "bytes": BYTES},
        "attacks": [_document(outcome) for outcome in outcomes],
    }


def intake_lines(document: dict[str, Any]) -> list[str]:
    """The same as a table, what went wrong last."""
    attacks = document["attacks"]
    width = max((len(row["attack"]) for row in attacks), default=0)
    lines = [f"{'attack':<{width}}  {'expected':<15}  {'got':<15}  {'s':>5}  {'MB':>5}"]
    for row in sorted(attacks, key=lambda row: not row["ok"]):
        told = "" if row["ok"] else "  WRONG " + "; ".join(row["faults"])
        lines.append(
            f"{row['attack']:<{width}}  {row['expected']:<15}  {row['got']:<15}  {row['seconds']:5.1f}  "
            f"{row['peak_mb']:5.0f}{told}"
        )
    held = [what for what, refused in document["protections"].items() if refused]
    open_ = [what for what, refused in document["protections"].items() if not refused]
    good = sum(row["ok"] for row in attacks)
    lines += [
        f"The reader cannot: {', '.join(held)}.",
        *([f"NOT held back by this kernel ({document['kernel']}): {', '.join(open_)}."] if open_ else []),
        f"{good:,} of {len(attacks):,} hostile files were refused or cleaned as they should be"
        + (
            f"; at most {max(row['seconds'] for row in attacks):.1f} s and "
            f"{max(row['peak_mb'] for row in attacks):,.0f} MB."
            if attacks
            else ": no attack has such a name."
        ),
    ]
    return lines


def _document(outcome: Outcome) -> dict[str, Any]:
    return {
        "attack": outcome.attack,
        "expected": outcome.expected,
        "got": outcome.got,
        "ok": outcome.ok,
        "seconds": round(outcome.seconds, 2),
        "peak_mb": round(outcome.peak_bytes / 10**6, 1),
        "faults": list(outcome.faults),
    }


def _progress(done: int, of: int, name: str) -> None:
    """One line that is written over, on a terminal; a line every 25 files elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{done}/{of} {name}" if of else "\r\x1b[K", end="", file=sys.stderr, flush=True)
    elif of and (done % 25 == 0 or done == of):
        print(f"{done} of {of} hostile files read", file=sys.stderr, flush=True)
