"""How many requests one person may send: a bucket each, told in every answer.

The headers are those of draft-ietf-httpapi-ratelimit-headers: what is allowed, what is left, and until when.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.errors import TooManyRequests
from jobs.rate import Rate

BUCKETS = 10_000  # remembered; the one asked least recently is forgotten, and is full when it comes again  # ours
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Taken:
    """One request's place in its bucket. left: further requests that may come at once. full_s: until all may."""

    rate: Rate
    left: int
    full_s: float
    wait_s: float = 0.0

    @property
    def headers(self) -> dict[str, str]:
        window = math.ceil(self.rate.at_once * MINUTE / self.rate.per_minute)
        told = {
            "ratelimit-policy": f'"requests";q={self.rate.at_once};w={window}',
            "ratelimit": f'"requests";r={self.left};t={math.ceil(self.full_s)}',
        }
        return {**told, "retry-after": str(math.ceil(self.wait_s))} if self.wait_s else told

    def refusal(self) -> TooManyRequests:
        return TooManyRequests(
            f"More than {self.rate.per_minute:,} requests a minute came from you.",
            hint=f"Send the next in {math.ceil(self.wait_s)} s. The operator sets the limit (CROSSVIEW_REQUESTS).",
        )


@dataclass
class Buckets:
    """A bucket a person, filled evenly. clock: seconds, of any zero."""

    rate: Rate
    clock: Callable[[], float] = time.monotonic
    most: int = BUCKETS
    _kept: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)  # level, and when that was
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, who: str) -> Taken | None:
        """One request of this person's; None where there is no limit."""
        if not self.rate.per_minute:
            return None
        size, speed = float(self.rate.at_once), self.rate.per_minute / MINUTE
        with self._lock:
            now = self.clock()
            level, since = self._kept.pop(who, (size, now))
            level = min(size, level + (now - since) * speed)
            wait = 0.0 if level >= 1 else (1 - level) / speed
            level -= 0 if wait else 1
            self._kept[who] = level, now
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        return Taken(self.rate, int(level), (size - level) / speed, wait)

    def __len__(self) -> int:
        return len(self._kept)
