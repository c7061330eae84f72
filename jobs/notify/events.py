"""What people are told of, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from jobs.state import JobState


class Event(StrEnum):
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_LOST = "job.lost"
    JOB_CANCELLED = "job.cancelled"
    JOB_STOPPED = "job.stopped"  # another's, by an operator
    IMPORT_SUCCEEDED = "import.succeeded"
    IMPORT_FAILED = "import.failed"
    TEST = "crossview.test"
    ACCOUNT = "crossview.account"  # to one person, about their account


OF_JOB: Mapping[JobState, Event] = MappingProxyType(
    {
        JobState.SUCCEEDED: Event.JOB_SUCCEEDED,
        JobState.FAILED: Event.JOB_FAILED,
        JobState.LOST: Event.JOB_LOST,
        JobState.CANCELLED: Event.JOB_CANCELLED,
    }
)
OF_IMPORT: Mapping[str, Event] = MappingProxyType({"ready": Event.IMPORT_SUCCEEDED, "failed": Event.IMPORT_FAILED})

TELLABLE = frozenset(Event) - {Event.TEST, Event.ACCOUNT}
USUAL = TELLABLE - {Event.JOB_CANCELLED}  # who cancels knows  # ours

_KINDS = {
    "translate": "Translation",
    "train": "Training",
    "benchmark": "Comparison of models",
    "joint": "Joint view",
    "analysis": "Analysis",
    "evaluate": "Scores of a prediction",
}
_ENDED = {
    Event.JOB_SUCCEEDED: "succeeded",
    Event.JOB_FAILED: "failed",
    Event.JOB_LOST: "was interrupted",
    Event.JOB_CANCELLED: "was cancelled",
    Event.JOB_STOPPED: "was cancelled by an operator",
}


def headline(event: str, kind: str) -> str:
    """Translation succeeded; Cells could not be brought in."""
    if event == Event.TEST:
        return "This is a test of notifications"
    if event == Event.IMPORT_SUCCEEDED:
        return "Cells are ready"
    if event == Event.IMPORT_FAILED:
        return "Cells could not be brought in"
    return f"{_KINDS.get(kind, 'Job')} {_ENDED[Event(event)]}"
