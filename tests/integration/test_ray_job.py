"""The same attempt on a real Ray: the same bytes, whatever dies on the way; and no process is left behind."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from engine.types import Modality
from jobs import driver, layout
from jobs.driver import run_attempt
from jobs.parts import read_part
from jobs.runners.base import RunnerState, RunnerUnreachable
from jobs.runners.local import LocalRunner, SerialExecutor
from jobs.training.curve import read_curve
from jobs.views import TrainingView
from tests.labs import nobody, until
from tests.running import (
    JOINT,
    Ordered,
    assert_same_joint,
    fit_tiny_model,
    order,
    order_analysis,
    order_evaluation,
    order_joint,
    order_training,
)

if TYPE_CHECKING:
    from jobs.runners.ray.cluster import LocalRay
    from jobs.runners.ray.runner import RayRunner

pytestmark = pytest.mark.cluster

SLOW_MACHINE_S = 150
SVD_MLP = {
    "epochs": "40", "patience": "40", "batch": "16", "components": "8", "target_components": "8", "hidden": "64",
}  # fmt: skip


def wait_for(condition: Callable[[], object], *, seconds: float = SLOW_MACHINE_S) -> None:
    until(condition, bool, seconds=seconds)


@pytest.fixture
def runner(local_ray: LocalRay) -> Iterator[RayRunner]:
    from jobs.runners.ray.runner import RayRunner

    found = RayRunner(local_ray.address, token_path=local_ray.token_path)
    yield found
    found.close()


@dataclass(frozen=True)
class OnRay:
    runner: RayRunner
    ordered: Ordered
    submission: str

    def ended(self) -> bool:
        return self.runner.status(self.submission).state not in {RunnerState.PENDING, RunnerState.RUNNING}

    def finish(self) -> None:
        wait_for(self.ended)
        kind = self.ordered.events()[-1]["kind"] if self.ordered.events() else "nothing"
        assert kind == "succeeded", (self.ordered.events()[-1:], self.runner.logs(self.submission))


def submit(runner: RayRunner, ordered: Ordered, name: str) -> OnRay:
    runner.submit(submission=name, job=ordered.job, attempt=1, store=ordered.uri)
    return OnRay(runner, ordered, name)


@pytest.fixture(scope="module")
def locally(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Ordered:
    """What the local runner makes of it: the measure for all others."""
    folder = tmp_path_factory.mktemp("local")
    ordered = order(folder, tiny_model, export=True, chunk_cells=8, umap=False)
    local = LocalRunner(folder / "runner", workers=1)
    local.submit(submission="job1-1", job="job1", attempt=1, store=ordered.uri)
    wait_for(lambda: local.status("job1-1").state not in {RunnerState.PENDING, RunnerState.RUNNING})
    assert ordered.events()[-1]["kind"] == "succeeded", local.logs("job1-1")
    return ordered


def assert_same_result(one: Ordered, other: Ordered) -> None:
    parts = dict(zip(one.parts(), other.parts(), strict=True))
    for mine, theirs in parts.items():
        a, b = read_part(one.store.get_bytes(mine)), read_part(other.store.get_bytes(theirs))
        np.testing.assert_allclose(a.latent.values, b.latent.values, atol=1e-5)
        assert list(a.barcodes) == list(b.barcodes)
    for name in ("report.json", "rna-to-atac/features.json", "atac-to-rna/cells.json"):
        assert_close(json.loads(one.output(name)), json.loads(other.output(name)))


def assert_close(one: object, other: object) -> None:
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_close(one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_close(a, b)
    elif isinstance(one, float) and isinstance(other, int | float):
        assert one == pytest.approx(other, abs=1e-5)
    else:
        assert one == other


def test_ray_and_the_local_runner_agree(runner: RayRunner, locally: Ordered, tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, export=True, chunk_cells=8, umap=False)
    job = submit(runner, ordered, f"agree-{os.getpid()}")
    submit(runner, ordered, job.submission)  # the same submission twice is one
    job.finish()
    assert_same_result(locally, ordered)
    numbers = [event["n"] for event in ordered.events()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_more_memory_a_task_gives_the_same_result(
    runner: RayRunner, locally: Ordered, tiny_model: Path, tmp_path: Path
) -> None:
    ordered = order(tmp_path, tiny_model, export=True, chunk_cells=8, umap=False)
    ordered.again(1, memory_step=2)  # as much as the node has: one task at a time
    submit(runner, ordered, f"roomy-{os.getpid()}").finish()
    assert_same_result(locally, ordered)


def test_killing_a_worker_in_mid_job_changes_nothing(
    local_ray: LocalRay, runner: RayRunner, locally: Ordered, tiny_model: Path, tmp_path: Path
) -> None:
    ordered = order(tmp_path, tiny_model, export=True, chunk_cells=8, umap=False)
    job = submit(runner, ordered, f"kill-{os.getpid()}")
    killed: list[int] = []

    def kill_one() -> bool:
        for worker in busy_workers(local_ray):
            worker.kill()
            killed.append(worker.pid)
        return bool(killed) or job.ended()

    wait_for(kill_one)
    job.finish()
    assert killed
    assert_same_result(locally, ordered)


def busy_workers(ray: LocalRay) -> list[psutil.Process]:
    """Workers that run one of our tasks: Ray names their processes after it."""
    found = []
    for process in ray.members():
        if named(process).startswith(("ray::translate", "ray::score")):
            found.append(process)
    return found


def named(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_cancel_mark_ends_a_ray_job_as_cancelled(runner: RayRunner, tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, chunk_cells=1, umap=False)
    job = submit(runner, ordered, f"cancel-{os.getpid()}")
    wait_for(lambda: any(event["kind"] == "stage" for event in ordered.events()))
    ordered.store.put_once(layout.cancel_mark(ordered.job, 1), b"")
    wait_for(lambda: ordered.events()[-1]["kind"] in driver.TERMINAL, seconds=20)
    assert ordered.events()[-1]["kind"] == "cancelled"
    wait_for(job.ended)


def test_a_job_stopped_by_ray_leaves_no_last_word(runner: RayRunner, tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, chunk_cells=1, umap=False)
    job = submit(runner, ordered, f"stop-{os.getpid()}")
    wait_for(lambda: any(event["kind"] == "stage" for event in ordered.events()))
    runner.stop(job.submission)
    wait_for(job.ended)
    assert not {event["kind"] for event in ordered.events()} & driver.TERMINAL
    assert runner.status(job.submission).state in {RunnerState.STOPPED, RunnerState.FAILED}


def test_the_runner_tells_what_the_cluster_has(runner: RayRunner) -> None:
    capacity = runner.capacity()
    assert (capacity.cpus, capacity.nodes) == (2, 1)
    assert capacity.memory_bytes == capacity.largest_bytes > 2**28


def test_an_unknown_submission_is_unknown_and_not_lost(runner: RayRunner) -> None:
    assert runner.status("never-heard-of-it").state is RunnerState.UNKNOWN
    assert runner.logs("never-heard-of-it") == ""
    runner.stop("never-heard-of-it")


def test_nobody_gets_in_without_the_token(local_ray: LocalRay, tmp_path: Path) -> None:
    import httpx

    from jobs.runners.ray.runner import RayRunner

    assert httpx.get(f"{local_ray.address}/api/jobs/", trust_env=False).status_code == 401
    wrong = tmp_path / "token"
    wrong.write_text("0" * 64)
    with pytest.raises(RunnerUnreachable):
        RayRunner(local_ray.address, token_path=wrong).status("x")
    assert local_ray.token_path.stat().st_mode & 0o777 == 0o600


def test_ray_listens_on_this_machine_only(local_ray: LocalRay) -> None:
    heard = set()
    for process in local_ray.members():
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        heard |= {c.laddr.ip.removeprefix("::ffff:") for c in connections if c.status == psutil.CONN_LISTEN}
    assert heard
    assert heard <= {"127.0.0.1", "::1"}


def test_a_second_ray_goes_in_mid_job_and_leaves_neither_a_last_word_nor_anything_else(
    local_ray: LocalRay, tiny_model: Path, tmp_path: Path
) -> None:
    from jobs.runners.ray.cluster import LocalRay as Ray
    from jobs.runners.ray.runner import RayRunner

    ordered = order(tmp_path, tiny_model, chunk_cells=1, umap=False)
    second = Ray.start(tmp_path, cpus=1)
    try:
        runner = RayRunner(second.address, token_path=second.token_path)
        submit(runner, ordered, "goes-1")
        wait_for(lambda: busy_workers(second))
        members = second.members()
        assert len(members) > 5
    finally:
        second.stop()
    kinds = [event["kind"] for event in ordered.events()]
    assert kinds[0] == "started"
    assert not set(kinds) & driver.TERMINAL
    assert not [process for process in members if process.is_running()]
    assert not second.members()
    assert not second.folder.exists()
    assert local_ray.alive
    assert RayRunner(local_ray.address, token_path=local_ray.token_path).capacity().nodes == 1


def test_a_dead_ray_is_unreachable_and_nothing_more() -> None:
    from jobs.runners.ray.runner import RayRunner

    with nobody() as address:
        runner = RayRunner(f"http://{address}")
        with pytest.raises(RunnerUnreachable):
            runner.status("x")
        with pytest.raises(RunnerUnreachable):
            runner.capacity()


# -- other kinds of jobs ---------------------------------------------------------------------------------------------


def locally_too(one: Ordered) -> Ordered:
    assert run_attempt(one.store, one.job, 1, SerialExecutor(one.uri)) == 0, one.events()[-1]
    return one


def test_a_killed_trainer_changes_nothing(local_ray: LocalRay, runner: RayRunner, tmp_path: Path) -> None:
    alone, ordered = (order_training(tmp_path / name, model="svd-mlp", settings=SVD_MLP) for name in ("alone", "ray"))
    job = submit(runner, ordered, f"train-{os.getpid()}")
    wait_for(lambda: len(curve(ordered).epochs) >= 3)
    trainer = next(each for each in local_ray.members() if named(each).startswith("ray::train"))
    trainer.kill()
    locally_too(alone)
    job.finish()
    assert ordered.events()[-1]["summary"]["bundle"] == alone.events()[-1]["summary"]["bundle"]
    view = curve(ordered)
    assert len(view.resumed) == 1
    assert [epoch.number for epoch in view.epochs] == 2 * list(range(1, 41))


def curve(ordered: Ordered) -> TrainingView:
    key = layout.training(ordered.job, ordered.spec.digest, "curve.json")
    return read_curve(ordered.store.get_bytes(key) if ordered.store.exists(key) else None)


def test_an_analysis_writes_the_same_files(runner: RayRunner, tmp_path: Path) -> None:
    here, there = (order_analysis(tmp_path / name, what="mixing", batch="cell_type") for name in ("alone", "ray"))
    job = submit(runner, there, f"analysis-{os.getpid()}")
    locally_too(here)
    job.finish()
    mine, theirs = (json.loads(each.output("report.json"))["files"] for each in (here, there))
    assert mine == theirs


def test_a_joint_view_gives_the_same_numbers(runner: RayRunner, tmp_path: Path) -> None:
    model = fit_tiny_model(tmp_path / "m", "crossmp", JOINT)
    here, there = (order_joint(tmp_path / name, model, label="cell_type", export=True) for name in ("alone", "ray"))
    job = submit(runner, there, f"joint-{os.getpid()}")
    locally_too(here)
    job.finish()
    assert_same_joint(here, there)


def test_a_prediction_gets_the_same_scores(runner: RayRunner, tmp_path: Path) -> None:
    here, there = (order_evaluation(tmp_path / name, Modality.RNA, umap=False) for name in ("alone", "ray"))
    job = submit(runner, there, f"evaluate-{os.getpid()}")
    locally_too(here)
    job.finish()
    for name in ("cells.json", "features.json", "scores.csv"):
        assert here.output(f"atac-to-rna/{name}") == there.output(f"atac-to-rna/{name}"), name
