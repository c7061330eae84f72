"""The inbox: what was told of jobs and imports that ended."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.kit import Call, Document, Operation
from app.api.paging import Page
from app.api.parameters import AFTER, flag
from app.api.parameters import limit as rows
from jobs.paging import cursor, microseconds
from jobs.views import InboxView


class ReadRequest(Document):
    """ids: these. through: this and all that are older. subject: all about this job or dataset."""

    ids: Annotated[tuple[str, ...], Field(max_length=1_000)] = ()
    through: str = ""
    subject: str = ""


class Unread(Document):
    """unread: how many are left."""

    unread: int


def listing(call: Call) -> Page:
    limit = call.number("limit", 50, least=1, most=1_000)
    found = call.client.list_notifications(
        limit=limit + 1, unread_only=call.flag("unread"), after=call.query.get("after", "")
    )
    told = found.notifications[:limit]
    following = cursor((-microseconds(told[-1].moment), told[-1].id)) if len(found.notifications) > limit else ""
    return Page(found.model_copy(update={"notifications": told}), following)


def read(call: Call) -> Unread:
    asked = call.document(ReadRequest)
    return Unread(unread=call.client.mark_read(ids=asked.ids, through=asked.through, subject=asked.subject))


OPERATIONS = (
    Operation(
        "GET",
        "/notifications",
        "Ends of jobs and imports, newest first, and how many were not read",
        listing,
        returns=InboxView,
        query=(rows(50, 1_000), flag("unread", "only what was not read"), AFTER),
    ),
    Operation("POST", "/notifications/read", "Mark some as read", read, body=ReadRequest, returns=Unread),
)
