"""How long a job takes, as an interval: from finished jobs of the same model, scaled to the cells."""

from __future__ import annotations

from collections.abc import Sequence

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


def _scaled(seconds: float, *, was: int, now: int) -> float:
    """The start does not grow with the cells, the rest does."""
    start = min(START_S, seconds)
    return start + (seconds - start) * now / max(was, 1)
