"""The inbox: what was told of jobs and imports that ended; and where else each wants to be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.kit import Call, Document, Nothing, Operation
from app.api.paging import Page
from app.api.parameters import AFTER, flag
from app.api.parameters import limit as rows
from jobs.accounts.principal import Scope
from jobs.notify.views import LONGEST_NAME, LONGEST_URL, TellingView, WebhookView
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


class MineRequest(Document):
    """mail: to the address of the account."""

    mail: bool


class WebhookRequest(Document):
    """name: what it is for; its host when left out."""

    url: Annotated[str, Field(min_length=1, max_length=LONGEST_URL)]
    name: Annotated[str, Field(max_length=LONGEST_NAME)] = ""


def listing(call: Call) -> Page:
    limit = call.number("limit", 50, least=1, most=1_000)
    found = call.client.list_notifications(
        limit=limit + 1, unread_only=call.flag("unread"), after=call.query.get("after", "")
    )
    told = found.notifications[:limit]
    following = cursor((microseconds(told[-1].moment), told[-1].id)) if len(found.notifications) > limit else ""
    return Page(found.model_copy(update={"notifications": told}), following)


def read(call: Call) -> Unread:
    asked = call.document(ReadRequest)
    return Unread(unread=call.client.mark_read(ids=asked.ids, through=asked.through, subject=asked.subject))


def told(call: Call) -> TellingView:
    return call.client.notify.told()


def choose(call: Call) -> TellingView:
    return call.client.notify.choose(mail=call.document(MineRequest).mail)


def add(call: Call) -> WebhookView:
    asked = call.document(WebhookRequest)
    return call.client.notify.add_webhook(asked.url, name=asked.name)


def remove(call: Call) -> None:
    call.client.notify.remove_webhook(call.path["id"])


def send_test(call: Call) -> None:
    call.client.notify.test()


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
    Operation(
        "GET",
        "/notifications/mine",
        "Where else ends of yours are told: e-mail, and webhooks without their secrets",
        told,
        returns=TellingView,
        scope=Scope.ACCOUNT,
    ),
    Operation(
        "PUT",
        "/notifications/mine",
        "Whether ends are mailed to the address of your account",
        choose,
        body=MineRequest,
        returns=TellingView,
        scope=Scope.ACCOUNT,
    ),
    Operation(
        "POST",
        "/notifications/webhooks",
        "A webhook of yours; its secret is in this answer and nowhere else",
        add,
        body=WebhookRequest,
        returns=WebhookView,
        status=201,
        scope=Scope.ACCOUNT,
    ),
    Operation("DELETE", "/notifications/webhooks/{id}", "Remove one", remove, status=204, scope=Scope.ACCOUNT),
    Operation(
        "POST",
        "/notifications/test",
        "A message to your e-mail and webhooks; the inbox says what became of it",
        send_test,
        body=Nothing,
        status=204,
        scope=Scope.ACCOUNT,
    ),
)
