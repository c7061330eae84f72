"""Repeated folds: every cell judges once a repeat, and models are compared on all cells at once, paired.

    python -m tests.benchmarks.claims.folds split FOLDER OUT REPEATS       writes OUT/rRfK.json, five folds a repeat
    python -m tests.benchmarks.claims.folds pool OUT REPEATS RESULT.json   of entries in OUT/rRfK/entries

Between the two, `crossview benchmark --split OUT/rRfK.json --out OUT/rRfK --seeds R` fits the models. A score is the
mean over folds, weighted by their cells, and over repeats; so is what a cell pulls on it. Intervals are over cells.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np

from engine.benchmark.compare import Compared, Line
from engine.metrics.ranks import Doubles
from engine.splits import in_folds, read_split, split_document
from engine.types import as_names
from tests.benchmarks.claims.pair import SCORES

FOLDS = 5


def write(folder: Path, out: Path, repeats: int) -> None:
    names = as_names(ad.read_h5ad(folder / "rna.h5ad", backed="r").obs_names)
    out.mkdir(parents=True, exist_ok=True)
    for r in range(repeats):
        for k, split in enumerate(in_folds(names, FOLDS, seed=r)):
            (out / f"r{r}f{k}.json").write_text(json.dumps(split_document(split)))


def pool(out: Path, repeats: int) -> dict[str, Any]:
    """Every score of every model that all folds have: value, difference of ours, rank; and the mean ranks."""
    values: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    pulls: dict[str, dict[str, Doubles]] = defaultdict(dict)
    splits = {(r, k): read_split(out / f"r{r}f{k}.json") for r in range(repeats) for k in range(FOLDS)}
    cells = sorted({name for split in splits.values() for name in split.test})
    place = {name: i for i, name in enumerate(cells)}
    for (r, k), split in splits.items():
        rows = np.array([place[name] for name in split.test])
        share = len(rows) / len(cells) / repeats
        for path in sorted((out / f"r{r}f{k}" / "entries").glob("*.json")):
            entry = json.loads(path.read_text())
            if "directions" not in entry:
                continue
            label = entry["contender"].get("label") or entry["contender"]["model"]
            with np.load(path.with_suffix(".npz")) as kept:
                for direction, found in entry["directions"].items():
                    for name in set(SCORES) & set(found["scores"]):
                        values[name][label][f"r{r}f{k}"] = found["scores"][name]["value"] * share
                        line = pulls[name].setdefault(label, np.zeros(len(cells)))
                        line[rows] += kept[f"{direction}|scores|{name}"] * share
    whole = {label for label, found in values[SCORES[0]].items() if len(found) == len(splits)}
    scores: dict[str, Any] = {}
    ranks: dict[str, list[int]] = defaultdict(list)
    for name in SCORES:
        lines = [Line(label, {0: sum(values[name][label].values())}, pulls[name][label]) for label in sorted(whole)]
        compared = Compared.of(lines)
        order = sorted(whole, key=lambda label: -compared.lines[label].mean)
        rival = next(label for label in order if label != "crossview")
        for label in whole:
            ranks[label].append(1 + order.index(label))
        scores[name] = {
            "values": {label: compared.lines[label].mean for label in order}, "best_rival": rival,
            "ours_less_best_rival": compared.difference("crossview", rival),
        }  # fmt: skip
    mean = {label: float(np.mean(found)) for label, found in sorted(ranks.items(), key=lambda kv: np.mean(kv[1]))}
    return {"cells": len(cells), "folds": FOLDS, "repeats": repeats, "mean_rank": mean, "scores": scores}


def main() -> None:
    if sys.argv[1] == "split":
        write(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
        return
    found = pool(Path(sys.argv[2]), int(sys.argv[3]))
    Path(sys.argv[4]).write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
