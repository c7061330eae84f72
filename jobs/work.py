"""The tasks of an attempt, as a worker runs them: references in, parts and numbers out, harmless when repeated."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from engine.errors import BadBundle
from engine.types import Direction, Modality
from jobs import layout
from jobs.failures import failure_of
from jobs.parts import at_most_threads, bundle_folder, part_bytes, read_part
from jobs.plan import chunks
from jobs.resources.meter import meter_of
from jobs.runners.base import Receipt, Task
from jobs.spec import (
    AnalysisSpec,
    AnySpec,
    BenchmarkSpec,
    EvaluateSpec,
    JointSpec,
    PairSpec,
    TrainSpec,
    TranslateSpec,
    read_spec,
)

if TYPE_CHECKING:
    from pathlib import Path

    from engine.bundle import Bundle
    from engine.intake.canonical import CanonicalCells
    from engine.preprocess.align import Alignment
    from engine.preprocess.coverage import Coverage
    from engine.translate import Encoded
    from engine.types import Cells
    from storage.artifacts import ArtifactStore

S = TypeVar("S", bound=BaseModel)
P = TypeVar("P")


@dataclass(frozen=True, eq=False)
class Attempt:
    """What a worker needs to know of the attempt it works for: the order, read from the store."""

    store_uri: str
    job: str
    number: int
    asked: AnySpec
    spec_digest: str
    version: str
    bundle_prefix: str
    datasets: Mapping[str, Mapping[str, str]]
    memory_step: int = 0  # how often the memory of each task was doubled; changes no result
    whose: str = ""  # stands for the owner in names of what it makes; empty in single-user mode

    @property
    def store(self) -> ArtifactStore:
        return open_store(self.store_uri)

    @property
    def spec(self) -> TranslateSpec:
        """Of a translation; likewise the six below. Raises TypeError for a job of another kind."""
        return self._asked_as(TranslateSpec)

    @property
    def train(self) -> TrainSpec:
        return self._asked_as(TrainSpec)

    @property
    def benchmark(self) -> BenchmarkSpec:
        return self._asked_as(BenchmarkSpec)

    @property
    def joint(self) -> JointSpec:
        return self._asked_as(JointSpec)

    @property
    def analysis(self) -> AnalysisSpec:
        return self._asked_as(AnalysisSpec)

    @property
    def evaluation(self) -> EvaluateSpec:
        return self._asked_as(EvaluateSpec)

    @property
    def pair(self) -> PairSpec:
        return self._asked_as(PairSpec)

    def _asked_as(self, kind: type[S]) -> S:
        if not isinstance(self.asked, kind):
            raise TypeError(f"The job {self.job} is a {self.asked.kind}, not a {kind.__name__}.")
        return self.asked

    def part(self, direction: Direction, start: int, stop: int) -> str:
        return layout.part(self.job, self.spec_digest, direction.value, start, stop)

    @contextmanager
    def cells(self, name: str) -> Iterator[CanonicalCells]:
        """The canonical copy, open for reading by rows, wherever the store is. name: rna, atac, prediction …"""
        from engine.intake.canonical import CanonicalCells

        key = self.datasets[name]["key"]
        if self.store_uri.startswith("s3://"):
            from storage.ranged import open_ranged

            with (
                open_ranged(self.store.uri(key), profiles={"store": _profile(self.store.uri(key))}) as stream,
                CanonicalCells.open(cast(IO[bytes], stream)) as cells,
            ):
                yield cells
            return
        with self.copy(name) as path, CanonicalCells.open(path) as cells:
            yield cells

    @contextmanager
    def copy(self, name: str) -> Iterator[Path]:
        """The canonical copy as a whole file of this machine. Raises CorruptObject for a damaged one."""
        from storage.verified import verify

        key = self.datasets[name]["key"]
        with self.store.open_local(key) as path:
            if (digest := layout.digest_in(key)) is not None:
                verify(path, digest, what=key, mend="Bring the same cells in again: that replaces the damaged copy.")
            yield path


def mends_of(attempt: Attempt, *modalities: Modality) -> dict[str, str]:
    """For provenance: what was mended in these inputs on their way in, as JSON; nothing where nothing was."""
    found = {m.value: attempt.datasets.get(m.value, {}).get("mends", "") for m in modalities}
    one = len(modalities) == 1
    return {"mends" if one else f"{name}_mends": text for name, text in found.items() if text}


@lru_cache(maxsize=4)
def open_store(uri: str) -> ArtifactStore:
    from storage.artifacts import store_from_uri

    return store_from_uri(uri, profile=_profile(uri) if uri.startswith("s3://") else None)


def _profile(uri: str) -> Any:
    """The operator's S3 profile for this bucket, from this node's own settings: no secret travels with a job."""
    from jobs.fetching import s3_profiles
    from jobs.settings import Settings
    from storage.s3 import parse_uri, profile_for

    return profile_for(parse_uri(uri, key_required=False).bucket, s3_profiles(Settings.from_env()))


@lru_cache(maxsize=8)
def attempt_of(store_uri: str, job: str, number: int) -> Attempt:
    """The attempt its order describes. Raises ArtifactMissing where there is none."""
    return read_attempt(open_store(store_uri), store_uri, job, number)


def read_attempt(store: ArtifactStore, store_uri: str, job: str, number: int) -> Attempt:
    order = json.loads(store.get_bytes(layout.order(job, number)))
    return Attempt(
        store_uri=store_uri,
        job=job,
        number=number,
        asked=read_spec(order["spec"]),
        spec_digest=order["spec_digest"],
        version=order["version"],
        bundle_prefix=order["bundle_prefix"],
        datasets=order["datasets"],
        memory_step=int(order.get("memory_step", 0)),
        whose=str(order.get("whose", "")),
    )


# -- models and alignments, kept by each worker ----------------------------------------------------------------------


@lru_cache(maxsize=2)
def bundle_of(store_uri: str, prefix: str, device: str) -> Bundle:
    """The model, loaded once by each worker and checked against its digest."""
    from engine.bundle import load_bundle

    folder = bundle_folder(open_store(store_uri), prefix)
    bundle = load_bundle(folder, device=device)
    if layout.bundle(bundle.digest) != prefix:
        raise BadBundle(
            f"{prefix} holds the model {bundle.manifest.id} of digest {bundle.digest[:12]}.",
            hint="Submit the job again: the model is then published anew.",
        )
    return bundle


@lru_cache(maxsize=4)
def _alignment(store_uri: str, job: str, number: int, modality: Modality) -> Alignment:
    from engine.preprocess.align import align

    attempt = attempt_of(store_uri, job, number)
    bundle = bundle_of(store_uri, attempt.bundle_prefix, "cpu")
    asked = attempt.asked
    if not isinstance(asked, TranslateSpec | JointSpec):
        raise TypeError(f"The job {job} is a {asked.kind} and aligns nothing.")
    with attempt.cells(modality) as cells:
        return align(cells.names, bundle.space(modality), min_coverage=asked.min_coverage)


def alignment_of(attempt: Attempt, modality: Modality) -> Alignment:
    """From the features of the input to the model's, kept by this worker."""
    return _alignment(attempt.store_uri, attempt.job, attempt.number, modality)


# -- parts -----------------------------------------------------------------------------------------------------------


def finished_part(attempt: Attempt, direction: Direction, start: int, stop: int) -> Encoded | None:
    """The part, where an earlier attempt left a readable one."""
    key = attempt.part(direction, start, stop)
    if not attempt.store.exists(key):
        return None
    try:
        found = read_part(attempt.store.get_bytes(key))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile):
        return None
    return found if len(found) == stop - start else None


def encoded_of(attempt: Attempt, direction: Direction) -> Encoded:
    """All cells of one direction, from their parts."""
    from engine.translate import concat_encoded

    with attempt.cells(direction.source) as cells:
        grid = chunks(cells.n_cells, attempt.spec.chunk_cells)
    keys = [attempt.part(direction, chunk.start, chunk.stop) for chunk in grid]
    return concat_encoded([whole(attempt, key, read_part) for key in keys])


def whole(attempt: Attempt, key: str, read: Callable[[bytes], P]) -> P:
    """A part as it was written. Raises CorruptObject for one that is damaged: an attempt makes it anew."""
    from storage.errors import CorruptObject

    try:
        return read(attempt.store.get_bytes(key))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise CorruptObject(
            f"{key} is damaged where it is stored ({type(error).__name__}).",
            hint="Run the job again: a damaged part is made anew, the others are kept.",
        ) from error


def coverage_of(attempt: Attempt, direction: Direction) -> Coverage:
    """How much of the model's source features the input holds."""
    return _alignment(attempt.store_uri, attempt.job, attempt.number, direction.source).coverage


def matched_truth(attempt: Attempt, direction: Direction) -> tuple[NDArray[np.int64], Cells]:
    """Positions among the source's cells that have a truth, shape (m,), and their true cells in that order.

    Raises CellsDoNotMatch when no cell has a truth.
    """
    from engine.pairs import match_barcodes

    with attempt.cells(direction.source) as source, attempt.cells(direction.target) as target:
        matching = match_barcodes(source.barcodes, target.barcodes, what=("predicted", "true"))
        return matching.index_a, target.all().rows(matching.index_b)


# -- the tasks -------------------------------------------------------------------------------------------------------

Arguments = Mapping[str, Any]


def translate(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """One chunk of cells to its part; a part that is there already is left as it is."""
    from engine.translate import encode_cells, require_direction

    direction, start, stop = Direction(arguments["direction"]), int(arguments["start"]), int(arguments["stop"])
    alignment = _alignment(attempt.store_uri, attempt.job, attempt.number, direction.source)
    said = {"cells": stop - start, "coverage": alignment.coverage.as_dict(), "device": device}
    if finished_part(attempt, direction, start, stop) is not None:
        return {**said, "reused": True}
    bundle = bundle_of(attempt.store_uri, attempt.bundle_prefix, device)
    require_direction(bundle, direction)
    with attempt.cells(direction.source) as cells:
        chunk = cells.rows(start, stop)
    encoded = encode_cells(bundle, chunk, alignment)
    attempt.store.put_bytes(attempt.part(direction, start, stop), part_bytes(encoded))
    return {**said, "reused": False}


def score(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    from jobs.assemble import write_scores

    return write_scores(attempt, Direction(arguments["direction"]), device=device)


def draw(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    from jobs.assemble import write_maps

    return write_maps(attempt, Direction(arguments["direction"]), device=device)


def publish(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    from jobs.assemble import write_direction

    return write_direction(attempt, Direction(arguments["direction"]), device=device)


TASKS: Mapping[str, Callable[[Attempt, Arguments, str], dict[str, Any]]] = {
    "translate": translate,
    "score": score,
    "map": draw,
    "publish": publish,
}


def task_of(kind: str) -> Callable[[Attempt, Arguments, str], dict[str, Any]]:
    """What a task of this kind does."""
    if kind in TASKS:
        return TASKS[kind]
    from jobs.analysis import tasks as analysis
    from jobs.evaluation import tasks as evaluation
    from jobs.joint import tasks as joint
    from jobs.training import tasks as training

    return {**training.TASKS, **joint.TASKS, **analysis.TASKS, **evaluation.TASKS}[kind]


def run_task(store_uri: str, task: Task, *, device: str = "cpu") -> Receipt:
    """Never raises for what a task meets: its failure is the receipt, so that no exception crosses processes."""
    arguments = task.arguments
    try:
        attempt = attempt_of(store_uri, arguments["job"], int(arguments["attempt"]))
        meter = meter_of(store_uri, attempt.job, attempt.number)
        with meter.at(task.kind), at_most_threads(int(arguments.get("threads", 1))):
            return Receipt(task, task_of(task.kind)(attempt, arguments, device))
    except Exception as error:
        error.add_note(f"in the task {task.kind}: {task.label}")
        return Receipt(task, {"failure": failure_of(error).model_dump(mode="json")})
