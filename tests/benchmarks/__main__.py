"""`make bench`: every comparison, a line each, and one JSON line for machines."""

from __future__ import annotations

import os
import sys

from tests.benchmarks.first_layers import Epoch
from tests.benchmarks.group_commit import Write
from tests.benchmarks.side_by_side import compare


def main() -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = [
        compare(
            "CrossMP, one epoch, sparse against dense first layers",
            Epoch(dense=False),
            Epoch(dense=True),
            predicted="half the time, half the memory",
        ),
        compare(
            "600 rows through one writer, group commit against one by one",
            Write(one_by_one=False),
            Write(one_by_one=True),
            predicted="a tenth of the time",
        ),
    ]
    for one in found:
        print(one.line())
    for one in found:
        print(one.as_json(), file=sys.stderr)
    losses = [found[0].ours.result, found[0].theirs.result]
    same = abs(losses[0] - losses[1]) < 1e-4 * abs(losses[1])
    print(f"loss of that epoch: {losses[0]:.6f} sparse, {losses[1]:.6f} dense ({'equal' if same else 'NOT EQUAL'})")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
