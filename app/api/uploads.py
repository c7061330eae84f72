"""Files in slices that never sit in memory."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator

from anyio import from_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from app.api.kit import PREFIX, Call, ClientSource, Document, Operation, caller, json_response, problem, told
from jobs.accounts.access import require_scope
from jobs.accounts.principal import Scope
from jobs.errors import BadRequest
from jobs.views import UploadView

BLOCK = 2**20  # bytes handed to the disk at once  # ours
DIGEST = re.compile(r"[0-9a-f]{64}")


class UploadRequest(Document):
    """size: bytes in all, where known; the upload is refused at once when that is too much."""

    name: str
    size: int | None = None


class FinishRequest(Document):
    """sha256: of the whole file, as the sender computed it."""

    sha256: str | None = None


def create(call: Call) -> UploadView:
    asked = call.document(UploadRequest)
    return call.client.create_upload(name=asked.name, size=asked.size)


def one(call: Call) -> UploadView:
    return call.client.upload(call.path["id"])


def finish(call: Call) -> UploadView:
    return call.client.finish_upload(call.path["id"], sha256=call.document(FinishRequest).sha256)


def append_route(source: ClientSource) -> Route:
    return Route(f"{PREFIX}/uploads/{{id}}", append(source), methods=["PUT"])


def append(source: ClientSource) -> Callable[[Request], Awaitable[Response]]:
    """PUT: one slice from `offset` (query, or header `upload-offset`) on; `x-slice-sha256` is checked if sent."""

    async def run(request: Request) -> Response:
        try:
            offset, digest = _offset(request), _digest(request)
            with caller(request):
                require_scope(Scope.SUBMIT)
                view = await run_in_threadpool(
                    source().append_upload,
                    request.path_params["id"],
                    offset=offset,
                    chunks=blocks(request),
                    sha256=digest,
                )
            return json_response(view)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads this; what arrived is kept and can be resumed
        except Exception as error:
            return problem(told(request, error))

    return run


def blocks(request: Request) -> Iterator[bytes]:
    """The body in blocks of about a megabyte, pulled from a worker thread as fast as the disk takes them."""
    stream = request.stream()

    async def pull() -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in stream:
            parts.append(part)
            size += len(part)
            if size >= BLOCK:
                break
        return b"".join(parts)

    while block := from_thread.run(pull):
        yield block


def _offset(request: Request) -> int:
    text = request.query_params.get("offset", request.headers.get("upload-offset", ""))
    if not text.isdecimal():
        raise BadRequest(f"The slice's offset is {text!r}.", hint="Add ?offset=N, N the bytes received so far.")
    return int(text)


def _digest(request: Request) -> str | None:
    text = request.headers.get("x-slice-sha256", "").lower()
    if text and not DIGEST.fullmatch(text):
        raise BadRequest("x-slice-sha256 is not a SHA-256.", hint="Send 64 hexadecimal digits, or leave it out.")
    return text or None


OPERATIONS = (
    Operation("POST", "/uploads", "Open an upload", create, body=UploadRequest, returns=UploadView, status=201),
    Operation("GET", "/uploads/{id}", "How much has arrived", one, returns=UploadView),
    Operation("POST", "/uploads/{id}/finish", "Close an upload", finish, body=FinishRequest, returns=UploadView),
)
