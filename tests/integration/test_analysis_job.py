"""An analysis as a job on this machine and on Ray: the same files, word of what is done, failures with their code."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.types import Modality
from jobs import driver, layout
from jobs.analysis.tasks import told_key
from jobs.driver import run_attempt
from jobs.runners.local import SerialExecutor
from jobs.spec import AnalysisSpec
from jobs.stages import STAGES
from jobs.version import code_version
from jobs.work import attempt_of
from storage.artifacts import LocalStore
from tests.builders import write_h5ad
from tests.running import Ordered, built_cells

if TYPE_CHECKING:
    from jobs.runners.ray.cluster import LocalRay

pytestmark = pytest.mark.slow


def order(folder: Path, **fields: Any) -> Ordered:
    """An analysis of the built cells without a model. fields: of AnalysisSpec."""
    from engine.intake.canonical import canonicalise

    store, datasets = LocalStore(folder / "store"), {}
    for modality in Modality:
        raw = write_h5ad(built_cells().of(modality), folder / f"{modality.value}.h5ad")
        canonicalise(raw, folder / "clean.h5ad", modality=modality)
        key = layout.dataset(modality.value)
        store.put_file(key, folder / "clean.h5ad")
        datasets[modality.value] = {"key": key, "name": raw.name, "id": modality.value}
    asked = {"on": ("raw",), "embedding": "rna", "rna": "rna", "atac": "atac", **fields}
    spec = AnalysisSpec.model_validate(asked)
    document = {
        "version": code_version(), "job": "job1", "attempt": 1, "spec": spec.model_dump(mode="json"),
        "spec_digest": spec.digest, "datasets": datasets, "bundle_prefix": "",
    }  # fmt: skip
    store.put_bytes(layout.order("job1", 1), json.dumps(document).encode())
    return Ordered(store, "job1", spec)


def run(ordered: Ordered) -> int:
    return run_attempt(ordered.store, ordered.job, 1, SerialExecutor(ordered.uri))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Ordered:
    ordered = order(tmp_path_factory.mktemp("finished"), what="mixing", batch="cell_type")
    assert run(ordered) == 0, ordered.events()[-1]
    return ordered


def test_stages_come_in_their_order_and_the_worker_says_what_it_does(finished: Ordered) -> None:
    order_of = list(STAGES["analysis"])
    places = [order_of.index(event["stage"]) for event in finished.events() if event["kind"] == "stage"]
    assert places == sorted(places)
    assert {order_of[place] for place in places} >= {"analyse", "publish"}  # the first may be over before it is told
    said = finished.store.get_bytes(told_key(attempt_of(finished.uri, finished.job, 1)))
    assert json.loads(said) == {"message": "Writing the tables"}


def test_artifacts_are_what_the_event_says(finished: Ordered) -> None:
    import hashlib

    said = finished.events()[-1]["artifacts"]
    assert [each["name"] for each in said] == [
        "mixing.cells.csv", "mixing.cells.parquet", "mixing.mixing.csv", "mixing.mixing.parquet", "report.json",
    ]  # fmt: skip
    for each in said:
        data = finished.output(each["name"])
        assert (len(data), hashlib.sha256(data).hexdigest()) == (each["bytes"], each["sha256"])
    report = json.loads(finished.output("report.json"))
    assert report["files"] == {each["name"]: each["sha256"] for each in said if each["name"] != "report.json"}
    assert finished.events()[-1]["summary"]["figures"] == {"mixing": report["results"][0]["figures"]}


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"what": "mixing", "batch": "donor"}, "bad-setting", "donor"),
        ({"what": "activity"}, "bad-input", "gene table of hg38"),
    ],
)
def test_what_cannot_be_done_fails_with_its_own_code(
    tmp_path: Path, fields: dict[str, Any], code: str, said: str
) -> None:
    ordered = order(tmp_path, **fields)
    assert run(ordered) == driver.FAILED
    failure = ordered.events()[-1]["failure"]
    assert failure["code"] == code
    assert said in failure["message"]
    assert failure["hint"]


@pytest.mark.cluster
def test_on_ray_it_writes_the_same_files(local_ray: LocalRay, finished: Ordered, tmp_path: Path) -> None:
    from jobs.runners.base import RunnerState
    from jobs.runners.ray.runner import RayRunner

    ordered = order(tmp_path, what="mixing", batch="cell_type")
    runner = RayRunner(local_ray.address, token_path=local_ray.token_path)
    name = f"analysis-{os.getpid()}"
    runner.submit(submission=name, job=ordered.job, attempt=1, store=ordered.uri)
    wait_for(lambda: runner.status(name).state not in {RunnerState.PENDING, RunnerState.RUNNING})
    assert ordered.events()[-1]["kind"] == "succeeded", (ordered.events()[-1], runner.logs(name))
    here, there = (json.loads(each.output("report.json"))["files"] for each in (finished, ordered))
    assert here == there
    runner.close()


def wait_for(condition: Callable[[], object], *, seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
