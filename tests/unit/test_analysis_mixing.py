"""iLISI against its definition worked out cell by cell, and batches that mix or lie apart."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from scipy.optimize import brentq

from engine.analysis.mixing import Neighbourhood, lisi, mixing
from engine.errors import BadSetting
from engine.types import Floats, as_names


def naive_lisi(z_nk: Floats, codes_n: np.ndarray, perplexity: float) -> np.ndarray:
    """Korsunsky et al. 2019 cell by cell: a Gaussian kernel of that perplexity over the nearest other cells."""
    out = []
    for i, z_k in enumerate(z_nk.astype(np.float64)):
        distance = ((z_nk - z_k) ** 2).sum(axis=1)
        near = [j for j in np.argsort(distance, kind="stable") if j != i][: int(3 * perplexity)]
        d = distance[near]

        def weights(log_beta: float, d: np.ndarray = d) -> np.ndarray:
            w = np.exp(-(d - d.min()) * np.exp(log_beta))
            return w / w.sum()

        def gap(log_beta: float) -> float:
            w = weights(log_beta)
            return float(-(w[w > 0] * np.log(w[w > 0])).sum() - np.log(perplexity))

        w = weights(brentq(gap, -20, 20))
        out.append(1 / sum(w[codes_n[near] == code].sum() ** 2 for code in np.unique(codes_n)))
    return np.array(out)


@pytest.mark.parametrize("perplexity", [5.0, 12.0])
def test_the_index_is_what_its_definition_gives(perplexity: float) -> None:
    rng = np.random.default_rng(0)
    z_nk, codes_n = rng.normal(size=(80, 4)).astype(np.float32), rng.integers(0, 3, size=80)
    own = lisi(Neighbourhood.of(z_nk, perplexity=perplexity), codes_n, perplexity=perplexity)
    np.testing.assert_allclose(own, naive_lisi(z_nk, codes_n, perplexity), rtol=1e-5)


@pytest.mark.skipif(find_spec("scib_metrics") is None, reason="scib-metrics is not installed")
def test_the_index_is_that_of_scib_metrics() -> None:
    from scib_metrics import lisi_knn
    from scib_metrics.nearest_neighbors import NeighborsResults

    rng = np.random.default_rng(1)
    z_nk, codes_n = rng.normal(size=(300, 5)).astype(np.float32), rng.integers(0, 3, size=300)
    near = Neighbourhood.of(z_nk)
    theirs = lisi_knn(NeighborsResults(near.index_nj, near.distance_nj**2), codes_n, perplexity=30)
    np.testing.assert_allclose(lisi(near, codes_n), theirs, rtol=2e-3)


def test_separated_batches_score_low_and_mixed_ones_near_what_chance_gives() -> None:
    rng = np.random.default_rng(2)
    batches = as_names(["one", "two"] * 150)
    mixed = rng.normal(size=(300, 5)).astype(np.float32)
    apart = mixed + 20 * (batches == "two")[:, None].astype(np.float32)
    figures = mixing({"mixed": mixed, "apart": apart}, batches).figures["scaled"]
    assert figures["apart"]["all"] < 0.01
    assert 0.95 < figures["mixed"]["all"] < 1.05


def test_mixing_is_judged_within_labels_too() -> None:
    """Batches that hold different types look unmixed, though every type is mixed."""
    rng = np.random.default_rng(3)
    labels = as_names(rng.choice(["a", "b"], size=400))
    share = np.where(labels == "a", 0.8, 0.2)
    batches = as_names(np.where(rng.random(400) < share, "one", "two"))
    z_nk = rng.normal(size=(400, 4)).astype(np.float32) + 15 * (labels == "a")[:, None].astype(np.float32)
    found = mixing({"z": z_nk}, batches, labels)
    assert found.figures["scaled"]["z"]["all"] < 0.75
    assert found.figures["scaled"]["z"]["within_labels"] > 0.9
    table = found.tables["mixing"]
    assert table["within"].tolist() == ["", "a", "b"]
    assert ((table["low"] <= table["ilisi"]) & (table["ilisi"] <= table["high"])).all()


def test_coinciding_cells_are_no_trouble() -> None:
    found = lisi(Neighbourhood.of(np.zeros((50, 3), dtype=np.float32)), np.arange(50) % 2)
    assert np.isfinite(found).all()


def test_one_batch_or_a_cell_without_is_refused() -> None:
    z_nk = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    with pytest.raises(BadSetting, match="one batch only"):
        mixing({"z": z_nk}, as_names(["one"] * 40))
    with pytest.raises(BadSetting, match="1 cells have no batch"):
        mixing({"z": z_nk}, as_names(["one", ""] + ["two"] * 38))
