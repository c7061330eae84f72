"""What an error that Ray gives for a task means for the attempt."""

from __future__ import annotations

import pytest
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    OutOfDiskError,
    OutOfMemoryError,
    RayError,
    RaySystemError,
    WorkerCrashedError,
)

from jobs.driver import Stopped
from jobs.runners import memory
from jobs.runners.base import Task
from jobs.runners.ray.driver import ray_there, receipt_of
from jobs.runners.ray.runner import said

TASK = Task("translate", {}, label="cells 1–8")


@pytest.mark.parametrize(
    ("error", "code"), [(WorkerCrashedError(), "worker-died"), (OutOfMemoryError("node ran low"), "out-of-memory")]
)
def test_a_worker_that_died_again_and_again_fails_the_job_with_a_reason(error: RayError, code: str) -> None:
    failure = receipt_of(error, TASK).result["failure"]
    assert failure["code"] == code
    assert "cells 1–8" in failure["message"]


@pytest.mark.parametrize("error", [LocalRayletDiedError(), NodeDiedError("gone"), RaySystemError("no connection")])
def test_a_ray_that_goes_is_no_failure_of_the_job(error: RayError) -> None:
    with pytest.raises(Stopped):
        receipt_of(error, TASK)


def test_a_full_disk_of_ray_is_said_as_it_is() -> None:
    with pytest.raises(OutOfDiskError):
        receipt_of(OutOfDiskError("full"), TASK)


@pytest.mark.parametrize("error", [RuntimeError("GCS is gone"), ConnectionError("refused"), RaySystemError("no reply")])
def test_a_ray_that_does_not_take_a_call_is_no_failure_of_the_job(error: Exception) -> None:
    with pytest.raises(Stopped), ray_there():
        raise error


MONITOR = """Unexpected error occurred: 3 worker(s) were killed due to the node running low on memory. Memory on the \
node (IP: 127.0.0.1, ID: ded8) was 7.06GB used / 23.59GB limit (0.299197)
OOM kill reason: Memory usage 7474372608B exceeded threshold of 7435499008B (29.4% of 25325268992B limit)
Top 10 memory users: PID\tMEM(GB)\tCOMMAND
9490\t1.80\tpython analyse.py --patient Anna"""  # of Ray 2.60, shortened
FAILED = """Job entrypoint command failed with exit code 1, last available logs (truncated to 20,000 chars):
ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory."""


@pytest.mark.parametrize("message", [MONITOR, FAILED])
def test_what_the_monitor_says_is_told_as_short_of_memory_and_without_other_peoples_processes(message: str) -> None:
    told = said(message)
    assert memory.WORDS.search(told)
    assert "\n" not in told
    assert "Anna" not in told
    assert said("") == ""
    assert said("Job entrypoint command failed with exit code 1\nTraceback") == (
        "Job entrypoint command failed with exit code 1"
    )
