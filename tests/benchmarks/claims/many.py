"""Very many training cells: seconds, memory, and whether the model of so many is as good as that of the real ones.

    python -m tests.benchmarks.claims.many FOLDER GENOME CELLS OUT.json

FOLDER holds rna.h5ad, atac.h5ad and split.json. The training cells are drawn with replacement and a tenth of their
entries dropped, so that no two are the same: they know nothing that the real ones do not, and can be expected to give
the same scores, not better ones. The real validation cells choose and the real test cells judge.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp

KEPT = 0.9  # of a drawn cell's entries


def main(folder: Path, genome: str, count: int, out: Path) -> None:
    from engine.benchmark.meter import Meter, warm_imports
    from engine.splits import read_split
    from engine.translators.base import Epoch, Hooks
    from engine.translators.crossview.recipe import CrossViewRecipe
    from engine.types import Cells, PairedCells, Split, as_names
    from tests.benchmarks.claims.pair import read_pair, scored
    from tests.benchmarks.scmvp.cells import resampled

    warm_imports()
    real, split = read_pair(folder, genome), read_split(folder / "split.json")
    train, valid = real.named(split.train), real.named(split.valid)
    told: list[Epoch] = []
    meter = Meter()

    def joined(one: Cells, other: Cells) -> Cells:
        counts = sp.vstack([one.counts, other.counts.astype(one.counts.dtype)], format="csr")
        return Cells(one.space, counts, as_names([*one.barcodes, *other.barcodes]))

    with meter.part("cells"):
        seen = tuple(KEPT * float(np.diff(c.counts.indptr).mean()) for c in (train.rna, train.atac))
        drawn = resampled(train, count, seen=(seen[0], seen[1]), rng=np.random.default_rng(0))
        pair = PairedCells(joined(drawn.rna, valid.rna), joined(drawn.atac, valid.atac))
        parts = Split(tuple(drawn.barcodes), tuple(valid.barcodes))
        del drawn
    with meter.part("fit"):
        model = CrossViewRecipe().fit(pair, parts, Hooks(seed=0, threads=1, on_epoch=told.append))
    del pair
    found = {
        "cells": count, "genes": len(real.rna.space), "peaks": len(real.atac.space),
        "seen": [round(each, 1) for each in seen],
        "fit_cpu_seconds": round(meter.cpu_seconds["fit"], 1),
        "peak_mb": {name: round(value) for name, value in meter.peak_mb.items()},
        "epochs": {stage: sum(e.stage == stage for e in told) for stage in dict.fromkeys(e.stage for e in told)},
        "scores": {name: round(value, 4) for name, (value, _) in scored(model, real, split).items()},
    }  # fmt: skip
    print(found, flush=True)
    done = [d for d in json.loads(out.read_text()) if d["cells"] != count] if out.exists() else []
    out.write_text(json.dumps([*done, found], indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
