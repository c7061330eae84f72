"""Everything an attempt reads, built in a folder: a tiny model, canonical copies, an order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from engine.types import Direction, Modality, PairedCells
from jobs import layout
from jobs.spec import AnalysisSpec, AnySpec, EvaluateSpec, JointSpec, TrainSpec, TranslateSpec
from jobs.version import code_version
from storage.artifacts import LocalStore
from tests.builders import paired, split_of, write_h5ad
from tests.foreign import predicted, write_values

BOTH = (Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA)
QUICK = {"components": "8", "target_components": "8"}
JOINT = {"epochs": "12", "batch": "16", "significant_genes": "20"}  # of a CrossMP, which reads both modalities at once
UNREAD = frozenset({"CARD.md", "report.json", "predictability.npz"})


@lru_cache(maxsize=1)
def built_cells() -> PairedCells:
    return paired(cells=160, genes=60, peaks=90, rng=np.random.default_rng(7))


def fit_tiny_model(folder: Path, key: str = "ridge", settings: Mapping[str, str] = MappingProxyType(QUICK)) -> Path:
    """A model of built cells, fitted in a moment: ridge, unless another is named."""
    from engine.bundle import make_manifest, save_bundle
    from engine.nulls import Nulls
    from engine.translators.base import Hooks
    from engine.translators.registry import recipe

    pair = built_cells()
    split = split_of(pair)
    translator = recipe(key, settings).fit(pair, split, Hooks(seed=0, threads=1))
    train = pair.named(split.train)
    manifest = make_manifest(
        translator,
        id="tiny",
        train=train,
        split=split,
        seed=0,
        code_version=code_version(),
        settings=dict(settings),
        filters={},
    )
    save_bundle(folder, translator, Nulls.fit(train), manifest)
    return folder


@dataclass(frozen=True)
class Ordered:
    """An attempt as the control plane leaves it: order, bundle and datasets in a local store."""

    store: LocalStore
    job: str
    spec: AnySpec

    @property
    def uri(self) -> str:
        return self.store.uri()

    def again(self, attempt: int, **changes: Any) -> None:
        """The order of another attempt of the same job."""
        first = json.loads(self.store.get_bytes(layout.order(self.job, 1)))
        document = {**first, "attempt": attempt, **changes}
        self.store.put_bytes(layout.order(self.job, attempt), json.dumps(document).encode())

    def events(self, attempt: int = 1) -> list[dict[str, Any]]:
        keys = self.store.list(layout.events(self.job, attempt))
        return [json.loads(self.store.get_bytes(key)) for key in keys]

    def output(self, name: str, attempt: int = 1) -> bytes:
        return self.store.get_bytes(layout.output(self.job, attempt, name))

    def parts(self) -> list[str]:
        return [key for key in self.store.list(layout.job_prefix(self.job)) if "/parts/" in key]


def order(
    folder: Path,
    model: Path,
    *,
    job: str = "job1",
    directions: tuple[Direction, ...] = BOTH,
    chunk_cells: int = 16,
    version: str | None = None,
    cells: slice = slice(112, 160),
    given: tuple[Modality, ...] = (Modality.RNA, Modality.ATAC),
    **options: Any,
) -> Ordered:
    """cells: which of the built cells to translate (by default those the tiny model never saw)."""
    store = LocalStore(folder / "store")
    digest = _publish(store, model)
    datasets = _bring_in(store, folder, cells, given)
    spec = TranslateSpec(
        model="tiny",
        bundle=digest,
        directions=directions,
        chunk_cells=chunk_cells,
        **{modality.value: modality.value for modality in given},
        **options,
    )
    return _ordered(store, job, spec, datasets, layout.bundle(digest), version)


def order_joint(
    folder: Path, model: Path, *, job: str = "job1", cells: slice = slice(0, 160), chunk_cells: int = 50, **options: Any
) -> Ordered:
    """A joint view of the built cells. options: of JointSpec."""
    store = LocalStore(folder / "store")
    digest = _publish(store, model)
    datasets = _bring_in(store, folder, cells, (Modality.RNA, Modality.ATAC))
    spec = JointSpec(model="tiny", bundle=digest, rna="rna", atac="atac", chunk_cells=chunk_cells, **options)
    return _ordered(store, job, spec, datasets, layout.bundle(digest), None)


def _publish(store: LocalStore, model: Path) -> str:
    """The model's files where workers find them; its digest."""
    from engine.bundle import read_manifest

    digest = read_manifest(model).digest
    for path in model.iterdir():
        if path.is_file() and path.name not in UNREAD:
            store.put_file(layout.bundle(digest) + path.name, path)
    return digest


def order_training(folder: Path, *, model: str, job: str = "job1", **options: Any) -> Ordered:
    """A training on the built cells, every gene and peak kept. options: of TrainSpec."""
    store = LocalStore(folder / "store")
    datasets = _bring_in(store, folder, slice(0, 160), (Modality.RNA, Modality.ATAC))
    spec = TrainSpec(
        model=model, rna="rna", atac="atac", genome="hg38", filters={"filters": "none"}, name="Mine", **options
    )
    return _ordered(store, job, spec, datasets, "", None)


def order_analysis(folder: Path, *, job: str = "job1", **fields: Any) -> Ordered:
    """An analysis of the built cells without a model. fields: of AnalysisSpec."""
    store = LocalStore(folder / "store")
    datasets = _bring_in(store, folder, slice(0, 160), (Modality.RNA, Modality.ATAC))
    asked = {"on": ("raw",), "embedding": "rna", "rna": "rna", "atac": "atac", **fields}
    return _ordered(store, job, AnalysisSpec.model_validate(asked), datasets, "", None)


def order_evaluation(
    folder: Path,
    target: Modality,
    *,
    job: str = "job1",
    given: tuple[Modality, ...] = (),
    cells: slice = slice(112, 160),
    **options: Any,
) -> Ordered:
    """The types of the last built cells as a prediction of them, written by another tool. options: of EvaluateSpec.

    given: measured besides the target. training, where asked for, is the first built cells.
    """
    from engine.intake.canonical import canonicalise
    from engine.intake.mends import Mends

    store = LocalStore(folder / "store")
    datasets = _bring_in(store, folder, cells, tuple({target, *given}))
    measured = built_cells().of(target).rows(cells)
    raw = write_values(measured, predicted(measured), folder / "prediction.h5ad")
    canonicalise(raw, folder / "prediction.clean.h5ad", modality=target, mends=Mends(values=True))
    store.put_file(layout.dataset("prediction"), folder / "prediction.clean.h5ad")
    datasets["prediction"] = {"key": layout.dataset("prediction"), "name": raw.name, "id": "prediction"}
    if options.get("training"):
        learned = _bring_in(store, folder / "learned", slice(0, 112), (target,))[target.value]
        datasets["training"] = {**learned, "id": "training"}
    ids = {m.value: m.value for m in Modality if m.value in datasets}
    spec = EvaluateSpec(target=target, prediction="prediction", method="types", **ids, **options)
    return _ordered(store, job, spec, datasets, "", None)


def _ordered(
    store: LocalStore, job: str, spec: AnySpec, datasets: dict[str, Any], prefix: str, version: str | None
) -> Ordered:
    document = {
        "version": version or code_version(),
        "job": job,
        "attempt": 1,
        "spec": spec.model_dump(mode="json"),
        "spec_digest": spec.digest,
        "datasets": datasets,
        "bundle_prefix": prefix,
    }
    store.put_bytes(layout.order(job, 1), json.dumps(document).encode())
    return Ordered(store, job, spec)


def _bring_in(store: LocalStore, folder: Path, cells: slice, given: tuple[Modality, ...]) -> dict[str, Any]:
    from engine.intake.canonical import canonicalise

    datasets = {}
    folder.mkdir(parents=True, exist_ok=True)
    for modality in given:
        raw = write_h5ad(built_cells().of(modality).rows(cells), folder / f"{modality.value}.h5ad")
        clean = folder / f"{modality.value}.clean.h5ad"
        canonicalise(raw, clean, modality=modality)
        key = layout.dataset(f"{modality.value}{cells.start}-{cells.stop}")
        store.put_file(key, clean)
        datasets[modality.value] = {"key": key, "name": raw.name, "id": modality.value}
    return datasets


def assert_same_joint(one: Ordered, other: Ordered, *, attempt: int = 1) -> None:
    """All but the provenance of the attempt: numbers and tables to the last bit."""
    for name in ("cells.json", "rna/features.json", "atac/scores.csv"):
        assert one.output(name) == other.output(name, attempt), name
    reports = [json.loads(o.output("report.json", a)) for o, a in ((one, 1), (other, attempt))]
    for report in reports:
        for name in ("job", "inputs"):
            report.pop(name)
    assert reports[0] == reports[1]
