"""A service whose background work is not started, and rows with their objects where a test puts them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.types import Direction
from jobs import layout
from jobs.accounts import access
from jobs.bootstrap import build_service
from jobs.service import JobService
from jobs.spec import TrainSpec, TranslateSpec
from jobs.state import JobState
from storage.tables import artifacts as artifact_table
from storage.tables.artifacts import ArtifactRow
from storage.tables.datasets import DatasetRow
from storage.tables.jobs import JobRow
from storage.tables.rows import utcnow
from tests.forked import ForkedRunner
from tests.labs import MODEL, lab_settings


def opened(home: Path, catalog: Path, **changes: Any) -> JobService:
    """A service over a real home whose background work is not started: rows stand where a test puts them."""
    settings = replace(lab_settings(home, catalog), **changes)
    return build_service(settings, runner=ForkedRunner(home / "runner", workers=1))


def cells(service: JobService, id: str, content: bytes = b"cells", *, name: str = "patient-7.h5ad") -> DatasetRow:
    """A dataset that was brought in, with its copy in the store."""
    digest = hashlib.sha256(content).hexdigest()
    service.store.put_bytes(layout.dataset(digest), content)
    row = DatasetRow(
        id=id,
        name=name,
        state="ready",
        digest=digest,
        modality="rna",
        cells=3,
        bytes=len(content),
        origin="upload:x",
        owner=access.owner(),
    )
    service.database.write_now(service.importer.gate.datasets([row]))
    return row


def translation(dataset: str) -> TranslateSpec:
    return TranslateSpec(model=MODEL, rna=dataset, directions=(Direction.RNA_TO_ATAC,))


def job(
    service: JobService, id: str, dataset: str, *, state: JobState = JobState.SUCCEEDED, kind: str = "",
    report: bytes | None = None,
) -> JobRow:  # fmt: skip
    """A job over these cells with one file as its result."""
    spec = translation(dataset) if not kind else TrainSpec(model="knn", rna=dataset, atac=dataset)
    row = JobRow(
        id=id, kind=spec.kind, state=JobState.QUEUED, spec=spec.model_dump(mode="json"), spec_digest=spec.digest,
        title="Mine", finished_at=utcnow(), result={"summary": {"holds_cells": bool(kind)}}, owner=access.owner(),
    )  # fmt: skip
    data = report if report is not None else f"result of {id}".encode()
    key = layout.output(id, 1, "report.json")
    service.store.put_bytes(key, data)
    found = ArtifactRow(
        job=id, attempt=1, name="report.json", uri=key, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
    )
    service.database.write_now(service.importer.gate.job(row))
    service.database.write_now(lambda conn: artifact_table.put(conn, found))
    service.database.write_now(lambda conn: conn.execute("update jobs set state = ? where id = ?", [state.value, id]))
    return row
