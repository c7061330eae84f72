"""What is told of an end, written in the transaction that ends it: told once, whatever crashes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobs.notify.events import OF_IMPORT, OF_JOB, Event
from jobs.state import BY_OPERATOR, JobState
from storage.tables import notifications as table
from storage.tables.notifications import NotificationRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.tables.datasets import DatasetRow
    from storage.tables.jobs import JobRow


def job_ended(
    conn: DuckDBPyConnection, row: JobRow, to: JobState, *, failure: Mapping[str, Any] | None, moment: datetime
) -> None:
    """Of the attempt `row` stands at. A cancel is read from the start, unless an operator cancelled another's job."""
    by_operator = to is JobState.CANCELLED and (failure or {}).get("code") == BY_OPERATOR
    event = Event.JOB_STOPPED if by_operator else OF_JOB[to]
    said = NotificationRow(
        id=new_id(),
        owner=row.owner,
        event=event,
        subject=row.id,
        kind=row.kind,
        attempt=row.attempt,
        title=row.title,
        failure=failure,
        moment=moment,
        read_at=moment if event is Event.JOB_CANCELLED else None,
    )
    table.insert(conn, said)


def tried_again(conn: DuckDBPyConnection, row: JobRow) -> None:
    """The end of this attempt was not the end of the job: in the same transaction, nobody hears of it."""
    table.withdraw(conn, subject=row.id, attempt=row.attempt)


def import_changed(conn: DuckDBPyConnection, row: DatasetRow, changes: Mapping[str, Any]) -> None:
    """Tells of an import where these changes end it; nobody asked for that of an example."""
    event = OF_IMPORT.get(str(changes.get("state")))
    if event is None or row.origin.startswith("example:"):
        return
    said = NotificationRow(
        id=new_id(),
        owner=row.owner,
        event=event,
        subject=row.id,
        kind="import",
        title=row.name,
        failure=changes.get("failure"),
    )
    table.insert(conn, said)


def new_id() -> str:
    # It is signed between full stops, so it must hold none: Standard Webhooks, "Signature scheme".
    return f"msg_{secrets.token_hex(12)}"
