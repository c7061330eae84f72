"""What a finished job says: its report, tables and files, and any feature decoded when it is asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import CellsDoNotMatch, UnknownModel, WrongDirection
from engine.types import Direction, Modality
from jobs import layout
from jobs.accounts import access
from jobs.errors import BadRequest, NotFound, NotReady
from jobs.results.decoders import Decoder, Given, Trained, kept_name
from jobs.results.measured import Measured
from jobs.results.search import find_genes, find_peaks
from jobs.results.shelf import Shelf
from jobs.spec import EvaluateSpec, JointSpec, ScoredSpec, read_spec
from jobs.state import JobState
from jobs.views import ArtifactView, FeatureHit, Values
from storage.errors import ArtifactMissing
from storage.tables import artifacts as artifact_table
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table
from storage.tables.artifacts import ArtifactRow

if TYPE_CHECKING:
    from engine.bundle import Bundle
    from engine.types import FeatureSpace
    from jobs.results.latents import Kept
    from storage.database import Database
    from storage.tables.jobs import JobRow

TABLES = ("features", "cells", "roc")
MOST_FEATURES = 500  # at once  # ours
MOST_VALUES = 20_000_000  # cells × features at once: 160 MB as Python floats would be the most  # ours
AT_ONCE = 2  # decodes side by side; the others wait  # ours
BUNDLES_KEPT = 3  # ours
DOCUMENTS_KEPT = 24  # ours
LINK_SECONDS = 300  # how long a link to a file in S3 can be followed  # ours


@dataclass
class Results:
    """Reads only what a SUCCEEDED row names. bundle_folder: the local folder of the bundle of this digest, or None."""

    database: Database
    shelf: Shelf
    bundle_folder: Callable[[str], Path | None]
    turn: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))

    def __post_init__(self) -> None:
        # caches of this object, not of its class: they end with it
        self._document = lru_cache(maxsize=DOCUMENTS_KEPT)(_read_json)
        self.bundle = lru_cache(maxsize=BUNDLES_KEPT)(self._load_bundle)
        self.space = lru_cache(maxsize=8)(self._load_space)
        self.latent = lru_cache(maxsize=4)(self._load_latent)
        self._measured = lru_cache(maxsize=8)(self._load_measured)
        self._given = lru_cache(maxsize=4)(self._load_given)
        self._space_in = lru_cache(maxsize=4)(self._load_space_in)

    def report(self, id: str) -> dict[str, Any]:
        return self.document(id, "report.json")

    def document(self, id: str, name: str) -> dict[str, Any]:
        """A JSON file of a finished job."""
        found: dict[str, Any] = self._document(self.open_artifact(id, name))
        return found

    def table(self, id: str, direction: Direction, name: str) -> dict[str, list[Any]]:
        if name not in TABLES:
            raise BadRequest(f"There is no table {name[:40]!r}.", hint=f"There are {', '.join(TABLES)}.")
        _, spec = self.translated(id, direction)
        if name == "roc" and not spec.has_truth(direction):
            raise NotFound(f"{direction.value} was not scored: no truth was given.", hint="Give both modalities.")
        found: dict[str, list[Any]] = self._document(self.open_artifact(id, f"{direction.value}/{name}.json"))
        return found

    def search(self, id: str, direction: Direction, query: str, *, limit: int = 20) -> list[FeatureHit]:
        """Among the features the job predicted."""
        _, spec = self.translated(id, direction)
        space = self.space_of(spec, direction.target)
        if direction.target is Modality.RNA:
            return find_genes(space, query, limit=limit)
        return find_peaks(space, query, limit=limit)

    def values(
        self,
        id: str,
        direction: Direction,
        *,
        features: Sequence[str],
        modality: Modality | None = None,
        cells: Sequence[str] | None = None,
    ) -> Values:
        """Predicted values beside the measured ones on the same scale; cells that both know, in the job's order."""
        row, spec = self.translated(id, direction)
        if not 0 < len(features) <= MOST_FEATURES:
            raise BadRequest(f"{len(features)} features were asked for.", hint=f"Ask for 1 to {MOST_FEATURES}.")
        modality = modality or direction.target
        with self.turn:
            kept = self.latent(row.id, row.attempt, direction)
            rows = rows_of(kept, cells)
            if modality is direction.target:
                return self._predicted(spec, direction, kept, rows, features)
            return self._input(spec, direction, kept, rows, features)

    def artifacts(self, id: str) -> list[ArtifactView]:
        row = self.finished(id)
        what = (row.result or {}).get("what", {})
        with self.database.read() as conn:
            found = artifact_table.find(conn, job=row.id, attempt=row.attempt)
        return [
            ArtifactView(
                name=each.name,
                bytes=each.bytes,
                sha256=each.sha256,
                media_type=each.media_type,
                what=what.get(each.name, ""),
            )
            for each in found
        ]

    def open_artifact(self, id: str, name: str) -> Path:
        found = self._artifact(id, name)
        return self.shelf.path(found.uri, sha256=found.sha256)

    def artifact_link(self, id: str, name: str) -> str | None:
        """A short-lived address of the file in the store itself; None where the store has none."""
        found = self._artifact(id, name)
        return self.shelf.store.presigned(
            found.uri, seconds=LINK_SECONDS, name=layout.download_name(id, name), media_type=found.media_type
        )

    def _artifact(self, id: str, name: str) -> ArtifactRow:
        row = self.finished(id)
        with self.database.read() as conn:
            found = artifact_table.get(conn, job=row.id, attempt=row.attempt, name=name)
        if found is None:
            raise NotFound(f"The job has no file {name[:80]!r}.", hint="Look at the list of its files.")
        return found

    # -- values --------------------------------------------------------------------------------------------------

    def _predicted(
        self, spec: ScoredSpec, direction: Direction, kept: Kept, rows: Sequence[int], features: Sequence[str]
    ) -> Values:
        from engine.translators.base import positions_of

        decoder = self.decoder(spec)
        positions = positions_of(decoder.space(direction.target), features)
        measured = self.measured_of(spec, direction.target)
        at = None if measured is None else measured.rows_of(kept.barcodes)
        if at is not None:
            rows = [row for row in rows if at[row] >= 0]
        check_size(len(rows), len(positions))
        decoded = decoder.decode(kept.latent.rows(list(rows)), direction.target, [int(p) for p in positions])
        truth = None
        if measured is not None and at is not None:
            truth = measured.values(at[rows], positions, decoded.scale).tolist()
        return Values.model_construct(  # of our own making: checking a million numbers again takes a second
            barcodes=tuple(kept.barcodes[rows].tolist()),
            features=tuple(features),
            modality=direction.target,
            scale=decoded.scale.value,
            predicted=decoded.values.tolist(),
            truth=truth,
        )

    def _input(
        self, spec: ScoredSpec, direction: Direction, kept: Kept, rows: Sequence[int], features: Sequence[str]
    ) -> Values:
        from engine.translators.base import positions_of
        from engine.types import Scale

        measured = self.measured_of(spec, direction.source)
        if measured is None:
            raise NotFound("The cells of this job were deleted.", hint="Its report and tables are still there.")
        positions = positions_of(self.space_of(spec, direction.source), features)
        at = measured.rows_of(kept.barcodes)
        rows = [row for row in rows if at[row] >= 0]  # of a prediction, some may come from elsewhere
        check_size(len(rows), len(positions))
        scale = Scale.LOG_NORMALISED if direction.source is Modality.RNA else Scale.PROBABILITY
        values = measured.values(at[rows], positions, scale)
        return Values(
            barcodes=tuple(kept.barcodes[rows].tolist()),
            features=tuple(features),
            modality=direction.source,
            scale=scale.value,
            truth=values.tolist(),
        )

    def measured_of(self, spec: ScoredSpec | JointSpec, modality: Modality) -> Measured | None:
        """The cells as they were measured; None where none were given, or they were deleted since."""
        id = spec.dataset(modality)
        if id is None:
            return None
        with self.database.read() as conn:
            row = dataset_table.get(conn, id)
        if row is None or row.deleted_at is not None or row.digest is None:
            return None
        return self._measured(row.digest, spec if isinstance(spec, EvaluateSpec) else spec.bundle, modality)

    def decoder(self, spec: ScoredSpec) -> Decoder:
        """Raises UnknownModel or NotFound where what decodes was deleted."""
        if isinstance(spec, EvaluateSpec):
            return self._given(self._dataset(spec.prediction), spec)
        return Trained(self.bundle(spec.bundle))

    def known(self, spec: ScoredSpec, modality: Modality) -> FeatureSpace | None:
        """The genes or peaks a job knows; None where it was given none of them."""
        if not isinstance(spec, EvaluateSpec):
            return self.space(spec.bundle, modality)
        id = spec.prediction if modality is spec.target else spec.dataset(modality)
        if id is None:
            return None
        space = self._space_in(self._dataset(id))
        return space if space.genome or not spec.genome else replace(space, genome=spec.genome)

    def space_of(self, spec: ScoredSpec, modality: Modality) -> FeatureSpace:
        """As `known`. Raises NotFound where there are none."""
        if (found := self.known(spec, modality)) is None:
            raise NotFound(
                f"This job was given no {modality.value.upper()}.",
                hint="Score the prediction again with the cells it was predicted from.",
            )
        return found

    def _dataset(self, id: str) -> str:
        """The digest of cells that are still there. Raises NotFound."""
        with self.database.read() as conn:
            row = dataset_table.get(conn, id)
        if row is None or row.deleted_at is not None or row.digest is None:
            raise NotFound("The cells of this job were deleted.", hint="Its report and tables are still there.")
        return row.digest

    # -- reading -------------------------------------------------------------------------------------------------

    def finished(self, id: str) -> JobRow:
        with self.database.read() as conn:
            row = job_table.get(conn, id)
            seen = row is not None and access.may_see(conn, "job", id, row.owner)
        if row is None or not seen:
            raise NotFound(f"There is no job {id[:80]!r}.", hint="It may have been deleted.")
        if row.state != JobState.SUCCEEDED:
            raise NotReady(f"The job has no result: it is {row.state.lower()}.", hint="Wait until it has succeeded.")
        return row

    def translated(self, id: str, direction: Direction) -> tuple[JobRow, ScoredSpec]:
        """Raises WrongDirection for what the job did not translate."""
        row = self.finished(id)
        spec = read_spec(row.spec)
        if not isinstance(spec, ScoredSpec):
            raise WrongDirection(f"The job is a {spec.kind} and translated nothing.", hint="Look at its report.")
        if direction not in spec.directions:
            asked = ", ".join(d.value for d in spec.directions)
            raise WrongDirection(f"The job did not translate {direction.value}.", hint=f"It did {asked}.")
        return row, spec

    def _folder(self, digest: str) -> Path:
        here = self.bundle_folder(digest)
        if here is not None:
            return here
        try:
            return self.shelf.folder(layout.bundle(digest))
        except ArtifactMissing:
            raise UnknownModel(
                "The model that did this was deleted.", hint="The job's report, tables and files are still there."
            ) from None

    def _load_bundle(self, digest: str) -> Bundle:
        from engine.bundle import load_bundle

        return load_bundle(self._folder(digest))

    def _load_space(self, digest: str, modality: Modality) -> FeatureSpace:
        from engine.bundle import read_space

        return read_space(self._folder(digest), modality)

    def _load_latent(self, id: str, attempt: int, direction: Direction) -> Kept:
        from jobs.results.latents import read_latent

        _, spec = self.translated(id, direction)
        return read_latent(self.open_artifact(id, f"{direction.value}/{kept_name(spec)}"), direction.source)

    def _load_measured(self, dataset: str, known: str | EvaluateSpec, modality: Modality) -> Measured:
        space = self.space(known, modality) if isinstance(known, str) else self.space_of(known, modality)
        return Measured.open(self.shelf.path(layout.dataset(dataset)), space)

    def _load_given(self, dataset: str, spec: EvaluateSpec) -> Given:
        return Given.open(self.shelf.path(layout.dataset(dataset)), spec)

    def _load_space_in(self, dataset: str) -> FeatureSpace:
        from engine.intake.canonical import CanonicalCells

        with CanonicalCells.open(self.shelf.path(layout.dataset(dataset))) as cells:
            return cells.space


def rows_of(kept: Kept, cells: Sequence[str] | None) -> list[int]:
    if cells is None:
        return list(range(len(kept.barcodes)))
    unknown = [name for name in cells if name not in kept.index]
    if unknown:
        raise CellsDoNotMatch(
            f"{len(unknown)} of {len(cells)} cells are not of this job, such as {unknown[0][:80]}.",
            hint="Use the barcodes of the table of cells.",
        )
    return [kept.index[name] for name in cells]


def check_size(cells: int, features: int) -> None:
    if cells * features > MOST_VALUES:
        raise BadRequest(
            f"{cells:,} cells × {features:,} features are too many values at once.",
            hint="Ask for fewer features, or submit the job with the dense export.",
        )


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
