"""Benchmark entries on a real Ray: the same scores as a process of this machine gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.benchmark.entry import Contender
from engine.intake import canonicalise
from engine.types import Modality
from jobs.commands.benchmark import Asked, benchmark
from jobs.commands.entries import Cohort, Order, make
from tests.builders import paired, split_of, write_h5ad

pytestmark = pytest.mark.cluster


@pytest.mark.filterwarnings("ignore")  # what Ray says of its own start is not ours
def test_entries_on_ray_score_the_same_and_their_failures_come_back(tmp_path: Path) -> None:
    pair = paired(cells=120, genes=24, peaks=30, rng=np.random.default_rng(0))
    paths = {}
    for modality in Modality:
        raw = write_h5ad(pair.of(modality), tmp_path / f"{modality.value}.raw.h5ad")
        paths[modality.value] = tmp_path / f"{modality.value}.h5ad"
        canonicalise(raw, paths[modality.value], modality=modality)
    split = split_of(pair, train=0.6, valid=0.1)
    (tmp_path / "split.json").write_text(json.dumps({k: getattr(split, k) for k in ("train", "valid", "test")}))
    cohort = Cohort(str(paths["rna"]), str(paths["atac"]), str(tmp_path / "split.json"))
    contenders = (Contender("ridge"), Contender("celltype-mean", {"label": "no such column"}, "broken"))
    asked = Asked(contenders, (0,), tmp_path / "out", only=True, ray="local")
    document = benchmark(asked, cohort)
    assert [failure["label"] for failure in document["failures"]] == ["broken"]
    assert "no such column" in document["failures"][0]["message"]
    here = make(Order("here", str(tmp_path), cohort, "ridge", "ridge", 0)).document["directions"]
    for direction, scores in document["directions"].items():
        for name, score in scores["contenders"]["ridge"].items():
            group = scores["scores"][name]
            assert score["value"] == pytest.approx(here[direction][group][name]["value"], abs=1e-6), name
