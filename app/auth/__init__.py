"""The doors: a gate in front of everything that is served, and the pages where people sign in."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import BaseRoute

from app.auth.oidc import ProviderDoor
from app.auth.pages import Doors
from jobs.accounts.service import Accounts
from jobs.settings import Settings

__all__ = ["doors"]


def doors(settings: Settings, source: Callable[[], Accounts | None]) -> list[BaseRoute]:
    """The routes under /auth. source: the accounts at the time of a request."""
    rules, public_url = settings.auth, settings.notify.public_url
    if not rules.on:
        return []
    return [*Doors(rules, source, public_url).routes(), *ProviderDoor(rules, source, public_url).routes()]
