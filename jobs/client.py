"""How pages, scripts and the command line reach the service: one protocol, in process or over HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, Unpack

from engine.types import Direction, Modality
from jobs.accounts.client import AccountsClient
from jobs.board.client import BoardClient
from jobs.capsule.model import Capsule
from jobs.keeping.client import KeepingClient
from jobs.keeping.views import ReceiptView
from jobs.mending import MendOptions
from jobs.notify.client import NotifyClient
from jobs.queue.order import Priority
from jobs.resources.views import ResourcesView
from jobs.results.binned import BinnedView
from jobs.results.exploring import ExploringClient
from jobs.spec import AnySpec, PairedSpec
from jobs.views import (
    ArtifactView,
    DatasetView,
    EventView,
    FeatureHit,
    GenomeView,
    GlanceView,
    Health,
    InboxView,
    JobView,
    ModelView,
    PageOf,
    PredictabilityView,
    PreflightView,
    RecipeView,
    TableView,
    TrainingView,
    UploadView,
    Values,
)


class Client(Protocol):
    """Every method may raise engine.errors.CrossViewError or one of its kin, with code, message and hint."""

    @property
    def keeping(self) -> KeepingClient:
        """Usage and quotas, clocks, receipts, the audit log, backups."""
        ...

    @property
    def accounts(self) -> AccountsClient:
        """Who asks, tokens and sessions, sharing; of operators, users and everybody's queue."""
        ...

    @property
    def board(self) -> BoardClient:
        """The list of jobs: search, stars, labels, the bin, many at once, batches; models on and off the offer."""
        ...

    @property
    def notify(self) -> NotifyClient:
        """Where I want to be told of ends, besides the inbox."""
        ...

    @property
    def exploring(self) -> ExploringClient:
        """Of finished translations: groups of cells compared, stretches of the genome."""
        ...

    def health(self) -> Health: ...

    def models(self) -> list[ModelView]: ...
    def model(self, id: str) -> ModelView: ...

    def predictability(
        self,
        id: str,
        direction: Direction,
        *,
        query: str = "",
        sort: str = "gain_low",
        limit: int = 100,
        offset: int = 0,
    ) -> PredictabilityView:
        """A page of how well each gene or peak is predicted on the model's own held-out cells.

        query: of genes a name or a part of one; of peaks a region, a name, or a gene near them. sort: gain_low (the
        surest first), gain, score, skill or null, the highest first; or position. Raises NotFound where the model was
        never scored so.
        """
        ...

    def recipes(self) -> list[RecipeView]:
        """What can be trained, simplest first."""
        ...

    def delete_model(self, id: str) -> ReceiptView:
        """A model trained here; those of the catalog stay. Raises Conflict while a job uses it."""
        ...

    # Data. Imports run in the background: poll `dataset` until its state is ready, failed or cancelled.
    def create_upload(self, *, name: str, size: int | None = None) -> UploadView: ...
    def upload(self, id: str) -> UploadView: ...
    def append_upload(self, id: str, *, offset: int, chunks: Iterable[bytes], sha256: str | None = None) -> UploadView:
        """sha256: of this slice, which is then kept whole or not at all."""
        ...

    def finish_upload(self, id: str, *, sha256: str | None = None) -> UploadView: ...
    def import_dataset(
        self, source: str, *, modality: Modality | None = None, name: str = "", mends: MendOptions | None = None
    ) -> DatasetView:
        """source: `upload:ID`, `s3://…`, `https://…`, `example:MODEL/rna`, or a path under the import roots.

        mends: which counts, names, build or peaks are wanted (fragments need a model's).
        """
        ...

    def import_pair(
        self, source: str, *, name: str = "", mends: MendOptions | None = None
    ) -> tuple[DatasetView, DatasetView]:
        """One file of both modalities (10x multiome .h5, .h5mu) as two datasets, RNA and ATAC; each may fail alone."""
        ...

    def dataset(self, id: str) -> DatasetView: ...
    def datasets(self) -> list[DatasetView]: ...
    def cancel_dataset(self, id: str) -> DatasetView:
        """Stops an import, of which nothing is left; asking twice is asking once. Raises Conflict after its end."""
        ...

    def delete_dataset(self, id: str, *, cascade: bool = False) -> ReceiptView:
        """cascade: with the models and jobs that carry its cells. Raises Conflict while something needs it."""
        ...

    def glance(self, source: str, *, model: str | None = None, modality: Modality | None = None) -> GlanceView:
        """What a file in S3 or on the web is, by its header; nothing is brought in."""
        ...

    def preflight(
        self, *, model: str, rna: str | None = None, atac: str | None = None, directions: Sequence[Direction] = ()
    ) -> PreflightView: ...

    def pair_preflight(self, spec: PairedSpec) -> PreflightView:
        """Pairing, split and leak checks, filters, and how long and how much memory; nothing is submitted.

        Of a joint view: pairing and what the model knows of both modalities.
        """
        ...

    # Jobs.
    def submit(
        self,
        spec: AnySpec,
        *,
        title: str = "",
        fresh: bool = False,
        priority: Priority = Priority.NORMAL,
        time_limit_s: float | None = None,
    ) -> JobView:
        """Same cells, spec, bundle and code as a job that finished or is under way: that job, unless `fresh`.

        time_limit_s: after which an attempt is stopped. Raises QueueFull.
        """
        ...

    def prioritise(self, id: str, priority: Priority) -> JobView:
        """Moves a job that waits among its user's others. Raises Conflict once it does not wait any more."""
        ...

    def submit_example(self, model: str | None = None) -> JobView: ...
    def jobs(self, *, limit: int = 200, after: str = "") -> list[JobView]:
        """Newest first. after: a cursor of jobs.paging, where the page before ended."""
        ...

    def job(self, id: str) -> JobView: ...
    def events(self, id: str, *, after: int = 0) -> list[EventView]: ...
    def logs(self, id: str, *, tail: int = 200) -> str:
        """The last lines of all attempts, live while one runs."""
        ...

    def cancel(self, id: str) -> JobView: ...
    def retry(self, id: str) -> JobView: ...
    def delete_job(self, id: str) -> ReceiptView: ...

    def resources(self, id: str, *, attempt: int = 0) -> ResourcesView:
        """Processor, memory and GPU over time, also of what failed; of the last attempt that left anything when 0."""
        ...

    def binned(self, id: str, direction: Direction, feature: str, *, map: str = "prediction") -> BinnedView:
        """A gene or peak on a map (prediction, truth or input), as means over squares: for jobs of any size."""
        ...

    def provenance(self, id: str) -> Capsule:
        """Where it came from: inputs, model and code by digest and version, and the files it made."""
        ...

    def capsule(self, id: str) -> bytes:
        """A zip to check a finished job with elsewhere (`crossview capsule verify`); it holds no cells."""
        ...

    def training(self, id: str) -> TrainingView:
        """The curve of a training job, while it runs and afterwards."""
        ...

    # The inbox: ends of jobs and imports.
    def list_notifications(self, *, limit: int = 50, unread_only: bool = False, after: str = "") -> InboxView:
        """Newest first. after: a cursor, as of `jobs`."""
        ...

    def mark_read(self, *, ids: Sequence[str] = (), through: str = "", subject: str = "") -> int:
        """These, all not newer than `through`, and all about the job or dataset `subject`; how many stay unread."""
        ...

    # Results, of SUCCEEDED jobs.
    def benchmark(self, id: str) -> dict[str, Any]:
        """benchmark.json of a benchmark job (engine.benchmark.report says what is in it)."""
        ...

    def report(self, id: str) -> dict[str, Any]:
        """The whole report.json: {"schema", "job", "bundle", "directions": {"rna-to-atac": Report.as_dict()}, …}."""
        ...

    def table(self, id: str, direction: Direction, name: str) -> dict[str, list[Any]]:
        """Columns by name. name: "features" (a row a gene or peak), "cells" (a row a cell, UMAPs in it), "roc"."""
        ...

    def search(self, id: str, direction: Direction, query: str, *, limit: int = 20) -> list[FeatureHit]:
        """Genes by name; peaks by region, by name, or by nearness to a gene's TSS."""
        ...

    def values(
        self,
        id: str,
        direction: Direction,
        *,
        features: Sequence[str],
        modality: Modality | None = None,
        cells: Sequence[str] | None = None,
    ) -> Values:
        """Predicted and true values on one scale. modality of the source gives the measured input only."""
        ...

    # Of joint views.
    def joint_table(self, id: str, name: str) -> dict[str, list[Any]]:
        """Columns by name. name: "cells" (clusters, labels, maps), "rna-features" or "atac-features" (imputation)."""
        ...

    def joint_search(self, id: str, modality: Modality, query: str, *, limit: int = 20) -> list[FeatureHit]: ...
    def joint_values(
        self, id: str, modality: Modality, *, features: Sequence[str], cells: Sequence[str] | None = None
    ) -> Values:
        """Imputed (`predicted`) and measured (`truth`) values on one scale."""
        ...

    # Of analyses.
    def analysis_table(self, id: str, name: str, **page: Unpack[PageOf]) -> TableView:
        """A page of a table of the report, by "WHAT.TABLE" such as "lasso.links" or "trends.curve"."""
        ...

    def analysis_genome(self, id: str, place: str) -> GenomeView:
        """place: chr1:100-200, or a gene with what surrounds it. Of analyses that link peaks."""
        ...

    def artifacts(self, id: str) -> list[ArtifactView]: ...
    def artifact_link(self, id: str, name: str) -> str | None:
        """Where the file may be downloaded from for a few minutes, if the operator lets it come straight from S3."""
        ...

    def open_artifact(self, id: str, name: str) -> Path:
        """A local file that holds the artifact (over HTTP: a downloaded copy)."""
        ...
