"""What is asked with a key of the sender's is done once: the same answer again for a day, also after a restart."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from jobs.errors import BadRequest, InProgress, KeyReused
from jobs.keeping.actor import acting
from storage.tables import keyed as table
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb import DuckDBPyConnection

    from storage.database import Database

KEPT = timedelta(hours=24)
LONGEST = 255  # characters of a key
_asking: ContextVar[tuple[str, str] | None] = ContextVar("asking", default=None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered the first time. body: JSON; None where what it named was deleted since."""

    status: int
    body: str | None
    made: tuple[str, ...] = ()


Standing: TypeAlias = Answer | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """Of one process. process: tells its unfinished requests from those of one that died."""

    database: Database
    process: str = field(default_factory=lambda: secrets.token_hex(8))

    def begin(self, key: str, fingerprint: str) -> Standing:
        """The answer there is, or the ids of what a process made for this request before it died: do it now.

        Raises BadRequest, KeyReused, InProgress.
        """
        if not 0 < len(key) <= LONGEST or not (key.isascii() and key.isprintable()):
            raise BadRequest(
                f"The Idempotency-Key has {len(key):,} characters, or others than plain ones.",
                hint=f"Use up to {LONGEST} plain characters, such as a UUID.",
            )
        owner = acting().who

        def look(conn: DuckDBPyConnection) -> Standing:
            now = utcnow()
            table.sweep(conn, before=now)
            row = table.get(conn, owner, key)
            if row is None:
                table.insert(
                    conn,
                    table.KeyedRow(
                        owner=owner, key=key, fingerprint=fingerprint, process=self.process, until=now + KEPT
                    ),
                )
                return ()
            if row.fingerprint != fingerprint:
                raise KeyReused(
                    f"The Idempotency-Key {key[:40]} was sent before with another request.",
                    hint="Take a new key for every new request.",
                )
            if row.status is not None:
                return Answer(row.status, row.body, tuple(row.made))
            if row.process == self.process:
                raise InProgress(
                    "The first request with this Idempotency-Key is still being answered.",
                    hint="Ask again in a second.",
                )
            table.change(conn, owner, key, process=self.process)
            return tuple(row.made)

        return self.database.write_now(look)

    def finish(self, key: str, status: int, body: str) -> None:
        """Keeps the answer, with the ids it names."""
        owner, named = acting().who, _ids(json.loads(body))

        def keep(conn: DuckDBPyConnection) -> None:
            if (row := table.get(conn, owner, key)) is not None:
                made = list(dict.fromkeys((*row.made, *named)))
                table.change(conn, owner, key, status=status, body=body, made=made)

        self.database.write_now(keep)

    def release(self, key: str) -> None:
        """Nothing was answered: the key may be tried again, and knows what was made."""
        owner = acting().who

        def let_go(conn: DuckDBPyConnection) -> None:
            row = table.get(conn, owner, key)
            if row is not None and row.made:
                table.change(conn, owner, key, process="")
            else:
                table.remove(conn, owner, key)

        self.database.write_now(let_go)


@contextmanager
def asking(key: str) -> Iterator[None]:
    """Inside, what is made is noted with the key."""
    token = _asking.set((acting().who, key))
    try:
        yield
    finally:
        _asking.reset(token)


def noting(ids: Sequence[str]) -> Callable[[DuckDBPyConnection], None]:
    """What notes these ids with the key of the present request, if it has one."""
    asked = _asking.get()

    def note(conn: DuckDBPyConnection) -> None:
        if asked is not None:
            table.note(conn, *asked, ids)

    return note


def made_before(conn: DuckDBPyConnection) -> tuple[str, ...]:
    """Ids of what the present request made already, in a process that died before it answered."""
    asked = _asking.get()
    row = table.get(conn, *asked) if asked is not None else None
    return tuple(row.made) if row is not None else ()


def fingerprint(*parts: str, body: bytes) -> str:
    """SHA-256 of what is asked; of a JSON body, whatever the order of its fields."""
    try:
        text = json.dumps(json.loads(body), sort_keys=True).encode()
    except ValueError:
        text = body
    return hashlib.sha256(b"\0".join([*(part.encode() for part in parts), text])).hexdigest()


def _ids(document: Any) -> list[str]:
    """Of what an answer names: one thing, a list of them, or the jobs of a batch."""
    batch = document.get("jobs") if isinstance(document, dict) else None
    each = document if isinstance(document, list) else [document, *(batch or ())]
    return [str(one["id"]) for one in each if isinstance(one, dict) and "id" in one]
