"""`crossview notify`: where ends of one's own jobs are told, where people sign in."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobs.commands.admin import reached

if TYPE_CHECKING:
    from jobs.notify.views import TellingView, WebhookView

DONE = 0
Arguments = argparse.Namespace


def add_notify(commands: Any, command: Callable[..., Any]) -> None:
    notify = commands.add_parser("notify", help="where ends of your jobs are told").add_subparsers(
        dest="what", required=True, metavar="show|mail|add|remove|test"
    )
    command(notify, "show", _show, "e-mail and webhooks as they are chosen")
    mail = command(notify, "mail", _mail, "whether ends are mailed to the address of your account")
    mail.add_argument("choice", choices=("on", "off"))
    add = command(notify, "add", _add, "a webhook of yours; its secret is shown this once")
    add.add_argument("url", metavar="URL", help="https://host/path that can be reached publicly")
    add.add_argument("--name", default="", help="what it is for (default: its host)")
    command(notify, "remove", _remove, "a webhook by its id", json=False).add_argument("id")
    command(notify, "test", _test, "send a message to all of it; the inbox says what became of it", json=False)


def _show(a: Arguments) -> int:
    with reached() as client:
        return _said(a, client.notify.told())


def _mail(a: Arguments) -> int:
    with reached() as client:
        return _said(a, client.notify.choose(mail=a.choice == "on"))


def _add(a: Arguments) -> int:
    with reached() as client:
        made: WebhookView = client.notify.add_webhook(a.url, name=a.name)
    print(made.model_dump_json() if a.json else f"{made.id}  {made.secret}")
    return DONE


def _remove(a: Arguments) -> int:
    with reached() as client:
        client.notify.remove_webhook(a.id)
    print(f"{a.id} is removed.")
    return DONE


def _test(a: Arguments) -> int:
    with reached() as client:
        client.notify.test()
    print("On its way: `crossview jobs inbox` says what became of it.")
    return DONE


def _said(a: Arguments, here: TellingView) -> int:
    if a.json:
        print(json.dumps(here.model_dump(mode="json"), ensure_ascii=False))
        return DONE
    to = here.address or "no address" if here.able else "this CrossView sends none"
    print(f"E-mail: {'on' if here.mail else 'off'} ({to})")
    for hook in here.webhooks:
        print(f"{hook.id}  {hook.name}  {hook.host}  since {hook.created_at:%Y-%m-%d}")
    return DONE
