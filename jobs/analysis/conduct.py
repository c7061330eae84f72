"""The stages of an analysis, told while they go: one long task that leaves word in the store of what it is doing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs.analysis.tasks import told_key
from jobs.runners.base import Executor, Task
from jobs.training.checkpoints import read_or_none

if TYPE_CHECKING:
    from jobs.driver import Voice
    from jobs.work import Attempt


def analysis(attempt: Attempt, voice: Voice, executor: Executor, *, threads: int = 1) -> dict[str, Any]:
    """All stages; what the `succeeded` event says."""
    which = {"job": attempt.job, "attempt": attempt.number, "threads": threads}
    cells = int(_one(executor, Task("prepare-analysis", which, label="the cells"))["cells"])
    voice.say("analyse", done=0, total=0, message="Starting a worker")
    voice.watch = lambda: standing(attempt)
    try:
        found = _one(executor, Task("analyse", which, label=attempt.analysis.what, weight=cells))
    finally:
        voice.watch = None
    voice.say("publish", done=0, total=1, message="Writing the report")
    return _one(executor, Task("publish-analysis", {**which, **found}, label="the report"))


def standing(attempt: Attempt) -> Mapping[str, Any]:
    """What the task said last."""
    said = read_or_none(attempt.store, told_key(attempt))
    return {} if said is None else {"message": str(json.loads(said)["message"])}


def _one(executor: Executor, task: Task) -> dict[str, Any]:
    from jobs.driver import result_of

    (receipt,) = executor.run([task])
    return result_of(receipt)
