"""Is it there, which version, and do jobs have a place to run."""

from __future__ import annotations

from typing import Any

from app.api.kit import Call, Operation
from jobs.views import Health


def health(call: Call) -> dict[str, Any]:
    # the name lets a client tell us from whatever else may sit on this port
    return {"name": "crossview", **call.client.health().model_dump(mode="json")}


OPERATIONS = (
    Operation("GET", "/health", "Version, and whether the place where jobs run answers", health, returns=Health),
)
