"""What one process took, as a bounded series: neighbours are merged when there are too many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

MOST = 240  # points of a process  # ours
GRAIN_S = 1.0  # a point's length at first; doubled whenever there are too many  # ours


@dataclass(frozen=True, slots=True)
class Point:
    """A stretch of time of one process.

    at: seconds since 1970. cpu_s: processor seconds used in it. memory: most bytes resident; shared: of these, the
    part that other processes pay for. gpu: share of the device's time in use by anybody, 0 to 1. gpu_memory: most
    bytes this process held there.
    """

    at: float
    seconds: float
    stage: str
    cpu_s: float
    memory: int
    shared: int = 0
    gpu: float | None = None
    gpu_memory: int | None = None

    @property
    def end(self) -> float:
        return self.at + self.seconds

    def with_next(self, other: Point) -> Point:
        """Both as one, with the gap between them."""
        return replace(
            self,
            seconds=max(self.end, other.end) - self.at,
            cpu_s=self.cpu_s + other.cpu_s,
            memory=max(self.memory, other.memory),
            shared=min(self.shared, other.shared),
            gpu=_mean(self, other),
            gpu_memory=_most(self.gpu_memory, other.gpu_memory),
        )


class Series:
    """Points in the order of time, at most MOST of them. Not for several threads at once."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.grain = GRAIN_S

    def add(self, point: Point) -> None:
        last = self.points[-1] if self.points else None
        if last is not None and last.stage == point.stage and point.end - last.at <= self.grain:
            self.points[-1] = last.with_next(point)
            return
        self.points.append(point)
        while len(self.points) > MOST:
            self._coarsen()

    def _coarsen(self) -> None:
        before = len(self.points)
        self.grain *= 2
        self.points = merged(self.points, self.grain, across=False)
        if len(self.points) == before:  # many short stages: those are merged as well
            self.points = merged(self.points, self.grain, across=True)


def merged(points: Sequence[Point], grain: float, *, across: bool) -> list[Point]:
    """Neighbours that together are no longer than `grain` seconds, as one. across: also those of two stages."""
    out: list[Point] = []
    for point in points:
        last = out[-1] if out else None
        if last is not None and point.end - last.at <= grain and (across or last.stage == point.stage):
            out[-1] = last.with_next(point)
        else:
            out.append(point)
    return out


@dataclass(frozen=True, slots=True)
class Record:
    """What lies in the store of one process of an attempt.

    process: a name made up for it. machine: tells machines apart and names none. cost_s: processor seconds that
    sampling and writing took.
    """

    process: str
    role: str  # "driver" | "worker"
    machine: str
    cost_s: float
    gpu_name: str
    points: tuple[Point, ...]

    def document(self) -> dict[str, Any]:
        said = {**asdict(self), "format": 1}
        said["points"] = {f.name: [_short(getattr(p, f.name)) for p in self.points] for f in fields(Point)}
        return said

    @classmethod
    def of(cls, document: Any) -> Record:
        """Raises ValueError, KeyError or TypeError for what is no such document."""
        if document["format"] != 1:
            raise ValueError(f"resources of format {document['format']!r} are not read")
        names = [f.name for f in fields(Point)]
        columns = [document["points"][name] for name in names]
        rows = zip(*columns, strict=True)
        return cls(
            process=str(document["process"]),
            role=str(document["role"]),
            machine=str(document["machine"]),
            cost_s=float(document["cost_s"]),
            gpu_name=str(document["gpu_name"]),
            points=tuple(_point(dict(zip(names, row, strict=True))) for row in rows),
        )


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _point(given: dict[str, Any]) -> Point:
    return Point(
        at=float(given["at"]),
        seconds=max(0.0, float(given["seconds"])),
        stage=str(given["stage"])[:40],
        cpu_s=max(0.0, float(given["cpu_s"])),
        memory=int(given["memory"]),
        shared=int(given["shared"]),
        gpu=None if given["gpu"] is None else float(given["gpu"]),
        gpu_memory=None if given["gpu_memory"] is None else int(given["gpu_memory"]),
    )


def _mean(one: Point, two: Point) -> float | None:
    """By seconds, of those that know."""
    known = [(p.gpu, max(p.seconds, 1e-6)) for p in (one, two) if p.gpu is not None]
    return sum(gpu * s for gpu, s in known) / sum(s for _, s in known) if known else None


def _most(one: int | None, two: int | None) -> int | None:
    known = [value for value in (one, two) if value is not None]
    return max(known) if known else None
