"""What operators see of everybody: the queue without titles, how much each keeps, settings without secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.accounts import access
from jobs.accounts.views import QueueView, SettingValue, UsedView
from jobs.errors import NotFound
from jobs.failures import scrub
from jobs.keeping.quota import Quota
from jobs.queue.rules import Rules
from jobs.queue.standing import Standing
from jobs.state import ACTIVE, JobState
from storage.tables import jobs as job_table
from storage.tables import users as user_table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.database import Database
    from storage.tables.jobs import JobRow

HIDDEN = "set, not shown"
SECRET = ("SECRET", "PASSWORD", "WEBHOOK_URLS", "ACCESS_KEY", "TOKEN")
MOST = 1_000  # jobs in one answer  # ours


@dataclass(frozen=True)
class Overview:
    database: Database
    quota: Quota
    rules: Rules

    def queue(self) -> list[QueueView]:
        """Jobs that wait and run, of everybody. Raises NotAllowed."""
        access.require_operator()
        with self.database.read() as conn:
            rows = job_table.find(conn, states=ACTIVE, limit=MOST)
            places = Standing(conn, self.rules).places
            names = _names(conn)
        rows.sort(key=lambda row: (row.state == JobState.QUEUED, places.get(row.id, 0), row.submitted_at))
        return [_line(row, names, place=places.get(row.id)) for row in rows]

    def one(self, id: str) -> QueueView:
        """As the queue shows it, also when it has just left it. Raises NotAllowed, NotFound."""
        access.require_operator()
        with self.database.read() as conn:
            if (row := job_table.get(conn, id)) is None:
                raise NotFound(f"There is no job {id[:80]!r}.", hint="It may have been deleted.")
            return _line(row, _names(conn), place=Standing(conn, self.rules).places.get(id))

    def used(self) -> list[UsedView]:
        """The most first. Raises NotAllowed."""
        access.require_operator()
        with self.database.read() as conn:
            names = _names(conn)
            found = conn.execute("select distinct owner from datasets union select distinct owner from jobs").fetchall()
            owners = sorted({str(owner) for (owner,) in found} | set(names))
            uploads = {owner: self.quota.uploads_bytes(owner) for owner in owners}
            usages = [self.quota.usage_in(conn, owner, uploads[owner]) for owner in owners]
        views = [
            UsedView(
                owner=each.owner, owner_name=names.get(each.owner, each.owner), bytes=each.bytes,
                datasets=each.datasets, jobs=each.jobs,
            )
            for each in usages
        ]  # fmt: skip
        return sorted(views, key=lambda view: -view.bytes)

    def settings(self, environ: Mapping[str, str] = os.environ) -> list[SettingValue]:
        """Every variable that is set, as it is in force. Raises NotAllowed."""
        access.require_operator()
        named = sorted(name for name, value in environ.items() if name.startswith("CROSSVIEW_") and value)
        return [
            SettingValue(name=name, value=shown(name, environ[name])) for name in named if not name.endswith("_MARK")
        ]


def _names(conn: DuckDBPyConnection) -> dict[str, str]:
    return {row.id: row.name or row.email for row in user_table.find(conn)}


def _line(row: JobRow, names: Mapping[str, str], *, place: int | None) -> QueueView:
    return QueueView(
        id=row.id, owner=row.owner, owner_name=names.get(row.owner, row.owner), kind=row.kind, state=row.state,
        priority=row.priority, position=place, submitted_at=row.submitted_at, started_at=row.started_at,
    )  # fmt: skip


def shown(name: str, value: str) -> str:
    """A path to a secret is no secret."""
    secret = any(word in name for word in SECRET) and not name.endswith(("_PATH", "_PROFILES"))
    return HIDDEN if secret else scrub(value)
