"""What pages, clients and scripts see of accounts: plain frozen records that travel as JSON. No hash is among them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from jobs.accounts.principal import Role, Scope
from jobs.views import View


class MeView(View):
    """Who asks. mode: how people sign in here; "off" is single-user mode."""

    mode: Literal["off", "local", "oidc", "proxy"]
    id: str
    email: str = ""
    name: str = ""
    role: Role
    scopes: tuple[Scope, ...]


class UserView(View):
    """state: "new" (the first operator, who has no account yet) | "active" | "disabled"."""

    id: str
    email: str
    name: str
    role: Role
    state: Literal["new", "active", "disabled"]
    way: Literal["local", "oidc", "proxy"]
    created_at: datetime
    seen_at: datetime | None = None


class InvitationView(View):
    """link: the path to open, shown once, when it is made."""

    email: str
    role: Role
    expires_at: datetime
    link: str = ""


class TokenView(View):
    """secret: the token itself, shown once, when it is made."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None
    secret: str = ""


class SessionView(View):
    """A browser that is signed in. here: the one that asks. until: when it is signed out at the latest."""

    id: str
    way: str
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime
    until: datetime
    here: bool = False


class ShareView(View):
    """with_whom: an e-mail address or name, or "everybody"."""

    kind: Literal["job", "model"]
    object: str
    with_whom: str
    created_at: datetime


LONGEST_REASON = 200  # characters an operator may write to the owner of a job they cancel


class QueueView(View):
    """A job as an operator sees another's: no title, no names, no result."""

    id: str
    owner: str
    owner_name: str
    kind: str
    state: str
    priority: str
    position: int | None = None
    submitted_at: datetime
    started_at: datetime | None = None


class UsedView(View):
    """What one user keeps, for operators."""

    owner: str
    owner_name: str
    bytes: int
    datasets: int
    jobs: int


class SettingValue(View):
    """A setting as it is in force; a secret is said to be set, and never shown."""

    name: str
    value: str
