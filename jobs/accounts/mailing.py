"""Mail about one's own account, by the mail server that notifications use; sent behind whoever asked."""

from __future__ import annotations

import json
import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.notify.events import Event
from jobs.notify.message import Message
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from jobs.notify.settings import SmtpSettings

log = logging.getLogger(__name__)
WHY = "You get this because somebody asked for it on this CrossView with your address."


@dataclass
class Mailer:
    """settings: None where no mail server is set; nothing is sent then. public_url: of this CrossView."""

    settings: SmtpSettings | None
    public_url: str
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="account-mail"), repr=False
    )

    @property
    def able(self) -> bool:
        """A link needs an address to begin with; that of the request could be anybody's."""
        return self.settings is not None and bool(self.public_url)

    def reset(self, to: str, secret: str) -> None:
        link = f"{self.public_url}/auth/new-password?link={secret}"
        self._later(
            to,
            "Set your password anew",
            "Somebody, perhaps you, asked to set the password of this account anew.",
            "The link below does that, once, within 30 minutes. It signs out every browser and revokes every token.",
            "If it was not you: nothing has changed, and there is nothing to do.",
            link=link,
        )

    def invite(self, to: str, path: str) -> None:
        self._later(
            to,
            "You are invited to CrossView",
            "You are invited to use this CrossView. The link below makes your account, once, within a week.",
            link=f"{self.public_url}{path}",
        )

    def changed(self, to: str) -> None:
        self._later(
            to,
            "Your password was changed",
            "The password of your account was changed a moment ago, and every other browser was signed out.",
            "If it was not you, set it anew at once from the sign-in page, and tell whoever runs this CrossView.",
            link=f"{self.public_url}/auth/forgotten",
        )

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _later(self, to: str, subject: str, *paragraphs: str, link: str = "") -> None:
        """Whether an address is known shows neither in an answer nor in how long it takes."""
        if self.able:
            now = utcnow()
            message = Message(
                id=secrets.token_hex(12), event=Event.ACCOUNT, moment=now, subject=subject, paragraphs=paragraphs,
                link=link, payload=json.dumps({}).encode(), why=WHY,
            )  # fmt: skip
            self._pool.submit(self._send, to, message)

    def _send(self, to: str, message: Message) -> None:
        from jobs.notify.channels import Undelivered
        from jobs.notify.mail import MailChannel

        assert self.settings is not None
        try:
            MailChannel(self.settings, to).send(message)
        except Undelivered as error:
            log.warning("Mail about an account could not be sent: %s", error)
