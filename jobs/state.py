"""The life of a job, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class JobState(StrEnum):
    QUEUED = "QUEUED"
    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    LOST = "LOST"
    CANCELLED = "CANCELLED"


_S = JobState

MOVES: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.SUBMITTED, _S.FAILED, _S.CANCELLED}),
        _S.SUBMITTED: frozenset({_S.RUNNING, _S.FAILED, _S.LOST, _S.CANCELLED, _S.CANCELLING}),
        _S.RUNNING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.LOST, _S.CANCELLING}),
        # A cancel races with the end of the work: whichever the store shows first stands.
        _S.CANCELLING: frozenset({_S.CANCELLED, _S.SUCCEEDED, _S.FAILED, _S.LOST}),
        _S.FAILED: frozenset({_S.QUEUED}),  # retry, asked for by a person
        _S.LOST: frozenset({_S.QUEUED}),  # retry, automatic and bounded
        _S.SUCCEEDED: frozenset(),
        _S.CANCELLED: frozenset({_S.QUEUED}),  # a person may change their mind
    }
)

TERMINAL = frozenset({_S.SUCCEEDED, _S.FAILED, _S.LOST, _S.CANCELLED})
ACTIVE = frozenset(JobState) - TERMINAL
BY_OPERATOR = "cancelled-by-operator"  # code of what the owner of a CANCELLED job reads, where it was not theirs


class IllegalMove(ValueError):
    """A job was asked to go where the table does not lead; always a fault of ours, never of the user."""


def check_move(here: JobState, there: JobState) -> None:
    """Raises IllegalMove unless the table allows it."""
    if there not in MOVES[here]:
        raise IllegalMove(f"A job that is {here} cannot become {there}.")
