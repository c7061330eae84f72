"""Whose time is up: by the clock since a moment that is on record, never by silence."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from jobs.reconcile.moves import state_of
from jobs.state import JobState
from jobs.views import Failure

if TYPE_CHECKING:
    from jobs.queue.rules import Rules
    from storage.tables.jobs import JobRow


def ran_too_long(row: JobRow, rules: Rules, now: datetime) -> Failure | None:
    """Of an attempt that runs: past its own limit, or the operator's where it has none."""
    limit_s = row.time_limit_s or rules.job_s
    if state_of(row) is not JobState.RUNNING or not limit_s or row.started_at is None:
        return None
    if (now - row.started_at).total_seconds() < limit_s:
        return None
    return Failure(
        code="timed-out",
        message=f"The job ran longer than its limit of {_span(limit_s)}, and was stopped.",
        hint="Submit it with a higher limit, or with fewer cells. A training that is run again goes on where it was.",
    )


def never_started(row: JobRow, rules: Rules, now: datetime) -> Failure | None:
    """Of an attempt of which the runner says that it waits still."""
    if state_of(row) is not JobState.SUBMITTED or not rules.start_s:
        return None
    if (now - row.updated_at).total_seconds() < rules.start_s:  # of its move: it said nothing since
        return None
    return Failure(
        code="never-started",
        message=f"The job was handed over {_span(rules.start_s)} ago and has not started.",
        hint="See with `crossview doctor` whether the cluster has free processors, then run the job again.",
    )


def _span(seconds: float) -> str:
    for unit, size in (("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} seconds"
