"""What pages, clients and scripts see of where a user wants to be told."""

from __future__ import annotations

from datetime import datetime

from jobs.views import View

LONGEST_URL, LONGEST_NAME = 2_000, 80  # characters  # ours


class WebhookView(View):
    """host: what is shown of the address, whose path may be a secret. secret: shown once, when it is made."""

    id: str
    name: str
    host: str
    created_at: datetime
    secret: str = ""


class TellingView(View):
    """mail: whether ends are mailed to `address`. able: whether this CrossView can send e-mail at all."""

    mail: bool = False
    address: str = ""
    able: bool = False
    webhooks: tuple[WebhookView, ...] = ()
