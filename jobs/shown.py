"""Rows to views: what the database keeps, as pages and clients see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from engine.types import Modality
from jobs.spec import TranslateSpec
from jobs.state import JobState
from jobs.views import DatasetView, EventView, Failure, JobView, Progress, UploadView

if TYPE_CHECKING:
    from storage.tables.datasets import DatasetRow
    from storage.tables.jobs import JobEvent, JobRow
    from storage.uploads import Upload

DatasetState = Literal["importing", "ready", "failed"]


def dataset_view(row: DatasetRow) -> DatasetView:
    return DatasetView(
        id=row.id,
        name=row.name,
        state=cast(DatasetState, row.state),
        stage=row.stage,
        done=row.done,
        total=row.total,
        modality=Modality(row.modality) if row.modality and row.state == "ready" else None,
        digest=row.digest,
        cells=row.cells,
        features=row.features,
        genome=row.genome,
        summary=dict(row.summary),
        origin=row.origin,
        failure=_failure(row.failure),
        created_at=row.created_at,
    )


def job_view(
    row: JobRow,
    *,
    position: int | None = None,
    eta_s: tuple[float, float] | None = None,
    from_cache: bool = False,
) -> JobView:
    spec = TranslateSpec.model_validate(dict(row.spec))
    known: dict[str, Any] = dict(row.result or {})
    return JobView(
        id=row.id,
        kind=row.kind,
        title=row.title,
        state=JobState(row.state),
        attempt=row.attempt,
        model=spec.model,
        bundle=spec.bundle,
        directions=spec.directions,
        truth=tuple(direction for direction in spec.directions if spec.has_truth(direction)),
        progress=Progress(stage=row.stage, done=row.done, total=row.total, message=row.message),
        position=position,
        eta_s=eta_s,
        cells=known.get("cells"),
        failure=_failure(row.failure),
        spec=spec.model_dump(mode="json"),
        input_names=known.get("input_names", {}),
        from_cache=from_cache,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        updated_at=row.updated_at,
    )


def event_view(row: JobEvent) -> EventView:
    return EventView(
        seq=row.seq,
        attempt=row.attempt,
        moment=row.moment,
        kind=row.kind,
        from_state=JobState(row.from_state) if row.from_state else None,
        to_state=JobState(row.to_state) if row.to_state else None,
        detail=dict(row.detail),
    )


def upload_view(upload: Upload) -> UploadView:
    return UploadView(
        id=upload.id,
        name=upload.name,
        size=upload.size,
        received=upload.received,
        finished=upload.finished,
        sha256=upload.sha256,
    )


def _failure(document: Any) -> Failure | None:
    return Failure.model_validate(document) if document else None
