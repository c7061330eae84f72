"""The words of `crossview benchmark`; what they do is imported when asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.commands.both import add_both


def _run(a: argparse.Namespace) -> int:
    from jobs.commands.benchmark import run

    return run(a)


def add_benchmark(commands: Any, command: Callable[..., Any]) -> None:
    """Hang `benchmark` on the command line. command: (commands, name, run, help) → its parser."""
    parser = command(
        commands, "benchmark", _run, "fit models on one split with several seeds, and score them side by side"
    )
    parser.add_argument(
        "what", nargs="?", choices=("paper",), help="`paper`: the data sets and tables of CrossMP's paper"
    )
    parser.add_argument("--list", action="store_true", help="paper: name the data sets")
    parser.add_argument("--rna-atac", nargs="+", metavar="FILTERED.h5", help="paper: 10x multiome files, one a sample")
    parser.add_argument("--test-on", metavar="OTHER.h5", help="paper: also train on these and test on that one")
    add_both(parser)
    parser.add_argument(
        "--models", default="", metavar="a,b,c", help="keys of models; nulls and ridge stand beside them"
    )
    parser.add_argument("--contenders", type=Path, metavar="FILE.json", help='[{"model", "settings", "label"}, …]')
    parser.add_argument(
        "--set",
        action="append",
        metavar="MODEL.NAME=VALUE",
        help="a setting of a model of --models; paper: the data set",
    )
    parser.add_argument("--split", type=Path, help='{"train": […], "valid": […], "test": […]} of cell names')
    parser.add_argument("--hold-out", metavar="COLUMN=VALUE,…", help="batches to keep for testing: batch=A,batch=B")
    parser.add_argument("--split-seed", type=int, default=0, help="of a split by chance")
    parser.add_argument("--out", type=Path, metavar="DIR", help="entries and report; a stopped benchmark goes on there")
    parser.add_argument("--seeds", default="0", metavar="0,1,2")
    parser.add_argument("--part", choices=("test", "valid"), default="test", help="which held-out cells judge")
    parser.add_argument("--batch-column", default="", metavar="C", help="score each value of this column apart, too")
    parser.add_argument("--label-column", default="", metavar="C", help="labels of cells (default: a likely column)")
    parser.add_argument(
        "--filters", choices=("none", "paper"), default="none", help="features as given, or CrossMP §2.1"
    )
    parser.add_argument("--genome", help="hg38, mm10 … (default: recognised from the names)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of each entry")
    parser.add_argument("--jobs", type=int, default=1, help="entries at once")
    parser.add_argument("--ray", metavar="ADDRESS", help="run the entries on this Ray cluster")
    parser.add_argument("--only", action="store_true", help="no nulls and no ridge beside the models named")
    parser.add_argument("--again", default="", metavar="LABEL,…", help="make these anew though they are there")
    parser.add_argument("--peers", type=Path, metavar="FILE", help="scores of released codes to compare with")
    parser.add_argument("--title", default="", help="of the report")
