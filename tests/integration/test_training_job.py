"""A training as a job on this machine: killed, cancelled and taken up again, it gives what an undisturbed one gives."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from engine.bundle import load_bundle, verify_bundle
from engine.predictability import read_predictability
from engine.types import Direction
from jobs import driver, layout
from jobs.driver import run_attempt
from jobs.runners.local import SerialExecutor
from jobs.stages import STAGES
from jobs.training.curve import read_curve
from jobs.views import TrainingView
from tests.forked import ForkedRunner
from tests.labs import until
from tests.running import Ordered, order_training

EPOCHS = 40  # of each direction
SETTINGS = {
    "epochs": str(EPOCHS), "patience": str(EPOCHS), "batch": "16", "components": "8", "target_components": "8",
    "hidden": "64",
}  # fmt: skip


def order(folder: Path) -> Ordered:
    folder.mkdir(exist_ok=True)
    return order_training(folder, model="svd-mlp", settings=SETTINGS)


def run(ordered: Ordered, attempt: int = 1) -> None:
    assert run_attempt(ordered.store, ordered.job, attempt, SerialExecutor(ordered.uri)) == 0


def curve(ordered: Ordered) -> TrainingView:
    key = layout.training(ordered.job, ordered.spec.digest, "curve.json")
    return read_curve(ordered.store.get_bytes(key) if ordered.store.exists(key) else None)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ordered:
    ordered = order(tmp_path_factory.mktemp("undisturbed"))
    run(ordered)
    return ordered


def test_it_goes_through_its_stages_and_tells_the_epochs(undisturbed: Ordered) -> None:
    events = undisturbed.events()
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))
    places = [list(STAGES["train"]).index(event["stage"]) for event in events if event["kind"] == "stage"]
    assert places == sorted(places)
    assert {1, 2, 3} <= set(places)  # a preparation that takes no time is not told
    assert events[-1]["kind"] == "succeeded"


def test_its_files_are_the_model_its_card_report_and_curve(undisturbed: Ordered, tmp_path: Path) -> None:
    import zipfile

    names = {each["name"] for each in undisturbed.events()[-1]["artifacts"]}
    assert {"report.json", "curve.json", "CARD.md", "model.zip", "bundle/weights.safetensors"} <= names
    assert "predictability.npz" in names
    (tmp_path / "model.zip").write_bytes(undisturbed.output("model.zip"))
    with zipfile.ZipFile(tmp_path / "model.zip") as packed:
        packed.extractall(tmp_path / "model")
    verify_bundle(tmp_path / "model")
    summary = undisturbed.events()[-1]["summary"]
    assert summary["model"] == f"mine-{summary['bundle'][:8]}"
    assert load_bundle(tmp_path / "model").digest == summary["bundle"]
    tables = read_predictability(tmp_path / "model", bundle=summary["bundle"], spaces={"rna": 60, "atac": 90})
    assert set(tables) == set(Direction)
    beside = undisturbed.store.get_bytes(layout.model(summary["model"]) + "predictability.npz")
    assert beside == undisturbed.output("predictability.npz")
    assert undisturbed.store.exists(layout.bundle(summary["bundle"]) + "bundle.json")
    report = json.loads(undisturbed.output("report.json"))
    assert set(report["directions"]) == {"rna-to-atac", "atac-to-rna"}
    card = undisturbed.output("CARD.md").decode()
    assert card.startswith("# Mine\n")
    for said in (
        "Leak check passed",
        "112 to train on, 24 to choose by, 24 to judge by",
        f"{EPOCHS} of at most {EPOCHS}",
    ):
        assert said in card
    assert [epoch.number for epoch in curve(undisturbed).epochs] == 2 * list(range(1, EPOCHS + 1))


@pytest.mark.timeout(480)
def test_killed_and_cancelled_it_goes_on_to_the_same_model(undisturbed: Ordered, tmp_path: Path) -> None:
    ordered = order(tmp_path)
    runner = ForkedRunner(tmp_path / "runner", workers=1)

    runner.submit(submission="job1-1", job="job1", attempt=1, store=ordered.uri)
    until(lambda: len(curve(ordered).epochs) >= 3, bool, seconds=280)
    os.killpg(json.loads((tmp_path / "runner" / "job1-1" / "pid.json").read_text())["pid"], signal.SIGKILL)
    killed_after = len(curve(ordered).epochs)
    assert killed_after < 2 * EPOCHS

    ordered.again(2)
    runner.submit(submission="job1-2", job="job1", attempt=2, store=ordered.uri)
    until(lambda: len(curve(ordered).epochs) > killed_after + 1, bool, seconds=280)
    ordered.store.put_once(layout.cancel_mark("job1", 2), b"")
    until(lambda: ordered.events(2)[-1]["kind"], driver.TERMINAL.__contains__, seconds=280)
    assert ordered.events(2)[-1]["kind"] == "cancelled"
    assert len(curve(ordered).epochs) < 2 * EPOCHS

    ordered.again(3)
    run(ordered, 3)
    assert ordered.events(3)[-1]["summary"]["bundle"] == undisturbed.events()[-1]["summary"]["bundle"]
    once, again = curve(undisturbed), curve(ordered)
    assert len(again.resumed) == 2
    for side in ("train", "valid"):
        for part in once.epochs[0].train if side == "train" else once.epochs[0].valid:
            np.testing.assert_allclose(
                [getattr(epoch, side)[part] for epoch in again.epochs],
                [getattr(epoch, side)[part] for epoch in once.epochs],
                atol=1e-6,
            )
    assert "went on from a checkpoint" in ordered.output("CARD.md", 3).decode()


def test_a_finished_fit_is_not_done_again(undisturbed: Ordered) -> None:
    undisturbed.again(2)
    before = curve(undisturbed)
    run(undisturbed, 2)
    assert curve(undisturbed) == before
    assert undisturbed.events(2)[-1]["summary"] == undisturbed.events()[-1]["summary"]


def test_a_split_that_leaks_fails_by_name(tmp_path: Path) -> None:
    names = [f"CELL{i:05d}" for i in range(160)]
    split = {"names": {"train": names[:100], "test": [*names[100:], names[3]]}}
    ordered = order_training(tmp_path, model="ridge", split=split)
    assert run_attempt(ordered.store, ordered.job, 1, SerialExecutor(ordered.uri)) == 1
    failure = ordered.events()[-1]["failure"]
    assert failure["code"] == "leaked-cells"
    assert names[3] in failure["message"]
