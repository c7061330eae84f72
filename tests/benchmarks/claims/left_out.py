"""Kinds of cells left out: does the model know that it has not seen them, and does leaving them out help?

    python -m tests.benchmarks.claims.left_out FOLDER GENOME LABEL OUT.json

Each kind with enough held-out cells is taken from training and validation cells, and the model is fitted anew. Its
held-out cells are then judged beside as many of other kinds, matched by depth: novelty against depth as the score that
tells them apart; and what the kept cells score on average as cells are left out by novelty, expected score (equals by
novelty, as the dashboard's slider does) or by depth.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from engine.metrics.abstention import abstention, certainty
from engine.metrics.correlation import pearson_values
from engine.metrics.normalise import log_normalised
from engine.metrics.ranking import auroc
from engine.metrics.ranks import Doubles, Integers, sort_rows
from engine.preprocess.steps import binarised, depth_of
from engine.splits import read_split
from engine.translators.base import Doubting, Hooks
from engine.translators.registry import recipe
from engine.types import CellBatch, Modality, Split
from tests.benchmarks.claims.pair import read_pair

FEWEST = 25  # held-out cells of a kind


def matched(depth_n: Doubles, out: Integers, others: Integers) -> Integers:
    """For each cell left out the unused other of the nearest depth, deepest first."""
    left, chosen = list(others), []
    for cell in out[np.argsort(-depth_n[out])]:
        if not left:
            break
        nearest = int(np.argmin(np.abs(depth_n[left] - depth_n[cell])))
        chosen.append(left.pop(nearest))
    return np.array(chosen, dtype=np.int64)


def main(folder: Path, genome: str, label: str, out: Path) -> None:
    pair, split = read_pair(folder, genome), read_split(folder / "split.json")
    kind = dict(zip(pair.barcodes, map(str, pair.rna.obs[label]), strict=True))
    names = np.array([kind[b] for b in split.test])
    held = pair.named(split.test)
    place = {name: i for i, name in enumerate(pair.barcodes)}
    values = log_normalised(pair.rna.counts)[[place[b] for b in split.test]].toarray().astype(np.float64)
    opened = binarised(held.atac.counts).toarray() > 0
    found: list[dict[str, Any]] = []
    for left_out in sorted(k for k in set(names) if (names == k).sum() >= FEWEST):
        train, valid = (tuple(b for b in side if kind[b] != left_out) for side in (split.train, split.valid))
        part = Split(train, valid, split.test)
        model = recipe("crossview", {}).fit(pair, part, Hooks(seed=0, threads=1))
        assert isinstance(model, Doubting)
        for source in Modality:
            counts = held.of(source).counts
            latent = model.encode(CellBatch(**{source.value: counts}))
            doubt, depth_n = model.doubt(latent), np.log1p(depth_of(counts).astype(np.float64))
            if source is Modality.ATAC:
                predicted = model.decode(latent, Modality.RNA).values.astype(np.float64)
                score_n = pearson_values(predicted, values)
            else:
                score_n = auroc(sort_rows(model.decode(latent, Modality.ATAC).values), opened).value
            rows = np.flatnonzero(names == left_out)
            rows = np.concatenate([rows, matched(depth_n, rows, np.flatnonzero(names != left_out))])
            strange = names[rows] == left_out
            sure_n = certainty(doubt.expected_n[rows], doubt.novelty_n[rows])  # the order of the dashboard's slider
            orders = {"novelty": -doubt.novelty_n[rows], "expected": sure_n, "depth": depth_n[rows]}
            curves = {name: abstention(score_n[rows], order) for name, order in orders.items()}
            found.append({
                "left_out": left_out, "source": source.value, "cells": int(strange.sum()),
                "found_by_novelty": float(roc_auc_score(strange, doubt.novelty_n[rows])),
                "found_by_depth": float(roc_auc_score(strange, -depth_n[rows])),
                "all": next(iter(curves.values())).everything,
                "unseen": float(np.nanmean(score_n[rows][strange])),
                "others": float(np.nanmean(score_n[rows][~strange])),
                **{f"kept_by_{name}": curve.area for name, curve in curves.items()},
            })  # fmt: skip
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in found[-1].items()}, flush=True)
            out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
