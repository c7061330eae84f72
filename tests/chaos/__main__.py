"""`python -m tests.chaos --jobs 200 --seed 0`: the long form; exit code 1 when a promise was broken."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.figures import write
from tests.chaos.run import Plan, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", choices=("s3", "local"), default="s3")
    parser.add_argument("--at-once", type=int, default=6, help="jobs that have not ended, at most")
    parser.add_argument("--gap", type=float, default=12.0, help="seconds between two faults, on average")
    parser.add_argument("--hours", type=float, default=6.0, help="for the jobs at most")
    parser.add_argument("--faults", default="", help=f"only these, each once, by commas: {', '.join(FAULTS)}")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures", help="folder of the figures")
    given = parser.parse_args()
    faults = tuple(name.strip() for name in given.faults.split(",") if name.strip())
    if unknown := set(faults) - set(FAULTS):
        parser.error(f"there is no fault {', '.join(sorted(unknown))}")
    plan = Plan(
        jobs=given.jobs,
        seed=given.seed,
        s3=given.store == "s3",
        at_once=given.at_once,
        gap_s=given.gap,
        hours=given.hours,
        faults=faults,
    )
    # Told to end, it ends what it started as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    figures = run(plan, say=lambda line: print(line, flush=True))
    write(figures, given.out)
    print(figures.markdown())
    return 1 if figures.problems else 0


if __name__ == "__main__":
    sys.exit(main())
