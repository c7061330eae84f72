"""From what was asked to the tasks that do it: pure, so that the same spec gives the same tasks everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.types import Direction, Modality
from jobs.runners.base import Task
from jobs.spec import TranslateSpec

ARROW = {Direction.RNA_TO_ATAC: "RNA → ATAC", Direction.ATAC_TO_RNA: "ATAC → RNA"}


@dataclass(frozen=True, slots=True, order=True)
class Chunk:
    """Cells start … stop − 1 of the source."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def chunks(cells: int, size: int) -> tuple[Chunk, ...]:
    """Ranges that cover 0 … cells once, in order, each of `size` cells but the last."""
    if cells < 0 or size < 1:
        raise ValueError(f"{cells} cells cannot be cut into chunks of {size}.")
    return tuple(Chunk(start, min(start + size, cells)) for start in range(0, cells, size))


@dataclass(frozen=True, slots=True)
class Plan:
    """The tasks of one attempt, stage by stage; all of a stage may run at once."""

    translate: tuple[Task, ...]
    score: tuple[Task, ...]
    map: tuple[Task, ...]
    publish: tuple[Task, ...]


def plan(spec: TranslateSpec, *, job: str, attempt: int, cells: Mapping[Modality, int], threads: int = 1) -> Plan:
    """cells: number of cells by modality, of those given. threads: that each task may use."""
    which: dict[str, Any] = {"job": job, "attempt": attempt, "threads": threads}
    return Plan(
        translate=tuple(_translate(spec, which, cells)),
        score=tuple(_each("score", spec, which, cells, [d for d in spec.directions if spec.has_truth(d)])),
        map=tuple(_each("map", spec, which, cells, spec.directions if spec.umap else ())),
        publish=tuple(_each("publish", spec, which, cells, spec.directions)),
    )


def _translate(spec: TranslateSpec, which: Mapping[str, Any], cells: Mapping[Modality, int]) -> Iterator[Task]:
    for direction in spec.directions:
        for chunk in chunks(cells[direction.source], spec.chunk_cells):
            where = {**which, "direction": direction.value, "start": chunk.start, "stop": chunk.stop}
            label = f"{ARROW[direction]}, cells {chunk.start + 1:,}–{chunk.stop:,}"
            yield Task("translate", where, label=label, weight=len(chunk))


def _each(
    kind: str,
    spec: TranslateSpec,
    which: Mapping[str, Any],
    cells: Mapping[Modality, int],
    directions: tuple[Direction, ...] | list[Direction],
) -> Iterator[Task]:
    for direction in directions:
        where = {**which, "direction": direction.value}
        yield Task(kind, where, label=ARROW[direction], weight=cells[direction.source])
