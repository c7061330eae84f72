"""The catalog of models."""

from __future__ import annotations

from app.api.kit import Call, Operation
from jobs.views import ModelView


def listing(call: Call) -> list[ModelView]:
    return call.client.models()


def one(call: Call) -> ModelView:
    return call.client.model(call.path["id"])


OPERATIONS = (
    Operation("GET", "/models", "All models of the catalog", listing, returns=list[ModelView]),
    Operation("GET", "/models/{id}", "One model with its card and report", one, returns=ModelView),
)
