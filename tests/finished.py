"""Labs whose jobs have ended: worked for by whichever test process comes first, copied by whoever looks at them."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from engine.translators.registry import recipe
from jobs.bootstrap import opened
from jobs.client import Client
from jobs.runners.local import LocalRunner
from jobs.settings import Settings
from jobs.spec import TrainSpec
from jobs.state import JobState
from jobs.views import DatasetView, JobView
from tests.labs import MODEL, build_catalog, ended, imported, lab_settings
from tests.running import JOINT

LEARNING = MappingProxyType({"epochs": "4", "batch": "16", "significant_genes": "20"})  # of a CrossMP, in a moment


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder that `make` filled, once for all processes of this run of tests."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, whole = root / name, root / f"{name}.whole"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one that failed
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


def example_lab(factory: pytest.TempPathFactory) -> Settings:
    """A lab of one's own in which the example was translated both ways. Its catalog is shared: read it only."""
    return _copied(factory, once(factory, "example-lab", _example))


def training_lab(factory: pytest.TempPathFactory) -> Settings:
    """The same with a small CrossMP as its model, and another trained on its 160 example cells."""
    return _copied(factory, once(factory, "training-lab", _training))


def example_of(lab: Client) -> JobView:
    """The finished example of such a lab: asked for again, it is the same job."""
    job = lab.submit_example()
    assert job.state is JobState.SUCCEEDED, job
    return job


def pair_in(lab: Client) -> dict[str, DatasetView]:
    """Both files of the example; those that are there already, where they are."""
    known = {data.origin: data for data in lab.datasets()}
    sources = {which: f"example:{MODEL}/{which}" for which in ("rna", "atac")}
    return {which: known.get(source) or imported(lab, source) for which, source in sources.items()}


def mine(cells: Mapping[str, DatasetView]) -> TrainSpec:
    """What is trained in the training lab."""
    return TrainSpec(
        rna=cells["rna"].id, atac=cells["atac"].id, model="crossmp", settings=dict(LEARNING),
        filters={"filters": "none"}, name="Mine",
    )  # fmt: skip


def trained_in(lab: Client) -> JobView:
    """The finished training of such a lab."""
    job = lab.submit(mine(pair_in(lab)), title="Mine")
    assert job.state is JobState.SUCCEEDED, job
    return job


def _copied(factory: pytest.TempPathFactory, folder: Path) -> Settings:
    home = factory.mktemp("home")
    shutil.copytree(folder / "home", home, dirs_exist_ok=True)
    return lab_settings(home, folder / "pretrained")


def _example(folder: Path) -> None:
    def work(client: Client) -> None:
        _succeeded(client, client.submit_example())

    _worked(folder, work)


def _training(folder: Path) -> None:
    def work(client: Client) -> None:
        _succeeded(client, client.submit(mine(pair_in(client)), title="Mine"))

    _worked(folder, work, example_of=160, recipe=recipe("crossmp", JOINT))


def _worked(folder: Path, work: Callable[[Client], None], **built: Any) -> None:
    catalog = build_catalog(folder / "pretrained", **built)
    settings = lab_settings(folder / "home", catalog)
    with opened(settings, runner=LocalRunner(settings.home / "runner", workers=1)) as client:
        work(client)


def _succeeded(client: Client, job: JobView) -> None:
    job = ended(client, job)
    assert job.state is JobState.SUCCEEDED, job.failure
