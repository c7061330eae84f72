"""Few training cells: ours against ridge on random subsets, scored on the same held-out cells, paired.

    python -m tests.benchmarks.claims.subsets FOLDER GENOME OUT.json

FOLDER holds rna.h5ad, atac.h5ad and split.json. Of every subset a sixth is drawn from the split's validation cells and
chooses, so that ours is given no more cells than it says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from engine.benchmark.compare import Compared, Line
from engine.splits import read_split
from engine.translators.base import Hooks
from engine.translators.registry import recipe
from engine.types import Split
from tests.benchmarks.claims.pair import SCORES, read_pair, scored

SIZES, DRAWS = (500, 1_000, 2_500, 5_000), 5
CHOOSING = 6  # one in so many of a subset's cells chooses, at most all there are


def main(folder: Path, genome: str, out: Path) -> None:
    pair, split = read_pair(folder, genome), read_split(folder / "split.json")
    done = json.loads(out.read_text()) if out.exists() else []
    for size in SIZES:
        for draw in range(DRAWS):
            if any((d["cells"], d["draw"]) == (size, draw) for d in done):
                continue
            rng = np.random.default_rng([size, draw])
            choosing = min(size // CHOOSING, len(split.valid))
            part = Split(
                tuple(rng.choice(split.train, size - choosing, replace=False)),
                tuple(rng.choice(split.valid, choosing, replace=False)),
                split.test,
            )
            found = {
                key: scored(recipe(key, {}).fit(pair, part, Hooks(seed=draw, threads=1)), pair, part)
                for key in ("crossview", "ridge")
            }
            gains = {}
            for name in SCORES:
                lines = [Line(key, {draw: each[name][0]}, each[name][1]) for key, each in found.items()]
                gap = Compared.of(lines, seed=draw).difference("crossview", "ridge")
                gains[name] = [gap["value"], *gap["interval"]]
            values = {key: {name: each[name][0] for name in SCORES} for key, each in found.items()}
            done.append({"cells": size, "draw": draw, "gain": gains, "scores": values})
            out.write_text(json.dumps(done, indent=1))
            print(size, draw, {k: [round(x, 4) for x in v] for k, v in gains.items()}, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
