"""`crossview data`: the cells of a running CrossView, and stopping those that are being brought in."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.client import Client
    from jobs.views import DatasetView

DONE = 0
Arguments = argparse.Namespace
MakeClient = Callable[[], Any]


def add_data(commands: Any, command: Callable[..., Any], client: MakeClient) -> None:
    """Hang `data` on the command line. client: makes the one to ask."""
    data = commands.add_parser("data", help="cells of a running CrossView").add_subparsers(
        dest="what", required=True, metavar="list|cancel"
    )
    command(data, "list", lambda a: _list(a, client), "cells that are here or on their way, newest first")
    cancel = command(data, "cancel", lambda a: _cancel(a, client), "stop cells on their way; nothing of them is left")
    cancel.add_argument("id", metavar="ID", help="as `crossview data list` says it")


def _list(a: Arguments, make_client: MakeClient) -> int:
    with make_client() as asked:
        client: Client = asked
        found = client.datasets()
    if a.json:
        _print({"datasets": [each.model_dump(mode="json") for each in found]})
    else:
        print("\n".join([_line(each) for each in found] or ["No cells yet."]))
    return DONE


def _cancel(a: Arguments, make_client: MakeClient) -> int:
    with make_client() as asked:
        client: Client = asked
        stopped = client.cancel_dataset(a.id)
    _print(stopped.model_dump(mode="json")) if a.json else print(_line(stopped))
    return DONE


def _line(data: DatasetView) -> str:
    size = f"  {data.cells:,} cells × {data.features or 0:,}" if data.cells is not None else ""
    of = f" of {data.total:,}" if data.total else ""
    there = f"  {data.stage} {data.done:,}{of}" if data.state == "importing" else ""
    why = f"\n  {data.failure.message}\n  → {data.failure.hint}" if data.failure else ""
    return f"{data.id}  {data.state}{there}  {data.name}{size}{why}"


def _print(document: Any) -> None:
    print(json.dumps(document, ensure_ascii=False, default=str))
