"""What is kept and for how long, what was deleted, who did what, and all of it in one file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime
from functools import partial

from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.api.kit import Call, Document, Operation
from app.api.paging import MOST, Page, behind, paged
from app.api.parameters import PAGE, Parameter, flag
from jobs.accounts.principal import Scope
from jobs.errors import BadRequest
from jobs.keeping.views import AuditCheck, AuditView, HoldingView, ReceiptView, UsageView
from jobs.paging import newest_first


class ClockRequest(Document):
    """days: from now on; null keeps the dataset until somebody deletes it."""

    days: int | None


def usage(call: Call) -> UsageView:
    return call.client.keeping.usage()


def holdings(call: Call) -> Page:
    return paged(
        call,
        call.client.keeping.holdings(),
        lambda each: newest_first(each.dataset.created_at, each.dataset.id),
        int,
        str,
    )


def holding(call: Call) -> HoldingView:
    return call.client.keeping.holding(call.path["id"])


def clock(call: Call) -> HoldingView:
    return call.client.keeping.keep(call.path["id"], days=call.document(ClockRequest).days)


def receipts(call: Call) -> Page:
    return behind(call, call.client.keeping.receipts, lambda each: newest_first(each.created_at, each.id), most=MOST)


def receipt(call: Call) -> ReceiptView:
    return call.client.keeping.receipt(call.path["id"])


def audit(call: Call) -> Page:
    look = partial(
        call.client.keeping.audit,
        since=_moment(call.query.get("since", "")),
        object=call.query.get("object") or None,
    )
    return behind(call, look, lambda each: (-each.seq,), most=MOST)


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


SINCE = Parameter(name="since", what="a moment, such as 2026-11-01T00:00:00Z")
HEAD = Parameter(name="head", what="NUMBER:DIGEST of an entry noted earlier, which must still be there")
OPERATIONS = (
    Operation("GET", "/usage", "What is kept, and how much is allowed", usage, returns=UsageView),
    Operation(
        "GET",
        "/holdings",
        "Datasets with size, clock and what needs them",
        holdings,
        returns=list[HoldingView],
        query=PAGE,
    ),
    Operation("GET", "/holdings/{id}", "One of them", holding, returns=HoldingView),
    Operation(
        "PUT",
        "/holdings/{id}/clock",
        "Keep a dataset for so many days from now, or until it is deleted",
        clock,
        body=ClockRequest,
        returns=HoldingView,
    ),
    Operation("GET", "/receipts", "Deletions, the newest first", receipts, returns=list[ReceiptView], query=PAGE),
    Operation("GET", "/receipts/{id}", "One deletion", receipt, returns=ReceiptView),
    Operation(
        "GET",
        "/audit",
        "Who did what, the newest first",
        audit,
        returns=list[AuditView],
        query=(SINCE, Parameter(name="object", what="only of this id"), *PAGE),
    ),
    Operation(
        "GET",
        "/audit/check",
        "Whether the log is as it was written",
        check,
        returns=AuditCheck,
        query=(HEAD,),
        scope=Scope.ADMIN,
    ),
    Operation(
        "POST",
        "/admin/backup",
        "Database and store as one tar file",
        backup,
        scope=Scope.ADMIN,
        query=(flag("reference", "name the objects of an S3 store instead of holding them"),),
        media_type="application/x-tar",
    ),
)
