"""`crossview admin`: what is kept, who did what, and all of it in one file and back."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.commands.moments import moment
from jobs.commands.people import add_queue, add_users

if TYPE_CHECKING:
    from jobs.client import Client
    from jobs.keeping.client import KeepingClient
    from jobs.keeping.views import UsageView

DONE, BAD_INPUT = 0, 2
Arguments = argparse.Namespace
Command = Callable[..., Any]


def add_admin(commands: Any, command: Command) -> None:
    """The parser of `crossview admin`."""
    admin = commands.add_parser("admin", help="quotas, the audit log, backups").add_subparsers(
        dest="what", required=True, metavar="users|queue|cancel|quota|audit|backup|restore"
    )
    add_users(admin, command)
    add_queue(admin, command)
    command(admin, "quota", _quota, "what is kept, and how much is allowed")
    audit = command(admin, "audit", _audit, "who did what, the newest last")
    audit.add_argument("--since", type=moment, metavar="MOMENT", help="such as 2026-11-01 or 2026-11-01T08:00:00Z")
    audit.add_argument("--object", metavar="ID", help="of one dataset, job or model")
    audit.add_argument("--limit", type=int, default=200, help="entries at most, the newest (default 200)")
    audit.add_argument("--verify", action="store_true", help="check that no entry was changed, added or taken away")
    audit.add_argument(
        "--head", default="", metavar="NUMBER:DIGEST", help="of an earlier --verify, to be in the log still"
    )
    backup = command(admin, "backup", _backup, "the database and the store as one file, also while CrossView runs")
    backup.add_argument("out", type=Path, metavar="OUT.tar")
    backup.add_argument("--reference", action="store_true", help="name the objects of an S3 store, do not copy them")
    restore = command(admin, "restore", _restore, "a backup into a new home, every byte checked")
    restore.add_argument("backup", type=Path, metavar="IN.tar")
    restore.add_argument("--home", type=Path, required=True, metavar="NEW", help="a folder that does not exist yet")
    restore.add_argument("--store", help="where the objects go: a folder or s3://bucket/prefix (default NEW/store)")


@contextmanager
def keeping() -> Iterator[KeepingClient]:
    with reached() as client:
        yield client.keeping


@contextmanager
def reached() -> Iterator[Client]:
    """Of this home: opened here where no server has it, else asked of the server that runs.

    Raises Unreachable, DatabaseLocked.
    """
    from jobs.bootstrap import build_service
    from jobs.client_http import HttpClient
    from jobs.client_local import LocalClient
    from jobs.errors import Unreachable
    from jobs.keeping.actor import PERSON, acting_as
    from jobs.settings import Settings
    from storage.errors import DatabaseLocked

    settings = Settings.from_env()
    if settings.api_url is None and settings.database.is_file():
        try:
            service = build_service(settings)
        except DatabaseLocked as locked:
            reason = str(locked)
        else:
            try:
                with acting_as(PERSON, "command line"):
                    yield LocalClient(service)
            finally:
                service.database.close()
            return
    else:
        reason = f"There is no database in {settings.home} yet."
    with HttpClient(settings.url, settings.token) as client:
        try:
            client.health()
        except Unreachable as error:
            hint = "" if settings.api_url else f"{reason} CROSSVIEW_HOME says which home, CROSSVIEW_PORT which server. "
            raise Unreachable(error.message, hint=hint + error.hint) from error
        yield client


def _quota(a: Arguments) -> int:
    with keeping() as client:
        usage = client.usage()
    if a.json:
        _print(usage.model_dump(mode="json"))
    else:
        print("\n".join(_usage_lines(usage)))
    return DONE


def _usage_lines(usage: UsageView) -> list[str]:
    from storage.files import human_bytes

    allowed = f" of {human_bytes(usage.limit_bytes)}" if usage.limit_bytes is not None else ", no limit"
    many = f" of {usage.limit_datasets:,}" if usage.limit_datasets is not None else ""
    days = {"New datasets": usage.retention_days, "Results": usage.result_days}
    return [
        f"{human_bytes(usage.bytes)}{allowed}: datasets {human_bytes(usage.datasets_bytes)}, results "
        f"{human_bytes(usage.results_bytes)}, uploads {human_bytes(usage.uploads_bytes)}",
        f"{usage.datasets:,}{many} datasets, {usage.jobs:,} jobs",
        *(f"{what} are kept {f'for {n} days' if n else 'until somebody deletes them'}." for what, n in days.items()),
    ]


def _audit(a: Arguments) -> int:
    with keeping() as client:
        if a.verify or a.head:
            return _verified(client, a)
        found = client.audit(since=a.since, object=a.object, limit=a.limit)[::-1]
    if a.json:
        _print({"entries": [each.model_dump(mode="json") for each in found]})
        return DONE
    for each in found:
        detail = " ".join(f"{name}={value}" for name, value in each.detail.items())
        moment = each.moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        print(f"{each.seq:>6}  {moment}  {each.who} ({each.via})  {each.act}  {each.object}  {each.outcome}  {detail}")
    return DONE


def _verified(client: KeepingClient, a: Arguments) -> int:
    found = client.verify_audit(head=a.head)
    if a.json:
        _print(found.model_dump(mode="json"))
    elif found.whole:
        print(f"{found.entries:,} entries, as they were written. Head: {found.head}")
    if not found.whole:
        print(f"crossview: the audit log is not as it was written: {found.message}.", file=sys.stderr)
    return DONE if found.whole else BAD_INPUT


def _backup(a: Arguments) -> int:
    with keeping() as client:
        view = client.backup(a.out.absolute(), reference=a.reference)
    return _said(view, a, f"{view.path}: {sum(view.tables.values()):,} rows, {view.objects:,} objects")


def _restore(a: Arguments) -> int:
    from jobs.bootstrap import s3_profile
    from jobs.keeping.actor import PERSON, acting_as
    from jobs.keeping.restore import restore
    from jobs.settings import Settings

    with acting_as(PERSON, "command line"):
        view = restore(a.backup, a.home, store=a.store, profile=s3_profile(Settings.from_env()))
    store = f" CROSSVIEW_STORE={a.store}" if a.store else ""
    return _said(view, a, f"{view.path} is restored. Start it with CROSSVIEW_HOME={view.path}{store} crossview up")


def _said(view: Any, a: Arguments, line: str) -> int:
    """What is not as it should be costs the exit code, though not the file: it says itself what it lacks."""
    if a.json:
        _print(view.model_dump(mode="json"))
    else:
        print(f"{line}\nSHA-256 of the manifest: {view.sha256}")
    for word, keys in (("missing", view.missing), ("damaged", view.damaged)):
        for key in keys:
            print(f"crossview: {word} in the store: {key}", file=sys.stderr)
    return BAD_INPUT if view.missing or view.damaged else DONE


def _print(document: Any) -> None:
    print(json.dumps(document, ensure_ascii=False, default=str))
