"""Capsules of finished jobs: everything a result's row, report and files say, and nothing of where they lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.bundle import read_manifest
from engine.types import Modality
from jobs.capsule.fingerprint import fingerprints
from jobs.capsule.model import Capsule, File, Input, Model
from jobs.capsule.pack import packed
from jobs.capsule.words import readme
from jobs.resources.read import Resources
from jobs.spec import AnySpec, BenchmarkSpec, model_digest, read_spec
from storage.tables import datasets as dataset_table

if TYPE_CHECKING:
    from jobs.models import Models
    from jobs.results.read import Results
    from storage.database import Database
    from storage.tables.jobs import JobRow

REPORTS = ("report.json", "benchmark.json")
LEFT_OUT = frozenset({".zip"})  # packs what stands beside it


@dataclass(frozen=True)
class Capsules:
    database: Database
    results: Results
    models: Models

    def of(self, id: str) -> bytes:
        """The zip of a finished job. Raises NotFound, NotReady, CorruptObject."""
        row = self.results.finished(id)
        spec = read_spec(row.spec)
        files = self._files(id)
        report = next((self.results.document(id, f.name) for f in files if f.name in REPORTS), None)
        capsule = Capsule(
            how="job",
            kind=row.kind,
            title=row.title,
            job=row.id,
            code_version=str((report or {}).get("code_version") or ""),
            finished=row.finished_at.isoformat(timespec="seconds") if row.finished_at else "",
            versions=versions_in(report or {}),
            device=Resources(self.database, self.results.shelf.store).view(id).gpu_name,
            seeds=seeds_of(spec),
            spec=spec.model_dump(mode="json"),
            inputs=self._inputs(spec),
            model=self._model(spec),
            files=files,
        )
        return packed(capsule, report, readme(capsule, report))

    def _files(self, id: str) -> tuple[File, ...]:
        found = []
        for each in sorted(self.results.artifacts(id), key=lambda a: a.name):
            leave = each.name in REPORTS or any(each.name.endswith(kind) for kind in LEFT_OUT)
            arrays = {} if leave else fingerprints(self.results.open_artifact(id, each.name), each.name)
            found.append(File(name=each.name, bytes=each.bytes, sha256=each.sha256, what=each.what, arrays=arrays))
        return tuple(found)

    def _inputs(self, spec: AnySpec) -> dict[Any, Input]:
        found: dict[Any, Input] = {}
        with self.database.read() as conn:
            for modality in Modality:
                row = dataset_table.get(conn, id) if (id := spec.dataset(modality)) else None
                if row is None or row.digest is None:
                    continue
                mends = row.summary.get("mends")
                found[modality.value] = Input(
                    digest=row.digest,
                    name=row.name,
                    cells=row.cells,
                    features=row.features,
                    genome=row.genome,
                    id=row.id,
                    mends=json.dumps(mends, sort_keys=True) if mends else "",
                    example=row.origin if row.origin.startswith("example:") else "",
                )
        return found

    def _model(self, spec: AnySpec) -> Model | None:
        """As its manifest says it; by name and digest alone where it was deleted since."""
        digest = model_digest(spec)
        if not digest:
            return None
        name = str(getattr(spec, "model", ""))
        if (folder := self.models.folder_of(digest)) is None:
            return Model(id=name, digest=digest)
        manifest = read_manifest(folder)
        return Model(
            id=name,
            digest=digest,
            translator=manifest.translator,
            training=manifest.training_digest,
            genome=manifest.genome or "",
            licence=manifest.licence,
        )


def seeds_of(spec: AnySpec) -> tuple[int, ...]:
    return tuple(spec.seeds) if isinstance(spec, BenchmarkSpec) else (int(getattr(spec, "seed", 0)),)


def versions_in(report: Any) -> dict[str, str]:
    """Of the packages, wherever the report says them."""
    if not isinstance(report, dict):
        return {}
    found = report.get("versions")
    if isinstance(found, dict):
        return {str(name): str(value) for name, value in found.items()}
    for value in report.values():
        if inner := versions_in(value):
            return inner
    return {}
