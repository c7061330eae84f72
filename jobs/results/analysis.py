"""What a finished analysis says: any page of its tables, and its links drawn on a stretch of the genome."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Unpack

from jobs.errors import BadRequest, Conflict
from jobs.results import tables
from jobs.results.read import Results
from jobs.spec import AnalysisSpec, read_spec
from jobs.views import GenomeView, PageOf, TableView

if TYPE_CHECKING:
    from jobs.results.genome import Track
    from storage.tables.jobs import JobRow

PARQUET = ".parquet"
LINKS = {"cre": "lasso", "coaccess": "coaccess"}  # what the results that draw links are called
TRACKS_KEPT = 3  # ours: 54,844 peaks of ten groups and two profiles are 10 MB


@dataclass
class AnalysisResults:
    """Reads only what a SUCCEEDED row of this kind names."""

    results: Results

    def __post_init__(self) -> None:
        self._track = lru_cache(maxsize=TRACKS_KEPT)(self._load)  # ends with this object

    def table(self, id: str, name: str, **page: Unpack[PageOf]) -> TableView:
        """Raises BadRequest for a table or a column that is not there, with those that are."""
        self._asked(id)
        known = [a.name.removesuffix(PARQUET) for a in self.results.artifacts(id) if a.name.endswith(PARQUET)]
        if name not in known:
            raise BadRequest(f"There is no table {name[:80]!r}.", hint=f"There are {', '.join(known)}.")
        asked = tables.Asked(**page)
        with self.results.turn:
            return tables.page(self.results.open_artifact(id, name + PARQUET), asked)

    def genome(self, id: str, place: str) -> GenomeView:
        """Raises Conflict for an analysis without links, BadRequest and NotFound for a place that is none."""
        row, spec = self._asked(id)
        if spec.what not in LINKS:
            raise Conflict(f"{id} links no peaks: it is about {spec.what}.", hint="Links come of cre and coaccess.")
        with self.results.turn:
            track = self._track(row.id, row.attempt, LINKS[spec.what])
        return track.around(place)

    def _asked(self, id: str) -> tuple[JobRow, AnalysisSpec]:
        row = self.results.finished(id)
        spec = read_spec(row.spec)
        if not isinstance(spec, AnalysisSpec):
            raise Conflict(f"{id} is no analysis: it is a {spec.kind}.", hint="Look at its report.")
        return row, spec

    def _load(self, id: str, attempt: int, what: str) -> Track:
        from jobs.results.genome import Track

        def path(name: str) -> Any:
            return self.results.open_artifact(id, f"{what}.{name}{PARQUET}")

        genome = str(self.results.report(id)["genome"])
        pairs = path("pairs") if what == LINKS["coaccess"] else None
        return Track.read(genome, coverage=path("coverage"), links=path("links"), pairs=pairs)
