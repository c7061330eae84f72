"""Every request's way in: its person's rate, its path, its method; what is not there is said so in the same words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from app.api.kit import PREFIX, WHO, ClientSource, Operation, came_from, endpoint, problem
from app.api.rates import Buckets
from jobs.accounts.principal import Principal
from jobs.failures import failure_of
from jobs.views import Failure

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(operations: Sequence[Operation], source: ClientSource, buckets: Buckets) -> list[BaseRoute]:
    """A route an operation, after those of each path one for every other method, and one for every other path."""
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    found: list[BaseRoute] = []
    for path, here in by_path.items():
        doors = [(each.method, _Door(buckets, endpoint(each, source))) for each in here]
        found += [Route(PREFIX + path, door, methods=[method]) for method, door in doors]
        found.append(Route(PREFIX + path, _Door(buckets, _no_such_method([each.method for each in here]))))
    return [*found, Route(f"{PREFIX}/{{rest:path}}", _Door(buckets, _nothing_here))]


def person(scope: Scope) -> str:
    """Whose bucket it is: the user that was recognised on the way, else the address."""
    who: Principal | None = scope.get(WHO)
    if who is not None:
        return who.user
    return came_from(scope)


@dataclass(frozen=True)
class _Door:
    """An ASGI application, so that Starlette leaves methods to its route."""

    buckets: Buckets
    endpoint: Endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = self.buckets.take(person(scope))
        if taken is not None and taken.wait_s:
            response = problem(failure_of(taken.refusal()))
        else:
            response = await self.endpoint(Request(scope, receive))
        for name, value in taken.headers.items() if taken is not None else ():
            response.headers[name] = value
        await response(scope, receive, send)


def _no_such_method(methods: Sequence[str]) -> Endpoint:
    allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])

    async def refuse(request: Request) -> Response:
        response = problem(_missing("method-not-allowed", request, f"There is {allowed}."))
        response.headers["allow"] = allowed
        return response

    return refuse


async def _nothing_here(request: Request) -> Response:
    return problem(_missing("not-found", request, f"{PREFIX}/openapi.json lists what there is."))


def _missing(code: str, request: Request, hint: str) -> Failure:
    return Failure(code=code, message=f"There is no {request.method} {request.url.path[:200]}.", hint=hint)
