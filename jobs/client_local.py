"""The client in process: the service, with every typed trouble as kin of CrossViewError."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from engine.types import Direction, Modality
from jobs.accounts.client import AccountsClient, LocalAccounts
from jobs.board.client import BoardClient, LocalBoard
from jobs.capsule.model import Capsule
from jobs.failures import typed_errors
from jobs.keeping.client import KeepingClient, LocalKeeping
from jobs.keeping.views import ReceiptView
from jobs.mending import MendOptions
from jobs.notify.client import LocalNotify, NotifyClient
from jobs.once import Keys
from jobs.queue.order import Priority
from jobs.resources.views import ResourcesView
from jobs.results.binned import BinnedView
from jobs.results.exploring import ExploringClient, LocalExploring
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

if TYPE_CHECKING:
    from jobs.service import JobService


class LocalClient:
    """Calls the service directly; raises what HttpClient raises."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    @property
    def service(self) -> JobService:
        """Behind it, for the doors of this process."""
        return self._service

    @property
    def accounts(self) -> AccountsClient:
        return LocalAccounts(self._service.accounts)

    @property
    def keeping(self) -> KeepingClient:
        return LocalKeeping(self._service.keeping)

    @property
    def keys(self) -> Keys:
        """What was asked with a key, for the routes."""
        return self._service.keys

    @property
    def board(self) -> BoardClient:
        return LocalBoard(self._service.board)

    @property
    def notify(self) -> NotifyClient:
        return LocalNotify(self._service.personal)

    @property
    def exploring(self) -> ExploringClient:
        return LocalExploring(self._service.results)

    def health(self) -> Health:
        with typed_errors():
            return self._service.health()

    def models(self) -> list[ModelView]:
        with typed_errors():
            return self._service.board.models()

    def model(self, id: str) -> ModelView:
        with typed_errors():
            return self._service.board.model(id)

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
        with typed_errors():
            return self._service.models.predictability(
                id, direction, query=query, sort=sort, limit=limit, offset=offset
            )

    def recipes(self) -> list[RecipeView]:
        with typed_errors():
            return self._service.recipes()

    def delete_model(self, id: str) -> ReceiptView:
        with typed_errors():
            return self._service.delete_model(id)

    def create_upload(self, *, name: str, size: int | None = None) -> UploadView:
        with typed_errors():
            return self._service.create_upload(name=name, size=size)

    def upload(self, id: str) -> UploadView:
        with typed_errors():
            return self._service.upload(id)

    def append_upload(self, id: str, *, offset: int, chunks: Iterable[bytes], sha256: str | None = None) -> UploadView:
        with typed_errors():
            return self._service.append_upload(id, offset=offset, chunks=chunks, sha256=sha256)

    def finish_upload(self, id: str, *, sha256: str | None = None) -> UploadView:
        with typed_errors():
            return self._service.finish_upload(id, sha256=sha256)

    def import_dataset(
        self, source: str, *, modality: Modality | None = None, name: str = "", mends: MendOptions | None = None
    ) -> DatasetView:
        with typed_errors():
            return self._service.import_dataset(source, modality=modality, name=name, mends=mends)

    def import_pair(
        self, source: str, *, name: str = "", mends: MendOptions | None = None
    ) -> tuple[DatasetView, DatasetView]:
        with typed_errors():
            return self._service.import_pair(source, name=name, mends=mends)

    def dataset(self, id: str) -> DatasetView:
        with typed_errors():
            return self._service.dataset(id)

    def datasets(self) -> list[DatasetView]:
        with typed_errors():
            return self._service.datasets()

    def cancel_dataset(self, id: str) -> DatasetView:
        with typed_errors():
            return self._service.cancel_dataset(id)

    def delete_dataset(self, id: str, *, cascade: bool = False) -> ReceiptView:
        with typed_errors():
            return self._service.delete_dataset(id, cascade=cascade)

    def glance(self, source: str, *, model: str | None = None, modality: Modality | None = None) -> GlanceView:
        from jobs.afar import view

        with typed_errors():
            return view(source, self._service.settings, self._service.models, model=model, modality=modality)

    def preflight(
        self, *, model: str, rna: str | None = None, atac: str | None = None, directions: Sequence[Direction] = ()
    ) -> PreflightView:
        with typed_errors():
            return self._service.desk.preflight(model=model, rna=rna, atac=atac, directions=directions)

    def pair_preflight(self, spec: PairedSpec) -> PreflightView:
        with typed_errors():
            return self._service.desk.pair_preflight(spec)

    def submit(
        self,
        spec: AnySpec,
        *,
        title: str = "",
        fresh: bool = False,
        priority: Priority = Priority.NORMAL,
        time_limit_s: float | None = None,
    ) -> JobView:
        with typed_errors():
            return self._service.desk.submit(
                spec, title=title, fresh=fresh, priority=priority, time_limit_s=time_limit_s
            )

    def prioritise(self, id: str, priority: Priority) -> JobView:
        with typed_errors():
            return self._service.desk.prioritise(id, priority)

    def submit_example(self, model: str | None = None) -> JobView:
        with typed_errors():
            return self._service.desk.submit_example(model)

    def jobs(self, *, limit: int = 200, after: str = "") -> list[JobView]:
        with typed_errors():
            return self._service.jobs(limit=limit, after=after)

    def job(self, id: str) -> JobView:
        with typed_errors():
            return self._service.job(id)

    def events(self, id: str, *, after: int = 0) -> list[EventView]:
        with typed_errors():
            return self._service.events(id, after=after)

    def logs(self, id: str, *, tail: int = 200) -> str:
        with typed_errors():
            return self._service.logs(id, tail=tail)

    def cancel(self, id: str) -> JobView:
        with typed_errors():
            return self._service.cancel(id)

    def retry(self, id: str) -> JobView:
        with typed_errors():
            return self._service.retry(id)

    def delete_job(self, id: str) -> ReceiptView:
        with typed_errors():
            return self._service.delete_job(id)

    def list_notifications(self, *, limit: int = 50, unread_only: bool = False, after: str = "") -> InboxView:
        with typed_errors():
            return self._service.inbox.newest(limit=limit, unread_only=unread_only, after=after)

    def mark_read(self, *, ids: Sequence[str] = (), through: str = "", subject: str = "") -> int:
        with typed_errors():
            return self._service.inbox.mark_read(ids=ids, through=through, subject=subject)

    def resources(self, id: str, *, attempt: int = 0) -> ResourcesView:
        with typed_errors():
            return self._service.resources.view(id, attempt=attempt)

    def binned(self, id: str, direction: Direction, feature: str, *, map: str = "prediction") -> BinnedView:
        with typed_errors():
            return self._service.binned.feature(id, direction, feature, map=map)

    def provenance(self, id: str) -> Capsule:
        with typed_errors():
            return self._service.capsules.provenance(id)

    def capsule(self, id: str) -> bytes:
        with typed_errors():
            return self._service.capsules.of(id)

    def training(self, id: str) -> TrainingView:
        with typed_errors():
            return self._service.training(id)

    def benchmark(self, id: str) -> dict[str, Any]:
        with typed_errors():
            return self._service.benchmark(id)

    def report(self, id: str) -> dict[str, Any]:
        with typed_errors():
            return self._service.results.report(id)

    def table(self, id: str, direction: Direction, name: str) -> dict[str, list[Any]]:
        with typed_errors():
            return self._service.results.table(id, direction, name)

    def search(self, id: str, direction: Direction, query: str, *, limit: int = 20) -> list[FeatureHit]:
        with typed_errors():
            return self._service.results.search(id, direction, query, limit=limit)

    def values(
        self,
        id: str,
        direction: Direction,
        *,
        features: Sequence[str],
        modality: Modality | None = None,
        cells: Sequence[str] | None = None,
    ) -> Values:
        with typed_errors():
            return self._service.results.values(id, direction, features=features, modality=modality, cells=cells)

    def joint_table(self, id: str, name: str) -> dict[str, list[Any]]:
        with typed_errors():
            return self._service.joint.table(id, name)

    def joint_search(self, id: str, modality: Modality, query: str, *, limit: int = 20) -> list[FeatureHit]:
        with typed_errors():
            return self._service.joint.search(id, modality, query, limit=limit)

    def joint_values(
        self, id: str, modality: Modality, *, features: Sequence[str], cells: Sequence[str] | None = None
    ) -> Values:
        with typed_errors():
            return self._service.joint.values(id, modality, features=features, cells=cells)

    def analysis_table(self, id: str, name: str, **page: Unpack[PageOf]) -> TableView:
        with typed_errors():
            return self._service.analysis.table(id, name, **page)

    def analysis_genome(self, id: str, place: str) -> GenomeView:
        with typed_errors():
            return self._service.analysis.genome(id, place)

    def artifacts(self, id: str) -> list[ArtifactView]:
        with typed_errors():
            return self._service.results.artifacts(id)

    def artifact_link(self, id: str, name: str) -> str | None:
        with typed_errors():
            return self._service.download_link(id, name)

    def open_artifact(self, id: str, name: str) -> Path:
        with typed_errors():
            return self._service.download(id, name)
