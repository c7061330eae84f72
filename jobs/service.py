"""JobService: everything that can be asked for, decided here; pages and routes only show it."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import WrongDirection, WrongModality
from engine.types import Direction, Modality
from jobs import estimate, layout, preflight
from jobs.errors import BadRequest, Conflict, NoCapacity, NotFound, NotReady
from jobs.failures import error_of, scrub
from jobs.imports import Importer
from jobs.models import Models
from jobs.reconcile.moves import move, requeue, state_of
from jobs.reconcile.reconciler import Reconciler
from jobs.results.read import Results
from jobs.runners.base import Runner, RunnerUnreachable
from jobs.settings import Settings
from jobs.shown import dataset_view, event_view, job_view, upload_view
from jobs.spec import TranslateSpec
from jobs.state import ACTIVE, TERMINAL, JobState
from jobs.version import code_version
from jobs.views import DatasetView, EventView, Failure, Health, JobView, PreflightView, UploadView
from storage.errors import StorageError
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table
from storage.tables.datasets import DatasetRow
from storage.tables.jobs import JobRow
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.artifacts import ArtifactStore
    from storage.database import Database
    from storage.uploads import UploadArea

log = logging.getLogger(__name__)

OWNER = "local"  # single-user mode
EXAMPLE_WAIT_S = 120.0  # for the example's import, seconds on an idle machine  # ours
UPLOAD_IDLE = timedelta(days=2)  # before an unfinished upload is swept  # ours
HEALTH_S = 2.0  # for which an answer of the runner is shown again  # ours
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
HISTORY = 200  # finished jobs looked at for an estimate  # ours


@dataclass
class JobService:
    """One per process. Opened by bootstrap; `start` begins the background work, `close` ends it."""

    settings: Settings
    database: Database
    store: ArtifactStore
    runner: Runner
    uploads: UploadArea
    models: Models
    importer: Importer
    results: Results
    reconciler: Reconciler
    _health: tuple[float, Health] | None = None

    def start(self) -> None:
        self.importer.resume()
        self.reconciler.start()

    def close(self) -> None:
        """Attempts go on: the next process reads what they said meanwhile."""
        self.reconciler.stop()
        self.importer.close()
        self.runner.close()
        self.database.close()

    def health(self) -> Health:
        """What the runner last said, asked again after two seconds."""
        if self._health is not None and time.monotonic() - self._health[0] < HEALTH_S:
            return self._health[1]
        view = self._ask_runner()
        self._health = (time.monotonic(), view)
        return view

    def _ask_runner(self) -> Health:
        version, name = code_version(), self.runner.name
        if (broken := self.database.broken) is not None:
            return Health(version=version, runner=name, runner_alive=False, message=str(broken))
        try:
            capacity = self.runner.capacity()
        except RunnerUnreachable as error:
            return Health(version=version, runner=name, runner_alive=False, message=scrub(str(error)))
        return Health(
            version=version,
            runner=name,
            runner_alive=True,
            cpus=capacity.cpus,
            gpus=capacity.gpus,
            nodes=capacity.nodes,
        )

    # -- uploads and datasets ------------------------------------------------------------------------------------

    def create_upload(self, *, name: str, size: int | None = None) -> UploadView:
        if size is not None and size < 0:
            raise BadRequest(f"The size is {size}.", hint="Give the file's bytes, or leave it out.")
        self.uploads.sweep(UPLOAD_IDLE)
        return self.upload(self.uploads.create(name, size))

    def upload(self, id: str) -> UploadView:
        return upload_view(self.uploads.get(id))

    def append_upload(self, id: str, *, offset: int, chunks: Iterable[bytes], sha256: str | None = None) -> UploadView:
        self.uploads.append(id, offset, chunks, sha256=sha256)
        return self.upload(id)

    def finish_upload(self, id: str, *, sha256: str | None = None) -> UploadView:
        if sha256 is not None and not SHA256.fullmatch(sha256):
            # A slip of the sender's: what arrived is as good as before.
            raise BadRequest("This is not a SHA-256.", hint="Send 64 hexadecimal digits, or leave it out.")
        self.uploads.finish(id, sha256)
        return self.upload(id)

    def import_dataset(self, source: str, *, modality: Modality | None = None, name: str = "") -> DatasetView:
        return dataset_view(self.importer.begin(source, modality=modality, name=name))

    def dataset(self, id: str) -> DatasetView:
        return dataset_view(self._dataset(id))

    def datasets(self) -> list[DatasetView]:
        with self.database.read() as conn:
            return [dataset_view(row) for row in dataset_table.find(conn, limit=10_000)]

    def delete_dataset(self, id: str) -> None:
        """The row is marked; the copy goes when no other dataset has the same content."""
        row = self._dataset(id)
        if row.state == "importing":
            raise Conflict(f"{row.name} is still being brought in.", hint="Wait until it is ready or has failed.")
        with self.database.read() as conn:
            busy = [job.id for job in job_table.find(conn, states=ACTIVE, limit=10_000) if id in _inputs(job)]
        if busy:
            raise Conflict(f"{row.name} is used by job {busy[0]}.", hint="Cancel the job first, or wait for its end.")

        def forget(conn: DuckDBPyConnection) -> bool:
            dataset_table.mark_deleted(conn, id)
            return row.digest is not None and not dataset_table.find(conn, digest=row.digest, limit=1)

        if self.database.write_now(forget) and row.digest is not None:
            self.store.delete(layout.dataset(row.digest))
            self.results.shelf.forget(layout.dataset(row.digest))

    def preflight(
        self, *, model: str, rna: str | None = None, atac: str | None = None, directions: Sequence[Direction] = ()
    ) -> PreflightView:
        return self._look(model, self._inputs(rna=rna, atac=atac), directions)

    def _look(
        self,
        model: str,
        inputs: Mapping[Modality, DatasetRow],
        directions: Sequence[Direction],
        min_coverage: float | None = None,
    ) -> PreflightView:
        view = preflight.look(
            folder=self.models.folder(model),
            manifest=self.models.manifest(model),
            paths={m: self.results.shelf.path(layout.dataset(str(row.digest))) for m, row in inputs.items()},
            wanted=tuple(directions),
            min_coverage=min_coverage,
        )
        with self.database.read() as conn:
            past = _durations(conn, model, len(view.directions))
        return view.model_copy(update={"seconds": estimate.from_past(past, cells=view.cells) or view.seconds})

    # -- jobs ----------------------------------------------------------------------------------------------------

    def submit(self, spec: TranslateSpec, *, title: str = "", fresh: bool = False) -> JobView:
        """Refuses what cannot work, returns what is known already, queues the rest."""
        spec = self._complete(spec)
        inputs = self._inputs(rna=spec.rna, atac=spec.atac)
        key = cache_key(spec, {m: str(row.digest) for m, row in inputs.items()})
        if not fresh:
            with self.database.read() as conn:
                known = job_table.find_finished(conn, cache_key=key, owner=OWNER)
            if known is not None:
                return job_view(known, from_cache=True)
        view = self._require_possible(spec, inputs)
        row = JobRow(
            id=_new_id(),
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
        self.database.write_now(lambda conn: job_table.insert(conn, row))
        self.reconciler.wake()
        return self.job(row.id)

    def submit_example(self, model: str | None = None) -> JobView:
        """The model's own example, both ways; brings its cells in first where that was not done yet."""
        model = model or self.models.default()
        ids = {m: self._example(f"example:{model}/{m.value}", m) for m in Modality}
        directions = tuple(Direction(d) for d in self.models.manifest(model).directions)
        spec = TranslateSpec(model=model, rna=ids[Modality.RNA], atac=ids[Modality.ATAC], directions=directions)
        return self.submit(spec, title=f"Example: {self.models.view(model).title}")

    def jobs(self, *, limit: int = 200) -> list[JobView]:
        with self.database.read() as conn:
            rows = job_table.find(conn, limit=limit)
            return [self._view(conn, row) for row in rows]

    def job(self, id: str) -> JobView:
        with self.database.read() as conn:
            return self._view(conn, _job(conn, id))

    def events(self, id: str, *, after: int = 0) -> list[EventView]:
        with self.database.read() as conn:
            _job(conn, id)
            return [event_view(event) for event in job_table.events(conn, id, after=after)]

    def logs(self, id: str, *, tail: int = 200) -> str:
        """The runner's words where it still has them, else the lines the attempt reported."""
        with self.database.read() as conn:
            row = _job(conn, id)
            said = [str(e.detail.get("line", "")) for e in job_table.events(conn, id) if e.kind == "log"]
        text = ""
        if row.ray_submission is not None:
            try:
                text = self.runner.logs(row.ray_submission)
            except RunnerUnreachable:
                text = ""
        lines = text.splitlines() or said
        return scrub("\n".join(lines[-tail:]))

    def cancel(self, id: str) -> JobView:
        """Asking twice is asking once; a finished job cannot be cancelled."""
        with self.database.read() as conn:
            row = _job(conn, id)
        here = state_of(row)
        if here in TERMINAL:
            raise Conflict(f"The job has ended already: it is {here.value.lower()}.", hint="There is nothing to stop.")
        if here is not JobState.CANCELLING:
            to = JobState.CANCELLED if here is JobState.QUEUED else JobState.CANCELLING
            moved = self.database.write_now(
                lambda conn: move(conn, row, to, reason="asked by a person", cancel_requested=True)
            )
            if not moved:
                return self.cancel(id)  # it moved on between our look and our step: look again
            if to is JobState.CANCELLED:
                self._mark_ordered(row)
            self.reconciler.wake()
        return self.job(id)

    def _mark_ordered(self, row: JobRow) -> None:
        """A queued attempt may be in the runner's hands: by a step that was cut short before it could say so."""
        try:
            if self.store.exists(layout.order(row.id, row.attempt)):
                self.store.put_once(layout.cancel_mark(row.id, row.attempt), b"cancel\n")
        except StorageError as error:  # it then runs to its end, and nobody sees what it does
            log.warning("Job %s is cancelled, but its mark could not be left: %s", row.id, error)

    def retry(self, id: str) -> JobView:
        with self.database.read() as conn:
            row = _job(conn, id)
        here = state_of(row)
        if here not in TERMINAL or here is JobState.SUCCEEDED:
            raise Conflict(
                f"The job is {here.value.lower()}; only what failed, was lost or was cancelled is tried again.",
                hint="Submit it as a new job to run it afresh.",
            )
        self._inputs(**_inputs_by_word(row))
        if self.database.write_now(lambda conn: requeue(conn, row, reason="asked by a person")):
            self.reconciler.wake()
        return self.job(id)

    def delete_job(self, id: str) -> None:
        with self.database.read() as conn:
            row = _job(conn, id)
        if state_of(row) not in TERMINAL:
            raise Conflict("The job has not ended.", hint="Cancel it first.")
        # Files first: a store that does not answer leaves a row that can be deleted again.
        self.store.delete_prefix(layout.job_prefix(id))
        self.results.shelf.forget(layout.job_prefix(id))

        def forget(conn: DuckDBPyConnection) -> bool:
            return state_of(_job(conn, id)) in TERMINAL and job_table.delete(conn, id)

        if not self.database.write_now(forget):
            raise Conflict("The job was asked to run again meanwhile.", hint="Cancel it first.")

    # -- pieces --------------------------------------------------------------------------------------------------

    def _complete(self, spec: TranslateSpec) -> TranslateSpec:
        """With the digest of the bundle. Raises WrongDirection, Conflict, UnknownModel."""
        manifest = self.models.manifest(spec.model)
        if spec.bundle and spec.bundle != manifest.digest:
            raise Conflict(
                f"The model {spec.model} is now {manifest.digest[:12]}…, not {spec.bundle[:12]}… as asked for.",
                hint="Leave `bundle` out to use the present one.",
            )
        for direction in spec.directions:
            if direction.value not in manifest.directions:
                known = ", ".join(manifest.directions)
                raise WrongDirection(f"{spec.model} does not translate {direction.value}.", hint=f"It does {known}.")
        return spec.model_copy(update={"bundle": manifest.digest})

    def _require_possible(self, spec: TranslateSpec, inputs: Mapping[Modality, DatasetRow]) -> PreflightView:
        """Raises the first problem of the pre-flight, with the others named; NoCapacity."""
        view = self._look(spec.model, inputs, spec.directions, spec.min_coverage)
        problems = [issue for issue in view.issues if issue.level == "problem"]
        if problems:
            message = " ".join(issue.message for issue in problems)
            raise error_of(Failure(code=problems[0].code, message=message, hint=problems[0].hint))
        self._require_capacity(view.memory_mb or 0.0)
        return view

    def _require_capacity(self, memory_mb: float) -> None:
        """Ray waits for ever on what can never run: refuse it here. A runner that is away may come back."""
        try:
            capacity = self.runner.capacity()
        except RunnerUnreachable:
            return
        if capacity.cpus < 1:
            raise NoCapacity(f"The {self.runner.name} runner has no processor for jobs.", hint="Add a worker node.")
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

    def _inputs(self, *, rna: str | None = None, atac: str | None = None) -> dict[Modality, DatasetRow]:
        """Ready rows by modality. Raises NotFound, NotReady, WrongModality, or what the import failed of."""
        found: dict[Modality, DatasetRow] = {}
        for modality, id in ((Modality.RNA, rna), (Modality.ATAC, atac)):
            if id is None:
                continue
            row = self._dataset(id)
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

    def _dataset(self, id: str) -> DatasetRow:
        with self.database.read() as conn:
            row = dataset_table.get(conn, id)
        if row is None or row.deleted_at is not None:
            raise NotFound(f"There is no dataset {id[:80]!r}.", hint="It may have been deleted: bring it in again.")
        return row

    def _view(self, conn: DuckDBPyConnection, row: JobRow) -> JobView:
        here = state_of(row)
        position = job_table.queue_position(conn, row.id) if here is JobState.QUEUED else None
        return job_view(row, position=position, eta_s=_eta(row) if here in ACTIVE else None)


def cache_key(spec: TranslateSpec, digests: Mapping[Modality, str]) -> str:
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


def _new_id() -> str:
    return f"job-{secrets.token_hex(6)}"


def _job(conn: DuckDBPyConnection, id: str) -> JobRow:
    row = job_table.get(conn, id)
    if row is None:
        raise NotFound(f"There is no job {id[:80]!r}.", hint="It may have been deleted.")
    return row


def _inputs_by_word(row: JobRow) -> dict[str, str | None]:
    return {modality.value: row.spec.get(modality.value) for modality in Modality}


def _inputs(row: JobRow) -> set[Any]:
    return {id for id in _inputs_by_word(row).values() if id is not None}


def _eta(row: JobRow) -> estimate.Interval | None:
    """From the estimate made at submission, less the time since the attempt started."""
    seconds = (row.result or {}).get("seconds")
    if not seconds:
        return None
    elapsed = (utcnow() - row.started_at).total_seconds() if row.started_at else 0.0
    return estimate.remaining((float(seconds[0]), float(seconds[1])), elapsed)


def _durations(conn: DuckDBPyConnection, model: str, directions: int) -> list[tuple[int, float]]:
    """(cells, seconds from start to end) of finished jobs of the same model and as many directions."""
    found = []
    for row in job_table.find(conn, states=[JobState.SUCCEEDED], limit=HISTORY):
        cells = (row.result or {}).get("cells")
        same = row.spec.get("model") == model and len(row.spec.get("directions", ())) == directions
        if same and cells and row.started_at and row.finished_at:
            found.append((int(cells), (row.finished_at - row.started_at).total_seconds()))
    return found


def _title(spec: TranslateSpec, inputs: Mapping[Modality, DatasetRow]) -> str:
    arrow = {Direction.RNA_TO_ATAC: "RNA → ATAC", Direction.ATAC_TO_RNA: "ATAC → RNA"}
    asked = "RNA ⇄ ATAC" if len(spec.directions) == 2 else arrow[spec.directions[0]]
    return f"{asked} · {inputs[spec.directions[0].source].name}"
