"""What the store and the runner say, and what becomes of the job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs import layout
from jobs.reconcile import outbox
from jobs.reconcile.moves import PASSING, move
from jobs.reconcile.reconciler import FORCE_AFTER_S, QUIET_S, STOP_AFTER_S, TELL_EVERY_S, Reconciler
from jobs.runners.base import Capacity, RunnerState, RunnerStatus, RunnerUnreachable
from jobs.spec import TranslateSpec
from jobs.state import JobState
from jobs.views import Failure
from storage.artifacts import LocalStore
from storage.database import Database
from storage.tables import artifacts as artifact_table
from storage.tables import datasets as dataset_table
from storage.tables import jobs as table
from storage.tables.datasets import DatasetRow
from storage.tables.jobs import JobRow
from storage.tables.rows import utcnow

DATASET = DatasetRow(id="ds-1", name="cells", state="ready", digest="d" * 64, modality="rna", cells=3)
SPEC = TranslateSpec(model="tiny", bundle="b" * 64, rna="ds-1", directions=("rna-to-atac",))


@dataclass
class ScriptedRunner:
    """A place that says what the test tells it to; real ones are tested where they run."""

    says: RunnerState = RunnerState.RUNNING
    words: str = ""
    away: bool = False
    submitted: list[str] = field(default_factory=list)
    stopped: list[tuple[str, bool]] = field(default_factory=list)
    asked: int = 0
    name: str = "scripted"

    def capacity(self) -> Capacity:
        return Capacity(1.0, 0.0, 2.0**30, 1)

    def submit(self, *, submission: str, job: str, attempt: int, store: str) -> None:
        self._answer()
        if submission not in self.submitted:
            self.submitted.append(submission)

    def status(self, submission: str) -> RunnerStatus:
        self._answer()
        self.asked += 1
        return RunnerStatus(self.says, self.words)

    def stop(self, submission: str, *, force: bool = False) -> None:
        self._answer()
        self.stopped.append((submission, force))

    def logs(self, submission: str) -> str:
        return ""

    def close(self) -> None: ...

    def _answer(self) -> None:
        if self.away:
            raise RunnerUnreachable("it does not answer")


@dataclass
class Scene:
    """A database, a store, a scripted runner and a reconciler whose clock the test turns."""

    database: Database
    store: LocalStore
    runner: ScriptedRunner
    reconciler: Reconciler
    now: float = 0.0

    def queue(self, id: str = "job-1", **more: Any) -> None:
        row = JobRow(id=id, kind="translate", state="QUEUED", spec=SPEC.model_dump(mode="json"), spec_digest="0" * 64)
        self.database.write_now(lambda conn: table.insert(conn, replace(row, **more)))

    def running(self) -> JobRow:
        """A job whose attempt said that it started."""
        self.queue()
        self.tick()
        self.say("started", version="1", host="node")
        self.tick()
        row = self.row()
        assert row.state == JobState.RUNNING
        return row

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.reconciler.tick()

    def row(self, id: str = "job-1") -> JobRow:
        with self.database.read() as conn:
            row = table.get(conn, id)
        assert row is not None
        return row

    def moves(self) -> list[str]:
        with self.database.read() as conn:
            return [str(event.to_state) for event in table.events(conn, "job-1") if event.to_state]

    def say(self, kind: str, **content: Any) -> None:
        """The next event of the present attempt's outbox."""
        row = self.row()
        numbers = len(self.store.list(layout.events(row.id, row.attempt)))
        document = {"n": numbers + 1, "kind": kind, "moment": utcnow().isoformat(), **content}
        assert self.store.put_once(layout.event(row.id, row.attempt, numbers + 1), json.dumps(document).encode())

    def silence(self, seconds: float = QUIET_S + 1) -> None:
        """The last heartbeat lies this far back."""
        row = self.row()
        then = utcnow() - timedelta(seconds=seconds)
        self.database.write_now(
            lambda conn: table.change(conn, row.id, attempt=row.attempt, heartbeat_at=then, updated_at=then)
        )

    def cancel(self) -> None:
        row = self.row()
        self.database.write_now(lambda conn: move(conn, row, JobState.CANCELLING, reason="test"))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    bundle = tmp_path / "tiny"
    (bundle / "example").mkdir(parents=True)
    for name in ("bundle.json", "weights.safetensors", "CARD.md"):
        (bundle / name).write_text(name, encoding="utf-8")
    store, runner = LocalStore(tmp_path / "store"), ScriptedRunner()
    with Database.open(tmp_path / "jobs.duckdb") as database:
        database.write_now(lambda conn: dataset_table.insert(conn, DATASET))
        reconciler = Reconciler(
            database, store, runner, lambda digest: bundle if digest == "b" * 64 else None, store.uri()
        )
        made = Scene(database, store, runner, reconciler)
        reconciler.clock = lambda: made.now
        yield made


def succeeded(name: str = "report.json") -> dict[str, Any]:
    artifact = {"name": name, "bytes": 2, "sha256": "a" * 64, "media_type": "application/json", "what": "The report."}
    return {"artifacts": [artifact], "summary": {"rna-to-atac": {"cells": 3}}}


def test_a_queued_job_is_published_and_then_submitted(scene: Scene) -> None:
    scene.queue()
    scene.tick()
    assert scene.row().state == JobState.SUBMITTED
    assert scene.runner.submitted == ["job-1-1"]
    order = json.loads(scene.store.get_bytes(layout.order("job-1", 1)))
    assert order["datasets"]["rna"]["key"] == layout.dataset("d" * 64)
    assert scene.store.list(layout.bundle("b" * 64)) == [
        layout.bundle("b" * 64) + name for name in ("bundle.json", "weights.safetensors")
    ]


def test_a_runner_that_is_away_changes_nothing(scene: Scene) -> None:
    scene.queue()
    scene.runner.away = True
    scene.tick(3)
    assert scene.row().state == JobState.QUEUED
    scene.runner.away = False
    scene.tick()
    scene.runner.away = True
    scene.silence(3600)
    before = scene.row()
    scene.tick(3)
    assert scene.row() == before


def test_silence_never_ends_a_job(scene: Scene) -> None:
    scene.running()
    scene.silence(24 * 3600)
    scene.tick(3)
    assert scene.row().state == JobState.RUNNING
    assert scene.runner.asked == 3


def test_a_job_that_speaks_is_not_asked_after(scene: Scene) -> None:
    scene.running()
    scene.say("stage", stage="translate", done=1, total=3, message="cells 1–1")
    scene.tick()
    row = scene.row()
    assert (row.stage, row.done, row.total, row.message) == ("translate", 1, 3, "cells 1–1")
    assert scene.runner.asked == 0


def test_result_and_state_become_visible_together(scene: Scene) -> None:
    scene.running()
    scene.say("succeeded", **succeeded())
    scene.tick()
    row = scene.row()
    assert row.state == JobState.SUCCEEDED
    assert row.finished_at is not None
    with scene.database.read() as conn:
        (artifact,) = artifact_table.find(conn, job="job-1", attempt=1)
    assert (artifact.name, artifact.uri) == ("report.json", layout.output("job-1", 1, "report.json"))


def test_an_event_is_applied_once_however_often_it_is_seen(scene: Scene) -> None:
    scene.running()
    scene.say("log", line="hello")
    scene.tick()
    row = scene.row()
    again = Reconciler(scene.database, scene.store, scene.runner, scene.reconciler.bundle_folder, scene.store.uri())
    again.tick()
    assert scene.row() == row
    with scene.database.read() as conn:
        assert [e.detail["line"] for e in table.events(conn, "job-1") if e.kind == "log"] == ["hello"]


def test_a_whole_story_told_while_nobody_listened_is_read_in_order(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "AT_ONCE", 5)
    scene.queue()
    scene.tick()
    scene.say("started", version="1", host="node")
    for done in range(17):
        scene.say("stage", stage="translate", done=done, total=17, message="")
    scene.say("succeeded", **succeeded())
    scene.tick()
    assert scene.moves() == ["QUEUED", "SUBMITTED", "RUNNING", "SUCCEEDED"]
    assert scene.row().last_event == 19


def test_a_lost_event_is_noticed_and_the_story_goes_on_behind_it(scene: Scene) -> None:
    scene.running()
    for done in range(3):
        scene.say("stage", stage="translate", done=done, total=3)
    scene.say("succeeded", **succeeded())
    scene.store.delete(layout.event("job-1", 1, 3))
    scene.tick()
    assert (scene.row().state, scene.row().last_event) == (JobState.RUNNING, 2)
    scene.silence()
    scene.tick()
    assert (scene.row().state, scene.row().last_event) == (JobState.SUCCEEDED, 5)
    with scene.database.read() as conn:
        assert [e.detail["missing"] for e in table.events(conn, "job-1") if e.kind == "gap"] == [1]


@pytest.mark.parametrize("code", sorted(PASSING))
def test_a_place_that_fails_loses_the_attempt_and_not_the_job(scene: Scene, code: str) -> None:
    scene.running()
    scene.say("failed", failure=Failure(code=code, message="The store does not answer.").model_dump())
    scene.tick()
    assert (scene.row().state, scene.row().attempt) == (JobState.QUEUED, 2)
    assert scene.moves()[-2:] == ["LOST", "QUEUED"]


def test_a_place_that_fails_again_and_again_says_why(scene: Scene) -> None:
    scene.running()
    scene.silence(60)
    for attempt in (1, 2, 3):
        assert scene.row().attempt == attempt
        scene.say("started", version="1", host="node")
        scene.say("failed", failure=Failure(code="store-full", message="The bucket is full.").model_dump())
        scene.tick()
        scene.silence(60)
        scene.tick()
    row = scene.row()
    assert row.state == JobState.LOST
    assert row.failure is not None
    assert row.failure["message"] == "The bucket is full."


def test_a_failure_is_shown_without_secrets(scene: Scene) -> None:
    scene.running()
    failure = Failure(code="bad-bundle", message="Refused.", detail="Authorization: Bearer abcdefgh12345678")
    scene.say("failed", failure=failure.model_dump())
    scene.tick()
    row = scene.row()
    assert row.state == JobState.FAILED
    assert row.failure is not None
    assert (row.failure["code"], "abcdefgh12345678" in row.failure["detail"]) == ("bad-bundle", False)


@pytest.mark.parametrize("content", [{}, {"failure": "oh"}, {"failure": {"code": 3}}])
def test_a_garbled_ending_is_a_failure_all_the_same(scene: Scene, content: dict[str, Any]) -> None:
    scene.running()
    scene.say("failed", **content)
    scene.tick()
    assert scene.row().state == JobState.FAILED


def test_a_success_without_its_files_is_a_failure(scene: Scene) -> None:
    scene.running()
    scene.say("succeeded", artifacts=[{"name": "report.json"}])
    scene.tick()
    assert scene.row().state == JobState.FAILED


@pytest.mark.parametrize("says", [RunnerState.FAILED, RunnerState.STOPPED, RunnerState.UNKNOWN])
def test_an_attempt_that_is_gone_without_a_word_is_lost_and_queued_again(scene: Scene, says: RunnerState) -> None:
    scene.running()
    scene.runner.says = says
    scene.silence()
    scene.tick()
    row = scene.row()
    assert (row.state, row.attempt, row.last_event) == (JobState.QUEUED, 2, 0)
    assert scene.moves()[-2:] == ["LOST", "QUEUED"]
    assert scene.store.exists(layout.cancel_mark("job-1", 1))  # should it live after all, it need not work on
    assert not scene.store.exists(layout.cancel_mark("job-1", 2))


def test_the_retry_waits_before_it_is_submitted(scene: Scene) -> None:
    scene.running()
    scene.runner.says = RunnerState.FAILED
    scene.silence()
    scene.tick(2)
    assert scene.row().state == JobState.QUEUED
    scene.silence(60)
    scene.tick()
    assert scene.row().state == JobState.SUBMITTED
    assert scene.runner.submitted == ["job-1-1", "job-1-2"]


def test_an_ending_told_at_the_last_moment_beats_the_runner(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.running()
    scene.silence()
    ask = scene.runner.status

    def finishes_meanwhile(submission: str) -> RunnerStatus:
        scene.say("succeeded", **succeeded())
        scene.runner.says = RunnerState.FAILED
        return ask(submission)

    monkeypatch.setattr(scene.runner, "status", finishes_meanwhile)
    scene.tick()
    assert scene.row().state == JobState.SUCCEEDED


def test_words_of_an_older_attempt_are_not_heard(scene: Scene) -> None:
    scene.running()
    scene.runner.says = RunnerState.UNKNOWN
    scene.silence()
    scene.tick()
    late = {"n": 2, "kind": "succeeded", **succeeded()}
    scene.store.put_once(layout.event("job-1", 1, 2), json.dumps(late).encode())
    scene.tick(2)
    assert (scene.row().state, scene.row().attempt) == (JobState.QUEUED, 2)


def test_a_cancel_leaves_its_mark_and_waits_for_the_attempt(scene: Scene) -> None:
    scene.running()
    scene.cancel()
    scene.tick()
    assert scene.store.exists(layout.cancel_mark("job-1", 1))
    assert scene.row().state == JobState.CANCELLING
    assert scene.runner.stopped == []
    scene.say("cancelled")
    scene.tick()
    assert scene.row().state == JobState.CANCELLED


def test_a_deaf_attempt_is_asked_and_then_told_to_stop(scene: Scene) -> None:
    scene.running()
    scene.cancel()
    scene.tick()
    scene.now = STOP_AFTER_S
    scene.tick()
    scene.now = FORCE_AFTER_S
    scene.tick()
    assert scene.runner.stopped == [("job-1-1", False), ("job-1-1", True)]
    scene.runner.says = RunnerState.STOPPED
    scene.silence()
    scene.tick()
    assert scene.row().state == JobState.CANCELLED


def test_an_attempt_that_did_not_start_yet_is_asked_to_stop_at_once(scene: Scene) -> None:
    scene.queue()
    scene.tick()
    scene.cancel()
    scene.tick()
    assert scene.runner.stopped == [("job-1-1", False)]


def test_a_cancel_ends_also_where_the_runner_is_gone(scene: Scene) -> None:
    scene.running()
    scene.cancel()
    scene.runner.away = True
    scene.silence()
    scene.tick()
    assert scene.row().state == JobState.CANCELLING
    scene.now = STOP_AFTER_S
    scene.tick()
    assert scene.row().state == JobState.CANCELLED
    assert scene.store.exists(layout.cancel_mark("job-1", 1))


def test_a_cancelled_attempt_that_still_speaks_is_waited_for_although_the_runner_is_gone(scene: Scene) -> None:
    scene.running()
    scene.cancel()
    scene.runner.away = True
    scene.tick()
    scene.now = STOP_AFTER_S
    scene.say("stage", stage="translate", done=1, total=3, message="")
    scene.tick()
    assert scene.row().state == JobState.CANCELLING


def test_an_absent_runner_is_told_once_a_minute_and_not_at_every_look(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.queue()
    scene.runner.away = True
    scene.tick(20)
    assert len(caplog.records) == 1
    scene.now = TELL_EVERY_S
    scene.tick(20)
    assert len(caplog.records) == 2


def test_a_success_that_came_before_the_cancel_stands(scene: Scene) -> None:
    scene.running()
    scene.say("succeeded", **succeeded())
    scene.cancel()
    scene.tick()
    assert scene.row().state == JobState.SUCCEEDED


def test_no_more_attempts_run_at_once_than_allowed(scene: Scene) -> None:
    for number in range(4):
        scene.queue(f"job-{number}", submitted_at=utcnow() + timedelta(seconds=number))
    scene.tick(3)
    assert [scene.row(f"job-{n}").state for n in range(4)] == ["SUBMITTED", "SUBMITTED", "QUEUED", "QUEUED"]


def test_a_job_whose_cells_were_deleted_cannot_be_submitted(scene: Scene) -> None:
    scene.queue()
    scene.database.write_now(lambda conn: dataset_table.mark_deleted(conn, "ds-1"))
    scene.tick()
    row = scene.row()
    assert row.state == JobState.FAILED
    assert row.failure is not None
    assert row.failure["code"] == "not-found"


def test_a_model_that_left_the_catalog_fails_the_job_unless_the_store_has_it(scene: Scene) -> None:
    spec = SPEC.model_copy(update={"bundle": "c" * 64}).model_dump(mode="json")
    scene.queue(spec=spec)
    scene.tick()
    failure = scene.row().failure
    assert scene.row().state == JobState.FAILED
    assert failure is not None
    assert failure["code"] == "unknown-model"
    scene.store.put_bytes(layout.bundle("c" * 64) + "bundle.json", b"{}")
    scene.queue("job-2", spec=spec)
    scene.tick()
    assert scene.row("job-2").state == JobState.SUBMITTED
