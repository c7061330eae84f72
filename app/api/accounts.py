"""Who asks; tokens and sessions; letting others see; and what operators do."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.kit import Call, Document, Operation
from jobs.accounts.principal import Role, Scope
from jobs.accounts.views import (
    LONGEST_REASON,
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
from jobs.errors import BadRequest


class TokenRequest(Document):
    """days: for which it is good; null for no end."""

    name: Annotated[str, Field(max_length=200)] = ""
    scopes: tuple[Scope, ...] = (Scope.READ,)
    days: Annotated[int | None, Field(ge=1, le=3_650)] = 90


class EndRequest(Document):
    """id: of one session; empty for all. keep_this: for all others."""

    id: Annotated[str, Field(max_length=64)] = ""
    keep_this: bool = False


class ShareRequest(Document):
    """with_whom: an e-mail address, or "everybody"."""

    with_whom: Annotated[str, Field(min_length=1, max_length=254)]


class InviteRequest(Document):
    email: Annotated[str, Field(max_length=254)]
    role: Role = Role.USER


class WithdrawRequest(Document):
    email: Annotated[str, Field(max_length=254)]


class UserRequest(Document):
    """What is to change: the role, or whether they may sign in."""

    role: Role | None = None
    state: Literal["active", "disabled"] | None = None


class CancelRequest(Document):
    """reason: what the owner is told."""

    reason: Annotated[str, Field(max_length=LONGEST_REASON)] = ""


def me(call: Call) -> MeView:
    return call.client.accounts.me()


def tokens(call: Call) -> list[TokenView]:
    return call.client.accounts.tokens()


def create_token(call: Call) -> TokenView:
    asked = call.document(TokenRequest)
    return call.client.accounts.create_token(name=asked.name, scopes=asked.scopes, days=asked.days)


def revoke_token(call: Call) -> None:
    call.client.accounts.revoke_token(call.path["id"])


def sessions(call: Call) -> list[SessionView]:
    return call.client.accounts.sessions()


def end_sessions(call: Call) -> None:
    asked = call.document(EndRequest)
    call.client.accounts.sign_out(asked.id, keep_this=asked.keep_this)


def shares(kind: Literal["job", "model"], call: Call) -> list[ShareView]:
    return call.client.accounts.shares(kind, call.path["id"])


def share(kind: Literal["job", "model"], call: Call) -> list[ShareView]:
    return call.client.accounts.share(kind, call.path["id"], call.document(ShareRequest).with_whom)


def unshare(kind: Literal["job", "model"], call: Call) -> list[ShareView]:
    return call.client.accounts.unshare(kind, call.path["id"], call.document(ShareRequest).with_whom)


def users(call: Call) -> list[UserView]:
    return call.client.accounts.users()


def change_user(call: Call) -> UserView:
    asked, who = call.document(UserRequest), call.path["id"]
    if (asked.role is None) == (asked.state is None):
        raise BadRequest("Nothing, or two things at once, are asked for.", hint="Give a role or a state.")
    if asked.role is not None:
        return call.client.accounts.set_role(who, asked.role)
    return (call.client.accounts.disable if asked.state == "disabled" else call.client.accounts.enable)(who)


def invitations(call: Call) -> list[InvitationView]:
    return call.client.accounts.invitations()


def invite(call: Call) -> InvitationView:
    asked = call.document(InviteRequest)
    return call.client.accounts.invite(asked.email, role=asked.role)


def withdraw(call: Call) -> None:
    call.client.accounts.withdraw(call.document(WithdrawRequest).email)


def queue(call: Call) -> list[QueueView]:
    return call.client.accounts.queue()


def cancel_job(call: Call) -> QueueView:
    return call.client.accounts.cancel_job(call.path["id"], reason=call.document(CancelRequest).reason)


def used(call: Call) -> list[UsedView]:
    return call.client.accounts.used()


def settings(call: Call) -> list[SettingValue]:
    return call.client.accounts.settings()


def _sharing(kind: Literal["job", "model"]) -> tuple[Operation, ...]:
    path, back = f"/{kind}s/{{id}}/shares", list[ShareView]
    body: dict[str, Any] = {"body": ShareRequest, "returns": back}
    return (
        Operation("GET", path, f"Who else sees a {kind} of yours", partial(shares, kind), returns=back),
        Operation("POST", path, f"Let somebody, or everybody, see a {kind} of yours", partial(share, kind), **body),
        Operation("POST", f"{path}/end", "Let them see it no longer", partial(unshare, kind), **body),
    )


OPERATIONS = (
    Operation("GET", "/me", "Who asks, in which role, and with which scopes", me, returns=MeView),
    Operation("GET", "/tokens", "Your tokens", tokens, returns=list[TokenView], scope=Scope.ACCOUNT),
    Operation(
        "POST",
        "/tokens",
        "Make a token; its secret is in this answer and nowhere else",
        create_token,
        body=TokenRequest,
        returns=TokenView,
        status=201,
        scope=Scope.ACCOUNT,
    ),
    Operation("DELETE", "/tokens/{id}", "Revoke one", revoke_token, status=204, scope=Scope.ACCOUNT),
    Operation(
        "GET", "/sessions", "Browsers you are signed in with", sessions, returns=list[SessionView], scope=Scope.ACCOUNT
    ),
    Operation(
        "POST",
        "/sessions/end",
        "Sign out one browser, all, or all others",
        end_sessions,
        body=EndRequest,
        status=204,
        scope=Scope.ACCOUNT,
    ),
    *_sharing("job"),
    *_sharing("model"),
    Operation("GET", "/users", "Everybody; for operators", users, returns=list[UserView], scope=Scope.ADMIN),
    Operation(
        "PUT",
        "/users/{id}",
        "Change somebody's role, or whether they may sign in; for operators",
        change_user,
        body=UserRequest,
        returns=UserView,
        scope=Scope.ADMIN,
    ),
    Operation(
        "GET",
        "/invitations",
        "Those not used yet; for operators",
        invitations,
        returns=list[InvitationView],
        scope=Scope.ADMIN,
    ),
    Operation(
        "POST",
        "/invitations",
        "Invite somebody; the link is in this answer and nowhere else; for operators",
        invite,
        body=InviteRequest,
        returns=InvitationView,
        status=201,
        scope=Scope.ADMIN,
    ),
    Operation(
        "POST",
        "/invitations/withdraw",
        "Take an invitation back; for operators",
        withdraw,
        body=WithdrawRequest,
        status=204,
        scope=Scope.ADMIN,
    ),
    Operation(
        "GET",
        "/admin/queue",
        "Jobs of everybody that wait and run, without names; for operators",
        queue,
        returns=list[QueueView],
        scope=Scope.ADMIN,
    ),
    Operation(
        "POST",
        "/admin/queue/{id}/cancel",
        "Stop anybody's job that waits or runs; its owner is told by whom and why; for operators",
        cancel_job,
        body=CancelRequest,
        returns=QueueView,
        scope=Scope.ADMIN,
    ),
    Operation("GET", "/admin/usage", "What each keeps; for operators", used, returns=list[UsedView], scope=Scope.ADMIN),
    Operation(
        "GET",
        "/admin/settings",
        "Every variable that is set, secrets hidden; for operators",
        settings,
        returns=list[SettingValue],
        scope=Scope.ADMIN,
    ),
)
