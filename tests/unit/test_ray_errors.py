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
from jobs.runners.base import Task
from jobs.runners.ray.driver import ray_there, receipt_of

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
