"""How a job is let in: asked again it is the same job, and nobody fills the queue for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.errors import QueueFull
from jobs.state import JobState
from storage.tables import queue as table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from jobs.queue.rules import Rules
    from storage.tables.jobs import JobRow

AHEAD = (JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Entered:
    """row: the job that answers. refused: or why there is none. new: whether it was put into the queue by this."""

    row: JobRow | None = None
    new: bool = False
    refused: QueueFull | None = None


def known(conn: DuckDBPyConnection, row: JobRow, *, not_this: str | None = None) -> JobRow | None:
    """The finished job of the same question, else the one under way. not_this: a finished job that is no answer."""
    there = table.same(
        conn, cache_key=str(row.cache_key), owner=row.owner, finished=JobState.SUCCEEDED, under_way=AHEAD
    )
    return next((each for each in there if each.id != not_this), None)


def enter(
    conn: DuckDBPyConnection,
    row: JobRow,
    add: Callable[[DuckDBPyConnection], None],
    *,
    rules: Rules,
    fresh: bool = False,
    not_this: str | None = None,
) -> Entered:
    """In one transaction with the look before it: of two that ask the same at once, one is queued, both get it.

    add: inserts the row, or raises what stands against it.
    """
    if not fresh and (found := known(conn, row, not_this=not_this)) is not None:
        return Entered(found)
    if (
        rules.user_queued
        and (waiting := table.count(conn, owner=row.owner, state=JobState.QUEUED)) >= rules.user_queued
    ):
        return Entered(
            refused=QueueFull(
                f"{waiting:,} of your jobs wait already; {rules.user_queued:,} may.",
                hint="Wait until some have started, cancel some, or ask the operator for more (CROSSVIEW_USER_QUEUED).",
            )
        )
    add(conn)
    return Entered(row, new=True)
