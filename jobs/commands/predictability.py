"""`crossview models predictability`: how well a model predicts each gene or peak, as CSV or as one document."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

DONE = 0
SORTS = ("gain_low", "gain", "score", "skill", "null", "position")
Arguments = argparse.Namespace
Command = Callable[..., Any]


def add_predictability(models: Any, command: Command) -> None:
    """Hang `predictability` on `models`. command: (commands, name, run, help) → its parser."""
    asked = command(models, "predictability", _predictability, "how well it predicts each gene or peak, as CSV")
    asked.add_argument("id", metavar="ID", help="id or folder of a model")
    asked.add_argument("--direction", required=True, choices=("rna-to-atac", "atac-to-rna"))
    asked.add_argument(
        "--search", default="", metavar="TEXT", help="a gene's name or a part of one; of peaks a region or a gene near"
    )
    asked.add_argument(
        "--sort", default="gain_low", choices=SORTS, help="the highest first (default: gain over the nulls, the surest)"
    )
    asked.add_argument("--limit", type=_rows, metavar="N", help="the first N rows alone")


def _predictability(a: Arguments) -> int:
    from engine.types import Direction
    from jobs.catalog import resolve
    from jobs.predictability import COLUMNS, MOST_ROWS, predictability, whole
    from jobs.views import PredictabilityView

    folder, direction = resolve(a.id), Direction(a.direction)

    def ask(offset: int) -> PredictabilityView:
        rows = a.limit or MOST_ROWS
        return predictability(a.id, folder, direction, query=a.search, sort=a.sort, limit=rows, offset=offset)

    found = ask(0) if a.limit else whole(ask)
    if a.json:
        print(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, allow_nan=False))
        return DONE
    from jobs.assemble import csv_of

    sys.stdout.write(csv_of({name: getattr(found, name) for name in COLUMNS}).decode())
    print(
        f"{found.better:,} of {found.tested:,} tested are above the best null, {found.clearly:,} clearly so",
        file=sys.stderr,
    )
    return DONE


def _rows(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows")
    return int(text)
