"""What stands behind a result: what it took, and a capsule to check it with elsewhere; and maps of any size."""

from __future__ import annotations

from starlette.responses import Response

from app.api.kit import Call, Operation, direction_of
from jobs.capsule.model import Capsule
from jobs.resources.views import ResourcesView
from jobs.results.binned import BinnedView


def resources(call: Call) -> ResourcesView:
    """attempt: the latest that left anything when left out."""
    return call.client.resources(call.path["id"], attempt=call.number("attempt", 0, most=10_000))


def binned(call: Call) -> BinnedView:
    """feature: a gene or peak. map: prediction (when left out), truth or input."""
    asked = call.query.get("feature", ""), call.query.get("map", "prediction")
    return call.client.binned(call.path["id"], direction_of(call.path["direction"]), asked[0], map=asked[1])


def provenance(call: Call) -> Capsule:
    return call.client.provenance(call.path["id"])


def capsule(call: Call) -> Response:
    """The zip itself, always as a download."""
    id = call.path["id"]
    headers = {
        "content-disposition": f'attachment; filename="{id}-capsule.zip"',
        "x-content-type-options": "nosniff",
    }
    return Response(call.client.capsule(id), media_type="application/zip", headers=headers)


OPERATIONS = (
    Operation(
        "GET",
        "/jobs/{id}/binned/{direction}",
        "A gene or peak on a map, as means over squares: for jobs of any size",
        binned,
        returns=BinnedView,
        query=("feature", "map"),
    ),
    Operation(
        "GET",
        "/jobs/{id}/resources",
        "Processor, memory and GPU over time, of an attempt or of the latest",
        resources,
        returns=ResourcesView,
        query=("attempt",),
    ),
    Operation(
        "GET",
        "/jobs/{id}/provenance",
        "Where it came from: inputs, model and code by digest and version, and the files it made",
        provenance,
        returns=Capsule,
    ),
    Operation(
        "GET",
        "/jobs/{id}/capsule",
        "A finished job as a zip that checks itself: inputs' digests, spec, versions, scores, digests of its files",
        capsule,
        returns=bytes,
        media_type="application/zip",
    ),
)
