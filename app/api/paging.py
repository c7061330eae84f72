"""A page of a list, and in its Link header (RFC 8288) where the next one is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from jobs.errors import BadRequest
from jobs.paging import Key, cursor, key_of, page

if TYPE_CHECKING:
    from app.api.kit import Call

PREFIX = "/api/v1"
MOST = 10_000  # rows of one answer  # ours
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """value: what is answered. next: the cursor of the next page; empty on the last."""

    value: Any
    next: str

    def link(self, path: str, query: dict[str, str]) -> dict[str, str]:
        """The header, where there is a next page."""
        if not self.next:
            return {}
        return {"link": f'<{path}?{urlencode({**query, "after": self.next})}>; rel="next"'}


def paged(call: Call, rows: Iterable[T], key: Callable[[T], Key], *kinds: type, default: int = 200) -> Page:
    """A page of rows that ascend by their key. kinds: of the parts of a key."""
    limit = call.number("limit", default, least=1, most=MOST)
    found, following = page(rows, key, after=key_of(call.query.get("after", ""), *kinds), limit=limit)
    return Page(found, following)


def standing(call: Call, rows: Sequence[T], name: Callable[[T], str], *, default: int = 200) -> Page:
    """A page of rows that stand in an order of their own; names are unique. Raises BadRequest where one is gone."""
    limit = call.number("limit", default, least=1, most=MOST)
    after = key_of(call.query.get("after", ""), str)
    start = 0
    if after is not None:
        names = [name(row) for row in rows]
        if after[0] not in names:
            raise BadRequest("The list has changed since that page.", hint="Read it from the start.")
        start = names.index(str(after[0])) + 1
    found = list(rows[start : start + limit])
    return Page(found, cursor((name(found[-1]),)) if start + limit < len(rows) else "")


def behind(call: Call, look: Callable[..., Sequence[T]], key: Callable[[T], Key], *, most: int) -> Page:
    """A page of a list that is read from where the last one ended. look: takes `limit` and `after`, a cursor."""
    limit = call.number("limit", min(200, most), least=1, most=most)
    rows = look(limit=limit + 1, after=call.query.get("after", ""))
    found = list(rows[:limit])
    return Page(found, cursor(key(found[-1])) if len(rows) > limit else "")
