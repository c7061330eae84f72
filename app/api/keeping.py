"""What is kept and for how long, what was deleted, who did what, and all of it in one file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime

from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.api.kit import Call, Document, Operation
from jobs.accounts.principal import Scope
from jobs.errors import BadRequest
from jobs.keeping.views import AuditCheck, AuditView, HoldingView, ReceiptView, UsageView


class ClockRequest(Document):
    """days: from now on; null keeps the dataset until somebody deletes it."""

    days: int | None


def usage(call: Call) -> UsageView:
    return call.client.keeping.usage()


def holdings(call: Call) -> list[HoldingView]:
    return call.client.keeping.holdings()


def holding(call: Call) -> HoldingView:
    return call.client.keeping.holding(call.path["id"])


def clock(call: Call) -> HoldingView:
    return call.client.keeping.keep(call.path["id"], days=call.document(ClockRequest).days)


def receipts(call: Call) -> list[ReceiptView]:
    return call.client.keeping.receipts(limit=call.number("limit", 200, least=1, most=10_000))


def receipt(call: Call) -> ReceiptView:
    return call.client.keeping.receipt(call.path["id"])


def audit(call: Call) -> list[AuditView]:
    return call.client.keeping.audit(
        since=_moment(call.query.get("since", "")),
        object=call.query.get("object") or None,
        limit=call.number("limit", 200, least=1, most=10_000),
    )


def check(call: Call) -> AuditCheck:
    return call.client.keeping.verify_audit(head=call.query.get("head", ""))


def backup(call: Call) -> Response:
    """A stream: nothing is gathered in memory or on the server's disk but the tables."""
    blocks = call.client.keeping.stream(reference=call.flag("reference"))
    return StreamingResponse(_to_the_end(blocks), media_type="application/x-tar")


async def _to_the_end(blocks: Generator[bytes]) -> AsyncIterator[bytes]:
    """Also when the client goes away: what was held for the backup is let go at once."""
    try:
        async for block in iterate_in_threadpool(blocks):
            yield block
    finally:
        blocks.close()


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"since is {text[:40]!r}.", hint="Write a moment such as 2026-11-01T00:00:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


OPERATIONS = (
    Operation("GET", "/usage", "What is kept, and how much is allowed", usage, returns=UsageView),
    Operation("GET", "/holdings", "Datasets with size, clock and what needs them", holdings, returns=list[HoldingView]),
    Operation("GET", "/holdings/{id}", "One of them", holding, returns=HoldingView),
    Operation(
        "PUT",
        "/holdings/{id}/clock",
        "Keep a dataset for so many days from now, or until it is deleted",
        clock,
        body=ClockRequest,
        returns=HoldingView,
    ),
    Operation("GET", "/receipts", "Deletions, the newest first", receipts, returns=list[ReceiptView], query=("limit",)),
    Operation("GET", "/receipts/{id}", "One deletion", receipt, returns=ReceiptView),
    Operation(
        "GET",
        "/audit",
        "Who did what, the newest first",
        audit,
        returns=list[AuditView],
        query=("since", "object", "limit"),
    ),
    Operation(
        "GET",
        "/audit/check",
        "Whether the log is as it was written",
        check,
        returns=AuditCheck,
        query=("head",),
        scope=Scope.ADMIN,
    ),
    Operation(
        "POST",
        "/admin/backup",
        "Database and store as one tar file",
        backup,
        scope=Scope.ADMIN,
        query=("reference",),
        media_type="application/x-tar",
    ),
)
