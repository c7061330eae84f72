"""Whether the place where jobs run can ever hold this one: Ray waits for ever on what it cannot."""

from __future__ import annotations

import time
from dataclasses import dataclass

from jobs.errors import BadSetting, NoCapacity
from jobs.runners.base import Capacity, Runner, RunnerUnreachable

MIB = 2**20
FRESH_S = 5.0  # for which an answer of the runner is good  # ours


@dataclass
class Known:
    """What the runner has, asked anew every few seconds: a thousand jobs are not a thousand questions."""

    runner: Runner
    _until: float = 0.0
    _last: Capacity | None = None

    def ask(self) -> Capacity | None:
        """None where the runner does not answer: it may come back."""
        if time.monotonic() >= self._until:
            try:
                self._last = self.runner.capacity()
            except RunnerUnreachable:
                self._last = None
            self._until = time.monotonic() + FRESH_S
        return self._last


def require(capacity: Capacity, *, runner: str, memory_mb: float = 0.0, gpu: bool = False) -> None:
    """memory_mb: that one task may take, all on one node. gpu: whether one was asked for by name.

    Raises NoCapacity, BadSetting.
    """
    if capacity.cpus < 1:
        raise NoCapacity(f"The {runner} runner has no processor for jobs.", hint="Add a worker node.")
    if gpu and runner == "ray" and capacity.gpus < 1:
        raise BadSetting("A GPU was asked for, and the cluster has none.", hint="Use device auto or cpu.")
    room = capacity.largest_bytes or capacity.memory_bytes
    if memory_mb * MIB > room > 0:
        several = f" on the largest of its {capacity.nodes} nodes" if capacity.nodes > 1 else ""
        raise NoCapacity(
            f"About {memory_mb:,.0f} MB are needed at one place, and the {runner} runner has "
            f"{room / MIB:,.0f} MB{several}.",
            hint="Submit fewer cells at a time, or add a larger node.",
        )
