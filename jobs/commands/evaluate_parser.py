"""The options of `crossview evaluate`, and those that `crossview jobs submit --evaluate` shares with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SCALES = ("log-normalised", "rate", "probability", "own")


def add_evaluate(command: Any) -> None:
    """The options of `crossview evaluate`."""
    command.add_argument("--prediction", required=True, metavar="OUT.h5ad")
    command.add_argument("--truth", required=True, help="what was measured of the same cells")
    command.add_argument(
        "--model", metavar="BUNDLE_OR_ID", help="that made it, for its own nulls; else any tool's file"
    )
    add_foreign(command, "--source", "--training")
    command.add_argument("--out", type=Path, metavar="report.json")


def add_foreign(command: Any, *files: str) -> None:
    """What may be said of a prediction of another tool. files: the options that name further cells."""
    helps = {
        "--source": "the cells it was predicted from, for the null by depth",
        "--training": "cells of the truth's kind that its model learned from: their average is the null",
    }
    for name in files:
        command.add_argument(name, metavar="INPUT", help=helps[name])
    command.add_argument("--scale", choices=SCALES, default="", help="of the predicted values (default: as they look)")
