"""What a finished joint view says: its cells, how well each gene or peak is imputed, and any of them on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.types import Latent, Modality, as_names
from jobs.errors import BadRequest, Conflict
from jobs.joint.files import LATENT, apart_name
from jobs.results.latents import Kept
from jobs.results.read import MOST_FEATURES, Results, check_size, rows_of
from jobs.results.search import find_genes, find_peaks
from jobs.spec import JointSpec, read_spec
from jobs.views import FeatureHit, Values

if TYPE_CHECKING:
    from storage.tables.jobs import JobRow

TABLES = {"cells": "cells.json", "rna-features": "rna/features.json", "atac-features": "atac/features.json"}


@dataclass
class JointResults:
    """Reads only what a SUCCEEDED row of this kind names."""

    results: Results

    def __post_init__(self) -> None:
        self._kept = lru_cache(maxsize=8)(self._load)  # ends with this object

    def table(self, id: str, name: str) -> dict[str, list[Any]]:
        if name not in TABLES:
            raise BadRequest(f"There is no table {name[:40]!r}.", hint=f"There are {', '.join(TABLES)}.")
        self._asked(id)
        found: dict[str, list[Any]] = self.results.document(id, TABLES[name])
        return found

    def search(self, id: str, modality: Modality, query: str, *, limit: int = 20) -> list[FeatureHit]:
        """Among the genes or peaks the model knows."""
        _, spec = self._asked(id)
        space = self.results.space(spec.bundle, modality)
        return (find_genes if modality is Modality.RNA else find_peaks)(space, query, limit=limit)

    def values(
        self, id: str, modality: Modality, *, features: Sequence[str], cells: Sequence[str] | None = None
    ) -> Values:
        """Imputed values (`predicted`) beside the measured ones (`truth`) on one scale, in the view's order."""
        from engine.translators.base import positions_of

        row, spec = self._asked(id)
        if not 0 < len(features) <= MOST_FEATURES:
            raise BadRequest(f"{len(features)} features were asked for.", hint=f"Ask for 1 to {MOST_FEATURES}.")
        with self.results.turn:
            kept = self._kept(row.id, row.attempt, modality)
            rows = rows_of(kept, cells)
            bundle = self.results.bundle(spec.bundle)
            positions = positions_of(bundle.space(modality), features)
            check_size(len(rows), len(positions))
            decoded = bundle.translator.decode(kept.latent.rows(rows), modality, [int(p) for p in positions])
            measured = self.results.measured_of(spec, modality)
            truth = None
            if measured is not None:
                truth = measured.values(measured.rows_of(kept.barcodes)[rows], positions, decoded.scale).tolist()
        return Values(
            barcodes=tuple(str(kept.barcodes[each]) for each in rows),
            features=tuple(features),
            modality=modality,
            scale=decoded.scale.value,
            predicted=decoded.values.tolist(),
            truth=truth,
        )

    def _asked(self, id: str) -> tuple[JobRow, JointSpec]:
        row = self.results.finished(id)
        spec = read_spec(row.spec)
        if not isinstance(spec, JointSpec):
            raise Conflict(f"{id} is no joint view: it is a {spec.kind}.", hint="Look at its report.")
        return row, spec

    def _load(self, id: str, attempt: int, modality: Modality) -> Kept:
        return read_joint(self.results.open_artifact(id, "joint.h5ad"), modality)


def read_joint(path: Path, target: Modality) -> Kept:
    """What the target is decoded from, and the cells' names, of a joint.h5ad."""
    import h5py
    import numpy as np

    with h5py.File(path, "r") as file:
        apart = apart_name(target) in file["obsm"]
        values = np.asarray(file["obsm"][apart_name(target) if apart else LATENT][()], dtype=np.float32)
        words = file["uns/crossview/latent_source"].asstr()[()].split(",")
        obs = file["obs"]
        barcodes = as_names(obs[obs.attrs["_index"]].asstr()[:])
    source = frozenset({target.other}) if apart else frozenset(Modality(word) for word in words)
    return Kept(Latent(values, source), barcodes)
