"""One attempt from its order to its last event: stages run, progress told through the store, a cancel obeyed."""

from __future__ import annotations

import json
import logging
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import CrossViewError
from jobs import layout
from jobs.failures import failure_of
from jobs.plan import Plan, plan
from jobs.resources.meter import Meter, meter_of
from jobs.runners.base import Executor, Receipt, Task
from jobs.version import code_version
from jobs.views import Failure
from jobs.work import Attempt, read_attempt

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore

log = logging.getLogger(__name__)

HEARTBEAT_S = 1.5  # between two words of a working driver at most, with POLL_S added  # ours
POLL_S = 0.5  # between two looks for a cancel mark or a newer attempt  # ours
QUIET_S = 0.25  # between two reports of progress at least  # ours
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
PATIENCE = (0.2, 1.0, 5.0, 15.0)  # seconds between tries to write to a store that is away  # ours

DONE, FAILED = 0, 1
SUPERSEDED = "superseded"  # what a task says that saw, before the driver did, that nobody wants the attempt any more


class VersionMismatch(CrossViewError):
    """The workers' code is not the control plane's."""

    code = "version-mismatch"


class TaskFailed(Exception):
    """A task met a failure; it stands as it is in the event."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Stopped(BaseException):
    """The work was told to stop from outside. Not an Exception: nothing on the way may swallow it."""


class OutboxTaken(Exception):
    """Another process writes for this attempt."""


class StoppableExecutor(Executor, Protocol):
    def stop(self) -> None:
        """Give up the tasks that run; `run` then raises Stopped. May be called from another thread."""
        ...

    def roomier(self, step: int) -> None:
        """Give each task 2**step times the memory, as far as there is any; before the first `run`."""
        ...


@dataclass
class Outbox:
    """Numbered, immutable events of one attempt, without gaps; one writer, from any of its threads."""

    store: ArtifactStore
    job: str
    attempt: int
    number: int = 0
    last: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    @classmethod
    def open(cls, store: ArtifactStore, job: str, attempt: int) -> tuple[Outbox, str]:
        """The outbox and the kind of its last event; an attempt started twice goes on where it was."""
        keys = store.list(layout.events(job, attempt))
        kind = json.loads(store.get_bytes(keys[-1])).get("kind", "") if keys else ""
        return cls(store, job, attempt, number=layout.number_of(keys[-1]) if keys else 0), kind

    def write(self, kind: str, **fields: Any) -> None:
        """Raises OutboxTaken when another writer was there first."""
        with self._lock:
            if self._closed:
                return
            document = {"n": self.number + 1, "kind": kind, "moment": time.time(), **fields}
            key = layout.event(self.job, self.attempt, self.number + 1)
            self._put(key, json.dumps(document, ensure_ascii=False, allow_nan=False).encode())
            self.number += 1
            self.last = time.monotonic()
            self._closed = kind in TERMINAL

    def _put(self, key: str, data: bytes) -> None:
        for pause in (*PATIENCE, None):
            try:
                # After a broken connection our own bytes may lie there already.
                if not self.store.put_once(key, data) and self.store.get_bytes(key) != data:
                    raise OutboxTaken(f"{key} was written by another process")
                return
            except OutboxTaken:
                raise
            except Exception:
                if pause is None:
                    raise
                log.warning("An event could not be written; trying again in %s s.", pause, exc_info=True)
                time.sleep(pause)


@dataclass
class Voice:
    """What is told while the work goes on, and who listens for the end: one thread that speaks and looks."""

    outbox: Outbox
    on_stop: Callable[[], None]
    reason: str = ""  # "cancelled" or "superseded", once seen
    meter: Meter | None = None  # of this process
    watch: Callable[[], Mapping[str, Any]] | None = None  # what a task that runs for long leaves of where it stands
    _stage: dict[str, Any] = field(default_factory=lambda: {"stage": "prepare", "done": 0, "total": 0, "message": ""})
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Voice:
        self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        assert self._thread is not None
        self._thread.join()

    def measured(self) -> AbstractContextManager[None]:
        """What this process takes is looked at while this lasts, stage by stage."""
        return self.meter.at(self._stage["stage"]) if self.meter is not None else nullcontext()

    def say(self, stage: str, *, done: int, total: int, message: str = "") -> None:
        """Told at once when the stage is new, otherwise at most a few times a second."""
        new = stage != self._stage["stage"]
        if self.meter is not None:
            self.meter.say(stage)
        self._stage = {"stage": stage, "done": done, "total": total, "message": message}
        if new or time.monotonic() - self.outbox.last >= QUIET_S:
            self.outbox.write("stage", **self._stage)
        self.check()

    def check(self) -> None:
        """Raises Stopped once a cancel mark or a newer attempt was seen."""
        if self.reason:
            raise Stopped

    def look(self) -> bool:
        """Ask the store whether this attempt is still wanted. Only what lies there counts; silence never does."""
        box = self.outbox
        if box.store.exists(layout.cancel_mark(box.job, box.attempt)):
            self.reason = "cancelled"
        elif box.store.exists(layout.order(box.job, box.attempt + 1)):
            self.reason = "superseded"
        return bool(self.reason)

    def _watch(self) -> None:
        """The stage as the watched task has it; a store that is slow costs no heartbeat."""
        watch = self.watch
        if watch is None:
            return
        try:
            seen = watch()
        except Exception:
            log.warning("A task's progress could not be read; trying again.", exc_info=True)
        else:
            if self.watch is watch:  # the task may have ended meanwhile
                self._stage = {**self._stage, **seen}

    def _loop(self) -> None:
        while not self._end.wait(POLL_S):
            try:
                if not self.reason and self.look():
                    self.on_stop()
                if time.monotonic() - self.outbox.last >= HEARTBEAT_S:
                    self._watch()
                    self.outbox.write("stage", **self._stage)
            except OutboxTaken:
                self.reason = "superseded"
                self.on_stop()
                return
            except Exception:
                log.warning("The store could not be asked; trying again.", exc_info=True)


def run_attempt(
    store: ArtifactStore,
    job: str,
    attempt: int,
    executor: StoppableExecutor,
    *,
    interrupt: Callable[[], None] | None = None,
    threads: int = 1,
) -> int:
    """Run results/<job>/<attempt>/order.json to its terminal event; exit code 0, or 1 when it failed.

    interrupt: called once when the attempt must stop, to break into work of this very process.
    """
    outbox, last = Outbox.open(store, job, attempt)
    if last in TERMINAL:
        return FAILED if last == "failed" else DONE

    def on_stop() -> None:
        executor.stop()
        if interrupt is not None:
            interrupt()

    voice = Voice(outbox, on_stop, meter=meter_of(store.uri(), job, attempt, role="driver"))
    try:
        outbox.write("started", version=code_version(), host=platform.node())
        with voice, voice.measured():
            ordered = read_attempt(store, store.uri(), job, attempt)
            if ordered.memory_step:
                executor.roomier(ordered.memory_step)
            ending = _work(ordered, voice, executor, threads)
        outbox.write("succeeded", **ending)
    except (Stopped, SystemExit, KeyboardInterrupt):
        executor.stop()
        return _stopped(voice)
    except OutboxTaken:
        return DONE  # the other one tells the story
    except TaskFailed as failed:
        if failed.failure.code == SUPERSEDED:
            return _stopped(voice)
        outbox.write("failed", failure=failed.failure.model_dump(mode="json"))
        return FAILED
    except Exception as error:
        if voice.reason:
            return _stopped(voice)
        log.exception("The attempt failed.")
        outbox.write("failed", failure=failure_of(error).model_dump(mode="json"))
        return FAILED
    return DONE


def _stopped(voice: Voice) -> int:
    """Cancelled, where the store says so; otherwise there is nothing to tell: another attempt may run."""
    if not voice.reason:
        voice.look()
    if voice.reason == "cancelled":
        voice.outbox.write("cancelled")
    return DONE if voice.reason else FAILED


def _work(attempt: Attempt, voice: Voice, executor: Executor, threads: int) -> dict[str, Any]:
    """All stages; what the `succeeded` event says."""
    if attempt.version != code_version():
        raise VersionMismatch(
            f"The job was submitted by CrossView {attempt.version}; this machine has {code_version()}.",
            hint="Install the same version on every node, then run the job again.",
        )
    voice.say("prepare", done=0, total=1, message="Reading the input")
    if attempt.asked.kind == "joint":
        from jobs.joint import conduct as joint

        return joint.joint(attempt, voice, executor, threads=threads)
    if attempt.asked.kind == "analysis":
        from jobs.analysis.conduct import analysis

        return analysis(attempt, voice, executor, threads=threads)
    if attempt.asked.kind == "evaluate":
        from jobs.evaluation.conduct import evaluation

        return evaluation(attempt, voice, executor, threads=threads)
    if attempt.asked.kind != "translate":
        from jobs.training import conduct

        return (conduct.train if attempt.asked.kind == "train" else conduct.benchmark)(attempt, voice, executor)
    tasks = _plan(attempt, threads)
    _translate(tasks, voice, executor)
    reports, notes, artifacts = _judge(tasks, voice, executor)
    return _publish(attempt, tasks, voice, executor, reports, notes, artifacts)


def _plan(attempt: Attempt, threads: int) -> Plan:
    counts = {}
    for modality in {direction.source for direction in attempt.spec.directions}:
        with attempt.cells(modality) as cells:
            counts[modality] = cells.n_cells
    return plan(attempt.spec, job=attempt.job, attempt=attempt.number, cells=counts, threads=threads)


def _translate(tasks: Plan, voice: Voice, executor: Executor) -> None:
    total, done = sum(task.weight for task in tasks.translate), 0
    voice.say("translate", done=0, total=total, message="Starting the workers")
    for receipt in executor.run(tasks.translate):
        result_of(receipt)
        done += receipt.task.weight
        voice.say("translate", done=done, total=total, message=receipt.task.label)


def _judge(
    tasks: Plan, voice: Voice, executor: Executor
) -> tuple[dict[str, dict[str, Any]], list[str], list[dict[str, Any]]]:
    """Scores and maps side by side: neither needs the other."""
    both = (*tasks.score, *tasks.map)
    left = {"score": len(tasks.score), "map": len(tasks.map)}
    reports: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    artifacts: list[dict[str, Any]] = []
    if both:
        _say_left(voice, left, tasks)
    for receipt in executor.run(both):
        result = result_of(receipt)
        left[receipt.task.kind] -= 1
        if receipt.task.kind == "score":
            reports[receipt.task.arguments["direction"]] = result["report"]
            artifacts.extend(result["artifacts"])
        else:
            notes.extend(note for note in result["notes"] if note not in notes)
        _say_left(voice, left, tasks)
    return reports, notes, artifacts


def _say_left(voice: Voice, left: Mapping[str, int], tasks: Plan) -> None:
    """The stage is the first that is not finished; directions are counted."""
    for stage, all_tasks, words in (
        ("score", tasks.score, "Comparing with what was measured"),
        ("map", tasks.map, "Drawing maps of the cells"),
    ):
        if left[stage] or stage == "map":
            voice.say(stage, done=len(all_tasks) - left[stage], total=len(all_tasks), message=words)
            return


def _publish(
    attempt: Attempt,
    tasks: Plan,
    voice: Voice,
    executor: Executor,
    reports: dict[str, dict[str, Any]],
    notes: Sequence[str],
    artifacts: list[dict[str, Any]],
) -> dict[str, Any]:
    from jobs.assemble import summary_of, write_report

    total = len(tasks.publish)
    voice.say("publish", done=0, total=total, message="Writing the files")
    for done, receipt in enumerate(executor.run(tasks.publish), start=1):
        result = result_of(receipt)
        artifacts.extend(result["artifacts"])
        if result["report"] is not None:
            reports[receipt.task.arguments["direction"]] = result["report"]
        voice.say("publish", done=done, total=total, message=receipt.task.label)
    ordered = {d.value: reports[d.value] for d in attempt.spec.directions}
    artifacts.append(write_report(attempt, ordered, notes=sorted(notes)))
    return {"artifacts": sorted(artifacts, key=lambda a: str(a["name"])), "summary": summary_of(ordered)}


def result_of(receipt: Receipt) -> dict[str, Any]:
    """Raises TaskFailed when that is what the receipt says."""
    if failure := receipt.result.get("failure"):
        raise TaskFailed(Failure.model_validate(failure))
    return receipt.result


def drained(task: Task, *, times: int, why: str, code: str = "worker-died") -> Receipt:
    """The receipt of a task whose workers died again and again. code: out-of-memory, worker-died or worker-crashed."""
    fits = "filter genes and peaks more strictly, train on fewer cells"
    less = {
        **dict.fromkeys(("train", "entry", "prepare-pair"), fits),
        "analyse": "look at raw profiles alone, give fewer cells",
        **dict.fromkeys(("score-prediction", "map-prediction"), "give a prediction of fewer cells"),
    }.get(task.kind, "use smaller chunks (chunk_cells)")
    hint = (
        f"It {'needs' if code == 'out-of-memory' else 'probably needs'} more memory: {less}, or use a larger machine."
    )
    if code == "worker-crashed":
        hint = "A library broke down: try again; if it happens again, report it with the job's log."
    return Receipt(
        task,
        {
            "failure": Failure(
                code=code, message=f"The worker of “{task.label}” died {times} times: {why}.", hint=hint
            ).model_dump(mode="json")
        },
    )
