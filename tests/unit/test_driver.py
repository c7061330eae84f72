"""One attempt on this machine: what it writes, how it ends, and what it does when it is told to stop."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.types import Direction, Modality
from jobs import driver, layout
from jobs.driver import run_attempt
from jobs.resources.points import Record
from jobs.runners.base import Receipt, RunnerState, Task
from jobs.runners.local import LocalRunner, PoolExecutor, SerialExecutor
from jobs.stages import STAGES
from jobs.work import attempt_of, encoded_of
from storage.errors import CorruptObject
from tests.labs import until
from tests.running import BOTH, Ordered, order

RNA_TO_ATAC = Direction.RNA_TO_ATAC


def run(ordered: Ordered, attempt: int = 1) -> int:
    return run_attempt(ordered.store, ordered.job, attempt, SerialExecutor(ordered.uri))


@pytest.fixture(scope="module")
def finished(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Ordered:
    """Both directions, exported, without maps (they have their own test)."""
    ordered = order(tmp_path_factory.mktemp("finished"), tiny_model, umap=False, export=True)
    assert run(ordered) == 0
    return ordered


def test_events_are_numbered_without_gaps_and_end_once(finished: Ordered) -> None:
    events = finished.events()
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["kind"] == "started"
    assert [event["kind"] for event in events if event["kind"] in driver.TERMINAL] == ["succeeded"]
    assert events[-1]["kind"] == "succeeded"


def test_stages_come_in_their_order_and_progress_reaches_its_total(finished: Ordered) -> None:
    stages = [event for event in finished.events() if event["kind"] == "stage"]
    places = [list(STAGES["translate"]).index(event["stage"]) for event in stages]
    assert places == sorted(places)
    assert all(0 <= event["done"] <= event["total"] for event in stages)
    assert {event["total"] for event in stages if event["stage"] == "translate"} == {2 * 48}


def test_artifacts_are_what_the_event_says(finished: Ordered) -> None:
    import hashlib

    said = finished.events()[-1]["artifacts"]
    names = {each["name"] for each in said}
    for direction in BOTH:
        files = ["latent.h5ad", "prediction.h5ad", "features.json", "cells.json", "scores.csv"]
        files += ["roc.json"] if direction is Direction.RNA_TO_ATAC else []  # only open or closed has a curve
        assert {f"{direction.value}/{name}" for name in files} <= names
    assert "report.json" in names
    for each in said:
        data = finished.output(each["name"])
        assert (len(data), hashlib.sha256(data).hexdigest()) == (each["bytes"], each["sha256"])


def test_the_report_names_scores_with_intervals_and_nulls(finished: Ordered) -> None:
    report = json.loads(finished.output("report.json"))
    peaks = report["directions"]["rna-to-atac"]["scores"]["peak_auroc"]
    genes = report["directions"]["atac-to-rna"]["scores"]["gene_pearson"]
    for score in (peaks, genes):
        assert score["interval"][0] <= score["value"] <= score["interval"][1]
        assert {"mean", "depth"} <= set(score["nulls"])
    assert report["bundle"] == finished.spec.bundle
    assert report["directions"]["rna-to-atac"]["coverage"]["share"] == 1.0


def test_the_dense_export_is_what_the_latent_decodes_to(finished: Ordered, tiny_model: Path, tmp_path: Path) -> None:
    import anndata as ad

    from engine.bundle import load_bundle
    from engine.types import Latent

    files = {}
    for name in ("latent", "prediction"):
        path = tmp_path / f"{name}.h5ad"
        path.write_bytes(finished.output(f"rna-to-atac/{name}.h5ad"))
        files[name] = ad.read_h5ad(path)
    latent = Latent(np.asarray(files["latent"].obsm["X_crossview"]), frozenset({Modality.RNA}))
    wanted = load_bundle(tiny_model).translator.decode(latent, Modality.ATAC).values
    np.testing.assert_allclose(files["prediction"].X, wanted, atol=1e-6)
    assert list(files["prediction"].obs_names) == list(files["latent"].obs_names)
    assert files["latent"].uns["crossview"]["bundle"] == finished.spec.bundle
    assert {"cell_type", "source_depth"} <= set(files["latent"].obs.columns)


def test_strings_in_exports_are_encoded_as_older_readers_know_them(finished: Ordered) -> None:
    import h5py

    with h5py.File(io.BytesIO(finished.output("rna-to-atac/prediction.h5ad"))) as file:
        assert file["obs/_index"].attrs["encoding-type"] == "string-array"
        assert file["var/_index"].attrs["encoding-type"] == "string-array"
        assert file["obs/cell_type"].attrs["encoding-type"] == "categorical"
        assert file["X"].dtype == np.float32


def test_maps_are_drawn_of_input_truth_and_prediction(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, directions=(RNA_TO_ATAC,), cells=slice(100, 160))
    assert run(ordered) == 0
    cells = json.loads(ordered.output("rna-to-atac/cells.json"))
    for name in ("truth", "prediction", "input"):
        xy = np.array([cells[f"{name}_umap_1"], cells[f"{name}_umap_2"]], dtype=float)
        assert np.isfinite(xy).all()
        assert np.ptp(xy) > 0
    assert len(set(map(len, cells.values()))) == 1


def test_without_truth_the_report_says_what_can_be_said(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, directions=(RNA_TO_ATAC,), given=(Modality.RNA,), umap=False)
    assert run(ordered) == 0
    report = json.loads(ordered.output("report.json"))["directions"]["rna-to-atac"]
    assert (report["scores"], report["verdict"]) == ({}, None)
    assert set(json.loads(ordered.output("rna-to-atac/features.json"))) == {"name", "predicted_mean"}


def test_a_part_whose_byte_flipped_is_named(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, directions=(RNA_TO_ATAC,), umap=False)
    assert run(ordered) == 0
    key = ordered.parts()[0]
    data = bytearray(ordered.store.get_bytes(key))
    data[len(data) // 2] ^= 1
    ordered.store.put_bytes(key, bytes(data))
    attempt = attempt_of(ordered.uri, ordered.job, 1)
    with pytest.raises(CorruptObject, match=key):
        encoded_of(attempt, RNA_TO_ATAC)


def test_finished_parts_are_used_again_by_a_later_attempt(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, directions=(RNA_TO_ATAC,), umap=False)
    assert run(ordered) == 0
    before = {key: ordered.store.get_bytes(key) for key in ordered.parts()}
    broken, deleted, *_ = before
    ordered.store.put_bytes(broken, before[broken][:100])
    ordered.store.delete(deleted)
    stamps = {key: (ordered.store.root / key).stat().st_mtime_ns for key in before if key not in (broken, deleted)}
    ordered.again(2)
    assert run(ordered, attempt=2) == 0
    assert {key: ordered.store.get_bytes(key) for key in ordered.parts()} == before
    assert {key: (ordered.store.root / key).stat().st_mtime_ns for key in stamps} == stamps
    assert ordered.output("report.json", 2) == ordered.output("report.json", 1)


def test_another_version_of_the_code_refuses_to_work(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, version="0.0.1")
    assert run(ordered) == 1
    failure = ordered.events()[-1]["failure"]
    assert failure["code"] == "version-mismatch"
    assert "0.0.1" in failure["message"]


def test_a_failure_of_a_task_is_the_failure_of_the_attempt(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, umap=False)
    ordered.store.delete(layout.bundle(ordered.spec.bundle) + "weights.safetensors")
    assert run(ordered) == 1
    failure = ordered.events()[-1]["failure"]
    assert failure["code"] == "bad-bundle"
    assert failure["hint"]


def test_an_attempt_that_has_ended_is_not_run_again(finished: Ordered) -> None:
    before = finished.events()
    assert run(finished) == 0
    assert finished.events() == before


class Slow(SerialExecutor):
    """Never done with its first task, until it is told to stop."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.given_up = threading.Event()

    def run(self, tasks: Sequence[Task]) -> Iterator[Receipt]:
        self.given_up.wait()
        raise driver.Stopped

    def stop(self) -> None:
        self.given_up.set()


def test_a_cancel_mark_ends_the_attempt_as_cancelled(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, umap=False)
    ordered.store.put_once(layout.cancel_mark(ordered.job, 1), b"")
    assert run_attempt(ordered.store, ordered.job, 1, Slow(ordered.uri)) == 0
    assert ordered.events()[-1]["kind"] == "cancelled"


def test_a_newer_attempt_silences_the_older_one(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, umap=False)
    ordered.again(2)
    assert run_attempt(ordered.store, ordered.job, 1, Slow(ordered.uri)) == 0
    assert not {event["kind"] for event in ordered.events()} & driver.TERMINAL


def test_a_working_attempt_speaks_while_its_task_says_nothing(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert driver.HEARTBEAT_S + driver.POLL_S <= 2
    ordered = order(tmp_path, tiny_model, directions=(RNA_TO_ATAC,), chunk_cells=64, umap=False)
    monkeypatch.setattr(driver, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(driver, "POLL_S", 0.05)

    class Patient(SerialExecutor):
        def run(self, tasks: Sequence[Task]) -> Iterator[Receipt]:
            said = len(ordered.events())
            until(lambda: len(ordered.events()) >= said + 3, bool, seconds=60)
            yield from super().run(tasks)

    assert run_attempt(ordered.store, ordered.job, 1, Patient(ordered.uri)) == 0
    assert ordered.events()[-1]["kind"] == "succeeded"


def test_workers_side_by_side_give_the_bytes_of_one(finished: Ordered, tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, umap=False, export=True)
    executor = PoolExecutor(ordered.uri, workers=2)
    try:
        assert run_attempt(ordered.store, ordered.job, 1, executor) == 0
    finally:
        executor.close()
    assert {key: ordered.store.get_bytes(key) for key in ordered.parts()} == {
        key: finished.store.get_bytes(key) for key in finished.parts()
    }
    assert ordered.output("report.json") == finished.output("report.json")


# -- processes of their own ------------------------------------------------------------------------------------------


def test_the_local_runner_runs_an_attempt_in_a_session_of_its_own(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, directions=(RNA_TO_ATAC,), umap=False)
    runner = LocalRunner(tmp_path / "runner", workers=1)
    assert runner.status("job1-1").state is RunnerState.UNKNOWN
    runner.submit(submission="job1-1", job="job1", attempt=1, store=ordered.uri)
    runner.submit(submission="job1-1", job="job1", attempt=1, store=ordered.uri)
    pid = json.loads((tmp_path / "runner" / "job1-1" / "pid.json").read_text())["pid"]
    assert os.getsid(pid) == pid
    until(lambda: runner.status("job1-1").state is RunnerState.SUCCEEDED, bool)
    assert ordered.events()[-1]["kind"] == "succeeded"
    assert LocalRunner(tmp_path / "runner").status("job1-1").state is RunnerState.SUCCEEDED


def test_a_killed_attempt_is_reported_as_gone(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, umap=False)
    runner = LocalRunner(tmp_path / "runner", workers=1)
    runner.submit(submission="job1-1", job="job1", attempt=1, store=ordered.uri)
    assert runner.status("job1-1").state is RunnerState.RUNNING
    until(lambda: ordered.store.list(layout.resources("job1", 1)) != [], bool)
    os.kill(json.loads((tmp_path / "runner" / "job1-1" / "pid.json").read_text())["pid"], signal.SIGKILL)
    until(lambda: runner.status("job1-1").state is RunnerState.FAILED, bool)
    assert not {event["kind"] for event in ordered.events()} & driver.TERMINAL
    (key,) = ordered.store.list(layout.resources("job1", 1))  # as far as it got
    assert Record.of(json.loads(ordered.store.get_bytes(key))).points


def test_stopping_an_attempt_without_a_mark_leaves_no_last_word(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, umap=False)
    runner = LocalRunner(tmp_path / "runner", workers=1)
    runner.submit(submission="job1-1", job="job1", attempt=1, store=ordered.uri)
    until(lambda: len(ordered.events()) > 0, bool)
    runner.stop("job1-1")
    until(lambda: runner.status("job1-1").state not in {RunnerState.RUNNING, RunnerState.PENDING}, bool)
    assert not {event["kind"] for event in ordered.events()} & driver.TERMINAL


def test_importing_jobs_brings_in_nothing_heavy() -> None:
    heavy = "torch", "ray", "streamlit", "scanpy", "anndata", "sklearn"
    look = f"import sys, jobs, jobs.plan, jobs.spec; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_no_spreadsheet_takes_a_label_for_a_formula() -> None:
    from jobs.assemble import columns_of, csv_of

    table = columns_of({"name": np.array(["=1+1", "@x", "GENE"], dtype=object), "score": np.array([0.5, np.nan, 1.0])})
    assert csv_of(table).decode().splitlines() == ["name,score", "'=1+1,0.5", "'@x,", "GENE,1.0"]
