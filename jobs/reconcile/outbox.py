"""What an attempt says of itself, applied to its row: each numbered event once, in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from jobs import layout
from jobs.failures import scrub
from jobs.reconcile.moves import PASSING, fail, lose, move, state_of, stopped
from jobs.state import TERMINAL, JobState
from jobs.views import Failure
from storage.errors import ArtifactMissing
from storage.tables import artifacts as artifact_table
from storage.tables import audit as audit_table
from storage.tables import jobs as table
from storage.tables import models as model_table
from storage.tables.artifacts import ArtifactRow
from storage.tables.models import ModelRow
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.artifacts import ArtifactStore
    from storage.tables.jobs import JobRow

AT_ONCE = 200  # events read in one go, so that one talkative job does not hold up the others  # ours
SAID = "reported by the attempt"
Event = Mapping[str, Any]

GARBLED = Failure(
    code="internal-error",
    message="The job ended with a message that cannot be understood.",
    hint="Try again; if it happens again, report it with the job's log.",
)


def past_gaps(store: ArtifactStore, row: JobRow) -> list[Event]:
    """What lies behind events that the store lost, each gap as an event of its own; empty where none is missing.

    A number is written once the one before it lies there: what is missing in between never comes.
    """
    keys = store.list(layout.events(row.id, row.attempt))
    later = [n for key in keys if (n := layout.number_of(key)) > row.last_event][:AT_ONCE]
    found: list[Event] = []
    last = row.last_event
    for number in later:
        if number > last + 1:
            found.append({"kind": "gap", "n": number - 1, "missing": number - 1 - last})
        found += unread(store, replace(row, last_event=number - 1), at_most=1)
        last = number
    return found if any(event["kind"] == "gap" for event in found) else []


def unread(store: ArtifactStore, row: JobRow, *, at_most: int | None = None) -> list[Event]:
    """The events of this attempt that were not applied yet. Numbers have no gaps: the first missing one is the end."""
    found: list[Event] = []
    for number in range(row.last_event + 1, row.last_event + 1 + (at_most or AT_ONCE)):
        try:
            document = json.loads(store.get_bytes(layout.event(row.id, row.attempt, number)))
        except ArtifactMissing:
            break
        except ValueError:
            document = {}
        found.append({**(document if isinstance(document, dict) else {}), "n": number})
    return found


def apply(conn: DuckDBPyConnection, *, id: str, attempt: int, events: Sequence[Event]) -> bool:
    """Applies events in one transaction; False when the job is no longer at this attempt or has ended."""
    for event in _coalesced(events):
        row = table.get(conn, id)
        if row is None or row.attempt != attempt or state_of(row) in TERMINAL:
            return False
        if event["n"] <= row.last_event:
            continue  # applied by an earlier look
        handle = _HANDLERS.get(str(event.get("kind")), _note)
        table.apply_event(conn, id=id, attempt=attempt, number=event["n"], heartbeat_at=utcnow(), **_changes(event))
        handle(conn, row, event)
    return True


def _coalesced(events: Sequence[Event]) -> Iterator[Event]:
    """Without progress that the very next event overtakes: only where it stands matters, not where it stood."""
    for event, following in zip_longest(events, events[1:]):
        both = following is not None and event.get("kind") == following.get("kind") == "stage"
        if not (both and event.get("stage") == following.get("stage")):
            yield event


def _changes(event: Event) -> dict[str, Any]:
    """What an event says of progress, as columns."""
    if event.get("kind") != "stage":
        return {}
    return {
        "stage": str(event.get("stage", ""))[:40],
        "done": _whole(event.get("done")),
        "total": _whole(event.get("total")),
        "message": scrub(str(event.get("message", "")))[:500],
    }


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and value >= 0 else 0


def _started(conn: DuckDBPyConnection, row: JobRow, event: Event) -> None:
    _running(conn, row)
    _record(conn, row, event, {"version": str(event.get("version", "")), "host": str(event.get("host", ""))})


def _stage(conn: DuckDBPyConnection, row: JobRow, event: Event) -> None:
    """The row holds the progress; the record keeps only that a stage began."""
    if event.get("stage") != row.stage:
        _record(conn, row, event, {"stage": str(event.get("stage", ""))[:40]})


def _log(conn: DuckDBPyConnection, row: JobRow, event: Event) -> None:
    _record(conn, row, event, {"line": scrub(str(event.get("line", "")))[:2_000]})


def _gap(conn: DuckDBPyConnection, row: JobRow, event: Event) -> None:
    _record(conn, row, event, {"missing": _whole(event.get("missing"))})


def _note(conn: DuckDBPyConnection, row: JobRow, event: Event) -> None:
    _record(conn, row, event, {})


def _succeeded(conn: DuckDBPyConnection, row: JobRow, event: Event) -> None:
    """The artifacts and the state become visible together: there is no half-published result."""
    try:
        found = [_artifact(row, each) for each in event["artifacts"]]
        if row.kind == "train" and not {"model", "bundle"} <= set(event["summary"]):
            raise KeyError("model")
    except (KeyError, TypeError, ValueError):
        _failed(conn, row, {**event, "failure": GARBLED.model_dump()})
        return
    for artifact in found:
        artifact_table.put(conn, artifact)
    what = {str(each["name"]): str(each.get("what", "")) for each in event["artifacts"]}
    result = {**(row.result or {}), "summary": event.get("summary") or {}, "what": what}
    if row.kind == "train":
        _remember_model(conn, row, result["summary"])
        audit_table.append(
            conn, who=row.owner, via=f"job {row.id}", act="model.add", object=str(result["summary"]["model"])
        )
    visible: dict[str, Any] = {"message": "", "failure": None, "result": result}
    _finish(conn, row, lambda now: move(conn, now, JobState.SUCCEEDED, reason=SAID, **visible))


def _remember_model(conn: DuckDBPyConnection, row: JobRow, said: Mapping[str, Any]) -> None:
    """With the success itself: a finished training and its model become visible together."""
    model_table.put(
        conn,
        ModelRow(
            id=str(said["model"]),
            owner=row.owner,
            name=str(row.spec.get("name") or row.spec.get("model")),
            digest=str(said["bundle"]),
            translator=str(row.spec.get("model")),
            job=row.id,
            datasets=[str(row.spec[name]) for name in ("rna", "atac")],
            holds_cells=bool(said.get("holds_cells")),
        ),
    )


def _artifact(row: JobRow, said: Mapping[str, Any]) -> ArtifactRow:
    key = layout.output(row.id, row.attempt, str(said["name"]))
    return ArtifactRow(
        job=row.id,
        attempt=row.attempt,
        name=str(said["name"]),
        uri=key,
        bytes=int(said["bytes"]),
        sha256=str(said["sha256"]),
        media_type=str(said.get("media_type") or "application/octet-stream"),
    )


def _failed(conn: DuckDBPyConnection, row: JobRow, event: Event) -> None:
    try:
        failure = Failure.model_validate(event.get("failure"))
    except ValueError:
        failure = GARBLED
    clean = Failure(**{name: scrub(value) for name, value in failure.model_dump().items()})
    if clean.code in PASSING and state_of(row) is not JobState.CANCELLING:
        lose(conn, row, reason=clean.message, failure=clean)  # the place failed, not the work
        return
    _finish(conn, row, lambda now: fail(conn, now, reason=SAID, failure=clean))


def _cancelled(conn: DuckDBPyConnection, row: JobRow, event: Event) -> None:
    if state_of(row) is JobState.RUNNING:
        move(conn, row, JobState.CANCELLING, reason="the attempt saw the cancel mark")
    _finish(conn, row, lambda now: stopped(conn, now, reason=SAID), running=False)


def _finish(conn: DuckDBPyConnection, row: JobRow, end: Callable[[JobRow], object], *, running: bool = True) -> None:
    """By the table of moves, through RUNNING where it asks for that."""
    if running:
        _running(conn, row)
    now = table.get(conn, row.id)
    assert now is not None  # read in this transaction
    end(now)


def _running(conn: DuckDBPyConnection, row: JobRow) -> None:
    if state_of(row) is JobState.SUBMITTED:
        move(conn, row, JobState.RUNNING, reason="the attempt started", started_at=utcnow())


def _record(conn: DuckDBPyConnection, row: JobRow, event: Event, detail: Mapping[str, Any]) -> None:
    table.add_event(conn, job=row.id, attempt=row.attempt, kind=str(event.get("kind"))[:40], detail=detail)


_HANDLERS: dict[str, Callable[[DuckDBPyConnection, JobRow, Event], None]] = {
    "started": _started,
    "stage": _stage,
    "gap": _gap,
    "log": _log,
    "succeeded": _succeeded,
    "failed": _failed,
    "cancelled": _cancelled,
}
