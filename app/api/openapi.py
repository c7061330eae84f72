"""The OpenAPI document, told by the same operations that serve."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from app.api.kit import PREFIX, Operation
from jobs.version import code_version
from jobs.views import Failure, UploadView

REFERENCE = "#/components/schemas/{model}"


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """OpenAPI 3.1 of all operations."""
    schemas: dict[str, Any] = {}
    _, shared = models_json_schema([(Failure, "serialization")], ref_template=REFERENCE)
    schemas.update(shared.get("$defs", {}))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = PREFIX + re.sub(r":\w+}", "}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _describe(operation, schemas)
    paths[f"{PREFIX}/uploads/{{id}}"]["put"] = _append(schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "CrossView", "version": code_version()},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _describe(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _identity(operation),
        "parameters": [_parameter(name, "path") for name in re.findall(r"{(\w+)", operation.path)]
        + [_parameter(name, "query") for name in operation.query],
        "responses": {str(operation.status): _answer(operation, schemas), "default": _problem()},
    }
    if operation.body is not None:
        schema = _schema(operation.body, schemas, mode="validation")
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return said


def _append(schemas: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": "Append one slice",
        "operationId": "put_uploads_id",
        "parameters": [
            _parameter("id", "path"),
            {**_parameter("offset", "query"), "required": True},
            _parameter("x-slice-sha256", "header"),
        ],
        "requestBody": {"required": True, "content": {"application/octet-stream": {}}},
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": _schema(UploadView, schemas)}}},
            "default": _problem(),
        },
    }


def _identity(operation: Operation) -> str:
    return f"{operation.method.lower()}_" + "_".join(re.findall(r"\w+", re.sub(r":\w+}", "}", operation.path)))


def _parameter(name: str, place: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}


def _answer(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    if operation.status == 204:
        return {"description": "Done"}
    content: dict[str, Any] = {}
    if operation.media_type == "application/json" and operation.returns is not None:
        content = {"schema": _schema(operation.returns, schemas)}
    return {"description": "OK", "content": {operation.media_type: content}}


def _problem() -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model="Failure")}
    return {"description": "A problem", "content": {"application/problem+json": {"schema": schema}}}


def _schema(kind: Any, schemas: dict[str, Any], *, mode: Any = "serialization") -> dict[str, Any]:
    """The schema of a type, its models moved to the shared components."""
    schema = TypeAdapter(kind).json_schema(ref_template=REFERENCE, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        schemas[kind.__name__] = schema
        return {"$ref": REFERENCE.format(model=kind.__name__)}
    return schema
