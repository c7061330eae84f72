"""Where users are told by their own choice: e-mail to the address of their account, and webhooks of their own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from jobs.accounts import access
from jobs.accounts.people import address
from jobs.errors import BadRequest, Conflict, NotFound
from jobs.keeping.audit import noted
from jobs.notify.channels import Channel
from jobs.notify.events import USUAL, Event
from jobs.notify.guarded import GuardedWebhook, host_of, new_secret, require_reachable
from jobs.notify.mail import MailChannel
from jobs.notify.message import compose, one_line
from jobs.notify.record import new_id
from jobs.notify.views import LONGEST_NAME, TellingView, WebhookView
from storage.tables import notifications as notification_table
from storage.tables import telling as table
from storage.tables import users as user_table
from storage.tables.notifications import NotificationRow
from storage.tables.rows import utcnow
from storage.tables.telling import WebhookRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from jobs.notify.message import Message
    from jobs.notify.settings import NotifySettings
    from storage.database import Database
    from storage.guard import WebRules

T = TypeVar("T")
MOST = 5  # webhooks of one user  # ours
TOLD = USUAL | {Event.TEST}  # whatever the operator lets go to the lab's addresses
BETWEEN_TESTS = timedelta(minutes=1)  # ours
WHY = "You get this because you asked for it on the page Account of this CrossView. You can end it there."


@dataclass(frozen=True)
class Personal:
    """rules: which addresses may be posted to. on: whether people sign in; else everything is the operator's."""

    database: Database
    settings: NotifySettings
    rules: WebRules
    on: bool

    # -- for whatever delivers -----------------------------------------------------------------------------------

    def channels(self, conn: DuckDBPyConnection, owner: str) -> Sequence[Channel]:
        """None for a user who is disabled."""
        user = user_table.get(conn, owner)
        if not self.on or user is None or user.state != "active":
            return ()
        found: list[Channel] = [GuardedWebhook(hook, self.rules) for hook in table.webhooks(conn, owner)]
        to = _address(user.email)
        if self.settings.smtp is not None and to and table.is_mailed(conn, owner):
            found.append(MailChannel(self.settings.smtp, to, of=owner))
        return found

    def compose(self, row: NotificationRow) -> Message:
        return compose(row, self.settings, why=WHY)

    # -- for whoever asks ----------------------------------------------------------------------------------------

    def view(self) -> TellingView:
        owner = access.owner()
        with self.database.read() as conn:
            user = user_table.get(conn, owner)
            hooks = tuple(_view(hook) for hook in table.webhooks(conn, owner))
            mailed = table.is_mailed(conn, owner)
        to = _address(user.email) if user is not None else ""
        able = self.on and self.settings.smtp is not None
        return TellingView(mail=mailed and able and bool(to), address=to, able=able, webhooks=hooks)

    def choose(self, *, mail: bool) -> TellingView:
        """Raises Conflict where no e-mail can be sent, or there is no address to send it to."""
        self._require_people()
        here = self.view()
        if mail and not here.able:
            raise Conflict("This CrossView sends no e-mail.", hint="Ask the operator (CROSSVIEW_SMTP_HOST).")
        if mail and not here.address:
            raise Conflict("Your account has no e-mail address.", hint="It comes from where you sign in.")
        owner = access.owner()
        self._write("account.mail", owner, lambda conn: table.set_mailed(conn, owner, mail), on=mail)
        return self.view()

    def add(self, url: str, *, name: str = "") -> WebhookView:
        """Its secret is in this answer and nowhere else. Raises BadRequest, Conflict for too many."""
        self._require_people()
        url = require_reachable(url, self.rules)
        if len(name) > LONGEST_NAME:
            raise BadRequest(f"The name has {len(name)} characters.", hint=f"Give at most {LONGEST_NAME}.")
        hook = WebhookRow(
            id=f"hook-{secrets.token_hex(6)}", owner=access.owner(), name=one_line(name) or host_of(url), url=url,
            secret=new_secret(),
        )  # fmt: skip

        def write(conn: DuckDBPyConnection) -> None:
            if len(table.webhooks(conn, hook.owner)) >= MOST:
                raise Conflict(f"You have {MOST} webhooks, as many as one may.", hint="Remove one first.")
            table.insert(conn, hook)

        self._write("webhook.add", hook.id, write)
        return _view(hook).model_copy(update={"secret": hook.secret})

    def remove(self, id: str) -> None:
        """What is on its way there is given up. Raises NotFound."""
        owner = access.owner()
        if not self._write("webhook.remove", id[:40], lambda conn: table.remove(conn, owner, id)):
            raise NotFound(f"You have no webhook {id[:40]!r}.", hint="It may have been removed.")

    def test(self) -> None:
        """Sends a message to all of it; the inbox says what became of it. Raises Conflict."""
        self._require_people()
        said = NotificationRow(
            id=new_id(), owner=access.owner(), event=Event.TEST, subject="your addresses", kind="test",
            read_at=utcnow(),
        )  # fmt: skip

        def write(conn: DuckDBPyConnection) -> None:
            if not self.channels(conn, said.owner):
                raise Conflict("There is nowhere to send it.", hint="Choose e-mail or add a webhook first.")
            last = notification_table.last(conn, owner=said.owner, event=said.event)
            if last is not None and utcnow() - last < BETWEEN_TESTS:
                raise Conflict("A test was sent less than a minute ago.", hint="Look at the inbox, then wait a little.")
            notification_table.insert(conn, said)

        self.database.write_now(write)

    def _write(self, act: str, object: str, fn: Callable[[DuckDBPyConnection], T], **detail: bool) -> T:
        return self.database.write_now(noted(act, object, fn, **detail))

    def _require_people(self) -> None:
        if not self.on:
            raise Conflict(
                "This CrossView has one user: the operator's addresses are theirs.",
                hint="CROSSVIEW_SMTP_TO and CROSSVIEW_WEBHOOK_URLS say where ends of jobs are told.",
            )


def _address(email: str) -> str:
    """One plain address, or none: what a provider or proxy vouched for may be a list of them."""
    try:
        return address(email)
    except BadRequest:
        return ""


def _view(hook: WebhookRow) -> WebhookView:
    return WebhookView(id=hook.id, name=hook.name, host=host_of(hook.url), created_at=hook.created_at)
