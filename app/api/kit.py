"""What every route shares: a call, an operation, an answer, a problem."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.api import parameters
from app.api.once import once
from app.api.paging import PREFIX as PREFIX
from app.api.paging import Page
from app.api.parameters import Parameter
from jobs.accounts.access import asking, require_scope
from jobs.accounts.errors import NotSignedIn
from jobs.accounts.principal import ONE, Principal, Scope
from jobs.client import Client
from jobs.errors import BadRequest, WrongMediaType
from jobs.failures import INTERNAL, failure_of
from jobs.names import Direction, Modality
from jobs.views import Failure

log = logging.getLogger(__name__)

WHO = "crossview.who"  # where the gate leaves the principal of a request
FROM = "crossview.from"  # and the address it comes from, past the proxies that are believed
BODY_LIMIT = 64 * 2**20  # bytes of JSON; a million barcodes fit  # ours
STATUS = {
    "not-found": 404,
    "unknown-model": 404,
    "conflict": 409,
    "over-quota": 507,
    "corrupt": 500,
    "not-empty": 409,
    "not-ready": 409,
    "too-large": 413,
    "queue-full": 429,
    "wrong-host": 403,
    "no-capacity": 422,
    "bad-request": 422,
    "not-signed-in": 401,
    "wrong-sign-in": 401,
    "not-allowed": 403,
    "link-used-up": 410,
    "too-many-tries": 429,
    "key-reused": 422,
    "in-progress": 409,
    "too-many-requests": 429,
    "method-not-allowed": 405,
    "unsupported-media-type": 415,
    "unreachable": 503,
    "source-unreachable": 503,
    "upload-not-found": 404,
    "artifact-missing": 404,
    "offset-mismatch": 409,
    "upload-busy": 409,
    "upload-incomplete": 409,
    "disk-full": 507,
    "store-full": 507,
    "database-closed": 503,
    "database-broken": 503,
    "out-of-memory": 500,
    INTERNAL: 500,
}

ClientSource = Callable[[], Client]
Body = TypeVar("Body", bound=BaseModel)
_TEXTS = TypeAdapter(dict[str, str])


class Document(BaseModel):
    """What a request may say: nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Nothing(Document):
    """No fields."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read and ready for blocking work."""

    client: Client
    path: dict[str, Any]
    query: dict[str, str]
    body: bytes
    key: str | None = None  # Idempotency-Key
    known: str = ""  # If-None-Match

    def document(self, kind: type[Body]) -> Body:
        """The JSON body; 1 is no truth and true no number. Raises pydantic.ValidationError: `bad-request`."""
        return kind.model_validate_json(self.body or b"{}", strict=True)

    def number(self, name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdecimal() or not least <= int(text) <= most:
            raise BadRequest(f"{name} is {text!r}.", hint=f"Use a whole number from {least} to {most}.")
        return int(text)

    def flag(self, name: str) -> bool:
        """Off when left out."""
        text = self.query.get(name, "false").lower()
        if text not in ("true", "false"):
            raise BadRequest(f"{name} is {text[:40]!r}.", hint="Use true or false.")
        return text == "true"

    def texts(self, name: str) -> dict[str, str]:
        """A JSON object of text by name; empty when left out."""
        try:
            return _TEXTS.validate_json(self.query.get(name, "{}"))
        except ValidationError:
            raise BadRequest(f"{name} is no JSON object of text.", hint='Write it as {"column": "value"}.') from None


def direction_of(text: str) -> Direction:
    """The direction a path or a query names. Raises BadRequest."""
    try:
        return Direction(text)
    except ValueError:
        choices = " or ".join(each.value for each in Direction)
        raise BadRequest(f"There is no direction {text[:40]!r}.", hint=f"Use {choices}.") from None


def modality_of(text: str) -> Modality:
    """The modality a path names. Raises BadRequest."""
    try:
        return Modality(text)
    except ValueError:
        choices = " or ".join(each.value for each in Modality)
        raise BadRequest(f"There is no modality {text[:40]!r}.", hint=f"Use {choices}.") from None


Made = Callable[[Call, Sequence[str]], Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path, with what the OpenAPI document says of it.

    handle: blocking; returns a view, a Page, plain JSON, None, or a Response of its own. query: names, or what they
    take. also: further answers that are no problem, by status. keyed: takes an Idempotency-Key; from what a request
    that was cut short had made, its answer, or None to do it. raw: handles the request itself, such as a stream of
    `accepts`. located: the path of what it made. scope: of a token, see `needs`.
    """

    method: str
    path: str
    summary: str
    handle: Callable[[Call], Any]
    body: type[BaseModel] | None = None
    returns: Any = None
    query: tuple[str | Parameter, ...] = ()
    status: int = 200
    media_type: str = "application/json"
    also: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    keyed: Made | None = None
    located: str = ""
    raw: Callable[[ClientSource], Callable[[Request], Awaitable[Response]]] | None = None
    accepts: str = "application/json"
    headers: tuple[Parameter, ...] = ()
    scope: Scope | None = None

    @property
    def needs(self) -> Scope:
        """The scope of a token: to read for what only reads, to submit for everything else that says nothing."""
        return self.scope or (Scope.READ if self.method == "GET" else Scope.SUBMIT)


def endpoint(operation: Operation, source: ClientSource) -> Callable[[Request], Awaitable[Response]]:
    """The operation as Starlette calls it: body read here, work done in a thread, errors turned to problems."""
    known = parameters.declared(operation.query)
    raw = operation.raw(source) if operation.raw is not None else None

    async def run(request: Request) -> Response:
        try:
            parameters.check(known, request.query_params, request.path_params)
            with caller(request):
                require_scope(operation.needs)
                if raw is not None:
                    return await raw(request)
                body = await read_body(request) if operation.body is not None else b""
                call = Call(
                    source(),
                    request.path_params,
                    dict(request.query_params),
                    body,
                    key=request.headers.get("idempotency-key") if operation.keyed else None,
                    known=request.headers.get("if-none-match", ""),
                )
                return await run_in_threadpool(answer, operation, call)
        except Exception as error:
            return problem(told(request, error))

    return run


def caller(request: Request) -> AbstractContextManager[None]:
    """Inside, it is whoever the gate let in with this request; the only one there is where there is no gate.

    Raises NotSignedIn.
    """
    who: Principal | None = request.scope.get(WHO, ONE)
    if who is None:
        raise NotSignedIn("Nobody is signed in.", hint="Sign in, or show a token of yours as a bearer token.")
    return asking(who, f"api {came_from(request.scope)}".strip())


def came_from(scope: Mapping[str, Any]) -> str:
    """The address of whoever asks; "" where there is none."""
    return str(scope.get(FROM) or (scope.get("client") or ("",))[0])


def told(request: Request, error: Exception) -> Failure:
    """What whoever asks is told: the inside of a fault of ours is for operators, and for the log."""
    failure = failure_of(error)
    who: Principal | None = request.scope.get(WHO, ONE)
    if failure.code != INTERNAL or (who is not None and who.operator):
        return failure
    log.error("A request met an error of ours", exc_info=error)
    return failure.model_copy(update={"detail": ""})


def answer(operation: Operation, call: Call) -> Response:
    if operation.body is not None and not operation.body.model_fields:
        call.document(operation.body)  # nothing is read from it, but what is sent must be what is documented
    if operation.keyed is not None:
        return once(call, operation, lambda value: response_of(operation, call, value))
    return response_of(operation, call, operation.handle(call))


def response_of(operation: Operation, call: Call, value: Any) -> Response:
    """What the handler gave, as HTTP."""
    if isinstance(value, Response):
        return value
    if value is None:
        return Response(status_code=204)
    headers = {}
    if isinstance(value, Page):
        headers = value.link(PREFIX + operation.path.format(**call.path), call.query)
        value = value.value
    if operation.located:
        headers["location"] = PREFIX + operation.located.format(id=value.id)
    if operation.method != "GET":
        return json_response(value, status=operation.status, headers=headers)
    response = json_response(value, headers=headers)
    response.headers["etag"] = f'"{hashlib.blake2b(response.body, digest_size=16).hexdigest()}"'
    if response.headers["etag"] in call.known:
        return Response(status_code=304, headers={**headers, "etag": response.headers["etag"]})
    return response


async def read_body(request: Request) -> bytes:
    """The whole body, if it is small. Raises BadRequest past the limit, WrongMediaType for what is not JSON."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and request.headers.get("content-length") != "0":
        raise WrongMediaType(f"The body is {kind[:80]!r}.", hint="Send JSON, with content-type: application/json.")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            raise BadRequest(f"The request is larger than {BODY_LIMIT} bytes.", hint="Ask for fewer cells at a time.")
        parts.append(part)
    return b"".join(parts)


def json_response(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Views and plain values as strict JSON: what is not a finite number is null."""
    body = to_json(value, inf_nan_mode="null")
    return Response(body, status_code=status, media_type="application/json", headers=dict(headers or {}))


def problem(failure: Failure) -> Response:
    """RFC 9457 with the fields of Failure, so that a client raises what the service raised."""
    status = STATUS.get(failure.code, 400)
    document = {
        "type": f"/problems/{failure.code}",
        "title": failure.message,
        "status": status,
        **failure.model_dump(),
    }
    later = {"retry-after": "1"} if failure.code == "in-progress" else None
    return Response(to_json(document), status_code=status, media_type="application/problem+json", headers=later)
