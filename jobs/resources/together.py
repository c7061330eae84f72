"""The records of an attempt's processes put together on one clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from jobs.resources.points import Point, Record
from jobs.resources.views import ResourcesView, StageUse

STEPS = 300  # on the clock at most  # ours
STAGES: Mapping[str, str] = {  # of a task, as the driver calls it, where it has another name
    "prepare-pair": "prepare",
    "prepare-analysis": "prepare",
    "entry": "measure",
    "impute": "score",
    "score-model": "score",
    "joint-map": "map",
    "publish-model": "publish",
    "publish-benchmark": "publish",
    "publish-joint": "publish",
    "publish-analysis": "publish",
}
Numbers = NDArray[np.float64]


def together(
    records: Sequence[Record], *, job: str, attempt: int, attempts: Sequence[int], expected: int | None = None
) -> ResourcesView:
    """One view of all processes; an empty one where nothing was recorded."""
    records = [record for record in records if record.points]
    known = ResourcesView(job=job, attempt=attempt, attempts=tuple(attempts), expected=expected)
    if not records:
        return known
    began = min(record.points[0].at for record in records)
    seconds = max(max(p.end for p in record.points) for record in records) - began
    step = max(1.0, seconds / STEPS)
    n = max(1, int(np.ceil(seconds / step)))
    clock = _Clock(began, step, n)
    memory, cores = np.zeros(n), np.zeros(n)
    gpu, gpu_memory = np.full(n, np.nan), np.full(n, np.nan)
    for record in records:
        memory += clock.held(record.points)
        cores += clock.busy(record.points)
        clock.on_gpu(record.points, gpu, gpu_memory)
    points = [p for record in records for p in record.points]
    cpu_s = sum(p.cpu_s for p in points)
    return known.model_copy(
        update={
            "began": datetime.fromtimestamp(began, UTC),
            "seconds": round(seconds, 2),
            "step_s": round(step, 3),
            "processes": len(records),
            "machines": len({record.machine for record in records}),
            "stage": tuple(clock.stages(_leader(records).points)),
            "cores": tuple(np.round(cores, 3).tolist()),
            "memory": tuple(int(m) for m in memory),
            "gpu": tuple(None if np.isnan(g) else round(float(g), 3) for g in gpu),
            "gpu_memory": tuple(None if np.isnan(g) else int(g) for g in gpu_memory),
            "gpu_name": next((record.gpu_name for record in records if record.gpu_name), ""),
            "stages": tuple(_stages(records, clock, memory, cores)),
            "cpu_s": round(cpu_s, 2),
            "peak": int(memory.max()),
            "largest": max(p.memory for p in points),
            "cost": round(sum(record.cost_s for record in records) / max(_lived(records), 1e-3), 6),
        }
    )


def _lived(records: Sequence[Record]) -> float:
    """Seconds of all processes."""
    return sum(record.points[-1].end - record.points[0].at for record in records)


def _leader(records: Sequence[Record]) -> Record:
    """Who says which stage it is: the driver, or whoever was there longest."""
    drivers = [record for record in records if record.role == "driver"]
    return max(drivers or records, key=lambda record: record.points[-1].end - record.points[0].at)


def stage_of(point: Point) -> str:
    return STAGES.get(point.stage, point.stage)


class _Clock:
    """n steps of `step` seconds from `began` on."""

    def __init__(self, began: float, step: float, n: int) -> None:
        self.began, self.step, self.n = began, step, n

    def place(self, moment: float) -> float:
        return min(max((moment - self.began) / self.step, 0.0), float(self.n))

    def span(self, start: float, end: float) -> slice:
        """The steps this stretch touches, one at least."""
        first = min(int(self.place(start)), self.n - 1)
        return slice(first, max(first + 1, int(np.ceil(self.place(end) - 1e-9))))

    def held(self, points: Sequence[Point]) -> Numbers:
        """Bytes of its own; what a process held stays its own until it is looked at again, or for the last time."""
        out = np.zeros(self.n)
        for point, following in zip(points, [*points[1:], None], strict=True):
            own = max(0, point.memory - point.shared)
            here = self.span(point.at, point.end)
            out[here] = np.maximum(out[here], own)
            if following is not None:
                gap = slice(here.stop, self.span(following.at, following.end).start)
                out[gap] = np.maximum(out[gap], own)
        return out

    def busy(self, points: Sequence[Point]) -> Numbers:
        """Processor seconds a second, spread evenly over each point."""
        out = np.zeros(self.n)
        for point in points:
            start, end = self.place(point.at), self.place(point.end)
            if end - start < 1e-9:
                out[min(int(start), self.n - 1)] += point.cpu_s / self.step
                continue
            for i in range(int(start), min(int(np.ceil(end)), self.n)):
                part = min(end, i + 1) - max(start, i)
                out[i] += point.cpu_s * max(0.0, part) / (end - start) / self.step
        return out

    def on_gpu(self, points: Sequence[Point], gpu: Numbers, memory: Numbers) -> None:
        """The busiest device, and the bytes of all processes on it."""
        own = np.full(self.n, np.nan)
        for point in points:
            here = self.span(point.at, point.end)
            if point.gpu is not None:
                gpu[here] = np.fmax(gpu[here], point.gpu)
            if point.gpu_memory is not None:
                own[here] = np.fmax(own[here], point.gpu_memory)
        both = ~np.isnan(own)
        memory[both] = np.nan_to_num(memory[both]) + own[both]

    def stages(self, points: Sequence[Point]) -> list[str]:
        out = [""] * self.n
        for point in points:
            for i in range(self.n)[self.span(point.at, point.end)]:
                out[i] = stage_of(point)
        for i in range(1, self.n):
            out[i] = out[i] or out[i - 1]
        return out


def _stages(records: Sequence[Record], clock: _Clock, memory: Numbers, cores: Numbers) -> list[StageUse]:
    """In the order in which they began. The peak of all together is that of the steps in which the stage went on."""
    by: dict[str, list[Point]] = {}
    for record in records:
        for point in record.points:
            by.setdefault(stage_of(point), []).append(point)
    leader = {stage_of(p) for p in _leader(records).points}
    found = []
    for stage, points in by.items():
        if not stage or (stage not in leader and sum(p.seconds for p in points) <= 0):
            continue
        start, end = min(p.at for p in points), max(p.end for p in points)
        here = clock.span(start, end)
        on_gpu = [p for p in points if p.gpu_memory is not None]
        known = [(p.gpu, p.seconds) for p in points if p.gpu is not None]
        weight = sum(s for _, s in known)
        found.append(
            StageUse(
                stage=stage,
                start_s=round(start - clock.began, 2),
                seconds=round(end - start, 2),
                cores=round(sum(p.cpu_s for p in points) / max(end - start, 1e-3), 2),
                memory=int(memory[here].max()),
                one=max(p.memory for p in points),
                gpu=round(sum(g * s for g, s in known) / weight, 3) if weight else None,
                gpu_memory=max((p.gpu_memory or 0 for p in on_gpu), default=None),
            )
        )
    return sorted(found, key=lambda use: use.start_s)
