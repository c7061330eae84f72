"""Labs whose jobs have ended: worked for by whichever test process comes first, copied by whoever looks at them."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from engine.translators.registry import recipe
from engine.types import Modality, PairedCells, as_names
from jobs.bootstrap import opened
from jobs.client import Client
from jobs.mending import MendOptions
from jobs.settings import Settings
from jobs.spec import AnalysisSpec, AnySpec, BenchmarkSpec, Contender, EvaluateSpec, JointSpec, TrainSpec
from jobs.state import JobState
from jobs.views import DatasetView, JobView
from tests.builders import write_h5ad
from tests.foreign import predicted, write_values
from tests.forked import ForkedRunner
from tests.labs import CATALOG, MODEL, build_catalog, ended, imported, lab_settings
from tests.planted import joint_bundle, with_links
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


def kinds_lab(factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, str]]:
    """A lab with a finished job of every other kind, and their ids."""
    folder = once(factory, "kinds-lab", _kinds)
    return _copied(factory, folder), json.loads((folder / "ids.json").read_text(encoding="utf-8"))


def _kinds(folder: Path) -> None:
    built = with_links(cells=160, genes=14, peaks=6, rng=np.random.default_rng(0))
    kind = as_names(f"type {k}" for k in np.digitize(built.z_nk[:, 0], [-0.5, 0.5]))
    obs = {"cell_type": kind, "batch": as_names(f"{i % 2}" for i in range(160))}
    pair = PairedCells(replace(built.pair.rna, obs=obs), replace(built.pair.atac, obs=obs))
    catalog = folder / "pretrained"
    (catalog / MODEL / "example").mkdir(parents=True)
    joint_bundle(pair, catalog / MODEL, epochs=4)
    for modality in Modality:
        write_h5ad(pair.of(modality), catalog / MODEL / "example" / f"{modality.value}.h5ad")
    (catalog / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    settings = lab_settings(folder / "home", catalog)
    with opened(settings, runner=ForkedRunner(settings.home / "runner", workers=1)) as client:
        ids = {which: data.id for which, data in pair_in(client).items()}
        whole: dict[str, Any] = {"filters": {"filters": "none"}, **ids}
        few = {"components": "4", "target_components": "4"}
        contenders = tuple(Contender(model=name) for name in ("mean", "depth", "celltype-mean"))
        of = {"model": MODEL, "label": "cell_type", **ids}
        asked: dict[str, AnySpec] = {
            "train": TrainSpec(model="ridge", settings=few, name="Mine", **whole),
            "benchmark": BenchmarkSpec(contenders=(*contenders, Contender(model="ridge", settings=few)), **whole),
            "joint": JointSpec(**of),
            "cre": AnalysisSpec(what="cre", genes=tuple(map(str, pair.rna.space.names[:3])), **of),
            "cluster": AnalysisSpec(what="cluster", **of),
        }
        path = write_values(pair.rna, predicted(pair.rna), folder / "pretrained" / "prediction.h5ad")
        mine = imported(client, str(path), mends=MendOptions(values=True))
        asked["evaluate"] = EvaluateSpec(target=Modality.RNA, prediction=mine.id, method="My model", **ids)
        jobs = {name: client.submit(spec, title=f"My {name}") for name, spec in asked.items()}
        for job in jobs.values():
            _succeeded(client, job)
    (folder / "ids.json").write_text(json.dumps({name: job.id for name, job in jobs.items()}), encoding="utf-8")


def _worked(folder: Path, work: Callable[[Client], None], **built: Any) -> None:
    catalog = build_catalog(folder / "pretrained", **built)
    settings = lab_settings(folder / "home", catalog)
    with opened(settings, runner=ForkedRunner(settings.home / "runner", workers=1)) as client:
        work(client)


def _succeeded(client: Client, job: JobView) -> None:
    job = ended(client, job)
    assert job.state is JobState.SUCCEEDED, job.failure
