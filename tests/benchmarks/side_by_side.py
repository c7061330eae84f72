"""Two ways of doing the same thing, in turn, in processes of their own: median seconds, peak memory, and the ratios."""

from __future__ import annotations

import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

Job = Callable[[], Any]


@dataclass(frozen=True)
class Measured:
    """seconds: median of the runs. peak_mb: most memory above what imports took, over the runs."""

    seconds: float
    peak_mb: float
    result: Any


@dataclass(frozen=True)
class Compared:
    """ours against theirs; below 1 is better for ours."""

    name: str
    predicted: str
    ours: Measured
    theirs: Measured

    @property
    def time_ratio(self) -> float:
        return self.ours.seconds / self.theirs.seconds

    @property
    def memory_ratio(self) -> float:
        return self.ours.peak_mb / max(self.theirs.peak_mb, 1e-9)

    def line(self) -> str:
        return (
            f"{self.name}: {self.ours.seconds:.2f} s against {self.theirs.seconds:.2f} s "
            f"(ratio {self.time_ratio:.2f}), "
            f"{self.ours.peak_mb:.0f} MB against {self.theirs.peak_mb:.0f} MB above imports "
            f"(ratio {self.memory_ratio:.2f}); predicted: {self.predicted}"
        )

    def as_json(self) -> str:
        return json.dumps(asdict(self) | {"time_ratio": self.time_ratio, "memory_ratio": self.memory_ratio})


def compare(name: str, ours: Job, theirs: Job, *, predicted: str, runs: int = 3) -> Compared:
    """Run both in turn, `runs` times each, every run in a fresh process."""
    found: dict[str, list[Measured]] = {"ours": [], "theirs": []}
    for _ in range(runs):
        found["ours"].append(_alone(ours))
        found["theirs"].append(_alone(theirs))
    return Compared(name, predicted, *(_median(found[key]) for key in ("ours", "theirs")))


def _median(runs: list[Measured]) -> Measured:
    return Measured(statistics.median(r.seconds for r in runs), max(r.peak_mb for r in runs), runs[-1].result)


def _alone(job: Job) -> Measured:
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=_inside, args=(job, queue))
    process.start()
    measured: Measured = queue.get()
    process.join()
    return measured


def _inside(job: Job, queue: Any) -> None:
    """Imports are not measured; what is prepared counts as memory, not as time."""
    for name in ("imports", "prepare"):
        if name == "prepare":
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        getattr(job, name, lambda: None)()
    start = time.perf_counter()
    result = job()
    seconds = time.perf_counter() - start
    queue.put(Measured(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, result))
