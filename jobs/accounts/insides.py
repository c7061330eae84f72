"""The inside of a fault of ours, which is for operators and for the log: others are told that it happened."""

from __future__ import annotations

import logging

from jobs.accounts import access
from jobs.failures import INTERNAL, failure_of
from jobs.views import Failure

log = logging.getLogger(__name__)
HIDDEN = "It is in the server's log."


def hidden(failure: Failure) -> Failure:
    """The failure as whoever asks may see it."""
    who = access.me()
    if failure.code != INTERNAL or not failure.detail or who is None or who.operator:
        return failure
    return failure.model_copy(update={"detail": HIDDEN})


def told(error: BaseException) -> Failure:
    """What one of several things was refused for, where the others go on."""
    failure = failure_of(error)
    if failure.code == INTERNAL:
        log.error("A part of a request met an error of ours", exc_info=error)
    return hidden(failure)
