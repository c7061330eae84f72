"""Sessions of browsers and tokens of scripts: made, found again by what was shown, ended at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobs.accounts.principal import ALL, Principal, Role, Scope
from jobs.accounts.secrets import PREFIX, digest, new_id, new_secret, new_token
from jobs.accounts.views import SessionView, TokenView
from jobs.errors import BadRequest, NotFound
from jobs.keeping.audit import noted
from storage.tables import sessions as table
from storage.tables import tokens as token_table
from storage.tables import users as user_table
from storage.tables.rows import utcnow
from storage.tables.sessions import SessionRow
from storage.tables.tokens import TokenRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from jobs.accounts.settings import AuthSettings
    from storage.database import Database

FRESH_S = 2.0  # for which an answer is good without asking the database  # ours
SEEN = timedelta(minutes=1)  # between two notes that somebody was here  # ours
KEPT = timedelta(days=30)  # a session's row after its last use, for addresses that are known  # ours
MOST_SESSIONS = 50  # of one user  # ours
MOST_TOKENS = 100  # of one user  # ours
MOST_DAYS = 3_650  # ours
MOST_KNOWN = 10_000  # answers remembered  # ours


@dataclass
class Sessions:
    """rules: how long sessions last. now: the clock, for tests."""

    database: Database
    rules: AuthSettings
    now: Callable[[], datetime] = utcnow
    _known: dict[str, tuple[Principal, float]] = field(default_factory=dict)
    _turn: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # -- sessions ------------------------------------------------------------------------------------------------

    def begin(self, owner: str, *, way: str, address: str = "", agent: str = "", instead_of: str = "") -> str:
        """A new session's secret, for the cookie. instead_of: the secret shown before, which is worth nothing now."""
        secret, now = new_secret(), self.now()
        row = SessionRow(
            id=digest(secret),
            owner=owner,
            way=way,
            address=address[:60],
            agent=_plain(agent),
            created_at=now,
            seen_at=now,
        )

        def write(conn: DuckDBPyConnection) -> bool:
            if instead_of and (old := table.get(conn, digest(instead_of))) is not None:
                table.end(conn, owner=old.owner, id=old.id)
            table.sweep(conn, before=now - max(KEPT, self.rules.absolute))
            for each in table.find(conn, owner=owner)[MOST_SESSIONS - 1 :]:
                table.end(conn, owner=owner, id=each.id)
            table.insert(conn, row)
            return user_table.change(conn, owner, seen_at=now)

        self.database.write_now(noted("account.sign-in", owner, write, way=way))
        self.forget()
        return secret

    def of_cookie(self, secret: str) -> Principal | None:
        return self.alive(digest(secret)) if secret else None

    def alive(self, id: str) -> Principal | None:
        """Whose session this is, if it still is one; and that they were here."""
        return self.remembered(f"session {id}", lambda: self._session(id))

    def _session(self, id: str) -> Principal | None:
        now = self.now()
        with self.database.read() as conn:
            row = table.get(conn, id)
            user = user_table.get(conn, row.owner) if row is not None else None
        if row is None or user is None or row.ended_at is not None or user.state == "disabled":
            return None
        if now - row.seen_at > self.rules.idle or now - row.created_at > self.rules.absolute:
            return None
        if row.way != self.rules.mode:  # made when people signed in another way
            return None
        if now - row.seen_at > SEEN:
            self.database.write(lambda conn: table.seen(conn, id, now))
        return Principal(user.id, Role(user.role), ALL, session=id)

    def listing(self, owner: str, *, here: str = "") -> list[SessionView]:
        now = self.now()
        with self.database.read() as conn:
            rows = table.find(conn, owner=owner)
        return [
            SessionView(
                id=row.id[:16], way=row.way, address=row.address, agent=row.agent, created_at=row.created_at,
                seen_at=row.seen_at, until=min(row.created_at + self.rules.absolute, row.seen_at + self.rules.idle),
                here=row.id == here,
            )
            for row in rows
            if now - row.seen_at <= self.rules.idle and now - row.created_at <= self.rules.absolute
        ]  # fmt: skip

    def end(self, owner: str, id: str = "", *, but: str = "") -> None:
        """One by the beginning of its id, or all, or all but one. Raises NotFound."""
        with self.database.read() as conn:
            rows = [row.id for row in table.find(conn, owner=owner)]
        chosen = [each for each in rows if len(id) >= 16 and each.startswith(id)] if id else [""]
        if not chosen:
            raise NotFound(f"There is no session {id[:40]!r}.", hint="It may have ended already.")
        whole = chosen[0]
        self.database.write_now(
            noted("account.sign-out", owner, lambda conn: table.end(conn, owner=owner, id=whole, but=but))
        )
        self.forget()

    # -- tokens --------------------------------------------------------------------------------------------------

    def create_token(
        self, owner: str, *, name: str, scopes: Sequence[Scope], days: int | None, within: Principal | None = None
    ) -> TokenView:
        """within: who makes it; what is made allows no more and lasts no longer. Raises BadRequest."""
        if not scopes:
            raise BadRequest("The token has no scope.", hint=f"Give some of {', '.join(Scope)}.")
        if days is not None and not 0 < days <= MOST_DAYS:
            raise BadRequest(f"A token cannot be good for {days} days.", hint=f"Give 1 to {MOST_DAYS:,} days.")
        if within is not None and (more := set(scopes) - within.scopes):
            raise BadRequest(
                f"Your own token has not the scope {', '.join(sorted(more))}.", hint="Ask for no more than you have."
            )
        secret, now = new_token(), self.now()
        until = None if days is None else now + timedelta(days=days)
        row = TokenRow(
            id=new_id("token"), digest=digest(secret), owner=owner, name=_plain(name)[:80] or "token",
            scopes=sorted(set(scopes)), created_at=now, expires_at=until,
        )  # fmt: skip

        def write(conn: DuckDBPyConnection) -> None:
            mine = token_table.find(conn, owner=owner)
            if len(mine) >= MOST_TOKENS:
                raise BadRequest(f"You have {len(mine)} tokens already.", hint="Revoke some first.")
            parent = next((each for each in mine if within is not None and each.id == within.token), None)
            if parent is not None and parent.expires_at is not None and (until is None or until > parent.expires_at):
                raise BadRequest("The token would outlast the one that makes it.", hint="Give fewer days.")
            token_table.insert(conn, row)

        self.database.write_now(noted("token.create", row.id, write, scopes=" ".join(row.scopes)))
        return token_view(row).model_copy(update={"secret": secret})

    def of_token(self, secret: str) -> Principal | None:
        """Whose token this is; None for one that is unknown, revoked or over."""
        if not secret.startswith(PREFIX):
            return None
        known = digest(secret)
        return self.remembered(f"token {known}", lambda: self._token(known))

    def _token(self, known: str) -> Principal | None:
        now = self.now()
        with self.database.read() as conn:
            row = token_table.by_digest(conn, known)
            user = user_table.get(conn, row.owner) if row is not None else None
        if row is None or user is None or row.revoked_at is not None or user.state == "disabled":
            return None
        if row.expires_at is not None and row.expires_at <= now:
            return None
        if row.used_at is None or now - row.used_at > SEEN:
            self.database.write(lambda conn: token_table.used(conn, row.id, now))
        return Principal(user.id, Role(user.role), frozenset(map(Scope, row.scopes)), token=row.id)

    def tokens(self, owner: str) -> list[TokenView]:
        with self.database.read() as conn:
            return [token_view(row) for row in token_table.find(conn, owner=owner)]

    def revoke_token(self, owner: str, id: str) -> None:
        """Raises NotFound."""
        revoke = noted("token.revoke", id, lambda conn: token_table.revoke(conn, owner=owner, id=id))
        if not id or not self.database.write_now(revoke):
            raise NotFound(f"There is no token {id[:40]!r}.", hint="It may be revoked already.")
        self.forget()

    # -- what is remembered --------------------------------------------------------------------------------------

    def forget(self) -> None:
        """After any change: nobody is let in on an answer of before."""
        with self._lock:
            self._turn += 1
            self._known.clear()

    def remembered(self, key: str, look: Callable[[], Principal | None]) -> Principal | None:
        now = time.monotonic()
        with self._lock:
            turn = self._turn
            if (known := self._known.get(key)) is not None and now < known[1]:
                return known[0]
        found = look()
        with self._lock:
            self._known.pop(key, None)
            if found is not None and turn == self._turn:
                if len(self._known) >= MOST_KNOWN:
                    self._known.clear()
                self._known[key] = (found, now + FRESH_S)
        return found


def token_view(row: TokenRow) -> TokenView:
    return TokenView(
        id=row.id,
        name=row.name,
        scopes=tuple(map(Scope, row.scopes)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )


def _plain(text: str) -> str:
    """What a browser or a person wrote, fit to be shown in a line."""
    return "".join(c for c in text if c.isprintable()).strip()[:200]
