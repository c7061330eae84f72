"""The models on offer, and those that can be trained."""

from __future__ import annotations

from dataclasses import replace

from app.api.kit import Call, Operation, direction_of
from app.api.paging import Page, standing
from app.api.parameters import IN_PATHS, PAGE, QUERY, Parameter, limit, number
from jobs.keeping.views import ReceiptView
from jobs.predictability import MOST_ROWS, PAGE_ROWS, SORTS
from jobs.views import ModelView, PredictabilityView, RecipeView


def listing(call: Call) -> Page:
    return standing(call, call.client.models(), lambda model: model.id)


def one(call: Call) -> ModelView:
    return call.client.model(call.path["id"])


def remove(call: Call) -> ReceiptView:
    return call.client.delete_model(call.path["id"])


def predictability(call: Call) -> PredictabilityView:
    return call.client.predictability(
        call.path["id"],
        direction_of(call.query.get("direction", "")),
        query=call.query.get("query", ""),
        sort=call.query.get("sort", "gain_low"),
        limit=call.number("limit", PAGE_ROWS, least=1, most=MOST_ROWS),
        offset=call.number("offset", 0),
    )


def recipes(call: Call) -> Page:
    return standing(call, call.client.recipes(), lambda recipe: recipe.key)


OPERATIONS = (
    Operation("GET", "/models", "All models of the catalog", listing, returns=list[ModelView], query=PAGE),
    Operation("GET", "/models/{id}", "One model with its card and report", one, returns=ModelView),
    Operation(
        "GET",
        "/models/{id}/predictability",
        "How well each gene or peak is predicted on its held-out cells, a page of rows at a time",
        predictability,
        returns=PredictabilityView,
        query=(
            replace(IN_PATHS["direction"], what="which side is predicted"),
            QUERY,
            Parameter(name="sort", choices=SORTS, default="gain_low"),
            limit(PAGE_ROWS, MOST_ROWS),
            number("offset", "rows left out before", default=0),
        ),
    ),
    Operation("DELETE", "/models/{id}", "Delete a model that was trained here", remove, returns=ReceiptView),
    Operation(
        "GET", "/recipes", "What can be trained, with every setting", recipes, returns=list[RecipeView], query=PAGE
    ),
)
