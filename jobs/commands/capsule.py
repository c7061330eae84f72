"""`crossview capsule`: a result packed so that anyone can check it, and one that is checked."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.commands.mends import add_mends, wishes_of

if TYPE_CHECKING:
    from jobs.capsule.verify import Checked

DONE, DIFFERENT = 0, 3
Arguments = argparse.Namespace
MARKS = {
    "identical": "=",
    "within tolerance": "~",
    "different": "≠",
    "missing": "?",
    "not compared": "-",
}


def add_capsule(commands: Any, command: Callable[..., Any]) -> None:
    """`crossview capsule …` on the command line. command: (commands, name, run, help) → its parser."""
    capsule = commands.add_parser("capsule", help="pack a result so that anyone can check it; check one")
    both = capsule.add_subparsers(dest="what", required=True, metavar="create|verify")
    create = command(both, "create", _create, "pack a finished job, or a file of `crossview translate`")
    create.add_argument("result", metavar="JOB|OUT.h5ad", help="a job of a running CrossView, or a predicted file")
    create.add_argument("--report", type=Path, help="of `crossview evaluate` of OUT.h5ad")
    create.add_argument("--out", required=True, type=Path, metavar="X.zip")
    verify = command(both, "verify", _verify, "do a capsule's work again on this machine, and compare")
    verify.add_argument("capsule", type=Path, metavar="X.zip")
    verify.add_argument("--input", nargs="+", default=[], metavar="FILE", help="the cells, in any order; or addresses")
    verify.add_argument("--model", metavar="BUNDLE_OR_ID", help="where the capsule's own name of it is not known here")
    add_mends(verify)


def _create(a: Arguments) -> int:
    data = _packed(a)
    a.out.parent.mkdir(parents=True, exist_ok=True)
    partial = a.out.with_name(a.out.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, a.out)
    if a.json:
        print(json.dumps({"out": str(a.out), "bytes": len(data)}))
    else:
        print(f"Wrote {a.out} ({len(data):,} bytes). Check it: crossview capsule verify {a.out} --input FILE …")
    return DONE


def _packed(a: Arguments) -> bytes:
    if a.report is None and not Path(a.result).exists() and a.result.startswith("job-"):
        from jobs.commands.jobs_parser import client_of

        with client_of() as client:
            return bytes(client.capsule(a.result))
    from jobs.capsule.command import create

    return create(Path(a.result), report=a.report)


def _verify(a: Arguments) -> int:
    from jobs.capsule.verify import verify

    found = verify(
        a.capsule,
        inputs=a.input,
        model=a.model,
        wishes=wishes_of(a),
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(json.dumps(found.document(), ensure_ascii=False) if a.json else "\n".join(_lines(found)))
    return DONE if found.same else DIFFERENT


def _lines(found: Checked) -> Iterator[str]:
    for item in found.items:
        yield f"{MARKS[item.says]} {item.what}: {item.says}" + (f" ({item.why})" if item.why else "")
    for name, then, now in found.versions:
        yield f"  {name} was {then}, and is {now} here"
    counts = Counter(item.says for item in found.items)
    said = ", ".join(f"{count} {says}" for says, count in counts.items())
    yield f"{'The same result' if found.same else 'NOT the same result'}: {said}."
