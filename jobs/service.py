"""JobService: everything that can be asked for, decided here; pages and routes only show it."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.types import Modality
from jobs import layout, logs
from jobs.accounts import access
from jobs.accounts.service import Accounts
from jobs.board.service import Board
from jobs.cancelling import Canceller
from jobs.capsule.service import Capsules
from jobs.errors import BadRequest, Conflict
from jobs.failures import scrub
from jobs.importing.importer import Importer
from jobs.inputs import dataset_row, ready_inputs
from jobs.keeping.audit import entry, noted, refusals
from jobs.keeping.retention import UPLOAD_IDLE
from jobs.keeping.service import Keeping
from jobs.keeping.views import ReceiptView
from jobs.mending import MendOptions
from jobs.models import Models
from jobs.notify.channels import channels_of
from jobs.notify.delivery import Deliverer
from jobs.notify.inbox import Inbox
from jobs.notify.message import compose
from jobs.notify.personal import Personal
from jobs.once import Keys
from jobs.paging import key_of, newest_first, page
from jobs.reconcile.moves import requeue, state_of
from jobs.reconcile.reconciler import Reconciler
from jobs.resources.read import Resources
from jobs.results.analysis import AnalysisResults
from jobs.results.binned import Binned
from jobs.results.joint import JointResults
from jobs.results.read import Results
from jobs.runners.base import Runner, RunnerUnreachable
from jobs.settings import Settings
from jobs.shown import dataset_view, event_view, upload_view
from jobs.spec import AnalysisSpec, JointSpec, TranslateSpec, read_spec
from jobs.state import TERMINAL, JobState
from jobs.submitting import Desk, row_of
from jobs.training.checkpoints import read_or_none
from jobs.training.curve import read_curve
from jobs.version import code_version
from jobs.views import DatasetView, EventView, Health, JobView, RecipeView, TrainingView, UploadView
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore
    from storage.database import Database
    from storage.uploads import UploadArea

log = logging.getLogger(__name__)

HEALTH_S = 2.0  # for which an answer of the runner is shown again  # ours
SHA256 = re.compile(r"[0-9a-fA-F]{64}")


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
    desk: Desk
    _health: tuple[float, Health] | None = None

    def start(self) -> None:
        self.accounts.prepare()
        self.importer.resume()
        self.reconciler.start()
        self.keeping.start()
        self.deliverer.start()

    @cached_property
    def keeping(self) -> Keeping:
        """Quotas, clocks, deletions with receipts, the audit log."""
        return Keeping(self.importer, self.results.shelf, self.models)

    @cached_property
    def joint(self) -> JointResults:
        """What finished joint views say."""
        return JointResults(self.results)

    @cached_property
    def analysis(self) -> AnalysisResults:
        """What finished analyses say."""
        return AnalysisResults(self.results)

    @cached_property
    def keys(self) -> Keys:
        """Requests that carry a key of their sender's."""
        return Keys(self.database)

    @cached_property
    def board(self) -> Board:
        """The list of jobs as people keep it."""
        return Board(self)

    @cached_property
    def binned(self) -> Binned:
        """Genes and peaks on maps of any size."""
        return Binned(self.results)

    @cached_property
    def resources(self) -> Resources:
        """What attempts took of their machines."""
        return Resources(self.database, self.store)

    @cached_property
    def capsules(self) -> Capsules:
        """Finished jobs as something to check elsewhere."""
        return Capsules(self.database, self.results, self.models)

    @property
    def inbox(self) -> Inbox:
        """What whoever asks was told."""
        who = access.me()
        lab = not self.settings.auth.on or who is None or who.operator
        return Inbox(self.database, access.owner(), lab=lab)

    @cached_property
    def accounts(self) -> Accounts:
        """Who may use this CrossView, and what each lets others see."""
        return Accounts(self.settings, self.database, self.keeping.quota, self.canceller)

    @cached_property
    def canceller(self) -> Canceller:
        """What stops jobs that wait or run."""
        return Canceller(self.database, self.store, self.reconciler.wake)

    @cached_property
    def deliverer(self) -> Deliverer:
        """What is sent to them, and to the lab: there without names, where people sign in."""
        its, people = self.settings.notify, self.settings.auth.on
        lab = partial(compose, settings=replace(its, titles=False) if people else its)
        return Deliverer(self.database, channels_of(its), its.on, lab, self.personal if people else None)

    @cached_property
    def personal(self) -> Personal:
        """Where users want to be told."""
        return Personal(self.database, self.settings.notify, self.settings.fetch, self.settings.auth.on)

    def close(self) -> None:
        """Attempts go on: the next process reads what they said meanwhile."""
        self.keeping.close()
        self.accounts.close()
        self.reconciler.stop()
        self.importer.close()
        self.deliverer.stop()
        self.runner.close()
        self.database.close()

    def health(self) -> Health:
        """What the runner last said, asked again after two seconds."""
        if self._health is not None and time.monotonic() - self._health[0] < HEALTH_S:
            return self._health[1]
        clocks = {"retention_days": self.settings.retention_days, "result_days": self.settings.result_days}
        view = self._ask_runner().model_copy(update=clocks)
        self._health = (time.monotonic(), view)
        return view

    def _ask_runner(self) -> Health:
        from engine.analysis.embeddings import EXTRA, lacking

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
            lacking=tuple(lacking(EXTRA)),
        )

    # -- uploads and datasets ------------------------------------------------------------------------------------

    def create_upload(self, *, name: str, size: int | None = None) -> UploadView:
        if size is not None and size < 0:
            raise BadRequest(f"The size is {size}.", hint="Give the file's bytes, or leave it out.")
        self.uploads.sweep(UPLOAD_IDLE)
        self.keeping.quota.require_upload(size)
        return self.upload(self.uploads.create(name, size, owner=access.owner()))

    def upload(self, id: str) -> UploadView:
        return upload_view(self.uploads.get(id, owner=access.only()))

    def append_upload(self, id: str, *, offset: int, chunks: Iterable[bytes], sha256: str | None = None) -> UploadView:
        if self.uploads.get(id, owner=access.only()).size is None:  # not announced: looked at slice by slice
            self.keeping.quota.require_upload(None)
        self.uploads.append(id, offset, chunks, sha256=sha256)
        return self.upload(id)

    def finish_upload(self, id: str, *, sha256: str | None = None) -> UploadView:
        if sha256 is not None and not SHA256.fullmatch(sha256):
            # A slip of the sender's: what arrived is as good as before.
            raise BadRequest("This is not a SHA-256.", hint="Send 64 hexadecimal digits, or leave it out.")
        self.uploads.get(id, owner=access.only())
        self.uploads.finish(id, sha256)
        return self.upload(id)

    def import_pair(
        self, source: str, *, name: str = "", mends: MendOptions | None = None
    ) -> tuple[DatasetView, DatasetView]:
        """One file of both modalities as two datasets, RNA and ATAC."""
        rna, atac = self.importer.begin_pair(source, name=name, mends=mends)
        return dataset_view(rna), dataset_view(atac)

    def import_dataset(
        self, source: str, *, modality: Modality | None = None, name: str = "", mends: MendOptions | None = None
    ) -> DatasetView:
        return dataset_view(self.importer.begin(source, modality=modality, name=name, mends=mends))

    def dataset(self, id: str) -> DatasetView:
        return self.keeping.dated([dataset_row(self.database, id)])[0]

    def datasets(self) -> list[DatasetView]:
        with self.database.read() as conn:
            rows = dataset_table.find(conn, owner=access.only(), limit=10_000)
        return self.keeping.dated(rows)

    def cancel_dataset(self, id: str) -> DatasetView:
        """Stops an import; asking twice is asking once. Raises NotFound, Conflict for one that has ended."""
        with refusals(self.database, "dataset.cancel", id):
            self.importer.cancel(dataset_row(self.database, id))
        return self.dataset(id)

    def delete_dataset(self, id: str, *, cascade: bool = False) -> ReceiptView:
        """cascade: with the models and jobs that carry its cells. Raises NotFound; Conflict while it is needed."""
        return self.keeping.deleter.dataset(id, cascade=cascade)

    # -- models --------------------------------------------------------------------------------------------------

    def recipes(self) -> list[RecipeView]:
        from jobs.training.recipes import recipes

        return recipes()

    def delete_model(self, id: str) -> ReceiptView:
        return self.keeping.deleter.model(id)

    # -- jobs ----------------------------------------------------------------------------------------------------

    def jobs(self, *, limit: int = 200, after: str = "") -> list[JobView]:
        """Mine and those shared with me, the newest first. after: where the page before ended. Raises BadRequest."""
        behind = key_of(after, int, str)
        with self.database.read() as conn:
            rows = job_table.find(conn, owner=access.only(), limit=limit, behind=behind)
            others = (job_table.get(conn, id) for id in access.shared_with_me(conn, "job"))
            rows += [row for row in others if row is not None and not access.mine(row.owner)]
            rows.sort(key=lambda row: newest_first(row.submitted_at, row.id))
            listed, _ = page(rows, lambda row: newest_first(row.submitted_at, row.id), after=behind, limit=limit)
            return self.desk.standing(conn).views(listed)

    def job(self, id: str) -> JobView:
        with self.database.read() as conn:
            return self.desk.standing(conn).view(row_of(conn, id, shared=True))

    def events(self, id: str, *, after: int = 0) -> list[EventView]:
        with self.database.read() as conn:
            row_of(conn, id, shared=True)
            return [event_view(event) for event in job_table.events(conn, id, after=after)]

    def logs(self, id: str, *, tail: int = 200) -> str:
        """What the attempts' processes said; where nothing is kept of that, the lines they reported."""
        with self.database.read() as conn:
            row = row_of(conn, id, shared=True)
            said = [str(e.detail.get("line", "")) for e in job_table.events(conn, id) if e.kind == "log"]
        return logs.read(self.store, self.runner, row, tail=tail) or scrub("\n".join(said[-tail:]))

    def training(self, id: str) -> TrainingView:
        """The curve as the attempt last left it; an empty one before its first epoch. Raises NotFound, Conflict."""
        with self.database.read() as conn:
            row = row_of(conn, id, shared=True)
        if row.kind != "train":
            raise Conflict(f"{id} is no training: it is a {row.kind}.", hint="Look at its report.")
        return read_curve(read_or_none(self.store, layout.training(row.id, row.spec_digest, "curve.json")))

    def benchmark(self, id: str) -> dict[str, Any]:
        """benchmark.json of a finished benchmark. Raises NotFound, NotReady, Conflict."""
        with self.database.read() as conn:
            row = row_of(conn, id, shared=True)
        if row.kind != "benchmark":
            raise Conflict(f"{id} is no benchmark: it is a {row.kind}.", hint="Look at its report.")
        return self.results.document(id, "benchmark.json")

    def cancel(self, id: str) -> JobView:
        """Asking twice is asking once; a finished job cannot be cancelled."""
        self.canceller.own(id)
        return self.job(id)

    def retry(self, id: str) -> JobView:
        with self.database.read() as conn:
            row = row_of(conn, id)
        here = state_of(row)
        if here not in TERMINAL or here is JobState.SUCCEEDED:
            raise Conflict(
                f"The job is {here.value.lower()}; only what failed, was lost or was cancelled is tried again.",
                hint="Submit it as a new job to run it afresh.",
            )
        spec = read_spec(row.spec)
        ready_inputs(self.database, spec.inputs)
        if isinstance(spec, TranslateSpec | JointSpec | AnalysisSpec) and spec.model:
            self.models.manifest(spec.model)  # it may have been deleted, or be shared no longer
        if self.database.write_now(noted("job.retry", id, lambda conn: requeue(conn, row, reason="asked by a person"))):
            self.board.restore(id)
            self.reconciler.wake()
        return self.job(id)

    def delete_job(self, id: str) -> ReceiptView:
        return self.keeping.deleter.job(id)

    def download(self, id: str, name: str) -> Path:
        """A file of a finished job, for somebody to take away: that is written down."""
        path = self.results.open_artifact(id, name)
        self.database.write_now(entry("result.download", id, file=name))
        return path

    def download_link(self, id: str, name: str) -> str | None:
        """An address of such a file in the store itself, for some minutes; None where the operator wants none."""
        link = self.results.artifact_link(id, name) if self.settings.s3_direct else None
        if link is not None:
            self.database.write_now(entry("result.download", id, file=name))
        return link
