"""A training on a real Ray: its worker is killed in the middle, and the model is the one an undisturbed run makes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from jobs import layout
from jobs.driver import run_attempt
from jobs.runners.base import RunnerState
from jobs.runners.local import SerialExecutor
from jobs.training.curve import read_curve
from tests.running import Ordered, order_training

if TYPE_CHECKING:
    from jobs.runners.ray.cluster import LocalRay

pytestmark = pytest.mark.cluster

SETTINGS = {
    "epochs": "40", "patience": "40", "batch": "16", "components": "8", "target_components": "8", "hidden": "64",
}  # fmt: skip


def wait_for(condition: Callable[[], object], *, seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def order(folder: Path) -> Ordered:
    folder.mkdir()
    return order_training(folder, model="svd-mlp", settings=SETTINGS)


def epochs(ordered: Ordered) -> int:
    key = layout.training(ordered.job, ordered.spec.digest, "curve.json")
    return len(read_curve(ordered.store.get_bytes(key)).epochs) if ordered.store.exists(key) else 0


def kill_the_trainer(ray: LocalRay) -> bool:
    for process in ray.members():
        try:
            if " ".join(process.cmdline()).startswith("ray::train"):
                process.kill()
                return True
        except psutil.Error:
            continue
    return False


def test_a_killed_worker_changes_nothing(local_ray: LocalRay, tmp_path: Path) -> None:
    from jobs.runners.ray.runner import RayRunner

    alone, ordered = order(tmp_path / "alone"), order(tmp_path / "ray")
    runner = RayRunner(local_ray.address, token_path=local_ray.token_path)
    submission = f"train-{os.getpid()}"
    runner.submit(submission=submission, job=ordered.job, attempt=1, store=ordered.uri)
    wait_for(lambda: epochs(ordered) >= 3)
    assert kill_the_trainer(local_ray)
    assert run_attempt(alone.store, alone.job, 1, SerialExecutor(alone.uri)) == 0
    waiting = {RunnerState.PENDING, RunnerState.RUNNING}
    wait_for(lambda: runner.status(submission).state not in waiting)
    last = ordered.events()[-1]
    assert last["kind"] == "succeeded", (last, runner.logs(submission))
    assert last["summary"]["bundle"] == alone.events()[-1]["summary"]["bundle"]
    key = layout.training(ordered.job, ordered.spec.digest, "curve.json")
    view = read_curve(ordered.store.get_bytes(key))
    assert len(view.resumed) == 1
    assert [epoch.number for epoch in view.epochs] == 2 * list(range(1, 41))
