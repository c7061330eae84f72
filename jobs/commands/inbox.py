"""`crossview jobs inbox`: which jobs and imports ended."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.client import Client
    from jobs.views import NotificationView


def add_inbox(jobs: Any, command: Callable[..., Any], client: Callable[[], Any]) -> None:
    """Hang `inbox` under `jobs`. client: makes the one to ask."""
    inbox = command(jobs, "inbox", lambda a: _inbox(a, client), "jobs and imports that ended, newest first")
    inbox.add_argument("--unread", action="store_true", help="only what was not read")
    inbox.add_argument("--read", action="store_true", help="mark what is shown, and all that is older, as read")
    inbox.add_argument("--limit", type=int, default=20, choices=range(1, 1_001), metavar="N")


def _inbox(a: argparse.Namespace, make_client: Callable[[], Any]) -> int:
    with make_client() as asked:
        client: Client = asked
        found = client.list_notifications(limit=a.limit, unread_only=a.unread)
        if a.read and found.notifications:
            client.mark_read(through=found.notifications[0].id)
    if a.json:
        print(json.dumps(found.model_dump(mode="json"), ensure_ascii=False))
    else:
        print("\n".join([_line(it) for it in found.notifications] or ["Nothing to read."]))
    return 0


def _line(it: NotificationView) -> str:
    mark = " " if it.read else "*"
    text = f"{mark} {it.moment:%Y-%m-%d %H:%M} UTC  {it.headline}: {it.title}  ({it.subject})"
    return f"{text}\n    {it.failure.message}\n    → {it.failure.hint}" if it.failure else text
