"""Our streamed scores against the benchmark's own script: the same numbers, to the digits it prints."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from engine.metrics import ArraySource, Scores, log_normalised, score_atac, score_rna
from tests.predictions import judged_atac, judged_rna

SHARED = Path(os.environ.get("CROSSVIEW_SHARED", Path(__file__).parents[2].parent / "shared"))
ROUNDING = 1.5e-5


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = SHARED / "bench" / "score.py"
    if not path.exists():
        pytest.skip("bench/score.py is not on this machine (CROSSVIEW_SHARED)")
    spec = importlib.util.spec_from_file_location("bench_score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def agree(ours: Scores, theirs: dict[str, Any]) -> None:
    assert theirs
    for name, value in theirs.items():
        mine = ours.scores[name].value if name in ours.scores else ours.counts[name]
        assert mine == pytest.approx(value, abs=ROUNDING), name


def scored(score: Callable[..., Scores], predicted: np.ndarray, truth: sp.csr_matrix) -> Scores:
    names = np.arange(truth.shape[1]).astype(str)
    return score(ArraySource(predicted), truth, names=names, nulls={}, rng=np.random.default_rng(0), resamples=64)


@pytest.mark.parametrize("seed", [0, 1])
def test_built_cells_score_the_same(script: ModuleType, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rna, atac = judged_rna(rng=rng, cells=137), judged_atac(rng=rng, cells=137)
    agree(scored(score_rna, rna.predicted, rna.truth), script.score_rna(rna.predicted, rna.truth))
    agree(scored(score_atac, atac.predicted, atac.truth), script.score_atac(atac.predicted, atac.truth))


class Bench:
    """The cell-line mix of the benchmark: training profiles, and the test cells to be predicted."""

    def __init__(self) -> None:
        import anndata as ad

        folder = SHARED / "bench" / "snareseq_cellline_mix"
        if not folder.exists():
            pytest.skip("bench/snareseq_cellline_mix is not on this machine (CROSSVIEW_SHARED)")
        split = json.loads((folder / "split.json").read_text())
        rna, atac = ad.read_h5ad(folder / "rna.h5ad"), ad.read_h5ad(folder / "atac.h5ad")
        self.counts = sp.csr_matrix(rna.X)
        at = {part: rna.obs_names.get_indexer(split[part]) for part in ("train", "test")}
        there = {part: atac.obs_names.get_indexer(split[part]) for part in ("train", "test")}
        x, a = log_normalised(self.counts), sp.csr_matrix(atac.X > 0, dtype=np.float32)
        self.rna = {part: x[rows] for part, rows in at.items()}
        self.atac = {part: a[rows] for part, rows in there.items()}


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def mean_of(train: sp.csr_matrix, cells: int) -> np.ndarray:
    return np.tile(np.asarray(train.mean(0), dtype=np.float32), (cells, 1))


def ridge(source: sp.csr_matrix, target: sp.csr_matrix, asked: sp.csr_matrix) -> np.ndarray:
    """Source SVD → ridge → target SVD → back, as the plainest model that carries something."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.linear_model import Ridge

    left, right = (TruncatedSVD(20, random_state=0).fit(m) for m in (source, target))
    model = Ridge(50.0).fit(left.transform(source), right.transform(target))
    return np.asarray(model.predict(left.transform(asked)) @ right.components_, dtype=np.float32)


def test_normalisation_is_the_scripts(script: ModuleType, bench: Bench) -> None:
    ours, theirs = log_normalised(bench.counts), script.log_normalised(bench.counts)
    np.testing.assert_allclose(ours.toarray()[:50], theirs.toarray()[:50], rtol=1e-6)


@pytest.mark.parametrize("model", ["mean", "ridge"])
def test_real_expression_scores_the_same(script: ModuleType, bench: Bench, model: str) -> None:
    truth = bench.rna["test"]
    if model == "mean":
        predicted = mean_of(bench.rna["train"], truth.shape[0])
    else:
        predicted = ridge(bench.atac["train"], bench.rna["train"], bench.atac["test"])
    agree(scored(score_rna, predicted, truth), script.score_rna(predicted, truth))


@pytest.mark.parametrize("model", ["mean", "ridge"])
def test_real_openings_score_the_same(script: ModuleType, bench: Bench, model: str) -> None:
    some = slice(None, None, 6)  # every sixth peak: the script goes through them one by one
    train, truth = bench.atac["train"][:, some], bench.atac["test"][:, some]
    if model == "mean":
        predicted = mean_of(train, truth.shape[0])
    else:
        predicted = ridge(bench.rna["train"], train, bench.rna["test"])
    agree(scored(score_atac, predicted, truth), script.score_atac(predicted, truth))
