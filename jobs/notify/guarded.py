"""A webhook of a user's own: an address that is judged before anything connects to it, and signed like any other."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobs.errors import BadRequest
from jobs.notify.channels import Undelivered
from jobs.notify.settings import SECRET_BYTES, key_of_secret
from jobs.notify.views import LONGEST_URL
from jobs.notify.webhook import TIMEOUT_S, headers_of, not_taken
from storage.errors import BadUri, FetchRefused, StorageError
from storage.guard import Resolver, WebRules, checked, parse_url, system_resolver

if TYPE_CHECKING:
    from jobs.notify.message import Message
    from storage.tables.telling import WebhookRow


@dataclass(frozen=True, slots=True)
class GuardedWebhook:
    """rules: of the web as the operator set them. resolve: gives the addresses of a host, asked once for each try."""

    hook: WebhookRow
    rules: WebRules
    timeout_s: float = TIMEOUT_S
    resolve: Resolver = field(default=system_resolver, repr=False)

    @property
    def id(self) -> str:
        return self.hook.id

    @property
    def label(self) -> str:
        return f"webhook {self.hook.name} at {host_of(self.hook.url)}"

    def send(self, message: Message) -> None:
        """Posts it to an address that was judged a moment before; no proxy, no redirect."""
        from storage.web import FAULTS, Patience, Web

        host, keys = host_of(self.hook.url), (key_of_secret(self.hook.secret),)
        whole = Patience(connect_s=self.timeout_s, head_s=self.timeout_s, total_s=self.timeout_s)
        web = Web(self.rules, self.resolve, patience=whole)
        try:
            with web.post(self.hook.url, message.payload, headers_of(message, keys)) as answer:
                code, wait = answer.status, answer.headers.get("retry-after", "")
        except (BadUri, FetchRefused):  # by the rules as they are now: asking again is no use
            raise Undelivered(f"{host} may not be reached from here.", final=True) from None
        except StorageError as error:
            raise Undelivered(error.message) from None
        except FAULTS as error:
            raise Undelivered(f"{host} did not take it: {type(error).__name__}: {error}") from None
        finally:
            web.close()
        if not 200 <= code < 300:
            raise not_taken(host, code, wait)


def require_reachable(url: str, rules: WebRules, resolve: Resolver = system_resolver) -> str:
    """The address as it is kept. Raises BadRequest for one that may not be posted to, by its words or its numbers."""
    hint = "Give a public address, https://host/path. What else may be reached is the operator's choice."
    if not rules.on:
        raise BadRequest("This server sends nothing to addresses of users.", hint="Ask the operator (CROSSVIEW_FETCH).")
    if len(url) > LONGEST_URL:
        raise BadRequest(f"The address has {len(url):,} characters.", hint=f"Give at most {LONGEST_URL:,}.")
    try:
        place = parse_url(url, rules)
        checked(place.host, place.port, rules, resolve)
    except StorageError as error:
        raise BadRequest(error.message, hint=hint) from None
    return place.url


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES[0] + 8)).decode()


def host_of(url: str) -> str:
    """What may be shown of an address."""
    return urlsplit(url).hostname or ""
