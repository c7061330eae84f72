"""What can be asked for: looked at before, refused where it cannot work, answered from what is known, or queued."""

from __future__ import annotations

import hashlib
import json
import secrets
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import BadSetting, WrongDirection, WrongModality
from engine.types import Direction, Modality
from jobs import estimate, layout, preflight
from jobs.errors import Conflict, NoCapacity, NotFound, NotReady
from jobs.failures import error_of
from jobs.imports import Importer
from jobs.models import Models
from jobs.results.shelf import Shelf
from jobs.runners.base import Runner, RunnerUnreachable
from jobs.shown import job_view, model_word
from jobs.spec import AnalysisSpec, AnySpec, BenchmarkSpec, JointSpec, TrainSpec, TranslateSpec
from jobs.state import JobState
from jobs.version import code_version
from jobs.views import Failure, JobView, PreflightView
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table
from storage.tables.datasets import DatasetRow
from storage.tables.jobs import JobRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.database import Database

OWNER = "local"  # single-user mode
EXAMPLE_WAIT_S = 120.0  # for the example's import, seconds on an idle machine  # ours
HISTORY = 200  # finished jobs looked at for an estimate  # ours
ANALYSES: Mapping[str, str] = {
    "cluster": "Clusters",
    "imputation": "Imputation",
    "mixing": "Mixing of batches",
    "abnormal": "Abnormal cells",
    "de": "Markers",
    "cre": "Links to genes",
    "coaccess": "Co-accessibility",
    "trajectory": "Trajectory",
    "activity": "Gene activity",
}
ON_ITS_WAY = (JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING)
Inputs = Mapping[Modality, DatasetRow]
PairedSpec = TrainSpec | BenchmarkSpec | JointSpec | AnalysisSpec
ALIKE = (  # of the same, the same speed
    "model", "settings", "contenders", "seeds", "what", "on", "embedding", "compare", "genes", "metacells", "only",
)  # fmt: skip


@dataclass(frozen=True)
class Desk:
    """Where jobs are asked for. wake: tells the reconciler that something was queued."""

    database: Database
    shelf: Shelf
    runner: Runner
    models: Models
    importer: Importer
    wake: Callable[[], None]

    # -- before --------------------------------------------------------------------------------------------------

    def preflight(
        self, *, model: str, rna: str | None = None, atac: str | None = None, directions: Sequence[Direction] = ()
    ) -> PreflightView:
        return self._look(model, ready_inputs(self.database, rna=rna, atac=atac), directions)

    def pair_preflight(self, spec: PairedSpec) -> PreflightView:
        """As `submit` would see it. Raises NotFound and kin for the datasets alone."""
        return self._look_at_pair(spec, ready_inputs(self.database, rna=spec.rna, atac=spec.atac))

    def _look(
        self, model: str, inputs: Inputs, directions: Sequence[Direction], min_coverage: float | None = None
    ) -> PreflightView:
        view = preflight.look(
            folder=self.models.folder(model),
            manifest=self.models.manifest(model),
            paths={m: self.shelf.path(layout.dataset(str(row.digest))) for m, row in inputs.items()},
            wanted=tuple(directions),
            min_coverage=min_coverage,
        )
        past = self._past(lambda row: row.spec.get("model") == model, "translate", len(view.directions))
        return view.model_copy(update={"seconds": estimate.from_past(past, cells=view.cells) or view.seconds})

    def _look_at_pair(self, spec: PairedSpec, inputs: Inputs) -> PreflightView:
        from jobs.analysis import preflight as analysis_preflight
        from jobs.joint import preflight as joint_preflight
        from jobs.training import preflight as pair_preflight

        paths = {m: self.shelf.path(layout.dataset(str(row.digest))) for m, row in inputs.items()}
        if isinstance(spec, JointSpec):
            view = joint_preflight.look(spec, self.models.folder(spec.model), self.models.manifest(spec.model), paths)
        elif isinstance(spec, AnalysisSpec):
            model = (self.models.folder(spec.model), self.models.manifest(spec.model)) if spec.model else ()
            view = analysis_preflight.look(spec, paths, *model)
        else:
            view = pair_preflight.look(spec, paths)
        same = spec.model_dump(mode="json", include=set(ALIKE))
        past = self._past(lambda row: {name: row.spec.get(name) for name in same} == same, spec.kind, 0)
        return view.model_copy(update={"seconds": estimate.from_past(past, cells=view.cells) or view.seconds})

    def _past(self, same: Callable[[JobRow], bool], kind: str, directions: int) -> list[tuple[int, float]]:
        """(cells, seconds from start to end) of finished jobs that did the same."""
        with self.database.read() as conn:
            rows = job_table.find(conn, kind=kind, states=[JobState.SUCCEEDED], limit=HISTORY)
        found = []
        for row in rows:
            cells = (row.result or {}).get("cells")
            alike = same(row) and len(row.spec.get("directions", ())) == directions
            if alike and cells and row.started_at and row.finished_at:
                found.append((int(cells), (row.finished_at - row.started_at).total_seconds()))
        return found

    # -- asking --------------------------------------------------------------------------------------------------

    def submit(self, spec: AnySpec, *, title: str = "", fresh: bool = False) -> JobView:
        """Refuses what cannot work, returns what is known already, queues the rest."""
        if isinstance(spec, TranslateSpec | JointSpec | AnalysisSpec):
            spec = self._complete(spec)
        inputs = ready_inputs(self.database, rna=spec.rna, atac=spec.atac)
        key = cache_key(spec, {m: str(row.digest) for m, row in inputs.items()})
        if not fresh and (known := self._answered(key)) is not None:
            return job_view(known, from_cache=True)
        view = self._require_possible(spec, inputs)
        row = JobRow(
            id=f"job-{secrets.token_hex(6)}",
            kind=spec.kind,
            state=JobState.QUEUED.value,
            spec=spec.model_dump(mode="json"),
            spec_digest=spec.digest,
            cache_key=key,
            owner=OWNER,
            title=one_line(title) or _title(spec, inputs),
            result={
                "cells": view.cells,
                "input_names": {m.value: row.name for m, row in inputs.items()},
                "seconds": view.seconds,
            },
        )
        id = self.database.write_now(lambda conn: _insert_once(conn, row, fresh=fresh))
        self.wake()
        with self.database.read() as conn:
            return view_of(conn, row_of(conn, id))

    def _answered(self, key: str) -> JobRow | None:
        """The finished job of this key; a training whose model was deleted since is no answer."""
        with self.database.read() as conn:
            known = job_table.find_finished(conn, cache_key=key, owner=OWNER)
        if known is None or known.kind != "train":
            return known
        made = ((known.result or {}).get("summary") or {}).get("model")
        return known if made in self.models.load() else None

    def submit_example(self, model: str | None = None) -> JobView:
        """The model's own example, both ways; brings its cells in first where that was not done yet."""
        model = model or self.models.default()
        ids = {m: self._example(f"example:{model}/{m.value}", m) for m in Modality}
        directions = tuple(Direction(d) for d in self.models.manifest(model).directions)
        spec = TranslateSpec(model=model, rna=ids[Modality.RNA], atac=ids[Modality.ATAC], directions=directions)
        return self.submit(spec, title=f"Example: {self.models.view(model).title}")

    def _complete(self, spec: TranslateSpec | JointSpec | AnalysisSpec) -> TranslateSpec | JointSpec | AnalysisSpec:
        """With the digest of the bundle. Raises WrongDirection, Conflict, UnknownModel."""
        if isinstance(spec, AnalysisSpec) and not spec.model:
            return spec.model_copy(update={"bundle": ""})
        manifest = self.models.manifest(spec.model)
        if spec.bundle and spec.bundle != manifest.digest:
            raise Conflict(
                f"The model {spec.model} is now {manifest.digest[:12]}…, not {spec.bundle[:12]}… as asked for.",
                hint="Leave `bundle` out to use the present one.",
            )
        for direction in spec.directions if isinstance(spec, TranslateSpec) else ():
            if direction.value not in manifest.directions:
                known = ", ".join(manifest.directions)
                raise WrongDirection(f"{spec.model} does not translate {direction.value}.", hint=f"It does {known}.")
        return spec.model_copy(update={"bundle": manifest.digest})

    def _require_possible(self, spec: AnySpec, inputs: Inputs) -> PreflightView:
        """Raises the first problem of the pre-flight, with the others named; NoCapacity."""
        if isinstance(spec, TranslateSpec):
            view = self._look(spec.model, inputs, spec.directions, spec.min_coverage)
        else:
            view = self._look_at_pair(spec, inputs)
        problems = [issue for issue in view.issues if issue.level == "problem"]
        if problems:
            message = " ".join(issue.message for issue in problems)
            raise error_of(Failure(code=problems[0].code, message=message, hint=problems[0].hint))
        self._require_capacity(view.memory_mb or 0.0, gpu=getattr(spec, "device", "auto") == "cuda")
        return view

    def _require_capacity(self, memory_mb: float, *, gpu: bool) -> None:
        """Ray waits for ever on what can never run: refuse it here. A runner that is away may come back."""
        try:
            capacity = self.runner.capacity()
        except RunnerUnreachable:
            return
        if capacity.cpus < 1:
            raise NoCapacity(f"The {self.runner.name} runner has no processor for jobs.", hint="Add a worker node.")
        if gpu and self.runner.name == "ray" and capacity.gpus < 1:
            raise BadSetting("A GPU was asked for, and the cluster has none.", hint="Use device auto or cpu.")
        if memory_mb * 2**20 > capacity.memory_bytes > 0:
            raise NoCapacity(
                f"About {memory_mb:,.0f} MB are needed, and the {self.runner.name} runner has "
                f"{capacity.memory_bytes / 2**20:,.0f} MB.",
                hint="Submit fewer cells at a time, or add a larger node.",
            )

    def _example(self, source: str, modality: Modality) -> str:
        """The id of a ready dataset of this example."""
        with self.database.read() as conn:
            known = [row for row in dataset_table.find(conn, limit=10_000) if row.origin == source]
        row = next((row for row in known if row.state in ("ready", "importing")), None)
        if row is None:
            row = self.importer.begin(source, modality=modality, name="")
        try:
            self.importer.wait(row.id, EXAMPLE_WAIT_S)
        except TimeoutError:
            raise NotReady("The example is still being brought in.", hint="Ask again in a minute.") from None
        return row.id


# -- rows ------------------------------------------------------------------------------------------------------------


def ready_inputs(database: Database, *, rna: str | None = None, atac: str | None = None) -> dict[Modality, DatasetRow]:
    """Ready rows by modality. Raises NotFound, NotReady, WrongModality, or what the import failed of."""
    found: dict[Modality, DatasetRow] = {}
    for modality, id in ((Modality.RNA, rna), (Modality.ATAC, atac)):
        if id is None:
            continue
        row = dataset_row(database, id)
        if row.state == "failed":
            raise error_of(Failure.model_validate(row.failure))
        if row.state != "ready":
            raise NotReady(f"{row.name} is still being brought in.", hint="Wait until the dataset is ready.")
        if row.modality != modality.value:
            raise WrongModality(
                f"{row.name} holds {str(row.modality).upper()}, and was given as {modality.value.upper()}.",
                hint="Give genes as rna and peaks as atac.",
            )
        found[modality] = row
    return found


def dataset_row(database: Database, id: str) -> DatasetRow:
    with database.read() as conn:
        row = dataset_table.get(conn, id)
    if row is None or row.deleted_at is not None:
        raise NotFound(f"There is no dataset {id[:80]!r}.", hint="It may have been deleted: bring it in again.")
    return row


def row_of(conn: DuckDBPyConnection, id: str) -> JobRow:
    row = job_table.get(conn, id)
    if row is None:
        raise NotFound(f"There is no job {id[:80]!r}.", hint="It may have been deleted.")
    return row


def _insert_once(conn: DuckDBPyConnection, row: JobRow, *, fresh: bool) -> str:
    """The id of the new job, or of the one that is on its way to the same answer: asking twice is asking once."""
    waiting = [] if fresh else job_table.find(conn, owner=row.owner, states=ON_ITS_WAY, limit=10_000)
    same = next((job for job in waiting if job.cache_key == row.cache_key and not job.cancel_requested), None)
    if same is None:
        job_table.insert(conn, row)
    return same.id if same else row.id


def view_of(conn: DuckDBPyConnection, row: JobRow) -> JobView:
    """The job as it stands, with its place in the queue and what is left of its estimate."""
    here = JobState(row.state)
    position = job_table.queue_position(conn, row.id) if here is JobState.QUEUED else None
    return job_view(row, position=position, eta_s=estimate.of_row(row))


def cache_key(spec: AnySpec, digests: Mapping[Modality, str]) -> str:
    """The same cells, settings, bundle and code give the same key, whatever the datasets are called."""
    document = {
        "spec": spec.model_dump(mode="json", exclude={"rna", "atac"}),
        "inputs": {m.value: digest for m, digest in digests.items()},
        "code": code_version(),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def one_line(text: str) -> str:
    """A title people may be shown: no control or direction characters, not endless."""
    return "".join(c for c in text if unicodedata.category(c)[0] != "C").strip()[:200]


def _title(spec: AnySpec, inputs: Inputs) -> str:
    if isinstance(spec, AnalysisSpec):
        by = f" by {spec.model}" if spec.model else ""
        return one_line(f"{ANALYSES[spec.what]}{by} · {inputs[Modality.RNA].name}")
    if not isinstance(spec, TranslateSpec):
        word = {"train": "Training", "joint": "Joint view"}.get(spec.kind, "Benchmark")
        name = one_line(getattr(spec, "name", "")) or model_word(spec)
        return one_line(f"{word} {'by' if isinstance(spec, JointSpec) else 'of'} {name} · {inputs[Modality.RNA].name}")
    arrow: dict[Direction, Any] = {Direction.RNA_TO_ATAC: "RNA → ATAC", Direction.ATAC_TO_RNA: "ATAC → RNA"}
    asked = "RNA ⇄ ATAC" if len(spec.directions) == 2 else arrow[spec.directions[0]]
    return f"{asked} · {inputs[spec.directions[0].source].name}"
