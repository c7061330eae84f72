"""Rows to views: what the database keeps, as pages and clients see it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from engine.types import Modality
from jobs.accounts.insides import hidden
from jobs.queue.order import Priority
from jobs.spec import AnySpec, BenchmarkSpec, EvaluateSpec, ScoredSpec, model_digest, read_spec
from jobs.state import JobState
from jobs.views import DatasetView, EventView, Failure, JobView, Progress, UploadView

if TYPE_CHECKING:
    from storage.tables.datasets import DatasetRow
    from storage.tables.jobs import JobEvent, JobRow
    from storage.uploads import Upload

DatasetState = Literal["importing", "ready", "failed", "cancelled"]


def dataset_view(row: DatasetRow, *, until: datetime | None = None) -> DatasetView:
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
        until=until,
    )


def job_view(
    row: JobRow,
    *,
    position: int | None = None,
    eta_s: tuple[float, float] | None = None,
    from_cache: bool = False,
    shared_by: str = "",
) -> JobView:
    spec = read_spec(row.spec)
    known: dict[str, Any] = dict(row.result or {})
    directions = spec.directions if isinstance(spec, ScoredSpec) else ()
    summary = known.get("summary") or {}
    return JobView(
        id=row.id,
        kind=row.kind,
        title=row.title,
        state=JobState(row.state),
        attempt=row.attempt,
        model=model_word(spec),
        bundle=model_digest(spec) or summary.get("bundle", ""),
        made=summary.get("model", "") if row.kind == "train" else "",
        directions=directions,
        truth=tuple(d for d in directions if isinstance(spec, ScoredSpec) and spec.has_truth(d)),
        progress=Progress(stage=row.stage, done=row.done, total=row.total, message=row.message),
        priority=Priority(row.priority),
        time_limit_s=row.time_limit_s,
        position=position,
        eta_s=eta_s,
        cells=known.get("cells"),
        outside={d: summary[d.value]["outside"] for d in directions if "outside" in summary.get(d.value, {})},
        failure=_failure(row.failure),
        spec=spec.model_dump(mode="json"),
        input_names=known.get("input_names", {}),
        from_cache=from_cache,
        shared_by=shared_by,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        updated_at=row.updated_at,
    )


def model_word(spec: AnySpec) -> str:
    """The model a job is about: an id of the catalog, a key of the registry, or the names of a benchmark's lines."""
    if isinstance(spec, BenchmarkSpec):
        return ", ".join(each.label or each.model for each in spec.contenders)
    if isinstance(spec, EvaluateSpec):
        return spec.method
    return spec.model


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
    return hidden(Failure.model_validate(document)) if document else None
