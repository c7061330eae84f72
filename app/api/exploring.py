"""Finished translations explored: two groups of cells compared, and a stretch of the genome."""

from __future__ import annotations

from pydantic import Field

from app.api.kit import Call, Document, Operation, direction_of
from jobs.accounts.principal import Scope
from jobs.names import Direction
from jobs.results.exploring import ROWS, GroupsView
from jobs.views import GenomeView


class GroupsRequest(Document):
    """a, b: barcodes of two groups that share no cell. limit: genes or peaks, the largest difference first."""

    direction: Direction
    a: tuple[str, ...]
    b: tuple[str, ...]
    limit: int = Field(default=ROWS, ge=1, le=10_000)


def groups(call: Call) -> GroupsView:
    asked = call.document(GroupsRequest)
    return call.client.exploring.compare(call.path["id"], asked.direction, a=asked.a, b=asked.b, limit=asked.limit)


def genome(call: Call) -> GenomeView:
    return call.client.exploring.genome(
        call.path["id"],
        direction_of(call.path["direction"]),
        call.query.get("place", ""),
        label=call.query.get("label", ""),
    )


OPERATIONS = (
    Operation(
        "POST",
        "/jobs/{id}/groups",
        "Of a translation, genes or peaks that are predicted apart in two groups of cells",
        groups,
        body=GroupsRequest,
        returns=GroupsView,
        scope=Scope.READ,
    ),
    Operation(
        "GET",
        "/jobs/{id}/genome/{direction}",
        "Of a translation, peaks measured and predicted in each group around a place, chr1:100-200 or a gene",
        genome,
        returns=GenomeView,
        query=("place", "label"),
    ),
)
