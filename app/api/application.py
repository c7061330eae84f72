"""All routes together, beside Streamlit's pages or as a server of their own."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from app.api import (
    accounts,
    board,
    datasets,
    evidence,
    exploring,
    health,
    jobs,
    joint,
    keeping,
    models,
    notifications,
    reference,
    uploads,
)
from app.api.dispatch import routes
from app.api.guard import HostGuard
from app.api.kit import ClientSource
from app.api.rates import Buckets
from jobs.client import Client
from jobs.rate import Rate

NO_LIMIT = Rate()
RESOURCES = (
    *health.OPERATIONS,
    *models.OPERATIONS,
    *uploads.OPERATIONS,
    *datasets.OPERATIONS,
    *board.OPERATIONS,
    *jobs.OPERATIONS,
    *evidence.OPERATIONS,
    *exploring.OPERATIONS,
    *joint.OPERATIONS,
    *keeping.OPERATIONS,
    *notifications.OPERATIONS,
    *accounts.OPERATIONS,
)
OPERATIONS = (*RESOURCES, *reference.operations(RESOURCES))


def create_routes(source: ClientSource, rate: Rate = NO_LIMIT) -> list[BaseRoute]:
    """The routes under /api/v1. source: gives the client at the time of a request. rate: of requests of one person."""
    return routes(OPERATIONS, source, Buckets(rate))


def create_app(client: Client, *, allowed_hosts: Sequence[str] = (), rate: Rate = NO_LIMIT) -> Starlette:
    """The API alone, for tests and for deployments that split the dashboard off."""
    return Starlette(
        routes=create_routes(lambda: client, rate),
        middleware=[Middleware(HostGuard, allowed=tuple(allowed_hosts))],
    )
