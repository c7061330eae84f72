"""The audit log: an act and its entry in one transaction; refusals as entries of their own; a chain that shows changes.

Entries name ids, never names of files or cells, nor anything else a person typed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import CrossViewError
from jobs.errors import BadRequest
from jobs.keeping.actor import PERSON, acting, acting_as
from jobs.keeping.receipt import sealed
from jobs.keeping.views import AuditCheck, AuditView
from jobs.paging import key_of
from storage.errors import StorageError
from storage.tables import audit as table
from storage.tables import receipts as receipt_table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.database import Database
    from storage.tables.audit import AuditRow

log = logging.getLogger(__name__)
T = TypeVar("T")
Act = Callable[["DuckDBPyConnection"], T]
ADDED = "crossview models add"
MOST_ENTRIES = 10_000  # in one answer  # ours


def entry(act: str, object: str, *, outcome: str = "done", **detail: Any) -> Act[None]:
    """What adds one entry, in the name of whoever acts now."""
    actor = acting()

    def add(conn: DuckDBPyConnection) -> None:
        table.append(
            conn, who=actor.who, via=actor.via, act=act, object=object, outcome=outcome,
            detail={name: value for name, value in detail.items() if value is not None},
        )  # fmt: skip

    return add


def noted(act: str, object: str, fn: Act[T], **detail: Any) -> Act[T]:
    """`fn` with its entry in the same transaction. A false answer means that nothing was done: no entry."""
    add = entry(act, object, **detail)

    def both(conn: DuckDBPyConnection) -> T:
        answer = fn(conn)
        if answer is None or answer:
            add(conn)
        return answer

    return both


@contextmanager
def refusals(database: Database, act: str, object: str) -> Iterator[None]:
    """Inside, what is refused is written down with its code, and raised on."""
    try:
        yield
    except (CrossViewError, StorageError) as error:
        try:
            database.write_now(entry(act, object, outcome="refused", code=error.code))
        except StorageError as trouble:  # the refusal itself is the answer
            log.warning("A refusal could not be written down: %s", trouble)
        raise


def note_added_models(database: Database, folder: Path) -> None:
    """Models that were put into the folder while nobody looked: `crossview models add` needs no server."""
    there = {bundle.parent.name for bundle in folder.glob("*/bundle.json")}
    with database.read() as conn:
        found = conn.execute(
            "select distinct object from audit where act = 'model.add' and via = ?", [ADDED]
        ).fetchall()
    for id in sorted(there - {str(object) for (object,) in found}):
        with acting_as(PERSON, ADDED):
            add = entry("model.add", id)
        database.write_now(add)


def listing(
    database: Database,
    *,
    since: datetime | None = None,
    object: str | None = None,
    who: str | None = None,
    limit: int = 200,
    after: str = "",
) -> list[AuditView]:
    """Newest first. who: whose acts alone. after: where the page before ended. Raises BadRequest."""
    behind = key_of(after, int)
    before = None if behind is None else -int(behind[0])
    most = min(limit, MOST_ENTRIES + 1)
    with database.read() as conn:
        found = table.find(conn, since=since, object=object, who=who, limit=most, before=before)
        return [view_of(row) for row in found]


def check(database: Database, *, head: str = "") -> AuditCheck:
    """Every entry against the one before it, and every receipt against its entry.

    head: a `NUMBER:DIGEST` noted earlier, which must still be in the log. Raises BadRequest.
    """
    number, digest = _noted_head(head)
    with database.read() as conn:
        entries = table.everything(conn)
        receipts = receipt_table.find(conn, state="gone", limit=10**9)
    last = entries[-1] if entries else None
    here = f"{last.seq}:{last.digest}" if last else f"0:{table.START}"
    broken = table.first_break(entries)
    if broken is None and number and not (len(entries) >= number and entries[number - 1].digest == digest):
        broken = number, f"entry {number} is not the one that was noted: the log was cut or written anew"
    if broken is None:
        said = {str(row.detail.get("receipt")): str(row.detail["sha256"]) for row in entries if "sha256" in row.detail}
        for receipt in receipts:
            if said.get(receipt.id) != receipt.sha256 or sealed(receipt.document) != receipt.sha256:
                broken = 0, f"receipt {receipt.id} is not as it was written"
                break
    if broken is None:
        return AuditCheck(whole=True, entries=len(entries), head=here)
    return AuditCheck(whole=False, entries=len(entries), head=here, broken=broken[0], message=broken[1])


def view_of(row: AuditRow) -> AuditView:
    return AuditView(
        seq=row.seq,
        moment=row.moment,
        who=row.who,
        via=row.via,
        act=row.act,
        object=row.object,
        outcome=row.outcome,
        detail=dict(row.detail),
        digest=row.digest,
    )


def _noted_head(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    if text and not (number.isdecimal() and len(digest) == 64):
        raise BadRequest(f"{text[:80]!r} is no head of the log.", hint="Write NUMBER:DIGEST, as --verify printed it.")
    return (int(number), digest) if text else (0, "")
