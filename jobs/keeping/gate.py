"""What must hold in the very transaction that adds a dataset or a job: room, cells that are still there, an entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.errors import NotFound
from jobs.keeping.audit import Act, entry
from jobs.keeping.quota import Quota
from jobs.once import noting
from jobs.spec import INPUTS
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table
from storage.tables import retention as retention_table
from storage.tables.retention import RetentionRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.tables.datasets import DatasetRow
    from storage.tables.jobs import JobRow

KINDS = ("upload:", "example:", "s3://", "https://", "http://")


@dataclass(frozen=True, slots=True)
class Gate:
    """Everything that is brought in or asked for passes here."""

    quota: Quota

    def datasets(self, rows: Sequence[DatasetRow], *, size: int = 0) -> Act[None]:
        """Adds the rows with their clock and their entries. size: bytes of their source where it lies elsewhere.

        Raises OverQuota.
        """
        uploads = 0 if self.quota.unlimited else self.quota.uploads_bytes(rows[0].owner)
        days = self.quota.settings.retention_days
        entries = [entry("dataset.import", row.id, source=source_kind(row.origin)) for row in rows]
        note = noting([row.id for row in rows])

        def add(conn: DuckDBPyConnection) -> None:
            self.quota.require_datasets(conn, rows[0].owner, uploads, count=len(rows), size=size)
            for row, write in zip(rows, entries, strict=True):
                dataset_table.insert(conn, row)
                if days is not None:
                    until = row.created_at + timedelta(days=days)
                    retention_table.put(conn, RetentionRow(object=row.id, until=until))
                write(conn)
            note(conn)

        return add

    def job(self, row: JobRow) -> Act[None]:
        """Adds the job, if its cells were not deleted since they were looked at. Raises NotFound, OverQuota."""
        uploads = 0 if self.quota.unlimited else self.quota.uploads_bytes(row.owner)
        write = entry("job.submit", row.id, kind=row.kind, spec=row.spec_digest[:16])
        note = noting([row.id])

        def add(conn: DuckDBPyConnection) -> None:
            for id in inputs_of(row):
                cells = dataset_table.get(conn, id)
                if cells is None or cells.deleted_at is not None:
                    raise NotFound(f"The dataset {id} was deleted meanwhile.", hint="Bring the cells in again.")
            self.quota.require_job(conn, row.owner, uploads)
            job_table.insert(conn, row)
            write(conn)
            note(conn)

        return add


def inputs_of(row: JobRow) -> set[str]:
    """The datasets a job reads."""
    return {str(id) for name in INPUTS if (id := row.spec.get(name)) is not None}


def source_kind(origin: str) -> str:
    """What may be said of a source without its name: a path or a key can name a patient."""
    return next((kind.rstrip(":/") for kind in KINDS if origin.startswith(kind)), "path")
