"""Models that were trained here, beside those of the catalog: their files lie in the artifact store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engine.translators.registry import HOLDS_CELLS
from jobs import layout
from jobs.accounts import access
from jobs.catalog import CatalogEntry
from jobs.state import JobState
from storage.errors import StorageError
from storage.tables import jobs as job_table
from storage.tables import models as model_table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from jobs.results.shelf import Shelf
    from storage.artifacts import ArtifactStore
    from storage.database import Database
    from storage.tables.jobs import JobRow
    from storage.tables.models import ModelRow

log = logging.getLogger(__name__)
Catalog = Mapping[str, CatalogEntry]


def with_trained(catalog: Callable[[], Catalog], database: Database, shelf: Shelf) -> Callable[[], Catalog]:
    """The catalog, and after it the models trained here that whoever asks may see, the newest first."""

    def load() -> Catalog:
        with database.read() as conn:
            rows = [row for row in model_table.find(conn) if access.may_see(conn, "model", row.id, row.owner)]
        entries = dict(catalog())
        for row in rows:
            try:
                entries.setdefault(row.id, entry_of(row, shelf))
            except StorageError as error:  # one model that cannot be read hides no other
                log.warning("The model %s cannot be read: %s", row.id, error)
        return entries

    return load


def entry_of(row: ModelRow, shelf: Shelf) -> CatalogEntry:
    return CatalogEntry(
        row.id,
        row.name,
        shelf.folder(layout.bundle(row.digest)),
        tissue="your own cells",
        recommended_for="Cells like those it was trained on.",
        words=shelf.folder(layout.model(row.id)),
        job=row.job,
        datasets=tuple(row.datasets),
        owner=row.owner,
    )


def holders(conn: DuckDBPyConnection, dataset: str, store: ArtifactStore) -> list[str]:
    """What carries cells of this dataset: models, and the files of the jobs that trained such models."""
    models = [row.id for row in model_table.find(conn) if row.holds_cells and dataset in row.datasets]
    jobs = [
        row.id
        for row in job_table.find(conn, kind="train", limit=10_000)
        if dataset in (row.spec.get("rna"), row.spec.get("atac")) and _left_cells(row, store)
    ]
    return [*models, *jobs]


def _left_cells(row: JobRow, store: ArtifactStore) -> bool:
    """One that failed after its fit left the model among its files, though it never came on offer."""
    if row.state == JobState.SUCCEEDED.value:
        return bool(((row.result or {}).get("summary") or {}).get("holds_cells"))
    made = layout.training(row.id, row.spec_digest, "bundle/bundle.json")
    return row.spec.get("model") in HOLDS_CELLS and store.exists(made)
