"""`crossview doctor --notify`: a test message to every address that is set, and what became of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from jobs.commands.doctor import Check
from jobs.notify.channels import Undelivered, channels_of
from jobs.notify.events import Event
from jobs.notify.message import compose
from jobs.settings import Settings
from storage.tables.notifications import NotificationRow


def send_tests() -> list[Check]:
    """One check an address. Raises BadSetting where the settings cannot be used."""
    return list(_send(Settings.from_env()))


def _send(settings: Settings) -> Iterator[Check]:
    row = NotificationRow(id=f"msg_{secrets.token_hex(12)}", event=Event.TEST, subject="crossview doctor", kind="test")
    message = compose(row, settings.notify)
    channels = channels_of(settings.notify)
    for channel in channels:
        try:
            channel.send(message)
        except Undelivered as error:
            yield Check(channel.label, False, str(error), "Check the address, and what the other side says of it.")
        else:
            yield Check(channel.label, True, f"took test message {message.id}")
    if not channels:
        mend = "Set CROSSVIEW_SMTP_HOST or CROSSVIEW_WEBHOOK_URLS: the README says how, under Notifications."
        yield Check("notifications", False, "no address is set: only the inbox is told", mend)
