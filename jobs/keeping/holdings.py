"""Datasets with what hangs on them: size, clock, jobs that read them, models that carry their cells."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from jobs.accounts import access
from jobs.keeping.deleting import ALL
from jobs.keeping.gate import inputs_of
from jobs.keeping.views import HoldingView
from jobs.shown import dataset_view
from jobs.state import ACTIVE, JobState
from jobs.training.shelf import holders
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table
from storage.tables import retention as retention_table
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.artifacts import ArtifactStore
    from storage.database import Database
    from storage.tables.datasets import DatasetRow


def holdings(database: Database, store: ArtifactStore) -> list[HoldingView]:
    """Of whoever asks, newest first."""
    with database.read() as conn:
        rows = dataset_table.find(conn, owner=access.only(), limit=ALL)
        clocks = retention_table.all_of(conn)
        jobs: dict[str, list[tuple[str, JobState]]] = defaultdict(list)
        trained = set()
        for job in job_table.find(conn, owner=access.only(), limit=ALL):
            for id in inputs_of(job):
                jobs[id].append((job.id, JobState(job.state)))
                if job.kind == "train":
                    trained.add(id)
        twins: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            if row.digest:
                twins[row.digest].append(row.id)
        held = {id: tuple(holders(conn, id, store)) for id in trained}
    now = utcnow()

    def view(row: DatasetRow) -> HoldingView:
        clock = clocks.get(row.id)
        until = clock.until if clock else None
        return HoldingView(
            dataset=dataset_view(row, until=until),
            bytes=row.bytes,
            overdue=until is not None and until <= now,
            running=tuple(id for id, state in jobs[row.id] if state in ACTIVE),
            used_by=tuple(id for id, _ in jobs[row.id]),
            held_by=held.get(row.id, ()),
            shares=tuple(id for id in twins[row.digest or ""] if id != row.id),
        )

    return [view(row) for row in rows]


def standing_in_the_way(conn: DuckDBPyConnection, id: str, store: ArtifactStore) -> list[str]:
    """Jobs that run on it and models that carry its cells."""
    running = [job.id for job in job_table.find(conn, states=ACTIVE, limit=ALL) if id in inputs_of(job)]
    return [*running, *holders(conn, id, store)]
