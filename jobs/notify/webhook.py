"""Webhooks, signed as Standard Webhooks 1.0.0 has it (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.notify.channels import Undelivered, channel_id
from jobs.version import code_version

if TYPE_CHECKING:
    from jobs.notify.message import Message
    from jobs.notify.settings import WebhookSettings

TIMEOUT_S = 20.0  # for each part of the answer; Standard Webhooks, "Request timeouts": 15 to 30
GONE = 410
BUSY = frozenset({429, 502, 503, 504})  # whose Retry-After is heard


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    settings: WebhookSettings
    timeout_s: float = TIMEOUT_S

    @property
    def id(self) -> str:
        return channel_id("webhook", self.settings.url)

    @property
    def label(self) -> str:
        return f"webhook at {self.settings.host}"

    def send(self, message: Message) -> None:
        """Posts it with the time of this try, so that an old one cannot be played again."""
        request = urllib.request.Request(
            self.settings.url,
            data=message.payload,
            method="POST",
            headers=headers_of(message, self.settings.secrets),
        )
        try:
            self._opener().open(request, timeout=self.timeout_s).close()  # whatever is not 2xx raises
        except urllib.error.HTTPError as error:
            with error:
                wait = error.headers.get("retry-after", "")
                raise not_taken(self.settings.host, error.code, wait) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise Undelivered(f"{self.settings.host} did not take it: {type(reason).__name__}: {reason}") from None

    def _opener(self) -> urllib.request.OpenerDirector:
        """The operator's proxy where the environment names one, but not to this machine; and no redirect."""
        from jobs.settings import is_loopback

        proxies = [urllib.request.ProxyHandler({})] if is_loopback(self.settings.host) else []
        return urllib.request.build_opener(_NoRedirect, *proxies)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """What was signed for one address is not shown to another."""


def headers_of(message: Message, secrets: Sequence[bytes]) -> dict[str, str]:
    """Of one try, signed with the time of it."""
    return {
        "content-type": "application/json",
        "user-agent": f"CrossView/{code_version()}",
        **signed(message.id, message.payload, secrets, moment=int(time.time())),
    }


def not_taken(host: str, code: int, retry_after: str) -> Undelivered:
    """What an answer that is no success means for the next try."""
    if code == GONE:
        return Undelivered(f"{host} answered 410: it wants no more messages.", final=True)
    moved = ": redirects are not followed, give the new address" if 300 <= code < 400 else ""
    wait_s = float(retry_after) if code in BUSY and retry_after.isdecimal() else None
    return Undelivered(f"{host} answered {code}{moved}.", wait_s=wait_s)


def signed(id: str, payload: bytes, secrets: Sequence[bytes], *, moment: int) -> dict[str, str]:
    """The three headers. secrets: a signature each, so that one can be replaced. moment: of this try, Unix seconds."""
    content = f"{id}.{moment}.".encode() + payload
    marks = (base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in secrets)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(moment),
        "webhook-signature": " ".join(f"v1,{mark}" for mark in marks),
    }
