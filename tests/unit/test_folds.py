"""Folds, and models compared over them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BadSetting, NoCells
from engine.splits import in_folds, split_document
from engine.types import as_names
from tests.benchmarks.claims.folds import FOLDS, pool
from tests.benchmarks.claims.pair import SCORES

NAMES = as_names(f"CELL{i}" for i in range(53))


def test_every_cell_judges_once() -> None:
    splits = in_folds(NAMES, 5, seed=3)
    assert sorted(name for split in splits for name in split.test) == sorted(NAMES)
    for split in splits:
        assert sorted((*split.train, *split.valid, *split.test)) == sorted(NAMES)
        assert len(split.valid) == int(0.15 * (len(NAMES) - len(split.test)))
    assert splits[0].test != in_folds(NAMES, 5, seed=4)[0].test


def test_folds_that_hold_nothing_out_or_leave_too_few_are_refused() -> None:
    with pytest.raises(BadSetting, match="hold nothing out"):
        in_folds(NAMES, 1, seed=0)
    with pytest.raises(NoCells):
        in_folds(NAMES[:11], 2, seed=0)


def test_a_pooled_score_is_the_mean_over_cells_and_its_interval_knows_pairs(tmp_path: Path) -> None:
    """A model that is better by the same on every cell is clearly better, however much cells differ."""
    rng = np.random.default_rng(0)
    worth = dict(zip(NAMES, rng.normal(size=len(NAMES)), strict=True))
    for k, split in enumerate(in_folds(NAMES, FOLDS, seed=0)):
        (tmp_path / f"r0f{k}.json").write_text(json.dumps(split_document(split)))
        entries = tmp_path / f"r0f{k}" / "entries"
        entries.mkdir(parents=True)
        of_cell = np.array([worth[name] for name in split.test])
        for label, gain in (("crossview", 0.1), ("ridge", 0.0)):
            scores = {name: {"value": float(of_cell.mean() + gain)} for name in SCORES}
            entry = {"contender": {"model": label}, "directions": {"rna-to-atac": {"scores": scores}}}
            (entries / f"{label}.json").write_text(json.dumps(entry))
            pulls = (of_cell - of_cell.mean()) / len(of_cell)
            np.savez(entries / f"{label}.npz", **{f"rna-to-atac|scores|{name}": pulls for name in SCORES})
    found = pool(tmp_path, 1)
    assert found["mean_rank"] == {"crossview": 1.0, "ridge": 2.0}
    score = found["scores"][SCORES[0]]
    assert score["values"]["ridge"] == pytest.approx(np.mean(list(worth.values())))
    assert score["ours_less_best_rival"]["value"] == pytest.approx(0.1)
    assert score["ours_less_best_rival"]["interval"] == pytest.approx([0.1, 0.1])
