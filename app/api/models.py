"""The models on offer, and those that can be trained."""

from __future__ import annotations

import re
from dataclasses import replace

from starlette.responses import Response

from app.api.kit import Call, Document, Nothing, Operation, direction_of, modality_of
from app.api.paging import Page, standing
from app.api.parameters import IN_PATHS, PAGE, QUERY, Parameter, limit, number
from jobs.board.views import VerifyView
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


class RetiredRequest(Document):
    retired: bool = True


def retire(call: Call) -> ModelView:
    return call.client.board.retire(call.path["id"], retired=call.document(RetiredRequest).retired)


def verify(call: Call) -> VerifyView:
    return call.client.board.verify(call.path["id"])


def example(call: Call) -> Response:
    id, which = call.path["id"], modality_of(call.path["modality"])
    name = f"{re.sub(r'[^A-Za-z0-9_.-]', '-', id)}-{which.value}.h5ad"
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff"}
    return Response(call.client.board.example(id, which), media_type="application/octet-stream", headers=headers)


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
    Operation(
        "POST",
        "/models/{id}/retired",
        "Take a model off the offer, or put it back; what names it goes on working",
        retire,
        body=RetiredRequest,
        returns=ModelView,
    ),
    Operation(
        "POST",
        "/models/{id}/verify",
        "Read all its files and predict its test cells again",
        verify,
        body=Nothing,
        returns=VerifyView,
    ),
    Operation(
        "GET",
        "/models/{id}/example/{modality}",
        "The file of its example, rna or atac: the shape that is expected",
        example,
        returns=bytes,
        media_type="application/octet-stream",
    ),
    Operation("DELETE", "/models/{id}", "Delete a model that was trained here", remove, returns=ReceiptView),
    Operation(
        "GET", "/recipes", "What can be trained, with every setting", recipes, returns=list[RecipeView], query=PAGE
    ),
)
