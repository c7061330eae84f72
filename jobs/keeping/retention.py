"""Clocks: until when datasets and results are kept, and the sweeper that deletes what is over and nobody needs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobs.accounts import access
from jobs.errors import BadRequest, Conflict, NotFound
from jobs.keeping.actor import SERVICE, acting_as
from jobs.keeping.audit import note_added_models, noted
from jobs.keeping.deleting import ALL, BINNED, EXPIRED, Deleter
from jobs.settings import Settings
from jobs.state import TERMINAL
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table
from storage.tables import marks
from storage.tables import retention as table
from storage.tables.retention import RetentionRow
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.database import Database
    from storage.uploads import UploadArea

log = logging.getLogger(__name__)

MOST_DAYS = 36_500  # ours
UPLOAD_IDLE = timedelta(days=2)  # before an unfinished upload is swept  # ours
SWEEP_S = 60.0  # ours


def set_clock(database: Database, id: str, *, days: int | None) -> None:
    """Days from now; None keeps it until somebody deletes it. Raises NotFound, BadRequest."""
    if days is not None and not 0 < days <= MOST_DAYS:
        raise BadRequest(f"{days} days cannot be kept.", hint=f"Give 1 to {MOST_DAYS:,} days, or none to keep it.")
    until = None if days is None else utcnow() + timedelta(days=days)

    def change(conn: DuckDBPyConnection) -> None:
        row = dataset_table.get(conn, id)
        if row is None or row.deleted_at is not None or not access.mine(row.owner):
            raise NotFound(f"There is no dataset {id[:80]!r}.", hint="It may have been deleted: bring it in again.")
        table.put(conn, RetentionRow(object=id, until=until))

    database.write_now(noted("dataset.keep", id, change, until=until.isoformat() if until else "until deleted"))


@dataclass
class Sweeper:
    """One thread that looks once a minute. What a job uses or a model holds stays, and is shown as overdue."""

    settings: Settings
    database: Database
    deleter: Deleter
    uploads: UploadArea
    now: Callable[[], datetime] = utcnow
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="retention", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def sweep(self) -> list[str]:
        """Deletes what is over; the ids that went."""
        gone = []
        with acting_as(SERVICE, "retention clock"):
            note_added_models(self.database, self.settings.home / "models")
            self.deleter.resume()
            for upload in self.uploads.sweep(UPLOAD_IDLE):
                log.info("Upload %s was idle for two days and is gone.", upload)
            for id, delete in self._over():
                if self._stop.is_set() or self.deleter.pause.is_set():
                    break
                try:
                    delete(id)
                    gone.append(id)
                    log.info("%s was deleted: %s.", id, EXPIRED)
                except (Conflict, NotFound) as error:
                    log.info("%s is over its time and stays: %s", id, error)
        return gone

    def _over(self) -> Sequence[tuple[str, Callable[[str], object]]]:
        """What is over and, as it stands now, free to go. The deletion looks again, in its own transaction."""
        now = self.now()
        with self.database.read() as conn:
            free = [row.object for row in table.expired(conn, now) if self._free(conn, row.object)]
            days = self.settings.result_days
            binned = marks.over(conn, now)
            ended = job_table.find(conn, states=TERMINAL, limit=ALL) if days is not None else []
        limit = now - timedelta(days=days or 0)
        jobs = [row.id for row in ended if row.finished_at is not None and row.finished_at < limit]
        over = [(id, self._dataset) for id in free] + [(id, self._job) for id in jobs if id not in binned]
        return over + [(id, self._binned) for id in binned]

    def _free(self, conn: DuckDBPyConnection, id: str) -> bool:
        """Whether nothing is in the way, so that a refusal is not written down every minute."""
        from jobs.keeping.holdings import standing_in_the_way

        row = dataset_table.get(conn, id)
        return (
            row is not None
            and row.deleted_at is None
            and row.state != "importing"
            and not standing_in_the_way(conn, id, self.deleter.shelf.store)
        )

    def _dataset(self, id: str) -> object:
        return self.deleter.dataset(id, reason=EXPIRED)

    def _job(self, id: str) -> object:
        return self.deleter.job(id, reason=EXPIRED)

    def _binned(self, id: str) -> object:
        return self.deleter.job(id, reason=BINNED)

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self.sweep()
            except Exception:
                log.exception("What is over could not be swept; trying again in a minute.")
            self._stop.wait(SWEEP_S)
