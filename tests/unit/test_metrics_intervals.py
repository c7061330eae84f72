"""The intervals: equal to drawing cells again and again where that is unbiased, and right as often as they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp

from engine.metrics import ArraySource, Scores, score_atac, score_rna
from engine.metrics.bootstrap import BUNDLES, deviations
from engine.metrics.correlation import pearson, spearman
from engine.metrics.flat import FlatCounter
from engine.metrics.ranking import average_precision, stratified_auroc
from engine.metrics.ranks import sort_rows
from tests import naive_scores as naive
from tests.predictions import judged_atac, judged_rna

Array = np.ndarray


def resampled(score: Callable[[Array], float], n: int, rng: np.random.Generator, draws: int = 200) -> float:
    """Standard deviation of a score over cells drawn with replacement."""
    return float(np.std([score(rng.integers(0, n, n)) for _ in range(draws)]))


def half_width(scores: Scores, name: str) -> float:
    low, high = scores.scores[name].interval
    return (high - low) / 2 / 1.96


def test_pulls_of_correlations_match_drawing_cells_again() -> None:
    rng, n = np.random.default_rng(3), 150
    x = rng.gamma(1.0, size=n)
    y = np.round(0.6 * x + rng.gamma(1.0, size=n))
    for fast, plain in ((pearson, naive.pearson), (spearman, naive.spearman)):
        pulled = fast(x[None], y[None])
        drawn = resampled(lambda i, plain=plain: plain(x[i], y[i]), n, rng)
        assert np.sqrt((pulled.pull**2).sum()) == pytest.approx(drawn, rel=0.15), plain.__name__


def test_pulls_of_peak_scores_match_drawing_cells_again() -> None:
    rng, n = np.random.default_rng(4), 240
    x = np.round(rng.random(n), 1).astype(np.float32)
    y = rng.random(n) < 0.1 + 0.4 * x
    members = [np.arange(0, 120), np.arange(120, 240)]
    fast = stratified_auroc(x[None], y[None], members)

    def again(i: Array) -> float:
        """Strata belong to the cells, so they are drawn along."""
        return naive.adjusted_auroc(x[i], y[i], [np.nonzero(i < 120)[0], np.nonzero(i >= 120)[0]])

    assert np.sqrt((fast.pull**2).sum()) == pytest.approx(resampled(again, n, rng), rel=0.15)


def weighted_auprc(scores: Array, truth: Array, weight: Array) -> float:
    up = truth > 0
    precision = [weight[up & (scores >= s)].sum() / weight[scores >= s].sum() for s in scores[up]]
    return float(np.average(precision, weights=weight[up]))


def weighted_auroc(scores: Array, truth: Array, weight: Array) -> float:
    up, down = truth > 0, truth == 0
    win = (scores[up][:, None] > scores[down]) + 0.5 * (scores[up][:, None] == scores[down])
    return float((weight[up] @ win @ weight[down]) / (weight[up].sum() * weight[down].sum()))


def test_pulls_are_the_derivatives_by_each_cells_weight() -> None:
    rng = np.random.default_rng(6)
    x = np.round(rng.random((6, 15)), 1).astype(np.float32)
    y = sp.csr_matrix(rng.random((6, 15)) < 0.3)
    y.sort_indices()
    counter = FlatCounter(x[y.nonzero()], y.indptr.astype(np.int64), 15)
    for i in range(0, 6, 2):
        counter.add(i, np.sort(x[i : i + 2], axis=1))
    found, dense, step = counter.result(), y.toarray().ravel(), 1e-5
    one_row = average_precision(sort_rows(x.reshape(1, -1)), dense[None])
    for cell in range(6):
        up, down = np.ones((6, 15)), np.ones((6, 15))
        up[cell] += step
        down[cell] -= step
        for score, pull in ((weighted_auroc, found.auroc_pull), (weighted_auprc, found.auprc_pull)):
            slope = (score(x.ravel(), dense, up.ravel()) - score(x.ravel(), dense, down.ravel())) / (2 * step)
            assert pull[cell] == pytest.approx(slope, abs=1e-7), score.__name__
        assert one_row.pull.reshape(6, 15)[cell].sum() == pytest.approx(found.auprc_pull[cell], abs=1e-12)


def test_cells_predicted_alike_are_counted_once_and_rightly() -> None:
    rng = np.random.default_rng(9)
    row, y = np.round(rng.random(30), 2).astype(np.float32), sp.csr_matrix(rng.random((8, 30)) < 0.2)
    y.sort_indices()
    x = np.tile(row, (8, 1))
    counter = FlatCounter(x[y.nonzero()], y.indptr.astype(np.int64), 30)
    counter.add(0, np.sort(x, axis=1))
    assert counter.result().auroc == pytest.approx(naive.auroc(x.ravel(), y.toarray().ravel()))


@pytest.mark.parametrize("name", ["flat_pearson", "cell_pearson", "gene_pearson"])
def test_expression_intervals_match_drawing_cells_again(name: str) -> None:
    rng = np.random.default_rng(8)
    judged = judged_rna(cells=120, genes=15, rng=rng)
    truth = judged.truth.toarray()
    keep = [j for j in range(15) if (truth[:, j] > 0).sum() > 15]  # where copies of cells do no harm
    pred, truth = judged.predicted[:, keep], truth[:, keep]
    scores = score_rna(ArraySource(pred), sp.csr_matrix(truth), names=keep, nulls={}, rng=rng)

    def again(i: Array) -> float:
        if name == "flat_pearson":
            return naive.pearson(pred[i].ravel(), truth[i].ravel())
        pairs = (
            zip(pred[i], truth[i], strict=True) if name == "cell_pearson" else zip(pred[i].T, truth[i].T, strict=True)
        )
        return naive.filled((naive.pearson(p, t) for p, t in pairs), 0)

    assert half_width(scores, name) == pytest.approx(resampled(again, 120, rng, draws=150), rel=0.25)


@pytest.mark.parametrize("name", ["flat_auroc", "flat_auprc"])
def test_opening_intervals_match_drawing_cells_again(name: str) -> None:
    rng = np.random.default_rng(10)
    judged = judged_atac(cells=150, peaks=30, rng=rng)
    truth = judged.truth.toarray()
    plain = weighted_auroc if name == "flat_auroc" else weighted_auprc

    def again(i: Array) -> float:
        return plain(judged.predicted[i].ravel(), truth[i].ravel(), np.ones(truth.size))

    scores = score_atac(judged.source, judged.truth, **judged.arguments())
    assert half_width(scores, name) == pytest.approx(resampled(again, 150, rng, draws=60), rel=0.3)


def population(rng: np.random.Generator, n: int, genes: int = 40) -> tuple[Array, Array]:
    """Cells of a population with few counts: true rates follow a hidden state, the prediction knows it in part."""
    state = rng.standard_normal((n, 2))
    loading = np.random.default_rng(0).standard_normal((2, genes)) * 0.4
    base = np.linspace(-3.5, 0.5, genes)
    rate = np.exp(base + state @ loading)
    predicted = state @ loading + 0.6 * rng.standard_normal((n, genes))
    return predicted.astype(np.float32), rng.poisson(rate).astype(np.float32)


def test_intervals_of_expression_and_openings_hold_the_truth_about_as_often_as_they_say() -> None:
    rng, n, repeats = np.random.default_rng(11), 120, 80
    pred, counts = population(rng, 60_000)
    kept = slice(10, None)  # genes frequent enough to be scored in every draw, so that the target is one number
    pred, counts = pred[:, kept], counts[:, kept]
    genes = list(range(pred.shape[1]))
    target_r = float(np.mean([naive.pearson(pred[:, j], counts[:, j]) for j in genes]))
    order = np.argsort(pred, axis=0)
    hit = np.take_along_axis(counts > 0, order, axis=0)
    k = hit.sum(0)
    rank_sum = (hit * np.arange(1, len(pred) + 1)[:, None]).sum(0)
    target_a = float(np.mean((rank_sum - k * (k + 1) / 2) / (k * (len(pred) - k))))
    held_r = held_a = 0
    for _ in range(repeats):
        cells = rng.integers(0, len(pred), n)
        given = {"names": genes, "nulls": {}, "rng": rng, "resamples": 200}
        truth = sp.csr_matrix(counts[cells])
        low, high = score_rna(ArraySource(pred[cells]), truth, **given).scores["gene_pearson"].interval
        held_r += low <= target_r <= high
        low, high = score_atac(ArraySource(pred[cells]), truth, **given).scores["peak_auroc"].interval
        held_a += low <= target_a <= high
    assert held_r / repeats >= 0.87
    assert held_a / repeats >= 0.87


def test_gains_are_paired_so_a_prediction_does_not_differ_from_itself() -> None:
    judged = judged_rna(rng=np.random.default_rng(12))
    scores = score_rna(judged.source, judged.truth, **judged.arguments(nulls={"twin": judged.source}))
    for score in scores.scores.values():
        assert score.gains["twin"].value == 0
        assert score.gains["twin"].interval == pytest.approx((0, 0), abs=1e-12)


def test_a_rare_gene_does_not_look_surer_than_chance_allows() -> None:
    rng = np.random.default_rng(13)
    truth = np.zeros((150, 400), dtype=np.float32)
    for gene in range(400):
        truth[rng.integers(0, 150, 2), gene] = 1
    pred = rng.standard_normal(truth.shape).astype(np.float32)
    table = score_rna(ArraySource(pred), sp.csr_matrix(truth), names=range(400), nulls={}, rng=rng).features
    assert (table["pearson"] - 1.96 * table["pearson_se"] > 0).mean() < 0.06


def test_very_many_cells_are_drawn_in_bundles_with_the_same_spread() -> None:
    rng = np.random.default_rng(14)
    pulls = rng.standard_normal((BUNDLES * 2 + 5, 1))
    spread = deviations(pulls, rng=rng, resamples=300).std()
    assert spread == pytest.approx(np.sqrt(((pulls - pulls.mean()) ** 2).sum()), rel=0.15)


def test_few_cells_widen_the_interval_beyond_the_normal_one() -> None:
    pulls = np.random.default_rng(15).standard_normal((5, 1))
    spread = deviations(pulls, rng=np.random.default_rng(0), resamples=4000).std()
    assert spread > 1.4 * np.sqrt(((pulls - pulls.mean()) ** 2).sum())
