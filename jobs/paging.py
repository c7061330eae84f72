"""Where a page of a list ended, as a word that clients hand back: the next page goes on behind it, whatever came in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeVar

from jobs.errors import BadRequest

Key = tuple[int | str, ...]
T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cursor(key: Key) -> str:
    """The key of a page's last row as an opaque word."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def key_of(text: str, *kinds: type) -> Key | None:
    """The key a cursor holds; None for the first page. Raises BadRequest for what no page of this list gave."""
    if not text:
        return None
    try:
        key = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except ValueError:
        key = None
    if not isinstance(key, list) or [type(part) for part in key] != list(kinds):
        raise BadRequest("This is no cursor of this list.", hint="Follow the `next` link of a page, or leave it out.")
    return tuple(key)


def newest_first(moment: datetime | None, id: str) -> Key:
    """Ascends down a list whose newest rows come first and whose twins are ordered by id."""
    return -microseconds(moment or _EPOCH), id


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def page(rows: Iterable[T], key: Callable[[T], Key], *, after: Key | None, limit: int) -> tuple[list[T], str]:
    """Rows behind a key, at most so many, and the cursor of the next page; empty on the last. Rows ascend by key."""
    left = [row for row in rows if after is None or key(row) > after]
    return left[:limit], cursor(key(left[limit - 1])) if len(left) > limit else ""
