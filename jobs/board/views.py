"""What is asked of the list of jobs, and what it answers: plain frozen records that travel as JSON."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from engine.types import Direction
from jobs.state import JobState
from jobs.views import Failure, JobView, View

PAGE_JOBS = 20  # ours
MOST_JOBS = 500  # of one page, one batch, or one act  # ours
LONGEST_LABEL = 60  # ours
MOST_LABELS = 20  # of one job  # ours


class JobsAsked(BaseModel):
    """Which jobs; what is left out narrows nothing. words: each in the title, id, model or a label.

    since, before: of the moment of submission. binned: those in the bin instead of those outside of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    states: tuple[JobState, ...] = ()
    kind: str = ""
    model: str = ""
    label: str = ""
    starred: bool = False
    since: datetime | None = None
    before: datetime | None = None
    words: str = ""
    binned: bool = False
    limit: int = Field(default=PAGE_JOBS, ge=1, le=MOST_JOBS)
    offset: int = Field(default=0, ge=0, le=2**53)


class JobsPage(View):
    """Some of the jobs that answer, the newest first. total: of all that answer; states: those by state.

    labels: jobs by label, whatever was asked; kinds: of all jobs. binned: jobs in the bin.
    """

    jobs: tuple[JobView, ...]
    total: int
    states: dict[JobState, int] = Field(default_factory=dict)
    labels: dict[str, int] = Field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    binned: int = 0


class Act(StrEnum):
    """What can be done to many jobs at once. DELETE cannot be undone; BIN can, for ten minutes."""

    CANCEL = "cancel"
    RETRY = "retry"
    BIN = "bin"
    RESTORE = "restore"
    DELETE = "delete"
    STAR = "star"
    UNSTAR = "unstar"
    LABEL = "label"
    UNLABEL = "unlabel"


class Refusal(View):
    """What one of many failed of. of: the job's id, or the number of the file or spec in a batch, from 1."""

    of: str
    failure: Failure


class BulkView(View):
    """done: ids, in the order they were given. problems: the others, each with its reason."""

    act: Act
    done: tuple[str, ...] = ()
    problems: tuple[Refusal, ...] = ()


class BatchView(View):
    """label: that all of them carry. What was refused costs the others nothing."""

    label: str
    jobs: tuple[JobView, ...] = ()
    problems: tuple[Refusal, ...] = ()


class VerifyView(View):
    """Whether a model's files are what they were, and predict what they did when it was made.

    largest_difference: between the predictions of its 8 test cells now and then, by direction.
    """

    model: str
    digest: str
    verified: bool
    largest_difference: dict[Direction, float] = Field(default_factory=dict)
    failure: Failure | None = None
