"""What the interface says of itself: the OpenAPI document, and the same as a page to read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

from starlette.responses import HTMLResponse, Response

from app.api.kit import Call, Operation
from app.api.openapi import document, parameters_of, path_of

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid; text-transform: capitalize; }
h3 { font-size: 1rem; margin-bottom: 0; }
code { font-size: 0.95em; }
p { margin: 0.25rem 0; }
"""


def operations(others: Sequence[Operation]) -> tuple[Operation, ...]:
    """The two routes, which tell of themselves too."""

    @lru_cache(maxsize=1)
    def told() -> dict[str, Any]:
        return document((*others, *ours))

    @lru_cache(maxsize=1)
    def page() -> str:
        return _page((*others, *ours))

    def openapi(call: Call) -> dict[str, Any]:
        return told()

    def reference(call: Call) -> Response:
        return HTMLResponse(page(), headers={"content-security-policy": POLICY})

    ours = (
        Operation("GET", "/openapi.json", "This interface as OpenAPI 3.1", openapi, returns=dict[str, Any]),
        Operation("GET", "/reference", "This interface as a page to read", reference, media_type="text/html"),
    )
    return ours


def _page(everything: Sequence[Operation]) -> str:
    by_tag: dict[str, list[Operation]] = {}
    for operation in everything:
        by_tag.setdefault(operation.path.split("/")[1], []).append(operation)
    sections = "".join(
        f"<section><h2>{escape(tag)}</h2>{''.join(_entry(each) for each in here)}</section>"
        for tag, here in by_tag.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CrossView: REST</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>CrossView: REST</h1>"
        '<p>The same as <a href="openapi.json">openapi.json</a>. Errors are '
        "<code>application/problem+json</code> with <code>code</code>, <code>message</code> and <code>hint</code>. "
        'Lists are pages: the <code>Link</code> header names the next (<code>rel="next"</code>).</p>'
        f"{sections}</main></body></html>"
    )


def _entry(operation: Operation) -> str:
    parts = [f"<h3><code>{operation.method} {escape(path_of(operation))}</code></h3><p>{escape(operation.summary)}</p>"]
    if operation.body is not None:
        fields = ", ".join(
            f"<code>{escape(name)}{'' if field.is_required() else '?'}</code>"
            for name, field in operation.body.model_fields.items()
        )
        parts.append(f"<p>Body: {fields or 'no fields'}</p>")
    told = [f"<code>{each.name}</code> ({place})" for place, each in parameters_of(operation) if place != "path"]
    if told:
        parts.append(f"<p>Also: {', '.join(told)}</p>")
    return "".join(parts)
