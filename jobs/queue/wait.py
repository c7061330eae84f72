"""When a waiting job will be done, as an interval: the places are filled in order, once quickly and once slowly."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from jobs.estimate import START_S, Interval

UNKNOWN: Interval = (START_S, 3_600.0)  # of a job nothing is known of  # ours


def ends(line: Sequence[Interval | None], *, running: Sequence[Interval | None], places: int) -> list[Interval]:
    """Seconds from now to the end of each job of the line, low and high.

    line: how long each takes, the next first. running: what is left of those that run. places: attempts at once.
    """
    low = _fill([(each or UNKNOWN)[0] for each in line], [(each or UNKNOWN)[0] for each in running], places)
    high = _fill([(each or UNKNOWN)[1] for each in line], [(each or UNKNOWN)[1] for each in running], places)
    return list(zip(low, high, strict=True))


def _fill(line: Sequence[float], running: Sequence[float], places: int) -> list[float]:
    free = sorted(running)[max(0, len(running) - places) :]  # more may run than there are places by now
    free += [0.0] * (places - len(free))
    heapq.heapify(free)
    done = []
    for seconds in line:
        end = free[0] + seconds
        heapq.heapreplace(free, end)
        done.append(end)
    return done
