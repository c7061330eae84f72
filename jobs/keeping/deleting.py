"""Deleting with a receipt: first the row and what will go, in one transaction; then the objects; then a look that they
are gone. A deletion that was cut short is gone on with from its receipt.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs import layout
from jobs.accounts import access
from jobs.catalog import CatalogEntry
from jobs.errors import Conflict, NotFound
from jobs.keeping.actor import acting
from jobs.keeping.audit import entry, noted, refusals
from jobs.keeping.gate import inputs_of
from jobs.keeping.receipt import sealed, view_of
from jobs.keeping.views import ReceiptView
from jobs.state import ACTIVE, TERMINAL, JobState
from jobs.training.shelf import holders
from jobs.version import code_version
from storage.errors import ArtifactMissing, StorageError
from storage.tables import artifacts as artifact_table
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table
from storage.tables import marks
from storage.tables import models as model_table
from storage.tables import receipts as receipt_table
from storage.tables import retention as retention_table
from storage.tables import shares as share_table
from storage.tables.receipts import ReceiptRow
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from jobs.results.shelf import Shelf
    from storage.artifacts import ArtifactStore
    from storage.database import Database

log = logging.getLogger(__name__)

ALL = 10_000
ASKED, EXPIRED = "asked by a person", "its time was over"
BINNED = "put into the bin by a person, and left there"


@dataclass
class Deleter:
    """Datasets, jobs and models go through here and nowhere else. content: held while a copy is judged unused and goes.

    pause: while it is set nothing is deleted: a backup is being made.
    """

    database: Database
    shelf: Shelf
    catalog: Callable[[], Mapping[str, CatalogEntry]]
    content: threading.Lock
    pause: threading.Event = field(default_factory=threading.Event)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def dataset(self, id: str, *, cascade: bool = False, reason: str = ASKED) -> ReceiptView:
        """The clean copy goes when no other dataset has the same content.

        cascade: with the models and jobs that carry its cells. Raises NotFound; Conflict while something needs it.
        """
        with refusals(self.database, "dataset.delete", id):
            self._require_still()
            with self.database.read() as conn:
                row = _live_dataset(conn, id)
                _require_unused(conn, id, row.name)
                held = holders(conn, id, self.shelf.store)
            if held and not cascade:
                raise _held(held, row.name)
            with_it = [self._holder(each) for each in held]
            return self._finish(self.database.write_now(self._forget_dataset(id, with_it, reason)))

    def job(self, id: str, *, reason: str = ASKED) -> ReceiptView:
        """The job with its record and its files. Raises NotFound, Conflict before its end."""
        with refusals(self.database, "job.delete", id):
            self._require_still()
            return self._finish(self.database.write_now(self._forget_job(id, reason)))

    def model(self, id: str, *, reason: str = ASKED) -> ReceiptView:
        """A model trained here, with its files unless another model has the same. Raises NotFound, Conflict."""
        with refusals(self.database, "model.delete", id):
            self._require_still()
            catalog = self.catalog()
            return self._finish(self.database.write_now(self._forget_model(id, catalog, reason)))

    def resume(self) -> int:
        """Goes on with what an earlier process, or a store that did not answer, left half done; how many are done."""
        with self.database.read() as conn:
            left = receipt_table.find(conn, state="going", limit=ALL)
        return sum(self._finish(row).state == "gone" for row in left) if not self.pause.is_set() else 0

    # -- the rows ------------------------------------------------------------------------------------------------

    def _forget_dataset(
        self, id: str, with_it: Sequence[ReceiptView], reason: str
    ) -> Callable[[DuckDBPyConnection], ReceiptRow]:
        said = self._beginning(reason)

        def forget(conn: DuckDBPyConnection) -> ReceiptRow:
            self._require_still()
            row = _live_dataset(conn, id)
            _require_unused(conn, id, row.name)
            held = [model.id for model in model_table.find(conn) if model.holds_cells and id in model.datasets]
            if held:  # a training ended while we looked
                raise _held(held, row.name)
            dataset_table.mark_deleted(conn, id)
            retention_table.forget(conn, id)
            read_by = [job.id for job in job_table.find(conn, limit=ALL) if id in inputs_of(job)]
            return _insert(
                conn,
                "dataset",
                id,
                row.owner,
                {
                    **said,
                    "name": row.name,
                    "origin": row.origin,
                    "digest": row.digest,
                    "bytes": row.bytes,
                    "cells": row.cells,
                    "prefixes": [layout.dataset(row.digest)] if row.digest else [],
                    "held_cells": [each.object for each in with_it],
                    "receipts": [each.id for each in with_it],
                    "results_that_stay": read_by,
                },
            )

        return noted("dataset.delete", id, forget, reason=reason)

    def _forget_job(self, id: str, reason: str) -> Callable[[DuckDBPyConnection], ReceiptRow]:
        said = self._beginning(reason)

        def forget(conn: DuckDBPyConnection) -> ReceiptRow:
            self._require_still()
            row = job_table.get(conn, id)
            if row is None or not access.mine(row.owner):
                raise NotFound(f"There is no job {id[:80]!r}.", hint="It may have been deleted.")
            if JobState(row.state) not in TERMINAL:
                raise Conflict("The job has not ended.", hint="Cancel it first.")
            if reason == BINNED and id not in marks.over(conn, utcnow()):
                raise Conflict("The job was taken out of the bin.", hint="There is nothing to delete.")
            files = [file for n in range(1, row.attempt + 1) for file in artifact_table.find(conn, job=id, attempt=n)]
            job_table.delete(conn, id)
            retention_table.forget(conn, id)
            share_table.forget(conn, id)
            return _insert(
                conn,
                "job",
                id,
                row.owner,
                {
                    **said,
                    "name": row.title,
                    "of": row.kind,
                    "digest": row.spec_digest,
                    "bytes": sum(file.bytes for file in files),
                    "datasets": sorted(inputs_of(row)),
                    "files": [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256} for f in files],
                    "prefixes": [layout.job_prefix(id)],
                },
            )

        return noted("job.delete", id, forget, reason=reason)

    def _forget_model(
        self, id: str, catalog: Mapping[str, CatalogEntry], reason: str
    ) -> Callable[[DuckDBPyConnection], ReceiptRow]:
        said = self._beginning(reason)

        def forget(conn: DuckDBPyConnection) -> ReceiptRow:
            self._require_still()
            row = model_table.get(conn, id)
            if row is None and id in catalog:
                raise Conflict(
                    f"{id} comes with the catalog.", hint="Only models that were trained here can be deleted."
                )
            if row is None or not access.mine(row.owner):
                raise NotFound(f"There is no model {id[:80]!r}.", hint="It may have been deleted.")
            busy = [job for job in job_table.find(conn, states=ACTIVE, limit=ALL) if job.spec.get("model") == id]
            if busy:
                which = _named((job.id, job.owner) for job in busy[:1])
                raise Conflict(f"{id} is used by job {which}.", hint="Cancel the job first, or wait for its end.")
            model_table.mark_deleted(conn, id)
            share_table.forget(conn, id)
            same = [(each.id, each.owner) for each in model_table.find(conn) if each.digest == row.digest]
            shared = _named(same, owner=row.owner)
            return _insert(
                conn,
                "model",
                id,
                row.owner,
                {
                    **said,
                    "name": row.name,
                    "digest": row.digest,
                    "datasets": list(row.datasets),
                    "held_cells": [id] if row.holds_cells else [],
                    "prefixes": [layout.model(id), *([] if shared else [layout.bundle(row.digest)])],
                    "kept": [{"key": layout.bundle(row.digest), "why": f"also {shared}"}] if shared else [],
                },
            )

        return noted("model.delete", id, forget, reason=reason)

    def _beginning(self, reason: str) -> dict[str, Any]:
        actor = acting()
        return {
            "format": 1, "reason": reason, "by": actor.who, "via": actor.via, "asked_at": utcnow().isoformat(),
            "version": code_version(),
        }  # fmt: skip

    def _holder(self, id: str) -> ReceiptView:
        return self.job(id) if id.startswith("job-") else self.model(id)

    def _require_still(self) -> None:
        """Asked once more by the writer: a backup writes its own entry after it said so, and reads after that."""
        if self.pause.is_set():
            raise Conflict("A backup is being made.", hint="Nothing is deleted meanwhile: try again when it has ended.")

    # -- the objects ---------------------------------------------------------------------------------------------

    def _finish(self, row: ReceiptRow) -> ReceiptView:
        """The receipt, finished; as it is, still going, where the store does not answer."""
        with self._one_at_a_time:
            row = self._receipt(row.id)
            if row.state == "gone":  # by the sweeper, which found it on its way
                return view_of(row)
            try:
                kept = self._remove(row)
            except StorageError as error:
                log.warning("The objects of %s %s could not be deleted yet: %s", row.kind, row.object, error)
                return view_of(self._receipt(row.id))
            said = self._receipt(row.id).document
            document = {
                **said,
                "receipt": row.id,
                "kind": row.kind,
                "object": row.object,
                "objects": said.get("objects", []),
                "kept": [*said.get("kept", ()), *kept],
                "verified": {"empty": said["prefixes"] if not kept else [], "moment": utcnow().isoformat()},
            }
            digest = sealed(document)
            write = entry(f"{row.kind}.gone", row.object, receipt=row.id, sha256=digest)

            def finish(conn: DuckDBPyConnection) -> None:
                if receipt_table.finish(conn, row.id, document=document, sha256=digest):
                    write(conn)

            self.database.write_now(finish)
            return view_of(self._receipt(row.id))

    def _receipt(self, id: str) -> ReceiptRow:
        with self.database.read() as conn:
            row = receipt_table.get(conn, id)
        assert row is not None  # receipts are never deleted
        return row

    def _remove(self, row: ReceiptRow) -> list[dict[str, str]]:
        """Lists, deletes and looks; what stays because something else is the same. Raises StorageError."""
        prefixes = row.document["prefixes"]
        if row.kind != "dataset":
            self._empty(row, prefixes)
            return []
        with self.content:  # no import makes a dataset of this content ready while it goes
            with self.database.read() as conn:
                digest = row.document["digest"]
                same = dataset_table.find(conn, digest=digest, limit=ALL) if digest else []
            if same:
                why = f"also {_named(((each.id, each.owner) for each in same), owner=row.owner)}"
                return [{"key": key, "why": why} for key in prefixes]
            self._empty(row, prefixes)
            return []

    def _empty(self, row: ReceiptRow, prefixes: Sequence[str]) -> None:
        """What is there is written down before it goes. Raises StorageError where something is still there."""
        store = self.shelf.store
        known = {each["key"]: each for each in row.document.get("objects", ())}
        for key in (key for prefix in prefixes for key in _keys(store, prefix)):
            with suppress(ArtifactMissing):  # went by itself
                known[key] = {"key": key, "bytes": store.size(key)}
        document = {**row.document, "objects": [known[key] for key in sorted(known)]}
        self.database.write_now(lambda conn: receipt_table.note(conn, row.id, document=document))
        for prefix in prefixes:
            if prefix.endswith("/"):
                store.delete_prefix(prefix)
            else:
                store.delete(prefix)
            self.shelf.forget(prefix)
            if left := _keys(store, prefix):
                raise StorageError(
                    f"{len(left)} objects are still under {prefix}.", hint="They are deleted again soon."
                )


def _keys(store: ArtifactStore, prefix: str) -> list[str]:
    """The keys under a folder, or the one that is no folder."""
    if prefix.endswith("/"):
        return store.list(prefix)
    return [prefix] if store.exists(prefix) else []


def _insert(conn: DuckDBPyConnection, kind: str, object: str, owner: str, document: Mapping[str, Any]) -> ReceiptRow:
    row = ReceiptRow(
        id=f"receipt-{secrets.token_hex(6)}", owner=owner, kind=kind, object=object, document=dict(document)
    )
    receipt_table.insert(conn, row)
    return row


def _live_dataset(conn: DuckDBPyConnection, id: str) -> dataset_table.DatasetRow:
    row = dataset_table.get(conn, id)
    if row is None or row.deleted_at is not None or not access.mine(row.owner):
        raise NotFound(f"There is no dataset {id[:80]!r}.", hint="It may have been deleted: bring it in again.")
    if row.state == "importing":
        raise Conflict(f"{row.name} is still being brought in.", hint="Stop that first, or wait for its end.")
    return row


def _require_unused(conn: DuckDBPyConnection, id: str, name: str) -> None:
    busy = [job.id for job in job_table.find(conn, states=ACTIVE, limit=ALL) if id in inputs_of(job)]
    if busy:
        raise Conflict(f"{name} is used by job {busy[0]}.", hint="Cancel the job first, or wait for its end.")


def _named(things: Iterable[tuple[str, str]], *, owner: str = "") -> str:
    """Ids of what belongs to this owner, or to whoever asks; of others', only that there is such a thing."""
    own, others = [], False
    for id, whose in things:
        if whose == owner or (not owner and access.mine(whose)):
            own.append(id)
        else:
            others = True
    return ", ".join([*own, *(["of another user"] if others else [])])


def _held(held: Sequence[str], name: str) -> Conflict:
    return Conflict(
        f"{', '.join(held)} hold{'s' if len(held) == 1 else ''} cells of {name}.",
        hint="Delete that model and the job that trained it first: no copy of the cells is then left behind.",
    )
