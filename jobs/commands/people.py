"""`crossview token`, `crossview admin users|queue|cancel`: tokens of one's own, who may come in, everybody's jobs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobs.accounts.principal import Role, Scope

if TYPE_CHECKING:
    from jobs.accounts.client import AccountsClient
    from jobs.accounts.views import QueueView, TokenView, UserView

DONE = 0
Arguments = argparse.Namespace
Command = Callable[..., Any]
ACTIONS = ("list", "invite", "disable", "enable", "role")


def add_token(commands: Any, command: Command) -> None:
    token = commands.add_parser("token", help="tokens for scripts").add_subparsers(
        dest="what", required=True, metavar="create|list|revoke"
    )
    create = command(token, "create", _create, "make a token; it is shown this once")
    create.add_argument("--name", default="command line", help="what it is for")
    create.add_argument(
        "--scope",
        action="append",
        choices=[each.value for each in Scope],
        help="may be given several times (default read)",
    )
    end = create.add_mutually_exclusive_group()
    end.add_argument("--days", type=int, default=90, help="it is good for (default 90)")
    end.add_argument("--no-end", action="store_true", help="it is good until it is revoked")
    command(token, "list", _list, "those there are, without their secrets")
    command(token, "revoke", _revoke, "one by its id", json=False).add_argument("id")


def add_users(admin: Any, command: Command) -> None:
    users = command(admin, "users", _users, "who may use this CrossView: list, invite, disable, enable, role")
    users.add_argument("action", nargs="?", default="list", choices=ACTIONS)
    users.add_argument("user", nargs="?", default="", metavar="ADDRESS", help="of whom")
    users.add_argument("--role", choices=[each.value for each in Role], default=None, help="for invite and role")


def add_queue(admin: Any, command: Command) -> None:
    command(admin, "queue", _queue, "jobs of everybody that wait and run, without their names")
    cancel = command(admin, "cancel", _cancel, "stop anybody's job that waits or runs; its owner is told by whom")
    cancel.add_argument("id", metavar="JOB_ID")
    cancel.add_argument("--reason", default="", metavar="TEXT", help="what its owner is told (at most 200 characters)")


def _accounts() -> Any:
    from jobs.commands.admin import reached

    return reached()


def _create(a: Arguments) -> int:
    with _accounts() as client:
        scopes = [Scope(each) for each in a.scope or ["read"]]
        made = client.accounts.create_token(name=a.name, scopes=scopes, days=None if a.no_end else a.days)
    if a.json:
        _print(made.model_dump(mode="json"))
    else:
        print(made.secret)
    return DONE


def _list(a: Arguments) -> int:
    with _accounts() as client:
        found: list[TokenView] = client.accounts.tokens()
    if a.json:
        _print({"tokens": [each.model_dump(mode="json", exclude={"secret"}) for each in found]})
        return DONE
    for each in found:
        until = f"until {each.expires_at:%Y-%m-%d}" if each.expires_at else "no end"
        used = f"used {each.used_at:%Y-%m-%d %H:%M}" if each.used_at else "never used"
        print(f"{each.id}  {each.name}  {','.join(each.scopes)}  {until}  {used}")
    return DONE


def _revoke(a: Arguments) -> int:
    with _accounts() as client:
        client.accounts.revoke_token(a.id)
    print(f"{a.id} is revoked.")
    return DONE


def _users(a: Arguments) -> int:
    from jobs.settings import Settings

    here = Settings.from_env()
    if not here.auth.on and here.api_url is None and here.token is None:
        return _single(a)
    with _accounts() as client:
        accounts: AccountsClient = client.accounts
        if accounts.me().mode == "off":
            return _single(a)
        if a.action == "list":
            return _listed(a, accounts.users())
        _require_user(a)
        if a.action == "invite":
            made = accounts.invite(a.user, role=Role(a.role or "user"))
            _print(made.model_dump(mode="json")) if a.json else print(made.link)
            return DONE
        if a.action == "role":
            changed = accounts.set_role(a.user, Role(a.role))
        else:
            changed = (accounts.disable if a.action == "disable" else accounts.enable)(a.user)
    return _listed(a, [changed])


def _queue(a: Arguments) -> int:
    with _accounts() as client:
        return _lined_up(a, client.accounts.queue())


def _cancel(a: Arguments) -> int:
    with _accounts() as client:
        return _lined_up(a, [client.accounts.cancel_job(a.id, reason=a.reason)])


def _lined_up(a: Arguments, jobs: list[QueueView]) -> int:
    if a.json:
        _print({"jobs": [each.model_dump(mode="json") for each in jobs]})
        return DONE
    for each in jobs:
        since = f"since {each.started_at or each.submitted_at:%Y-%m-%d %H:%M} UTC"
        place = f"place {each.position}" if each.position else since
        print(f"{each.id}  {each.owner_name}  {each.kind}  {each.state.lower()}  {place}")
    return DONE


def _require_user(a: Arguments) -> None:
    from jobs.errors import BadRequest

    if not a.user:
        raise BadRequest(f"Of whom? `users {a.action}` needs an address.", hint="`crossview admin users list`.")
    if a.action == "role" and a.role is None:
        raise BadRequest("Which role?", hint="Add --role user or --role operator.")


def _single(a: Arguments) -> int:
    if a.json:
        _print({"single_user": True, "users": ["local"]})
    else:
        print("Single-user: everything belongs to `local`, and only this machine is listened to.")
    return DONE


def _listed(a: Arguments, users: list[UserView]) -> int:
    if a.json:
        _print({"single_user": False, "users": [each.model_dump(mode="json") for each in users]})
        return DONE
    for each in users:
        seen = f"last here {each.seen_at:%Y-%m-%d %H:%M}" if each.seen_at else "never here"
        print(f"{each.id}  {each.email or each.name}  {each.role}  {each.state}  {seen}")
    return DONE


def _print(document: Any) -> None:
    print(json.dumps(document, ensure_ascii=False, default=str))
