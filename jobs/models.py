"""The models on offer: the catalog's lines joined with what their bundles say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UnknownModel
from engine.translators.registry import JOINT
from engine.types import Direction, Modality
from jobs.accounts import access
from jobs.predictability import has_predictability, predictability
from jobs.views import ModelView, PredictabilityView

if TYPE_CHECKING:
    from engine.bundle import Manifest
    from jobs.catalog import CatalogEntry

EXAMPLE = "example"


@dataclass(frozen=True, slots=True)
class Models:
    """load: reads the catalog; asked each time, so that a model added while we run is seen."""

    load: Callable[[], Mapping[str, CatalogEntry]]

    def all(self) -> list[ModelView]:
        return [self._view(entry) for entry in self.load().values()]

    def view(self, id: str) -> ModelView:
        return self._view(self._entry(id))

    def manifest(self, id: str) -> Manifest:
        """Raises UnknownModel, BadBundle."""
        from engine.bundle import read_manifest

        return read_manifest(self._entry(id).folder)

    def folder(self, id: str) -> Path:
        return self._entry(id).folder

    def folder_of(self, digest: str) -> Path | None:
        """Where the bundle of this digest lies, if the catalog still has it."""
        from engine.bundle import read_manifest

        for entry in self.load().values():
            if read_manifest(entry.folder).digest == digest:
                return entry.folder
        return None

    def default(self) -> str:
        """The first model of the catalog that has an example. Raises UnknownModel."""
        for id, entry in self.load().items():
            if (entry.folder / EXAMPLE).is_dir():
                return id
        raise UnknownModel("No model of the catalog has an example.", hint="`crossview models list`.")

    def example(self, id: str, modality: Modality) -> Path | None:
        path = self._entry(id).folder / EXAMPLE / f"{modality.value}.h5ad"
        return path if path.is_file() else None

    def predictability(
        self, id: str, direction: Direction, *, query: str, sort: str, limit: int, offset: int
    ) -> PredictabilityView:
        """Raises UnknownModel, WrongDirection, NotFound, BadRequest, BadBundle."""
        entry = self._entry(id)
        return predictability(
            id, entry.folder, direction, words=entry.words, query=query, sort=sort, limit=limit, offset=offset
        )

    def _entry(self, id: str) -> CatalogEntry:
        entries = self.load()
        if id not in entries:
            known = ", ".join(entries) or "none"
            raise UnknownModel(f"There is no model {id[:80]!r}.", hint=f"There are: {known}.")
        return entries[id]

    def _view(self, entry: CatalogEntry) -> ModelView:
        from engine.bundle import read_manifest

        manifest = read_manifest(entry.folder)
        mine = not entry.owner or access.mine(entry.owner)
        return ModelView(
            id=entry.id,
            title=entry.title,
            digest=manifest.digest,
            translator=manifest.translator,
            genome=manifest.genome or "",
            directions=tuple(Direction(direction) for direction in manifest.directions),
            spaces=dict(manifest.spaces),
            tissue=entry.tissue,
            recommended_for=entry.recommended_for,
            not_for=entry.not_for,
            licence=entry.licence or manifest.licence,
            card=_text((entry.words or entry.folder) / "CARD.md"),
            report=_document((entry.words or entry.folder) / "report.json"),
            origin="trained" if entry.job else "catalog",
            job=entry.job if mine else "",
            datasets=entry.datasets if mine else (),
            shared=not mine,
            split=manifest.split_digest,
            holds_cells=manifest.contains_cells,
            joint=manifest.translator in JOINT,
            example_cells=_cells(entry.folder / EXAMPLE),
            predictability=has_predictability(entry.words or entry.folder),
        )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _cells(folder: Path) -> int | None:
    """Number of cells of the example, from the length of its index alone."""
    path = folder / "rna.h5ad"
    if not path.is_file():
        return None
    import h5py

    with h5py.File(path, "r") as file:
        obs = file["obs"]
        return int(obs[obs.attrs["_index"]].shape[0])
