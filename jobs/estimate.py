"""How long a job takes, as an interval: from finished jobs of the same model, scaled to the cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs.state import ACTIVE, JobState

if TYPE_CHECKING:
    from storage.tables.jobs import JobRow

Interval = tuple[float, float]
START_S = 4.0  # of each job goes to starting, whatever the cells  # ours
NEAREST = 5  # finished jobs a guess is made from  # ours


def from_past(past: Sequence[tuple[int, float]], *, cells: int) -> Interval | None:
    """Seconds, low and high; None without a past. past: (cells, seconds) of finished jobs of the same kind."""
    if not past:
        return None
    nearest = sorted(past, key=lambda job: abs(job[0] - cells))[:NEAREST]
    guesses = [_scaled(seconds, was=was, now=cells) for was, seconds in nearest]
    return 0.6 * min(guesses), 1.7 * max(guesses)  # ours: wide enough for a busy machine


def remaining(whole: Interval, elapsed: float) -> Interval:
    """What is left of an interval after `elapsed` seconds; never negative, never of no width."""
    low, high = (max(0.0, bound - elapsed) for bound in whole)
    return (low, high) if high > 0 else (0.0, max(5.0, 0.5 * elapsed))


def of_row(row: JobRow) -> Interval | None:
    """From the estimate made at submission, less the time since the attempt started; None once it has ended."""
    from storage.tables.rows import utcnow

    seconds = (row.result or {}).get("seconds")
    if not seconds or JobState(row.state) not in ACTIVE:
        return None
    elapsed = (utcnow() - row.started_at).total_seconds() if row.started_at else 0.0
    return remaining((float(seconds[0]), float(seconds[1])), elapsed)


def _scaled(seconds: float, *, was: int, now: int) -> float:
    """The start does not grow with the cells, the rest does."""
    start = min(START_S, seconds)
    return start + (seconds - start) * now / max(was, 1)
