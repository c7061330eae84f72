"""The stages of a joint view, told while they go: chunks, then groups beside scores, then maps, then files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine.types import Modality
from jobs.joint.tasks import VIEWS, matching_of
from jobs.plan import chunks
from jobs.runners.base import Executor, Task

if TYPE_CHECKING:
    from jobs.driver import Voice
    from jobs.work import Attempt

WORDS = {"group": "Grouping the cells", "score": "Judging what is imputed"}


def joint(attempt: Attempt, voice: Voice, executor: Executor, *, threads: int = 1) -> dict[str, Any]:
    """All stages; what the `succeeded` event says."""
    which = {"job": attempt.job, "attempt": attempt.number, "threads": threads}
    n = len(matching_of(attempt))
    _embed(attempt, voice, executor, which, n)
    grouped, judged = _judge(voice, executor, which, n)
    notes = _map(voice, executor, which, n) if attempt.joint.umap else []
    voice.say("publish", done=0, total=1, message="Writing the files")
    said = {**which, "grouped": grouped, "judged": judged, "notes": notes}
    (receipt,) = executor.run([Task("publish-joint", said, label="the joint view", weight=n)])
    return _checked(receipt)


def _embed(attempt: Attempt, voice: Voice, executor: Executor, which: dict[str, Any], n: int) -> None:
    grid = chunks(n, attempt.joint.chunk_cells)
    tasks = [
        Task("embed", {**which, "start": c.start, "stop": c.stop}, label=f"cells {c.start + 1:,}–{c.stop:,}",
             weight=len(c))
        for c in grid
    ]  # fmt: skip
    done = 0
    voice.say("embed", done=0, total=n, message="Starting the workers")
    for receipt in executor.run(tasks):
        _checked(receipt)
        done += receipt.task.weight
        voice.say("embed", done=done, total=n, message=receipt.task.label)


def _judge(
    voice: Voice, executor: Executor, which: dict[str, Any], n: int
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Groups and imputation side by side: neither needs the other."""
    tasks = [
        Task("group", which, label="groups of cells", weight=n),
        *(Task("impute", {**which, "modality": m.value}, label=m.value.upper(), weight=n) for m in Modality),
    ]
    grouped: dict[str, Any] = {}
    judged: dict[str, dict[str, Any]] = {}
    voice.say("group", done=0, total=1, message=WORDS["group"])
    for receipt in executor.run(tasks):
        result = _checked(receipt)
        if receipt.task.kind == "group":
            grouped = result
        else:
            judged[receipt.task.arguments["modality"]] = result
        stage, done, total = ("score", len(judged), len(Modality)) if grouped else ("group", 0, 1)
        voice.say(stage, done=done, total=total, message=WORDS[stage])
    return grouped, {m.value: judged[m.value] for m in Modality}


def _map(voice: Voice, executor: Executor, which: dict[str, Any], n: int) -> list[str]:
    tasks = [Task("joint-map", {**which, "view": view}, label=words, weight=n) for view, words in VIEWS.items()]
    notes: list[str] = []
    voice.say("map", done=0, total=len(tasks), message="Drawing maps of the cells")
    for done, receipt in enumerate(executor.run(tasks), start=1):
        notes.append(_checked(receipt)["note"])
        voice.say("map", done=done, total=len(tasks), message=receipt.task.label)
    return _once(notes)


def _once(notes: Iterable[str]) -> list[str]:
    return sorted({note for note in notes if note})


def _checked(receipt: Any) -> dict[str, Any]:
    from jobs.driver import result_of

    return result_of(receipt)
