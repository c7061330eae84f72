"""E-mail: one message to one address, over a connection that was verified before anything was said."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import TYPE_CHECKING

from jobs.notify.channels import Undelivered, channel_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.notify.message import Message
    from jobs.notify.settings import SmtpSettings

TIMEOUT_S = 15.0  # for each answer of the server  # ours


@dataclass(frozen=True, slots=True)
class MailChannel:
    """settings: the server and the sender. to: one address. of: the user whose own it is; empty: of the lab."""

    settings: SmtpSettings
    to: str
    timeout_s: float = TIMEOUT_S
    of: str = ""

    @property
    def id(self) -> str:
        return channel_id("mail", f"{self.of} {parseaddr(self.to)[1].lower()}".lstrip())

    @property
    def label(self) -> str:
        return f"e-mail to {parseaddr(self.to)[1]}"

    def send(self, message: Message) -> None:
        mail = self._mail(message)
        try:
            with self._server() as server:
                if self.settings.user:
                    server.login(self.settings.user, self.settings.password)
                server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code, words = next(iter(error.recipients.values()))
            raise _refused("The address was refused", code, words, final=True) from None
        except smtplib.SMTPAuthenticationError as error:  # the operator may mend it meanwhile
            raise _refused("The login was refused", error.smtp_code, error.smtp_error) from None
        except (smtplib.SMTPHeloError, smtplib.SMTPConnectError) as error:
            raise _refused("The server refused us", error.smtp_code, error.smtp_error) from None
        except smtplib.SMTPResponseException as error:
            raise _refused("The message was refused", error.smtp_code, error.smtp_error, final=True) from None
        except ssl.SSLError as error:
            raise Undelivered(f"{self.settings.host} could not be verified: {error.reason or error}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise Undelivered(f"{self.settings.host} did not take it: {type(error).__name__}: {error}") from None

    @contextlib.contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        its, context = self.settings, ssl.create_default_context()
        if its.tls == "implicit":
            server: smtplib.SMTP = smtplib.SMTP_SSL(its.host, its.port, timeout=self.timeout_s, context=context)
        else:
            server = smtplib.SMTP(its.host, its.port, timeout=self.timeout_s)
        try:
            if its.tls == "starttls":
                server.starttls(context=context)  # raises where it is not offered: nothing falls back to clear
            yield server
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()  # the message is theirs already: what happens now changes nothing
        finally:
            server.close()

    def _mail(self, message: Message) -> EmailMessage:
        """Headers are refused by the policy where a line break is left in one."""
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self.settings.sender
        mail["To"] = self.to
        mail["Subject"] = f"[CrossView] {message.subject}"
        mail["Date"] = format_datetime(message.moment)
        mail["Message-ID"] = f"<{message.id}@{parseaddr(self.settings.sender)[1].rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes back
        mail["X-CrossView-Event"] = str(message.event)
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        return mail


def _refused(what: str, code: int, words: bytes | str, *, final: bool = False) -> Undelivered:
    """final: whether a permanent code (5xx) ends it."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return Undelivered(f"{what}: {code} {text}", final=final and code >= 500)
