"""The stages of an evaluation, told while they go: read, then scores beside maps, then files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.runners.base import Executor, Task

if TYPE_CHECKING:
    from jobs.driver import Voice
    from jobs.work import Attempt

WORDS = {"score": "Comparing with what was measured", "map": "Drawing maps of the cells"}


def evaluation(attempt: Attempt, voice: Voice, executor: Executor, *, threads: int = 1) -> dict[str, Any]:
    """All stages; what the `succeeded` event says."""
    from jobs.driver import result_of

    which = {"job": attempt.job, "attempt": attempt.number, "threads": threads}
    (receipt,) = executor.run([Task("prepare-evaluation", which, label="the cells")])
    found = result_of(receipt)
    which, n = {**which, "scale": found["scale"]}, int(found["cells"])
    tasks = [Task("score-prediction", which, label="scores", weight=n)]
    tasks += [Task("map-prediction", which, label="maps", weight=n)] if attempt.evaluation.umap else []
    said: dict[str, Any] = {}
    voice.say("score", done=0, total=1, message=WORDS["score"])
    for receipt in executor.run(tasks):
        said[receipt.task.kind] = result_of(receipt)
        scored = "score-prediction" in said
        stage = "map" if scored and attempt.evaluation.umap else "score"
        done = len(said) - 1 if stage == "map" else int(scored)
        voice.say(stage, done=done, total=1, message=WORDS[stage])
    voice.say("publish", done=0, total=1, message="Writing the files")
    judged, notes = said["score-prediction"], said.get("map-prediction", {}).get("notes", [])
    last = {**which, "report": judged["report"], "artifacts": judged["artifacts"], "notes": notes}
    (receipt,) = executor.run([Task("publish-evaluation", last, label="the result", weight=n)])
    return result_of(receipt)
