"""What whoever asks may see. The rule stands where rows are read, not where they are shown.

Outside of a request nobody asks: the service itself does, and sees everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from jobs.accounts.errors import NotAllowed
from jobs.accounts.principal import Principal, Scope
from jobs.keeping.actor import PERSON, acting_as
from storage.tables import shares as table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_me: ContextVar[Principal | None] = ContextVar("me", default=None)


def me() -> Principal | None:
    """Who asks in this thread or task; None for the service itself."""
    return _me.get()


@contextmanager
def asking(principal: Principal, via: str = "page") -> Iterator[None]:
    """Inside, it is this person who asks, also in the audit log."""
    token = _me.set(principal)
    try:
        with acting_as(principal.user, via):
            yield
    finally:
        _me.reset(token)


def owner() -> str:
    """To whom new rows belong."""
    who = me()
    return who.user if who is not None else PERSON


def only() -> str | None:
    """The owner whose rows are listed; None for all of them."""
    who = me()
    return who.user if who is not None else None


def mine(owner: str) -> bool:
    who = me()
    return who is None or who.user == owner


def may_see(conn: DuckDBPyConnection, kind: str, object: str, owner: str) -> bool:
    """Mine, or shared with me. kind: "job" | "model"."""
    who = me()
    return who is None or who.user == owner or table.reaches(conn, kind=kind, object=object, reader=who.user)


def shared_with_me(conn: DuckDBPyConnection, kind: str) -> set[str]:
    """Ids of what others let me see."""
    who = me()
    return table.seen_by(conn, kind=kind, reader=who.user) if who is not None else set()


def require_scope(scope: Scope) -> None:
    """Raises NotAllowed where a token was made for less."""
    who = me()
    if who is not None and scope not in who.scopes:
        have = ", ".join(sorted(who.scopes)) or "none"
        raise NotAllowed(
            f"This needs a token with the scope {scope.value}; yours has {have}.",
            hint="Make one on the Account page or with `crossview token create`.",
        )


def require_operator() -> None:
    """Raises NotAllowed for everybody but operators and the service itself."""
    who = me()
    if who is not None and not who.operator:
        raise NotAllowed("This is for operators.", hint="Ask whoever runs this CrossView.")
