"""What each part of our own model is worth: the model without it, on validation cells, paired with the whole model.

    python -m tests.benchmarks.claims.ablations FOLDER GENOME OUT.json

`EXPECTED` was written down before the first run; the two lines on the echo and on dropping between the layers, new with
the third version, before its run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.benchmark.compare import Compared, Line
from engine.splits import read_split
from engine.translators.base import Hooks
from engine.translators.crossview.recipe import CrossViewRecipe
from engine.translators.crossview.translator import CrossViewTranslator
from engine.types import Split
from tests.benchmarks.claims.pair import read_pair, scored

Changed = Callable[[CrossViewTranslator], CrossViewTranslator]


def without_shares(model: CrossViewTranslator) -> CrossViewTranslator:
    model._genes = replace(model._genes, share=0.0)
    return model


def without_nearby(model: CrossViewTranslator) -> CrossViewTranslator:
    model._peaks = replace(model._peaks, nearby_rk=np.zeros_like(model._peaks.nearby_rk))
    return model


def without_linear(model: CrossViewTranslator) -> CrossViewTranslator:
    blend_2k = model._genes.blend_2k * np.array([[1.0], [0.0]], dtype=np.float32)
    model._genes = replace(model._genes, blend_2k=blend_2k)
    return model


SETTINGS: Mapping[str, dict[str, float]] = {
    "one network of a kind": {"members": 1},
    "nothing dropped from the input": {"thin_genes": 0.0, "thin_peaks": 0.0},
    "no echo": {"echo": 0.0},
    "a quarter dropped between the layers": {"inside": 0.25},
    "32 units": {"hidden": 32},
    "predicted depth unused": {"depth_weight": 0.0},
    "predicted depth in full": {"depth_weight": 1.0},
}
CHANGES: Mapping[str, Changed] = {
    "no shares of genes": without_shares,
    "no genes nearby": without_nearby,
    "no linear member": without_linear,
}
EXPECTED: Mapping[str, Mapping[str, float]] = {
    "no shares of genes": {"gene_pearson": -0.003, "cell_pearson": -0.001},
    "no genes nearby": {"peak_auroc": -0.002, "peak_auroc_depth_adjusted": -0.001},
    "no linear member": {"gene_pearson": -0.002, "cell_pearson": -0.002},
    "one network of a kind": {"gene_pearson": -0.003, "peak_auroc_depth_adjusted": -0.002},
    "nothing dropped from the input": {"gene_pearson": -0.03, "peak_auroc_depth_adjusted": -0.02},
    "no echo": {"peak_auroc_depth_adjusted": -0.004},
    "a quarter dropped between the layers": {"gene_pearson": -0.001, "peak_auroc_depth_adjusted": -0.001},
    "32 units": {"gene_pearson": -0.002, "peak_auroc_depth_adjusted": -0.001},
    "predicted depth unused": {"peak_auroc": -0.04, "peak_auroc_depth_adjusted": 0.004},
    "predicted depth in full": {"peak_auroc": 0.007, "peak_auroc_depth_adjusted": -0.010},
}


def main(folder: Path, genome: str, out: Path) -> None:
    pair, split = read_pair(folder, genome), read_split(folder / "split.json")
    judged = Split(split.train, (), split.valid)

    def fitted(settings: Mapping[str, float]) -> CrossViewTranslator:
        return CrossViewRecipe(**settings).fit(pair, split, Hooks(seed=0, threads=1))  # type: ignore[arg-type]

    whole = scored(fitted({}), pair, judged)
    found: dict[str, dict[str, list[Any]]] = {}
    for name in EXPECTED:
        model = CHANGES[name](fitted({})) if name in CHANGES else fitted(SETTINGS[name])
        without = scored(model, pair, judged)
        found[name] = {}
        for score in whole:
            lines = [Line(k, {0: s[score][0]}, s[score][1]) for k, s in (("without", without), ("whole", whole))]
            gap = Compared.of(lines).difference("without", "whole")
            found[name][score] = [gap["value"], *gap["interval"]]
        print(name, {k: [round(x, 4) for x in found[name][k]] for k in EXPECTED[name]}, flush=True)
        out.write_text(json.dumps({"expected": EXPECTED, "found": found}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
