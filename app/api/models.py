"""The models on offer, and those that can be trained."""

from __future__ import annotations

from app.api.kit import Call, Operation
from jobs.views import ModelView, RecipeView


def listing(call: Call) -> list[ModelView]:
    return call.client.models()


def one(call: Call) -> ModelView:
    return call.client.model(call.path["id"])


def remove(call: Call) -> None:
    call.client.delete_model(call.path["id"])


def recipes(call: Call) -> list[RecipeView]:
    return call.client.recipes()


OPERATIONS = (
    Operation("GET", "/models", "All models of the catalog", listing, returns=list[ModelView]),
    Operation("GET", "/models/{id}", "One model with its card and report", one, returns=ModelView),
    Operation("DELETE", "/models/{id}", "Delete a model that was trained here", remove, status=204),
    Operation("GET", "/recipes", "What can be trained, with every setting", recipes, returns=list[RecipeView]),
)
