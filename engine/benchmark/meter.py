"""Seconds and memory of what runs in this process, memory counted above what the imports took."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

MB = 2**20


@dataclass
class Meter:
    """Start it after the imports and before the data. base_mb: resident memory then."""

    base_mb: float = field(default_factory=lambda: resident_mb())
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)
    exact: bool = field(default_factory=lambda: reset_peak())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Wall and CPU seconds of the block, and its peak of resident memory above `base_mb`.

        Where the system cannot forget an earlier peak, the peak is of everything so far.
        """
        self.exact = reset_peak() and self.exact
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.seconds[name] = time.perf_counter() - wall
            self.cpu_seconds[name] = time.process_time() - cpu
            self.peak_mb[name] = max(0.0, peak_mb() - self.base_mb)


def warm_imports() -> None:
    """Load what the models that are imported load when first used, so that it does not count as their memory.

    A library that is not installed is left alone: the model that stands on it says so when it is built.
    """
    from importlib import import_module

    for name in ("scipy.sparse.linalg", "sklearn.cluster", "sklearn.decomposition", "sklearn.utils.extmath"):
        import_module(name)
    if "engine.training" in sys.modules:
        import torch

        weight = torch.nn.Parameter(torch.zeros(2))
        optimiser = torch.optim.Adam([weight])
        weight.sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    if "engine.translators.multivi.recipe" in sys.modules:
        from engine.errors import MissingExtra
        from engine.translators.multivi.library import scvi

        with suppress(MissingExtra):
            scvi("scvi.module")


def resident_mb() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss) / MB


def peak_mb() -> float:
    """Largest resident memory of this process so far, or since `reset_peak`."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / MB if sys.platform == "darwin" else most / 1024


def reset_peak() -> bool:
    """Let the peak begin at what is resident now. False where the system does not offer that."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return peak_mb() < 1.05 * resident_mb() + 16
