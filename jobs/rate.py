"""How many requests one person may send over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

PER_MINUTE, AT_ONCE = 12_000, 2_000  # ours: a page of a browser asks for tens, a script for hundreds


@dataclass(frozen=True, slots=True)
class Rate:
    """per_minute: requests in the long run, 0 for no limit. at_once: that may come together."""

    per_minute: int = 0
    at_once: int = 1
