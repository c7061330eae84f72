"""`make bench`: every comparison, a line each, and one JSON line for machines."""

from __future__ import annotations

import os
import sys

from tests.benchmarks import load, pages, queue
from tests.benchmarks.crossmp_epoch import Epoch
from tests.benchmarks.group_commit import Write
from tests.benchmarks.side_by_side import compare


def main() -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = [
        compare(
            "CrossMP, one epoch, ours against the same network as a plain dense program",
            Epoch(),
            Epoch(dense="all"),
            predicted="a third of the time, a fifth of the memory",
        ),
        compare(
            "CrossMP, one epoch, ours against ours with dense rows into its first layers",
            Epoch(),
            Epoch(dense="inputs"),
            predicted="0.7 of the time, half the memory",
        ),
        compare(
            "600 rows through one writer, group commit against one by one",
            Write(one_by_one=False),
            Write(one_by_one=True),
            predicted="a tenth of the time",
        ),
    ]
    waiting, crowd, looked = queue.measure(), load.measure(), pages.measure()
    for one in found:
        print(one.line())
    for each in (waiting, crowd, looked):
        print(each.line())
    for one in found:
        print(one.as_json(), file=sys.stderr)
    losses = [found[0].ours.result, *(one.theirs.result for one in found[:2])]
    same = all(abs(loss - losses[0]) < 1e-4 * abs(losses[0]) for loss in losses)
    print(f"loss of that epoch: {', '.join(f'{loss:.6f}' for loss in losses)} ({'equal' if same else 'NOT EQUAL'})")
    return 0 if same and not waiting.lost and not crowd.errors else 1


if __name__ == "__main__":
    sys.exit(main())
