"""The import of one file: fetched once, cleaned in a child process for each modality, stored by content.

A failure leaves its row and nothing else; so does a stop, after which nothing is published any more.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.types import Modality
from jobs import layout
from jobs.errors import NotReady
from jobs.failures import failure_of
from jobs.fetching import web_of, without_query
from jobs.importing.stopping import Stopped, Stops
from jobs.mending import ASKED, for_import
from jobs.notify.record import import_changed
from storage.errors import StorageError
from storage.tables import datasets as table
from storage.tables.datasets import DatasetRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from engine.intake.canonical import Summary
    from jobs.importing.importer import Importer, Origin

log = logging.getLogger(__name__)

SAY_EVERY_S = 0.5  # how often progress is written to the row  # ours
STOP_S = 4.0  # for which whoever stops an import waits for its end  # ours
ORIGINAL = "original"  # of what is fetched: its name in the scratch folder
Report = Callable[[str, int, int], None]  # stage, done, total


@dataclass
class Bringing:
    """rows: of one file. future: of `run`, on a thread of the pool; the work has one of its own, that may be left."""

    at: Importer
    rows: Sequence[DatasetRow]
    stops: Stops = field(init=False)
    future: Future[None] = field(init=False)
    _opened: bool = False

    def __post_init__(self) -> None:
        self.stops = Stops({row.id for row in self.rows})

    @property
    def work(self) -> Path:
        return self.at.settings.scratch / self.rows[0].id

    def run(self) -> None:
        self.stops.accompany(self._work, left=self._left_behind)

    def stop(self, id: str) -> None:
        """Until nothing is left of it, or its worker was left behind without what it wrote."""
        self.stops.stop(id)
        if self.stops.any():
            return  # the other one of the same file goes on
        if self.future.cancel():  # it had not begun
            self._clean_up()
        else:
            wait([self.future], STOP_S)

    def wait(self, timeout_s: float) -> None:
        """Until it ended, or raises TimeoutError."""
        with suppress(CancelledError):
            self.future.result(timeout_s)

    # -- on a thread of its own ----------------------------------------------------------------------------------

    def _work(self) -> None:
        failed: list[tuple[DatasetRow, Exception]] = []
        try:
            self._look_once_more()
            self.work.mkdir(parents=True)
            origin = self.at.origin(self.rows[0].origin)
            self._opened = True
            if (path := origin.path) is None:
                path = self.work / ORIGINAL
                origin = self._fetch(origin, path)
            for row in self.rows:
                if (met := self._try(row, origin, path)) is not None:
                    failed.append((row, met))
        except Exception as error:
            failed = [(row, error) for row in self.rows]
        if failed and self.at.closing and self.stops.any():
            return  # the next process starts it again
        self._clean_up()  # before it is said: who sees the failure finds no trace
        for row, problem in failed:
            if not self.stops.any(row.id):
                log.info("The import of dataset %s was stopped", row.id)
                continue
            log.info("Dataset %s could not be brought in: %s", row.id, problem)
            self._change(
                row,
                state="failed",
                stage="",
                origin=without_query(row.origin),
                failure=failure_of(problem).model_dump(),
            )

    def _look_once_more(self) -> None:
        """Raises Stopped where all were cancelled before anybody could tell us."""
        with self.at.database.read() as conn:
            for row in self.rows:
                found = table.get(conn, row.id)
                if found is None or found.state != "importing":
                    self.stops.stop(row.id)
        self.stops.require()

    def _try(self, row: DatasetRow, origin: Origin, path: Path) -> Exception | None:
        """The row made ready, or what it failed of: that costs the other row of the same file nothing."""
        try:
            self._bring(row, origin, path, self.work / f"{row.id}.h5ad")
        except Exception as error:
            return error
        return None

    def _bring(self, row: DatasetRow, origin: Origin, path: Path, clean: Path) -> None:
        """clean: where the canonical copy is made before it goes to the store."""
        from engine.intake.child import run_in_child
        from storage.files import sha256_of

        report = self._reporter(row)
        report("checking", 0, 0)
        modality = Modality(row.modality) if row.modality else None
        mends = for_import(
            row.summary.get(ASKED, {}), modality, models=self.at.models, chains=self.at.settings.chains,
            database=self.at.database, store=self.at.store, work=clean.parent,
        )  # fmt: skip
        summary = run_in_child(
            path,
            clean,
            modality=modality,
            source=origin.name,
            mends=mends,
            progress=lambda done, total: report("copying", done, total),
            until=lambda kill: self.stops.when_none([row.id], kill),
        )
        report("storing", 0, 0)
        digest, size = sha256_of(clean, each=lambda: self.stops.require(row.id)), clean.stat().st_size
        try:
            self.at.store.put_file(layout.dataset(digest), clean)  # also over a copy that is there: it may be damaged
            with self.at.content:  # nobody deletes the same content between our look and our word
                if not self.at.store.exists(layout.dataset(digest)):
                    self.at.store.put_file(layout.dataset(digest), clean)
                if not self._finish(row, digest, size, summary):
                    raise Stopped
        except Exception:
            self._take_back(digest)
            raise

    def _take_back(self, digest: str) -> None:
        """What was stored for nobody: another dataset of the same content keeps it."""
        with self.at.content, suppress(StorageError):
            with self.at.database.read() as conn:
                wanted = table.find(conn, digest=digest, limit=1)
            if not wanted:
                self.at.store.delete(layout.dataset(digest))

    def _fetch(self, origin: Origin, into: Path) -> Origin:
        """Downloads the file, which goes by the name that its server gives it from now on."""
        from storage.sources import Limits, fetch

        report = self._reporter(self.rows[0])

        def step(done: int, total: int) -> None:
            self.stops.require()
            if self.at.closing:
                raise NotReady("The server is closing.", hint="It goes on when it is started again.")
            report("downloading", done, total)

        step(0, 0)
        web = web_of(self.at.settings)
        with self.stops.when_none((row.id for row in self.rows), web.stop):
            found = fetch(
                str(origin.uri),
                into,
                profiles=self.at.profiles,
                web=web,
                limits=Limits(max_bytes=self.at.settings.max_upload_bytes),
                progress=step,
            )
        for row in self.rows:
            half = f" ({(row.modality or '').upper()})"
            if row.name in (origin.name, origin.name + half):  # nobody gave it another
                self._change(row, name=row.name.replace(origin.name, found.name, 1))
        return replace(origin, name=found.name)

    def _finish(self, row: DatasetRow, digest: str, size: int, summary: Summary) -> bool:
        """False where it was stopped meanwhile."""
        return self._change(
            row,
            state="ready",
            stage="",
            origin=without_query(row.origin),  # its permission is not needed any more
            done=summary.cells,
            total=summary.cells,
            digest=digest,
            modality=summary.modality.value,
            cells=summary.cells,
            features=summary.features,
            genome=summary.genome,
            summary=summary.to_json(),
            uri=layout.dataset(digest),
            bytes=size,
        )

    def _reporter(self, row: DatasetRow) -> Report:
        last_stage, last_moment = "", 0.0

        def report(stage: str, done: int, total: int) -> None:
            nonlocal last_stage, last_moment
            self.stops.require(row.id)
            now = time.monotonic()
            if stage == last_stage and now - last_moment < SAY_EVERY_S:
                return
            last_stage, last_moment = stage, now
            self._change(row, stage=stage, done=done, total=total)

        return report

    def _change(self, row: DatasetRow, **changes: Any) -> bool:
        """Whether the row was still being brought in."""

        def write(conn: DuckDBPyConnection) -> bool:
            if changed := table.change(conn, row.id, from_state="importing", **changes):
                import_changed(conn, row, changes)
            return changed

        return self.at.database.write_now(write)

    # -- what is left --------------------------------------------------------------------------------------------

    def _left_behind(self) -> None:
        """Its worker waits for somebody, and ends when it looks: what it wrote goes now, what it writes goes then."""
        log.warning("The worker of dataset %s was left behind: what it waits for does not answer", self.rows[0].id)
        for path in self.work.glob(f"{ORIGINAL}*"):
            with suppress(OSError):
                os.truncate(path, 0)  # its worker may hold it open
        self._clean_up()

    def _clean_up(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        kind, _, upload = self.rows[0].origin.partition(":")
        if kind == "upload" and (self._opened or not self.stops.any()):
            with suppress(StorageError):  # whoever reads it at this moment removes it
                self.at.uploads.discard(upload)
