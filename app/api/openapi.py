"""The OpenAPI document, told by the same operations that serve."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter

from app.api.kit import PREFIX, Operation
from app.api.parameters import Parameter, declared, in_path
from jobs.version import code_version
from jobs.views import Failure

REFERENCE = "#/components/schemas/{model}"


KEY = Parameter(
    name="idempotency-key",
    what="any word of yours, such as a UUID: sent again within a day, the request is not done again",
)
LINK = {"description": '`rel="next"`: the next page, where there is one (RFC 8288)', "schema": {"type": "string"}}
RATE = {
    "ratelimit": {"description": "Requests left (r), and seconds until all are (t)", "schema": {"type": "string"}},
    "retry-after": {"description": "Seconds to wait", "schema": {"type": "string"}},
}


class Problem(Failure):
    """RFC 9457. code: stable. message: what happened. hint: what to do."""

    type: str
    title: str
    status: int


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """OpenAPI 3.1 of all operations."""
    schemas: dict[str, Any] = {}
    _schema(Problem, schemas)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(path_of(operation), {})[operation.method.lower()] = _describe(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CrossView",
            "version": code_version(),
            "description": "Everything the pages do. Errors are problems (RFC 9457) with stable codes; "
            "lists are pages, the next of which the Link header names.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def path_of(operation: Operation) -> str:
    """As OpenAPI writes it."""
    return PREFIX + re.sub(r":\w+}", "}", operation.path)


def parameters_of(operation: Operation) -> list[tuple[str, Parameter]]:
    """Each with its place: path, query or header."""
    found = [("path", in_path(name)) for name in re.findall(r"{(\w+)", operation.path)]
    found += [("query", each) for each in declared(operation.query).values()]
    found += [("header", each) for each in operation.headers]
    if operation.keyed is not None:
        found.append(("header", KEY))
    return found


def _describe(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    answers = {str(operation.status): _answer(operation, schemas), **_also(operation, schemas), **_problems(operation)}
    said: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _identity(operation),
        "tags": [operation.path.split("/")[1]],
        "parameters": [_parameter(each, place) for place, each in parameters_of(operation)],
        "responses": answers,
    }
    if operation.body is not None:
        schema = _schema(operation.body, schemas, mode="validation")
        fields = operation.body.model_fields.values()
        said["requestBody"] = {
            "required": any(field.is_required() for field in fields),
            "content": {operation.accepts: {"schema": schema}},
        }
    elif operation.accepts != "application/json":
        said["requestBody"] = {"required": False, "content": {operation.accepts: {}}}
    return said


def _identity(operation: Operation) -> str:
    return f"{operation.method.lower()}_" + "_".join(re.findall(r"\w+", re.sub(r":\w+}", "}", operation.path)))


def _parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    said = {"name": parameter.name, "in": place, "required": place == "path" or parameter.required}
    if parameter.what:
        said["description"] = parameter.what
    return {**said, "schema": parameter.schema}


def _answer(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    if operation.status == 204:
        return {"description": "Done"}
    content: dict[str, Any] = {}
    if operation.media_type == "application/json" and operation.returns is not None:
        content = {"schema": _schema(operation.returns, schemas)}
    said: dict[str, Any] = {"description": "OK", "content": {operation.media_type: content}}
    if "after" in declared(operation.query):
        said["headers"] = {"link": LINK}
    if operation.located:
        said["headers"] = {"location": {"description": "Where it is", "schema": {"type": "string"}}}
        said["links"] = _links(operation)
    return said


def _links(operation: Operation) -> dict[str, Any]:
    """What was made can be looked at and removed by its id."""
    return {
        "Look": {
            "operationId": "get_" + "_".join(re.findall(r"\w+", operation.located)),
            "parameters": {"id": "$response.body#/id"},
        }
    }


def _also(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, words in operation.also.items():
        found[str(status)] = {"description": words}
        if 200 <= status < 300:
            found[str(status)] = {**_answer(operation, schemas), "description": words}
    if operation.method == "GET" and operation.media_type == "application/json":
        found["304"] = {"description": "Still as the answer whose etag If-None-Match named"}
    return found


def _problems(operation: Operation) -> dict[str, Any]:
    found = {"default": _problem("A problem"), "429": {**_problem("Too many requests"), "headers": RATE}}
    if "{" in operation.path:
        found["404"] = _problem("There is none of this name")
    if operation.body is not None or parameters_of(operation):
        found["422"] = _problem("The request cannot be read, or asks for what cannot be")
    if operation.keyed is not None:
        found["409"] = _problem("The first request with this Idempotency-Key is still being answered")
    return found


def _problem(words: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/problem+json": {"schema": {"$ref": _ref("Problem")}}}}


def _ref(name: str) -> str:
    return REFERENCE.format(model=name)


def _schema(kind: Any, schemas: dict[str, Any], *, mode: Any = "serialization") -> dict[str, Any]:
    """The schema of a type, its models moved to the shared components."""
    schema = TypeAdapter(kind).json_schema(ref_template=REFERENCE, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        schemas[kind.__name__] = schema
        return {"$ref": _ref(kind.__name__)}
    return schema
