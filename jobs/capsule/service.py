"""Capsules of finished jobs: everything a result's row, report and files say, and nothing of where they lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.bundle import read_manifest
from jobs.capsule.fingerprint import fingerprints
from jobs.capsule.model import Capsule, File, Input, Model
from jobs.capsule.pack import packed
from jobs.capsule.words import readme
from jobs.resources.read import Resources
from jobs.spec import AnySpec, BenchmarkSpec, model_digest, read_spec
from jobs.state import JobState
from jobs.submitting import row_of
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table

if TYPE_CHECKING:
    from jobs.models import Models
    from jobs.results.read import Results
    from storage.database import Database

REPORTS = ("report.json", "benchmark.json")
LEFT_OUT = frozenset({".zip"})  # packs what stands beside it


@dataclass(frozen=True)
class Capsules:
    database: Database
    results: Results
    models: Models

    def provenance(self, id: str) -> Capsule:
        """What went in, how and with what, and which files came out, where it has ended well. Raises NotFound."""
        with self.database.read() as conn:
            row = row_of(conn, id, shared=True)
        done = row.state == JobState.SUCCEEDED
        files = self.results.artifacts(id) if done else []
        report = next((self.results.document(id, f.name) for f in files if f.name in REPORTS), {})
        spec = read_spec(row.spec)
        return Capsule(
            how="job",
            kind=row.kind,
            title=row.title,
            job=row.id,
            code_version=str(report.get("code_version") or "") or self._ran_by(id),
            finished=row.finished_at.isoformat(timespec="seconds") if row.finished_at else "",
            versions=versions_in(report),
            device=Resources(self.database, self.results.shelf.store).view(id).gpu_name,
            seeds=seeds_of(spec),
            spec=spec.model_dump(mode="json"),
            inputs=self._inputs(spec),
            model=self._model(spec),
            files=tuple(
                File(name=f.name, bytes=f.bytes, sha256=f.sha256, what=f.what)
                for f in sorted(files, key=lambda f: f.name)
            ),
        )

    def of(self, id: str) -> bytes:
        """The zip of a finished job. Raises NotFound, NotReady, CorruptObject."""
        self.results.finished(id)
        known = self.provenance(id)
        capsule = known.model_copy(update={"files": tuple(self._looked_into(id, file) for file in known.files)})
        name = next((file.name for file in known.files if file.name in REPORTS), None)
        report = self.results.document(id, name) if name else None
        return packed(capsule, report, readme(capsule, report))

    def _looked_into(self, id: str, file: File) -> File:
        if file.name in REPORTS or any(file.name.endswith(kind) for kind in LEFT_OUT):
            return file
        arrays = fingerprints(self.results.open_artifact(id, file.name), file.name)
        return file.model_copy(update={"arrays": arrays})

    def _ran_by(self, id: str) -> str:
        """The version that the last attempt said it was."""
        with self.database.read() as conn:
            events = job_table.events(conn, id)
        said = [str(event.detail.get("version", "")) for event in events if event.kind == "started"]
        return said[-1] if said else ""

    def _inputs(self, spec: AnySpec) -> dict[Any, Input]:
        found: dict[Any, Input] = {}
        with self.database.read() as conn:
            for name, id in spec.inputs.items():
                row = dataset_table.get(conn, id)
                if row is None or row.digest is None:
                    continue
                mends = row.summary.get("mends")
                found[name] = Input(
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
