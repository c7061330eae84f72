"""How a user says where they want to be told: one protocol, in process or over HTTP, as jobs.client for the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from jobs.failures import typed_errors
from jobs.notify.views import TellingView, WebhookView

if TYPE_CHECKING:
    from jobs.notify.personal import Personal


class NotifyClient(Protocol):
    """Every method may raise engine.errors.CrossViewError or one of its kin; Conflict in single-user mode."""

    def told(self) -> TellingView:
        """Where ends of my jobs and imports are told."""
        ...

    def choose(self, *, mail: bool) -> TellingView:
        """Whether they are mailed to the address of my account."""
        ...

    def add_webhook(self, url: str, *, name: str = "") -> WebhookView:
        """Its `secret` is in this answer and nowhere else."""
        ...

    def remove_webhook(self, id: str) -> None: ...
    def test(self) -> None:
        """A message to all of it; the inbox says what became of it."""
        ...


@dataclass(frozen=True, slots=True)
class LocalNotify:
    """In process; raises what HttpNotify raises."""

    personal: Personal

    def told(self) -> TellingView:
        with typed_errors():
            return self.personal.view()

    def choose(self, *, mail: bool) -> TellingView:
        with typed_errors():
            return self.personal.choose(mail=mail)

    def add_webhook(self, url: str, *, name: str = "") -> WebhookView:
        with typed_errors():
            return self.personal.add(url, name=name)

    def remove_webhook(self, id: str) -> None:
        with typed_errors():
            self.personal.remove(id)

    def test(self) -> None:
        with typed_errors():
            self.personal.test()


@dataclass(frozen=True, slots=True)
class HttpNotify:
    """Over the routes of /api/v1. get: a JSON answer; send: method, path and document to a JSON answer or None."""

    get: Callable[..., Any]
    send: Callable[..., Any]

    def told(self) -> TellingView:
        return TellingView.model_validate(self.get("notifications/mine"))

    def choose(self, *, mail: bool) -> TellingView:
        return TellingView.model_validate(self.send("PUT", "notifications/mine", {"mail": mail}))

    def add_webhook(self, url: str, *, name: str = "") -> WebhookView:
        return WebhookView.model_validate(self.send("POST", "notifications/webhooks", {"url": url, "name": name}))

    def remove_webhook(self, id: str) -> None:
        self.send("DELETE", f"notifications/webhooks/{quote(id, safe='')}")

    def test(self) -> None:
        self.send("POST", "notifications/test", {})
