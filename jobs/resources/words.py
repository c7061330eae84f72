"""What an attempt took, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.resources.views import ResourcesView, StageUse


def lines(found: ResourcesView) -> Iterator[str]:
    """As a terminal shows it."""
    if not found.stages:
        yield f"Nothing was recorded of attempt {found.attempt} of {found.job}."
        return
    many = f"{found.processes} process{'es' if found.processes != 1 else ''}"
    where = f"{found.machines} machine{'s' if found.machines != 1 else ''}"
    yield f"{found.job}, attempt {found.attempt}: {found.seconds:,.1f} s, {many} on {where}"
    yield f"{'stage':<12} {'seconds':>9} {'cores':>6} {'memory':>10} {'largest':>10}  GPU"
    for use in found.stages:
        yield (
            f"{use.stage:<12} {use.seconds:>9,.1f} {use.cores:>6.2f} {size(use.memory):>10} {size(use.one):>10}  "
            f"{on_gpu(use)}"
        )
    yield f"most memory {size(found.peak)} together; largest process {against(found)}"
    yield gpu(found)


def size(amount: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1_000:
            return f"{amount:.0f} {unit}" if unit in ("B", "kB", "MB") else f"{amount:.1f} {unit}"
        amount /= 1_000
    return f"{amount:.1f} TB"


def against(found: ResourcesView) -> str:
    """The largest process beside what was said of it before."""
    said = size(found.largest)
    if not found.expected:
        return said
    return f"{said}, where {size(found.expected)} were estimated ({found.largest / found.expected:.0%})"


def gpu(found: ResourcesView) -> str:
    if not found.gpu_name:
        return "No GPU was used."
    most = max((m for m in found.gpu_memory if m is not None), default=0)
    return f"GPU {found.gpu_name}: {size(most)} at most."


def on_gpu(use: StageUse) -> str:
    if use.gpu_memory is None:
        return "-"
    return f"{size(use.gpu_memory)}" + (f", {use.gpu:.0%} of the time" if use.gpu is not None else "")
