"""All routes together, beside Streamlit's pages or as a server of their own."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from app.api import datasets, exploring, health, jobs, keeping, models, notifications, uploads
from app.api.guard import HostGuard
from app.api.kit import PREFIX, ClientSource, problem
from app.api.openapi import document
from jobs.client import Client
from jobs.views import Failure

OPERATIONS = (
    *health.OPERATIONS,
    *models.OPERATIONS,
    *uploads.OPERATIONS,
    *datasets.OPERATIONS,
    *jobs.OPERATIONS,
    *exploring.OPERATIONS,
    *keeping.OPERATIONS,
    *notifications.OPERATIONS,
)


def create_routes(source: ClientSource) -> list[BaseRoute]:
    """The routes under /api/v1. source: gives the client at the time of a request."""
    return [
        *(operation.route(source) for operation in OPERATIONS),
        uploads.append_route(source),
        Route(f"{PREFIX}/openapi.json", _openapi),
        Route(f"{PREFIX}/{{rest:path}}", _nothing_here, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


def create_app(client: Client, *, allowed_hosts: Sequence[str] = ()) -> Starlette:
    """The API alone, for tests and for deployments that split the dashboard off."""
    return Starlette(
        routes=create_routes(lambda: client), middleware=[Middleware(HostGuard, allowed=tuple(allowed_hosts))]
    )


async def _openapi(request: Request) -> Response:
    return JSONResponse(document(OPERATIONS))


async def _nothing_here(request: Request) -> Response:
    failure = Failure(
        code="not-found",
        message=f"There is no {request.method} {request.url.path}.",
        hint=f"{PREFIX}/openapi.json lists what there is.",
    )
    return problem(failure)
