"""Who is acting and from where, for the audit log: set where a request comes in, read where an act is written down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

PERSON = "local"  # single-user mode
NOBODY = "nobody"  # a stranger at the doors
SERVICE = "crossview"  # what the service does by itself


@dataclass(frozen=True, slots=True)
class Actor:
    """who: an owner, `nobody` before a sign-in, or `crossview` itself.

    via: `page`, `api ADDRESS`, `command line`, `retention clock` …
    """

    who: str = PERSON
    via: str = "page"


_acting: ContextVar[Actor | None] = ContextVar("acting", default=None)


def acting() -> Actor:
    """The actor of this thread or task; a page where nobody said otherwise."""
    return _acting.get() or Actor()


@contextmanager
def acting_as(who: str, via: str) -> Iterator[None]:
    token = _acting.set(Actor(who, via))
    try:
        yield
    finally:
        _acting.reset(token)
