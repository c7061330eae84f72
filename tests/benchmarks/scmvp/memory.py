"""Peak memory above imports and seconds of an epoch, at the sizes the paper measured its own at.

    python -m tests.benchmarks.scmvp.memory FOLDER --cells 100000 --epochs 2

FOLDER holds rna.h5ad and atac.h5ad of real cells. The cells are counted in what is measured.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

GENES, PEAKS = 8_000, 23_000  # scMVP, "model evaluation"
SEEN = (600.0, 900.0)  # genes and peaks of a cell among those; assumed, no figure was found that could be cited  # ours
RARE = "rare"  # the stage that tells rare peaks from the finished latent


def main() -> int:
    asked = _asked()
    import anndata  # noqa: F401 - its imports are no part of what is measured

    from engine.benchmark.meter import Meter, warm_imports
    from engine.translators.base import Epoch, Hooks
    from engine.translators.scmvp.recipe import ScMVPRecipe
    from engine.types import PairedCells, Split
    from tests.benchmarks.claims.pair import read_pair
    from tests.benchmarks.scmvp.cells import most_seen, resampled

    warm_imports()
    told: list[Epoch] = []
    meter = Meter()
    with meter.part("cells"):
        real = read_pair(asked.folder, asked.genome)
        real = PairedCells(most_seen(real.rna, GENES), most_seen(real.atac, PEAKS))
        pair = resampled(real, asked.cells, seen=tuple(asked.seen), rng=np.random.default_rng(0))
        del real
    recipe = ScMVPRecipe(epochs=asked.epochs, start_epochs=asked.epochs // 2)
    with meter.part("fit"):
        recipe.fit(pair, Split(tuple(pair.barcodes)), Hooks(threads=1, on_epoch=told.append))
    found = {
        "cells": len(pair),
        "genes": len(pair.rna.space),
        "peaks": len(pair.atac.space),
        "genes_seen": round(pair.rna.counts.nnz / len(pair), 1),
        "peaks_seen": round(pair.atac.counts.nnz / len(pair), 1),
        "peak_mb": {name: round(value) for name, value in meter.peak_mb.items()},
        "epoch_seconds": [epoch.seconds for epoch in told if epoch.stage != RARE],
        "rare_epoch_seconds": [epoch.seconds for epoch in told if epoch.stage == RARE],
        "fit_cpu_seconds": round(meter.cpu_seconds["fit"], 1),
    }
    print(json.dumps(found))
    return 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--genome", default="hg38")
    parser.add_argument("--seen", type=float, nargs=2, default=SEEN, metavar=("GENES", "PEAKS"))
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
