"""Accounts, as the service offers them: who asks, their tokens and sessions, sharing, and what operators do."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.accounts import access
from jobs.accounts.lockout import Lockout
from jobs.accounts.mailing import Mailer
from jobs.accounts.overview import Overview
from jobs.accounts.principal import ALL, ONE, Principal, Role, Scope
from jobs.accounts.sessions import Sessions
from jobs.accounts.settings import AuthSettings
from jobs.accounts.sharing import Kind, Sharing
from jobs.accounts.users import Users
from jobs.accounts.views import InvitationView, MeView, QueueView, SessionView, ShareView, TokenView, UserView
from jobs.errors import Conflict, NotFound
from jobs.keeping.actor import PERSON
from storage.errors import DatabaseClosed

if TYPE_CHECKING:
    from jobs.cancelling import Canceller
    from jobs.keeping.quota import Quota
    from jobs.settings import Settings
    from storage.database import Database

log = logging.getLogger(__name__)
FIRST = "operator.token"  # in the home, for its owner's eyes only
FIRST_DAYS = 30  # ours


@dataclass
class Accounts:
    """Made of what the service has. `prepare` once before anybody is let in."""

    settings: Settings
    database: Database
    quota: Quota
    canceller: Canceller
    users: Users = field(init=False)
    sessions: Sessions = field(init=False)
    sharing: Sharing = field(init=False)
    mailer: Mailer = field(init=False)

    def __post_init__(self) -> None:
        notify = self.settings.notify
        self.sessions = Sessions(self.database, self.rules)
        self.users = Users(self.database, self.sessions, Lockout(self.database))
        self.sharing = Sharing(self.database, self.users)
        self.mailer = Mailer(notify.smtp, notify.public_url)

    @property
    def rules(self) -> AuthSettings:
        return self.settings.auth

    @cached_property
    def overview(self) -> Overview:
        return Overview(self.database, self.quota, self.settings.rules)

    def prepare(self) -> None:
        """Where people sign in and no operator is there yet: a token for the first one, in a file of the home."""
        if not self.rules.on:
            return
        path = self.first_token
        if not self.users.prepare():
            self.users.withdraw_first()
            path.unlink(missing_ok=True)
        elif not path.is_file() or self.sessions.of_token(path.read_text(encoding="utf-8").strip()) is None:
            made = self.sessions.create_token(
                PERSON, name="first operator", scopes=tuple(Scope), days=FIRST_DAYS
            )  # fmt: skip
            _write_private(path, made.secret + "\n")
        if path.is_file():
            log.warning("There is no operator yet. The first one's token is in %s", path)

    @property
    def first_token(self) -> Path:
        return self.settings.home / FIRST

    def close(self) -> None:
        self.mailer.close()

    # -- whoever asks --------------------------------------------------------------------------------------------

    def me(self) -> MeView:
        who = access.me() or ONE
        with contextlib.suppress(NotFound, DatabaseClosed):
            user = self.users.get(who.user)
            return MeView(
                mode=self.rules.mode, id=who.user, email=user.email, name=user.name, role=who.role,
                scopes=_sorted(who),
            )  # fmt: skip
        return MeView(mode=self.rules.mode, id=who.user, role=who.role, scopes=_sorted(who))

    def tokens(self) -> list[TokenView]:
        return self.sessions.tokens(access.owner())

    def create_token(self, *, name: str, scopes: Sequence[Scope] = (Scope.READ,), days: int | None = 90) -> TokenView:
        """Raises BadRequest, Conflict."""
        self._require_people()
        return self.sessions.create_token(access.owner(), name=name, scopes=scopes, days=days, within=access.me())

    def share(self, kind: Kind, object: str, with_whom: str) -> list[ShareView]:
        """Raises NotFound, Conflict, BadRequest."""
        self._require_people()
        return self.sharing.share(kind, object, with_whom)

    def revoke_token(self, id: str) -> None:
        self.sessions.revoke_token(access.owner(), id)

    def browsers(self) -> list[SessionView]:
        who = access.me() or ONE
        return self.sessions.listing(who.user, here=who.session)

    def sign_out(self, id: str = "", *, keep_this: bool = False) -> None:
        """One browser, or all of them, or all others. Raises NotFound."""
        who = access.me() or ONE
        self.sessions.end(who.user, id, but=who.session if keep_this else "")

    # -- what operators do ---------------------------------------------------------------------------------------

    def all_users(self) -> list[UserView]:
        access.require_operator()
        return self.users.all()

    def invite(self, email: str, *, role: Role = Role.USER) -> InvitationView:
        """Raises NotAllowed, BadRequest, Conflict."""
        access.require_operator()
        self._require_people()
        if self.rules.mode != "local":
            raise Conflict(
                "Nobody signs up here: people come by their institution.",
                hint="Name operators in CROSSVIEW_OPERATORS; everybody else is a user from their first sign-in on.",
            )
        made = self.users.invite(email, role=role, by=access.owner())
        self.mailer.invite(made.email, made.link)
        base = self.settings.notify.public_url
        return made.model_copy(update={"link": f"{base}{made.link}"})

    def invitations(self) -> list[InvitationView]:
        access.require_operator()
        return self.users.invitations()

    def withdraw(self, email: str) -> None:
        access.require_operator()
        self.users.withdraw(email)

    def set_role(self, user: str, role: Role) -> UserView:
        access.require_operator()
        return self.users.set_role(self.users.called(user).id, role)

    def disable(self, user: str) -> UserView:
        access.require_operator()
        return self.users.disable(self.users.called(user).id)

    def enable(self, user: str) -> UserView:
        access.require_operator()
        return self.users.enable(self.users.called(user).id)

    def cancel_job(self, id: str, *, reason: str = "") -> QueueView:
        """Anybody's, as the queue shows it then. Raises NotAllowed, NotFound, BadRequest."""
        self.canceller.anybodys(id, reason=reason)
        return self.overview.one(id)

    # -- doors ---------------------------------------------------------------------------------------------------

    def first(self, token: str, *, email: str, name: str, password: str) -> str:
        """The first operator's account, for whoever can read the file. Raises Conflict, BadPassword."""
        who = self.sessions.of_token(token.strip())
        if who is None or who.user != PERSON or who.scopes != ALL:
            raise Conflict(
                "This is not the first operator's token.", hint=f"It is in {FIRST} in the home of this CrossView."
            )
        made = self.users.first(email=email, name=name, password=password)
        self.first_token.unlink(missing_ok=True)
        return made

    def forgotten(self, email: str, *, from_address: str) -> None:
        """Sends a link where there is such an account; says nothing of whether there is. Raises TooManyTries."""
        if (found := self.users.reset(email, from_address=from_address)) is not None:
            self.mailer.reset(*found)

    def by_proxy(self, name: str) -> Principal:
        """Whom a trusted proxy names. Raises NotAllowed."""
        found = self.sessions.remembered(f"proxy {name}", lambda: self._by_proxy(name))
        assert found is not None
        return found

    def _by_proxy(self, name: str) -> Principal:
        id = self.users.vouched(
            "proxy", name, email=name.lower() if "@" in name else "", name=name,
            operator=name.lower() in self.rules.operators,
        )  # fmt: skip
        return self.principal(id)

    def still(self, who: Principal) -> Principal | None:
        """The same person as they are let in now; None once their session, or their account, is over."""
        return self.sessions.alive(who.session) if who.session else self.active(who.user)

    def active(self, id: str) -> Principal | None:
        """A user who is still let in."""
        return self.sessions.remembered(f"user {id}", lambda: self._active(id))

    def _active(self, id: str) -> Principal | None:
        try:
            user = self.users.get(id)
        except NotFound:
            return None
        return Principal(user.id, Role(user.role)) if user.state == "active" else None

    def principal(self, id: str) -> Principal:
        """Raises NotFound."""
        user = self.users.get(id)
        return Principal(user.id, Role(user.role))

    def _require_people(self) -> None:
        if not self.rules.on:
            raise Conflict(
                "This CrossView has one user: whoever sits at this machine.",
                hint="CROSSVIEW_AUTH=local lets several people sign in.",
            )


def _sorted(who: Principal) -> tuple[Scope, ...]:
    """What is of use to them."""
    return tuple(scope for scope in Scope if scope in who.scopes and (scope is not Scope.ADMIN or who.operator))


def _write_private(path: Path, text: str) -> None:
    """A file that nobody else may read, not even while it is written."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
