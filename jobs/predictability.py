"""What a model predicts well, read from its bundle: searched, sorted, a page at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import WrongDirection
from engine.types import Direction, FeatureSpace, Modality
from jobs.errors import BadRequest, NotFound
from jobs.results.search import find_genes, find_peaks
from jobs.views import PredictabilityView

if TYPE_CHECKING:
    from engine.predictability import Predictability

FILE = "predictability.npz"
SORTS = ("gain_low", "gain", "score", "skill", "null", "position")
COLUMNS = ("name", "score", "standard_error", "null", "gain", "gain_low", "skill")
MOST_ROWS = 100_000  # in one answer: 8 MB of JSON  # ours
PAGE_ROWS = 100  # ours


def has_predictability(folder: Path) -> bool:
    """Whether there is anything to read; the file stays closed."""
    return (folder / FILE).is_file()


def predictability(
    id: str,
    folder: Path,
    direction: Direction,
    *,
    words: Path | None = None,
    query: str = "",
    sort: str = "gain_low",
    limit: int = PAGE_ROWS,
    offset: int = 0,
) -> PredictabilityView:
    """A page of the table of one direction. words: folder of report and table, where that is not the bundle's.

    query: of genes a name or a part of one; of peaks a region, a name, or a gene near them. sort: one of SORTS, the
    highest first; position: as the model lists them. Raises WrongDirection, NotFound, BadRequest, BadBundle.
    """
    if sort not in SORTS:
        raise BadRequest(f"The rows cannot be sorted by {sort[:40]!r}.", hint=f"There are {', '.join(SORTS)}.")
    if not 0 < limit <= MOST_ROWS or offset < 0:
        raise BadRequest(f"{limit} rows from row {offset} were asked for.", hint=f"Ask for 1 to {MOST_ROWS:,} at once.")
    known = _known(id, folder, words or folder, direction)
    rows = _sorted(known, known.matching(query), sort)
    here, table = rows[offset : offset + limit], known.table
    return PredictabilityView(
        model=id,
        bundle=known.bundle,
        direction=direction,
        measure=known.measure,
        chance=known.chance,
        **_held_out(words or folder, direction),
        tested=len(table),
        better=int((known.gain > 0).sum()),
        clearly=int((known.gain_low > 0).sum()),
        skilled=int((table.skill > 0).sum()),
        matching=len(rows),
        offset=offset,
        name=tuple(known.space.names[table.positions[here]].tolist()),
        score=_plain(table.score[here]),
        standard_error=_plain(table.standard_error[here]),
        null=_plain(table.null[here]),
        gain=_plain(known.gain[here]),
        gain_low=_plain(known.gain_low[here]),
        skill=_plain(table.skill[here]),
    )


def whole(ask: Callable[[int], PredictabilityView]) -> PredictabilityView:
    """All rows that answer a search as one page. ask: for the page from this row on."""
    first = page = ask(0)
    columns: dict[str, list[Any]] = {name: list(getattr(first, name)) for name in COLUMNS}
    while page.name and len(columns["name"]) < first.matching:
        page = ask(len(columns["name"]))
        for name, values in columns.items():
            values.extend(getattr(page, name))
    return first.model_copy(update={name: tuple(values) for name, values in columns.items()})


@dataclass(frozen=True, eq=False)
class _Known:
    """One direction's table with what follows from it. gain, gain_low: shape (t,)."""

    table: Predictability
    space: FeatureSpace
    bundle: str
    measure: str
    chance: float
    gain: NDArray[np.float32]
    gain_low: NDArray[np.float32]

    def matching(self, query: str) -> NDArray[np.int64]:
        """Rows that answer the search; all of them for none."""
        if not query.strip():
            return np.arange(len(self.table))
        find = find_genes if self.space.modality is Modality.RNA else find_peaks
        hits = find(self.space, query, limit=len(self.space))
        asked = np.array(sorted(self.space.index[hit.name] for hit in hits), dtype=np.int64)
        return np.flatnonzero(np.isin(self.table.positions, asked))


def _known(id: str, folder: Path, beside: Path, direction: Direction) -> _Known:
    from engine.bundle import read_manifest

    manifest = read_manifest(folder)
    if direction not in manifest.directions_:
        raise WrongDirection(f"{id} does not translate {direction.value}.", hint=f"It does {manifest.directions[0]}.")
    if not has_predictability(beside):
        raise NotFound(
            f"{id} has no scores by gene and peak: it was made without them, or on too few cells to hold any out.",
            hint="Train it again to have them.",
        )
    found = _load(folder, beside, manifest.digest, (beside / FILE).stat().st_mtime_ns).get(direction)
    if found is None:
        raise NotFound(f"{direction.value} of {id} was not scored on held-out cells.", hint="Look at its report.")
    return found


@lru_cache(maxsize=4)
def _load(folder: Path, beside: Path, digest: str, changed: int) -> dict[Direction, _Known]:
    """Both directions; kept while the files are the same (changed: when the table was written)."""
    from engine.bundle import read_manifest, read_space
    from engine.metrics.verdict import FEATURE_COLUMN
    from engine.predictability import CHANCE, read_predictability

    tables = read_predictability(beside, bundle=digest, spaces=read_manifest(folder).spaces)
    return {
        direction: _Known(
            table=table,
            space=read_space(folder, direction.target),
            bundle=digest,
            measure=FEATURE_COLUMN[direction.target],
            chance=CHANCE[direction.target],
            gain=table.gain(direction.target),
            gain_low=table.gain_low(direction.target),
        )
        for direction, table in tables.items()
    }


def _sorted(known: _Known, rows: NDArray[np.int64], sort: str) -> NDArray[np.int64]:
    """The highest first, the undefined last, equals in the model's order."""
    if sort == "position":
        return rows
    values = getattr(known if sort in ("gain", "gain_low") else known.table, sort)
    return rows[np.argsort(-values[rows], kind="stable")]


def _held_out(folder: Path, direction: Direction) -> dict[str, Any]:
    """How many cells were scored, of which side of the split, beside which best null; as the report with it says."""
    path = folder / "report.json"
    report = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = (report.get("directions") or {}).get(direction.value) or {}
    main = (found.get("scores") or {}).get((found.get("detail") or {}).get("main"), {})
    nulls = {name: value for name, value in (main.get("nulls") or {}).items() if value is not None}
    best = max(nulls, key=nulls.__getitem__, default="")
    return {"cells": found.get("n_cells"), "part": report.get("part", ""), "best_null": best}


def _plain(values: NDArray[np.float32]) -> tuple[float | None, ...]:
    return tuple(float(f"{v:.6g}") if math.isfinite(v) else None for v in values.tolist())
