"""Requests with an Idempotency-Key: done once, answered alike for a day."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from starlette.responses import Response

from app.api.paging import PREFIX
from jobs.once import Answer, Standing, asking, fingerprint

if TYPE_CHECKING:
    from app.api.kit import Call, Operation


class Remembers(Protocol):
    def begin(self, key: str, fingerprint: str) -> Standing: ...
    def finish(self, key: str, status: int, body: str) -> None: ...
    def release(self, key: str) -> None: ...


@runtime_checkable
class KeepsKeys(Protocol):
    """A client in process, beside the database."""

    @property
    def keys(self) -> Remembers: ...


def once(call: Call, operation: Operation, respond: Callable[[Any], Response]) -> Response:
    """What was answered before, or what the operation does now. Raises KeyReused, InProgress, BadRequest."""
    assert operation.keyed is not None
    if call.key is None or not isinstance(call.client, KeepsKeys):  # passed on: the server behind has a key of ours
        return respond(operation.handle(call))
    keys, key = call.client.keys, call.key
    where = operation.path.format(**call.path)
    query = "&".join(f"{name}={value}" for name, value in sorted(call.query.items()))
    stood = keys.begin(key, fingerprint(operation.method, where, query, body=call.body))
    if isinstance(stood, Answer):
        if stood.body is None:  # what it named was deleted: say so as a look at it would
            return respond(operation.keyed(call, stood.made))
        headers = {"idempotency-replayed": "true"}
        if operation.located:
            headers["location"] = PREFIX + operation.located.format(id=json.loads(stood.body)["id"])
        return Response(stood.body, stood.status, media_type="application/json", headers=headers)
    try:
        with asking(key):
            there = operation.keyed(call, stood) if stood else None
            response = respond(operation.handle(call) if there is None else there)
        keys.finish(key, response.status_code, bytes(response.body).decode())
    except BaseException:
        keys.release(key)
        raise
    return response
