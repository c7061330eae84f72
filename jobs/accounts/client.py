"""How accounts are reached: one protocol, in process or over HTTP, as jobs.client for everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from pydantic import TypeAdapter

from jobs.accounts.principal import Role, Scope
from jobs.accounts.sharing import Kind
from jobs.accounts.views import (
    InvitationView,
    MeView,
    QueueView,
    SessionView,
    SettingValue,
    ShareView,
    TokenView,
    UsedView,
    UserView,
)
from jobs.failures import typed_errors

if TYPE_CHECKING:
    from jobs.accounts.service import Accounts


class AccountsClient(Protocol):
    """Every method may raise engine.errors.CrossViewError or one of its kin."""

    def me(self) -> MeView: ...
    def tokens(self) -> list[TokenView]: ...
    def create_token(self, *, name: str, scopes: Sequence[Scope] = (Scope.READ,), days: int | None = 90) -> TokenView:
        """Its `secret` is in this answer and nowhere else. days: None for no end."""
        ...

    def revoke_token(self, id: str) -> None: ...
    def sessions(self) -> list[SessionView]: ...
    def sign_out(self, id: str = "", *, keep_this: bool = False) -> None:
        """One browser of mine, or all, or all others."""
        ...

    # Sharing, of what is mine: a job or a model, with an address or "everybody".
    def shares(self, kind: Kind, object: str) -> list[ShareView]: ...
    def share(self, kind: Kind, object: str, with_whom: str) -> list[ShareView]: ...
    def unshare(self, kind: Kind, object: str, with_whom: str) -> list[ShareView]: ...

    # Of operators. user: an address, a name or an id.
    def users(self) -> list[UserView]: ...
    def invite(self, email: str, *, role: Role = Role.USER) -> InvitationView:
        """Its `link` is in this answer and nowhere else."""
        ...

    def invitations(self) -> list[InvitationView]: ...
    def withdraw(self, email: str) -> None: ...
    def set_role(self, user: str, role: Role) -> UserView: ...
    def disable(self, user: str) -> UserView: ...
    def enable(self, user: str) -> UserView: ...
    def queue(self) -> list[QueueView]:
        """Jobs of everybody that wait and run, without their names."""
        ...

    def cancel_job(self, id: str, *, reason: str = "") -> QueueView:
        """Anybody's that waits or runs; its owner is told by whom and why. reason: at most 200 characters."""
        ...

    def used(self) -> list[UsedView]:
        """What each user keeps, the most first."""
        ...

    def settings(self) -> list[SettingValue]:
        """Every variable that is set, as it is in force."""
        ...


@dataclass(frozen=True, slots=True)
class LocalAccounts:
    """In process; raises what HttpAccounts raises."""

    service: Accounts

    def me(self) -> MeView:
        with typed_errors():
            return self.service.me()

    def tokens(self) -> list[TokenView]:
        with typed_errors():
            return self.service.tokens()

    def create_token(self, *, name: str, scopes: Sequence[Scope] = (Scope.READ,), days: int | None = 90) -> TokenView:
        with typed_errors():
            return self.service.create_token(name=name, scopes=scopes, days=days)

    def revoke_token(self, id: str) -> None:
        with typed_errors():
            self.service.revoke_token(id)

    def sessions(self) -> list[SessionView]:
        with typed_errors():
            return self.service.browsers()

    def sign_out(self, id: str = "", *, keep_this: bool = False) -> None:
        with typed_errors():
            self.service.sign_out(id, keep_this=keep_this)

    def shares(self, kind: Kind, object: str) -> list[ShareView]:
        with typed_errors():
            return self.service.sharing.of(kind, object)

    def share(self, kind: Kind, object: str, with_whom: str) -> list[ShareView]:
        with typed_errors():
            return self.service.share(kind, object, with_whom)

    def unshare(self, kind: Kind, object: str, with_whom: str) -> list[ShareView]:
        with typed_errors():
            return self.service.sharing.unshare(kind, object, with_whom)

    def users(self) -> list[UserView]:
        with typed_errors():
            return self.service.all_users()

    def invite(self, email: str, *, role: Role = Role.USER) -> InvitationView:
        with typed_errors():
            return self.service.invite(email, role=role)

    def invitations(self) -> list[InvitationView]:
        with typed_errors():
            return self.service.invitations()

    def withdraw(self, email: str) -> None:
        with typed_errors():
            self.service.withdraw(email)

    def set_role(self, user: str, role: Role) -> UserView:
        with typed_errors():
            return self.service.set_role(user, role)

    def disable(self, user: str) -> UserView:
        with typed_errors():
            return self.service.disable(user)

    def enable(self, user: str) -> UserView:
        with typed_errors():
            return self.service.enable(user)

    def queue(self) -> list[QueueView]:
        with typed_errors():
            return self.service.overview.queue()

    def cancel_job(self, id: str, *, reason: str = "") -> QueueView:
        with typed_errors():
            return self.service.cancel_job(id, reason=reason)

    def used(self) -> list[UsedView]:
        with typed_errors():
            return self.service.overview.used()

    def settings(self) -> list[SettingValue]:
        with typed_errors():
            return self.service.overview.settings()


@dataclass(frozen=True, slots=True)
class HttpAccounts:
    """Over the routes of /api/v1. get: a JSON answer; send: method, path and document to a JSON answer or None."""

    get: Callable[..., Any]
    send: Callable[..., Any]

    def me(self) -> MeView:
        return MeView.model_validate(self.get("me"))

    def tokens(self) -> list[TokenView]:
        return TypeAdapter(list[TokenView]).validate_python(self.get("tokens"))

    def create_token(self, *, name: str, scopes: Sequence[Scope] = (Scope.READ,), days: int | None = 90) -> TokenView:
        asked = {"name": name, "scopes": list(scopes), "days": days}
        return TokenView.model_validate(self.send("POST", "tokens", asked))

    def revoke_token(self, id: str) -> None:
        self.send("DELETE", f"tokens/{_part(id)}")

    def sessions(self) -> list[SessionView]:
        return TypeAdapter(list[SessionView]).validate_python(self.get("sessions"))

    def sign_out(self, id: str = "", *, keep_this: bool = False) -> None:
        self.send("POST", "sessions/end", {"id": id, "keep_this": keep_this})

    def shares(self, kind: Kind, object: str) -> list[ShareView]:
        return _shares(self.get(f"{kind}s/{_part(object)}/shares"))

    def share(self, kind: Kind, object: str, with_whom: str) -> list[ShareView]:
        return _shares(self.send("POST", f"{kind}s/{_part(object)}/shares", {"with_whom": with_whom}))

    def unshare(self, kind: Kind, object: str, with_whom: str) -> list[ShareView]:
        return _shares(self.send("POST", f"{kind}s/{_part(object)}/shares/end", {"with_whom": with_whom}))

    def users(self) -> list[UserView]:
        return TypeAdapter(list[UserView]).validate_python(self.get("users"))

    def invite(self, email: str, *, role: Role = Role.USER) -> InvitationView:
        return InvitationView.model_validate(self.send("POST", "invitations", {"email": email, "role": role}))

    def invitations(self) -> list[InvitationView]:
        return TypeAdapter(list[InvitationView]).validate_python(self.get("invitations"))

    def withdraw(self, email: str) -> None:
        self.send("POST", "invitations/withdraw", {"email": email})

    def set_role(self, user: str, role: Role) -> UserView:
        return self._change(user, {"role": role})

    def disable(self, user: str) -> UserView:
        return self._change(user, {"state": "disabled"})

    def enable(self, user: str) -> UserView:
        return self._change(user, {"state": "active"})

    def queue(self) -> list[QueueView]:
        return TypeAdapter(list[QueueView]).validate_python(self.get("admin/queue"))

    def cancel_job(self, id: str, *, reason: str = "") -> QueueView:
        return QueueView.model_validate(self.send("POST", f"admin/queue/{_part(id)}/cancel", {"reason": reason}))

    def used(self) -> list[UsedView]:
        return TypeAdapter(list[UsedView]).validate_python(self.get("admin/usage"))

    def settings(self) -> list[SettingValue]:
        return TypeAdapter(list[SettingValue]).validate_python(self.get("admin/settings"))

    def _change(self, user: str, changes: dict[str, Any]) -> UserView:
        return UserView.model_validate(self.send("PUT", f"users/{_part(user)}", changes))


def _shares(found: Any) -> list[ShareView]:
    return TypeAdapter(list[ShareView]).validate_python(found)


def _part(name: str) -> str:
    return quote(name, safe="")
