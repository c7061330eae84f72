"""Write the golden bundles of the present format: `python -m tests.golden.make`, once a format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.bundle import FORMAT, make_manifest, save_bundle
from engine.nulls import Nulls
from engine.translators.base import Hooks
from engine.translators.registry import recipe
from tests.builders import paired, split_of

SETTINGS = {
    "ridge": {"components": "6", "target_components": "6"},
    "knn": {"components": "4", "neighbours": "5"},
    "crossmp": {"epochs": "4", "batch": "16", "significant_genes": "10", "half": "true"},
}


def main() -> None:
    pair = paired(cells=60, genes=30, peaks=44, rng=np.random.default_rng(0))
    split = split_of(pair)
    train = pair.named(split.train)
    for key, settings in SETTINGS.items():
        into = Path(__file__).parent / f"format-{FORMAT}" / key
        if into.exists():
            raise SystemExit(f"{into.name} of format {FORMAT} is there already: golden bundles are never rewritten.")
        into.parent.mkdir(exist_ok=True)
        fitted = recipe(key, settings).fit(pair, split, Hooks(threads=1))
        manifest = make_manifest(
            fitted, id=f"golden-{key}", train=train, split=split, seed=0, code_version="0.1.0", settings=settings,
            filters={}, licence="Built cells: no licence needed.",
        )  # fmt: skip
        save_bundle(into, fitted, Nulls.fit(train), manifest)


if __name__ == "__main__":
    main()
