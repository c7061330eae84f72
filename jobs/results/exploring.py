"""How finished translations are explored: one protocol, in process or over HTTP, as jobs.client for everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from engine.types import Direction
from jobs.failures import typed_errors
from jobs.views import GenomeView, View

if TYPE_CHECKING:
    from jobs.results.read import Results

ROWS = 1_000  # genes or peaks of a comparison, unless asked otherwise


class GroupsView(View):
    """The genes or peaks whose predicted means differ most between cells A and B, the largest difference first.

    difference: predicted mean of A less that of B, on `scale`. effect: that over the pooled standard deviation of the
    predictions. measured_a, measured_b: means of the same cells as they were measured, None where they were not.
    agreement: correlation of predicted and measured differences over all `tested`. cells: used of each group, of `of`.
    """

    features: tuple[str, ...]
    predicted_a: tuple[float, ...]
    predicted_b: tuple[float, ...]
    difference: tuple[float, ...]
    effect: tuple[float, ...]
    measured_a: tuple[float, ...] | None = None
    measured_b: tuple[float, ...] | None = None
    agreement: float | None = None
    scale: str
    tested: int
    cells: tuple[int, int]
    of: tuple[int, int]


class ExploringClient(Protocol):
    """Every method may raise engine.errors.CrossViewError or one of its kin."""

    def compare(
        self, id: str, direction: Direction, *, a: Sequence[str], b: Sequence[str], limit: int = ROWS
    ) -> GroupsView:
        """Two groups of cells, by barcode. Raises BadRequest where one is too small or they share cells."""
        ...

    def genome(self, id: str, direction: Direction, place: str, *, label: str = "") -> GenomeView:
        """place: chr1:100-200, or a gene with what surrounds it. label: a column of the cells that makes the groups.

        Coverage and links are "raw" as measured, "imputed" as predicted.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalExploring:
    """In process; raises what HttpExploring raises."""

    results: Results

    def compare(
        self, id: str, direction: Direction, *, a: Sequence[str], b: Sequence[str], limit: int = ROWS
    ) -> GroupsView:
        from jobs.results.groups import GroupResults

        with typed_errors():
            return GroupResults(self.results).compare(id, direction, a=a, b=b, limit=limit)

    def genome(self, id: str, direction: Direction, place: str, *, label: str = "") -> GenomeView:
        from jobs.results.region import RegionResults

        with typed_errors():
            return RegionResults(self.results).around(id, direction, place, label=label)


@dataclass(frozen=True, slots=True)
class HttpExploring:
    """Over the routes of /api/v1. get, post: a JSON answer."""

    get: Callable[..., Any]
    post: Callable[[str, dict[str, Any]], Any]

    def compare(
        self, id: str, direction: Direction, *, a: Sequence[str], b: Sequence[str], limit: int = ROWS
    ) -> GroupsView:
        asked = {"direction": direction, "a": list(a), "b": list(b), "limit": limit}
        return GroupsView.model_validate(self.post(f"jobs/{quote(id, safe='')}/groups", asked))

    def genome(self, id: str, direction: Direction, place: str, *, label: str = "") -> GenomeView:
        path = f"jobs/{quote(id, safe='')}/genome/{direction.value}"
        return GenomeView.model_validate(self.get(path, place=place, label=label))
