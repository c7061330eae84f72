"""How attempts end: retried larger, stopped by the clock, left after four seconds, and tidied up in the end."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from jobs import layout
from jobs.queue.rules import Rules
from jobs.reconcile.moves import MEMORY_STEPS
from jobs.reconcile.reconciler import LEAVE_AFTER_S
from jobs.reconcile.sweeper import LINGER_S
from jobs.runners.base import RunnerState
from jobs.state import JobState
from jobs.views import Failure
from storage.tables import jobs as table
from storage.tables.rows import utcnow
from tests.unit.test_reconcile import Scene, scene, succeeded

__all__ = ["scene"]


def fail(scene: Scene, code: str) -> None:
    scene.say("failed", failure=Failure(code=code, message="It ended.").model_dump())
    scene.tick()


def run_again(scene: Scene) -> None:
    scene.silence(60)
    scene.tick()
    scene.say("started", version="1", host="node")
    scene.tick()


def leave(scene: Scene, *keys: str) -> None:
    for key in keys:
        scene.store.put_bytes(key, b"left")


def over(scene: Scene, says: RunnerState = RunnerState.SUCCEEDED) -> None:
    """The runner says that the attempt's process has ended."""
    scene.runner.says = says
    scene.tick()


@pytest.mark.parametrize("code", ["out-of-memory", "worker-died"])
def test_an_attempt_short_of_memory_is_tried_again_one_size_up_and_that_is_bounded(scene: Scene, code: str) -> None:
    scene.running()
    for step in range(1, MEMORY_STEPS + 1):
        fail(scene, code)
        assert (scene.row().state, scene.row().attempt, scene.row().memory_step) == (JobState.SUBMITTED, step + 1, step)
        assert json.loads(scene.store.get_bytes(layout.order("job-1", step + 1)))["memory_step"] == step
        scene.say("started", version="1", host="node")
        scene.tick()
    fail(scene, code)
    assert scene.row().state == JobState.FAILED
    with scene.database.read() as conn:
        reasons = [e.detail.get("reason", "") for e in table.events(conn, "job-1") if e.to_state == "QUEUED"]
    assert [f"{2**step} times the memory" in reasons[step] for step in (1, 2)] == [True, True]


def test_an_attempt_that_its_place_ended_for_memory_is_said_so_and_tried_one_size_up(scene: Scene) -> None:
    scene.running()
    scene.runner.says, scene.runner.words = RunnerState.FAILED, "1 worker(s) were killed: the node ran low on memory"
    scene.silence()
    scene.tick()
    assert (scene.row().state, scene.row().attempt, scene.row().memory_step) == (JobState.QUEUED, 2, 1)
    with scene.database.read() as conn:
        (lost,) = [event for event in table.events(conn, "job-1") if event.to_state == "LOST"]
    assert "low on memory" in lost.detail["reason"]


def test_any_other_failure_is_not_tried_again(scene: Scene) -> None:
    scene.running()
    fail(scene, "worker-crashed")
    assert scene.row().state == JobState.FAILED


def test_a_job_that_runs_past_its_limit_is_stopped_and_fails_with_that_reason(scene: Scene) -> None:
    scene.queue(time_limit_s=60.0)
    scene.tick()
    scene.say("started", version="1", host="node")
    scene.tick()
    row = scene.row()
    scene.database.write_now(
        lambda conn: table.change(conn, row.id, attempt=1, started_at=utcnow() - timedelta(seconds=59))
    )
    scene.tick()
    assert scene.row().state == JobState.RUNNING
    scene.database.write_now(
        lambda conn: table.change(conn, row.id, attempt=1, started_at=utcnow() - timedelta(seconds=61))
    )
    scene.tick()
    assert scene.row().state == JobState.CANCELLING
    assert scene.store.exists(layout.cancel_mark("job-1", 1))
    scene.say("cancelled")
    scene.tick()
    failure = scene.row().failure
    assert (scene.row().state, failure and failure["code"]) == (JobState.FAILED, "timed-out")


def test_a_success_that_came_in_time_after_all_is_shown_without_that_reason(scene: Scene) -> None:
    scene.reconciler.rules = Rules(job_s=1.0)
    row = scene.running()
    scene.database.write_now(
        lambda conn: table.change(conn, row.id, attempt=1, started_at=utcnow() - timedelta(seconds=2))
    )
    scene.tick()
    scene.say("succeeded", **succeeded())
    scene.tick()
    assert (scene.row().state, scene.row().failure) == (JobState.SUCCEEDED, None)


def test_an_attempt_that_never_starts_is_given_up_only_while_the_runner_says_that_it_waits(scene: Scene) -> None:
    scene.reconciler.rules = Rules(start_s=100.0)
    scene.queue()
    scene.tick()
    scene.silence(3_600)
    scene.runner.away = True
    scene.tick(2)
    assert scene.row().state == JobState.SUBMITTED
    scene.runner.away, scene.runner.says = False, RunnerState.PENDING
    scene.tick()
    assert scene.row().state == JobState.CANCELLING
    scene.silence()
    over(scene, RunnerState.STOPPED)
    failure = scene.row().failure
    assert (scene.row().state, failure and failure["code"]) == (JobState.FAILED, "never-started")


def test_a_cancel_is_over_after_four_seconds_and_what_still_runs_keeps_its_place_until_it_is_gone(scene: Scene) -> None:
    scene.reconciler.rules = Rules(places=1)
    scene.running()
    scene.cancel()
    scene.tick()
    scene.now = LEAVE_AFTER_S
    scene.say("stage", stage="translate", done=1, total=3, message="deaf, and alive")
    scene.tick()
    assert scene.row().state == JobState.CANCELLED
    scene.queue("job-2")
    scene.tick()
    assert scene.runner.stopped[-1] == ("job-1-1", True)
    assert scene.row("job-2").state == JobState.QUEUED
    over(scene, RunnerState.STOPPED)
    scene.tick()
    assert scene.row("job-2").state == JobState.SUBMITTED


def test_after_a_success_only_the_visible_result_and_the_record_stay(scene: Scene) -> None:
    scene.running()
    scene.runner.says = RunnerState.FAILED
    scene.silence()
    scene.tick()  # lost, and queued again
    run_again(scene)
    keep = [layout.output("job-1", 2, "report.json"), layout.order("job-1", 1), layout.event("job-1", 1, 1)]
    gone = [
        layout.output("job-1", 1, "report.json"),
        *(layout.piece("job-1", n, "rna-to-atac", "m.npz") for n in (1, 2)),
    ]
    gone.append(layout.part("job-1", "0" * 64, "rna-to-atac", 0, 3))
    leave(scene, *gone, keep[0])
    scene.runner.says = RunnerState.RUNNING
    scene.say("succeeded", **succeeded())
    scene.tick()
    assert all(map(scene.store.exists, gone)), "the attempt's process still ends"
    over(scene)
    assert not any(map(scene.store.exists, gone))
    assert all(map(scene.store.exists, keep))
    assert (scene.row().swept, scene.row().logged) == (2, 2)


def test_what_a_retry_goes_on_from_stays(scene: Scene) -> None:
    scene.running()
    part, piece = layout.part("job-1", "0" * 64, "rna-to-atac", 0, 3), layout.piece("job-1", 1, "rna-to-atac", "m.npz")
    leave(scene, part, piece)
    fail(scene, "bad-bundle")
    over(scene, RunnerState.FAILED)
    assert scene.store.exists(part)
    assert not scene.store.exists(piece)


def test_nothing_of_a_job_that_runs_is_swept_though_an_older_attempt_is_dead(scene: Scene) -> None:
    scene.running()
    scene.runner.says = RunnerState.FAILED
    scene.silence()
    scene.tick()
    run_again(scene)
    keys = [layout.part("job-1", "0" * 64, "rna-to-atac", 0, 3), layout.piece("job-1", 2, "rna-to-atac", "m.npz")]
    leave(scene, *keys)
    scene.tick(3)
    assert scene.row().state == JobState.RUNNING
    assert all(map(scene.store.exists, keys))


def test_a_process_that_does_not_end_after_its_last_word_is_seen_out(scene: Scene) -> None:
    scene.running()
    scene.say("succeeded", **succeeded())
    scene.tick()
    assert scene.runner.stopped == []
    scene.silence(LINGER_S + 1)
    scene.tick()
    assert scene.runner.stopped == [("job-1-1", True)]


def test_the_log_stays_when_the_runner_has_forgotten_it_and_without_secrets(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs import logs

    scene.running()
    words = {"job-1-1": "reading\nAuthorization: Bearer abcdefgh12345678\ndone"}
    monkeypatch.setattr(scene.runner, "logs", lambda submission: words.get(submission, ""))
    fail(scene, "bad-bundle")
    over(scene, RunnerState.FAILED)
    words.clear()
    kept = scene.store.get_bytes(layout.log("job-1", 1)).decode()
    assert kept.startswith("reading")
    assert "abcdefgh12345678" not in kept
    assert logs.read(scene.store, scene.runner, scene.row(), tail=1) == "done"


def test_a_job_deleted_while_its_log_is_kept_leaves_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.running()
    fail(scene, "bad-bundle")

    def deleted_meanwhile(submission: str) -> str:
        scene.store.delete_prefix(layout.job_prefix("job-1"))
        scene.database.write_now(lambda conn: table.delete(conn, "job-1"))
        return "a line"

    monkeypatch.setattr(scene.runner, "logs", deleted_meanwhile)
    over(scene, RunnerState.FAILED)
    assert scene.store.list(layout.job_prefix("job-1")) == []
