"""The stages of a training, told while they go: one long task whose curve is read from the store meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs import layout
from jobs.plan import ARROW
from jobs.runners.base import Executor, Task
from jobs.training.checkpoints import read_or_none
from jobs.training.curve import read_curve

if TYPE_CHECKING:
    from jobs.driver import Voice
    from jobs.work import Attempt

THREADS = 4  # a training may use, where the machine has as many  # ours
MANY = 3_000_000  # counts in both modalities from which more than one thread is of use  # ours


def train(attempt: Attempt, voice: Voice, executor: Executor) -> dict[str, Any]:
    """All stages; what the `succeeded` event says."""
    device = attempt.train.device
    which = {"job": attempt.job, "attempt": attempt.number, "threads": 1, "device": device}
    found = _one(executor, Task("prepare-pair", which, label="the cells"))
    threads = THREADS if found["counts"] >= MANY else 1
    voice.say("train", done=0, total=0, message="Starting a worker")
    voice.watch = lambda: standing(attempt)
    try:
        made = _one(executor, Task("train", {**which, "threads": threads}, label=attempt.train.model))
    finally:
        voice.watch = None
    scores = [
        Task("score-model", {**which, "direction": d.value}, label=ARROW[d])
        for d in ARROW
        if d.value in made["directions"]
    ]
    voice.say("score", done=0, total=len(scores), message="Comparing with cells held out")
    for done, receipt in enumerate(executor.run(scores), start=1):
        _checked(receipt)
        voice.say("score", done=done, total=len(scores), message=receipt.task.label)
    voice.say("publish", done=0, total=1, message="Writing the model")
    return _one(executor, Task("publish-model", which, label="the model"))


def benchmark(attempt: Attempt, voice: Voice, executor: Executor) -> dict[str, Any]:
    """Every entry side by side; a contender that fails costs its own line alone. Raises TaskFailed when all do."""
    from jobs.driver import SUPERSEDED, TaskFailed, result_of
    from jobs.training.benchmark import lineup, places

    device = attempt.benchmark.device
    which = {"job": attempt.job, "attempt": attempt.number, "threads": 1, "device": device}
    labelled = bool(_one(executor, Task("prepare-pair", which, label="the cells"))["labelled"])
    which = {**which, "labelled": labelled}
    names = [each.label or each.model for each in lineup(attempt.benchmark, labelled=labelled)]
    tasks = [
        Task("entry", {**which, "contender": i, "seed": seed}, label=f"{names[i]}, seed {seed}")
        for i, seed in places(attempt.benchmark, labelled=labelled)
    ]
    voice.say("measure", done=0, total=len(tasks), message="Starting the workers")
    failures: list[dict[str, Any]] = []
    for done, receipt in enumerate(executor.run(tasks), start=1):
        where = receipt.task.arguments
        try:
            result_of(receipt)
        except TaskFailed as failed:
            said = failed.failure.model_dump(include={"code", "message", "hint"})
            failures.append({"label": names[where["contender"]], "seed": where["seed"], **said})
            if len(failures) == len(tasks) or failed.failure.code == SUPERSEDED:
                raise
        voice.say("measure", done=done, total=len(tasks), message=receipt.task.label)
    voice.say("publish", done=0, total=1, message="Writing the report")
    failures.sort(key=lambda failure: (names.index(failure["label"]), failure["seed"]))
    return _one(executor, Task("publish-benchmark", {**which, "failures": failures}, label="the report"))


def standing(attempt: Attempt) -> Mapping[str, Any]:
    """Epoch of epochs and the losses, from the curve as it lies in the store."""
    key = layout.training(attempt.job, attempt.spec_digest, "curve.json")
    epochs = read_curve(read_or_none(attempt.store, key)).epochs
    if not epochs:
        return {}
    last = epochs[-1]
    losses = [f"{word} {side['total']:.4g}" for word, side in _sides(last.train, last.valid) if "total" in side]
    message = ", ".join([*([last.stage] if last.stage else []), *losses])
    return {"done": last.number, "total": last.of, "message": message}


def _sides(train: Mapping[str, float], valid: Mapping[str, float]) -> list[tuple[str, Mapping[str, float]]]:
    return [("loss", train), ("on validation cells", valid)]


def _one(executor: Executor, task: Task) -> dict[str, Any]:
    (receipt,) = executor.run([task])
    return _checked(receipt)


def _checked(receipt: Any) -> dict[str, Any]:
    from jobs.driver import result_of

    return result_of(receipt)
