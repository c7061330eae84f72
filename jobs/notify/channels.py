"""What a place that is told must be able to do, and those the settings name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from jobs.failures import scrub
from jobs.notify.message import one_line

if TYPE_CHECKING:
    from jobs.notify.message import Message
    from jobs.notify.settings import NotifySettings


class Undelivered(Exception):
    """Not taken. final: asking again is no use. wait_s: the other side's wish, how long to leave it in peace."""

    def __init__(self, message: str, *, final: bool = False, wait_s: float | None = None) -> None:
        super().__init__(one_line(scrub(message), 300))
        self.final = final
        self.wait_s = wait_s


class Channel(Protocol):
    """One address. id: stands for it in the database. label: what may be shown of it."""

    @property
    def id(self) -> str: ...
    @property
    def label(self) -> str: ...
    def send(self, message: Message) -> None:
        """Returns once the other side has it; one that is silent is left after seconds. Raises Undelivered."""
        ...


def channels_of(settings: NotifySettings) -> list[Channel]:
    """Every address is a channel of its own: what one has taken is not sent to it again for another's sake."""
    from jobs.notify.mail import MailChannel
    from jobs.notify.webhook import WebhookChannel

    found: list[Channel] = [WebhookChannel(each) for each in settings.webhooks]
    if settings.smtp is not None:
        found += [MailChannel(settings.smtp, to) for to in settings.smtp.to]
    return found


def channel_id(kind: str, address: str) -> str:
    """The same as long as the address is; nobody can read the address from it."""
    return f"{kind}:{hashlib.sha256(address.encode()).hexdigest()[:16]}"
