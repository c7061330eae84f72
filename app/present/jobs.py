"""A job in words: its title, where it stands, how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.present.figures import aware, count, duration, duration_range, moment, plural
from app.present.terms import Step, directions, stage, tag
from jobs.layout import download_name
from jobs.stages import stages
from jobs.state import ACTIVE, TERMINAL, JobState
from jobs.views import Failure, JobView


def job_title(job: JobView) -> str:
    return job.title or " + ".join(job.input_names.values()) or f"Job {job.id[:8]}"


def file(job: JobView, what: str) -> str:
    """What a download from a job's page is called, as the same file over REST."""
    return download_name(job.id, what)


def job_ended(job: JobView) -> str:
    """This job failed; This job was cancelled."""
    was = "was " if job.state in (JobState.CANCELLED, JobState.LOST) else ""
    return f"This job {was}{tag(job.state).word.lower()}"


def job_took(job: JobView) -> str:
    """What job_timing says, to stand beside the state: 3 min 12 s."""
    said = job_timing(job)
    return said.removeprefix(f"{tag(job.state).word} in ")


_CACHED = {
    "translate": "These cells were already translated with these settings",
    "train": "This model was already trained on these cells with these settings",
    "benchmark": "These models were already compared on these cells",
    "joint": "These cells were already seen by this model with these settings",
    "evaluate": "This prediction was already scored against these cells",
    "analysis": "This question was already asked of these cells with these settings",
}


def job_timing(job: JobView, now: datetime | None = None) -> str:
    """Succeeded in 3 min 12 s; running for 40 s; waiting, place 2 in the queue."""
    now = now or datetime.now(UTC)
    if job.from_cache and job.state in TERMINAL:
        return f"{_CACHED.get(job.kind, _CACHED['translate'])}; nothing was run again"
    if job.state in TERMINAL and job.started_at and job.finished_at:
        return f"{tag(job.state).word} in {duration((job.finished_at - job.started_at).total_seconds())}"
    if job.state is JobState.QUEUED:
        return "Waiting" if not job.position else f"Waiting, place {count(job.position)} in the queue"
    if job.started_at and job.state in ACTIVE:
        return f"{tag(job.state).word} for {duration((now - aware(job.started_at)).total_seconds())}"
    return tag(job.state).word


_RUNNERS_OWN = re.compile(r"^Running entrypoint for job |^[\d-]+ [\d:,]+\s+(INFO|WARNING) ")


def last_words(log: str) -> str:
    """The last line of a log that the job itself said; the runner's own lines are for the unfolded log."""
    return next((line for line in reversed(log.splitlines()) if line.strip() and not _RUNNERS_OWN.match(line)), "")


_COUNTED = {"translate": "cells", "embed": "cells", "train": "epochs", "measure": "trainings"}


def job_step(job: JobView) -> Step:
    """Where a job stands, as one bar: finished stages count whole, the present one by its share."""
    if job.state is JobState.SUCCEEDED:
        return Step("Finished", 1.0, "")
    here = job.progress
    parts = stages(job.kind)
    names = list(parts)
    before = sum(parts[s].weight for s in names[: names.index(here.stage)]) if here.stage in names else 0.0
    within = parts[here.stage].weight * min(here.done / here.total, 1.0) if here.total and here.stage in parts else 0.0
    detail = f"{count(here.done)} of {count(here.total)}" if here.total > 1 else ""
    if detail and here.stage in _COUNTED:
        detail += f" {_COUNTED[here.stage]}"
    label = stage(here.stage, job.kind)
    if job.state is JobState.CANCELLING:
        label = "Stopping"
    elif job.state is JobState.QUEUED:
        label = ""  # its place in the queue says it
    return Step(label, min(before + within, 1.0), detail)


def job_eta(job: JobView) -> str:
    return f"{duration_range(job.eta_s)} left" if job.eta_s else ""


def job_record(job: JobView) -> dict[str, Any]:
    """A job as one line of the downloadable table."""
    return {
        "job": job.id,
        "title": job_title(job),
        "state": tag(job.state).word,
        "kind": job.kind,
        "starred": job.starred,
        "labels": ", ".join(job.labels),
        "stage": stage(job.progress.stage, job.kind) if job.state in ACTIVE else "",
        "directions": directions(job.directions) if job.directions else "",
        "model": job.model,
        "cells": job.cells,
        "cells unlike the training cells": max(job.outside.values(), default=None),
        "attempt": job.attempt,
        "submitted": moment(job.submitted_at),
        "finished": moment(job.finished_at) if job.finished_at else "",
        "failure": job.failure.code if job.failure else "",
    }


FILTERS: Mapping[str, frozenset[JobState]] = {
    "All": frozenset(),
    "Running": ACTIVE,
    "Succeeded": frozenset({JobState.SUCCEEDED}),
    "Ended otherwise": TERMINAL - {JobState.SUCCEEDED},
}

SPANS: Mapping[str, timedelta | None] = {
    "Any time": None,
    "Last day": timedelta(days=1),
    "Last week": timedelta(days=7),
    "Last month": timedelta(days=30),
}


def batch_line(states: Mapping[JobState, int]) -> str:
    """5 jobs: 3 succeeded, 1 running, 1 failed."""
    order = [state for state in JobState if states.get(state)]
    parts = [f"{count(states[state])} {tag(state).word.lower()}" for state in sorted(order, key=lambda s: -states[s])]
    return f"{plural(sum(states.values()), 'job')}: {', '.join(parts)}" if parts else "No job"


_RETRY = frozenset({"lost", "out-of-memory", "cluster-unreachable", "cancelled", "internal", "timeout"})


@dataclass(frozen=True)
class Panel:
    """A calm account of what went wrong. what: one sentence; do: the next step; detail: folded away."""

    what: str
    do: str
    code: str
    detail: str = ""
    retry: bool = False


def failure(it: Failure) -> Panel:
    return Panel(it.message or "The job ended badly.", it.hint, it.code, it.detail, it.code in _RETRY)
