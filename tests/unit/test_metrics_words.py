"""Curves, calibration, ceilings and the verdict: what stands beside the scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from engine.metrics import (
    ArraySource,
    Calibration,
    Ceiling,
    Level,
    Verdict,
    noise_ceiling,
    roc,
    score_atac,
    score_rna,
    verdict,
)
from engine.metrics.calibration import ProbabilityCounter
from engine.metrics.ceiling import thinned
from engine.metrics.correlation import pearson_values
from engine.types import Modality
from tests.predictions import judged_atac, judged_rna


def counted(p: np.ndarray, y: np.ndarray, *, block: int = 3) -> Calibration | None:
    counter = ProbabilityCounter(len(p))
    for start in range(0, len(p), block):
        rows = sp.csr_matrix(y[start : start + block])
        rows.sort_indices()
        part = p[start : start + block]
        counter.add(start, part, part[rows.nonzero()], rows.indptr.astype(np.int64))
    return counter.result(p.shape[1])


@pytest.fixture(scope="module")
def too_sure() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = (1 / (1 + np.exp(-rng.normal(-2, 1.5, (40, 300))))).astype(np.float32)
    odds = np.log(p / (1 - p))
    return p, rng.random(p.shape) < 1 / (1 + np.exp(-(0.5 * odds - 0.4)))


def test_the_slope_is_that_of_a_logistic_regression_on_the_log_odds(too_sure: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = too_sure
    odds = np.log(p / (1 - p)).reshape(-1, 1)
    plain = LogisticRegression(C=1e9, tol=1e-9).fit(odds, y.ravel())
    found = counted(p, y)
    assert found is not None
    assert found.slope == pytest.approx(plain.coef_[0, 0], rel=2e-3)
    assert found.intercept == pytest.approx(plain.intercept_[0], rel=2e-2)
    assert found.brier == pytest.approx(((p - y) ** 2).mean(), rel=1e-5)


def test_calibration_error_is_small_for_true_probabilities_and_large_for_sure_ones(
    too_sure: tuple[np.ndarray, np.ndarray],
) -> None:
    p, y = too_sure
    drawn = np.random.default_rng(1).random(p.shape) < p
    honest, sure = counted(p, drawn), counted(p, y)
    assert honest is not None
    assert sure is not None
    assert honest.slope == pytest.approx(1, abs=0.08)
    assert honest.relative_error < 0.06 < sure.relative_error
    sizes = [size for _, _, size in sure.groups]
    assert sum(sizes) == p.size
    assert max(sizes) < 1.3 * min(sizes)


def test_a_constant_probability_has_no_slope_and_values_beyond_one_no_calibration() -> None:
    y = np.random.default_rng(2).random((6, 50)) < 0.2
    flat = counted(np.full((6, 50), 0.2, dtype=np.float32), y)
    assert flat is not None
    assert flat.slope is None
    assert counted(np.full((6, 50), 1.2, dtype=np.float32), y) is None


def test_the_curve_keeps_its_area_and_its_corners_when_thinned() -> None:
    rng = np.random.default_rng(3)
    y = rng.random(20_000) < 0.05
    score = np.round(rng.normal(size=20_000) + y, 3)
    curve = roc(score, y)
    assert len(curve.fpr) <= 400
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(roc_auc_score(y, score), abs=1e-3)


def test_a_short_curve_is_the_whole_curve() -> None:
    y, score = np.array([0, 1, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.4, 0.9])
    fpr, tpr, _ = roc_curve(y, score, drop_intermediate=False)
    assert roc(score, y).tpr[: len(tpr)] == pytest.approx(tpr)
    assert roc(score, y).fpr[: len(fpr)] == pytest.approx(fpr)
    assert roc(score, np.zeros(5)).fpr == ()


def test_the_flattened_curve_is_that_of_all_entries_at_once() -> None:
    judged = judged_atac(rng=np.random.default_rng(4))
    scores = score_atac(judged.source, judged.truth, **judged.arguments())
    truth = judged.truth.toarray().ravel()
    assert scores.curve is not None
    assert np.trapezoid(scores.curve.tpr, scores.curve.fpr) == pytest.approx(
        roc_auc_score(truth, judged.predicted.ravel()), abs=1e-4
    )
    assert scores.scores["flat_auprc"].value == pytest.approx(average_precision_score(truth, judged.predicted.ravel()))


def test_brier_skill_is_measured_against_the_mean_null() -> None:
    judged = judged_atac(rng=np.random.default_rng(5))
    scores = score_atac(judged.source, judged.truth, **judged.arguments())
    y = judged.truth.toarray()
    plain = 1 - ((judged.predicted - y) ** 2).sum() / ((judged.nulls["mean"] - y) ** 2).sum()
    assert scores.scores["brier_skill"].value == pytest.approx(plain, rel=1e-5)
    assert scores.scores["brier_skill"].nulls["mean"] == 0


def test_halves_add_up_to_the_counts() -> None:
    counts = sp.csr_matrix(np.random.default_rng(6).poisson(1.5, (30, 20)).astype(np.float32))
    one, other = thinned(counts, np.random.default_rng(0))
    np.testing.assert_array_equal((one + other).toarray(), counts.toarray())


def test_perfect_rates_score_just_under_the_ceiling_of_expression() -> None:
    rng, n, g = np.random.default_rng(7), 1500, 60
    rate = 1.5 * np.exp(0.6 * rng.standard_normal((n, 3)) @ rng.standard_normal((3, g)) / np.sqrt(3))
    rate *= 90 / rate.sum(1, keepdims=True)
    counts = sp.csr_matrix(rng.poisson(rate).astype(np.float32))
    found = noise_ceiling(counts, Modality.RNA, rng=rng)
    perfect = float(pearson_values(np.log1p(rate).T, np.log1p(counts.toarray()).T.astype(float)).mean())
    assert found.ceiling is not None
    assert found.halves is not None
    assert found.halves < perfect < found.ceiling + 0.02
    assert found.ceiling == pytest.approx(perfect, abs=0.08)


def test_noise_alone_has_a_ceiling_near_chance() -> None:
    rng = np.random.default_rng(8)
    counts = sp.csr_matrix(rng.poisson(0.4, (800, 80)).astype(np.float32))
    expression, openings = (noise_ceiling(counts, modality, rng=rng) for modality in Modality)
    assert expression.halves == pytest.approx(0, abs=0.03)
    assert openings.halves == pytest.approx(0.5, abs=0.02)


def test_perfect_probabilities_score_just_under_the_ceiling_of_openings() -> None:
    rng, n, p = np.random.default_rng(9), 1500, 60
    rate = 0.15 * np.exp(1.0 * rng.standard_normal((n, 3)) @ rng.standard_normal((3, p)) / np.sqrt(3))
    counts = sp.csr_matrix(rng.poisson(rate).astype(np.float32))
    found = noise_ceiling(counts, Modality.ATAC, rng=rng)
    perfect = score_atac(ArraySource(rate), counts, names=range(p), nulls={}, rng=rng)
    value = perfect.scores["peak_auroc_depth_adjusted"].value
    assert found.ceiling is not None
    assert value < found.ceiling + 0.02
    assert found.ceiling == pytest.approx(value, abs=0.08)


def test_openings_without_counts_have_no_ceiling_and_say_why() -> None:
    binary = judged_atac(rng=np.random.default_rng(10)).truth
    found = noise_ceiling(binary, Modality.ATAC, rng=np.random.default_rng(0))
    assert found.ceiling is None
    assert "cannot be split" in found.note
    assert Ceiling.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_values_that_are_no_counts_have_no_ceiling() -> None:
    judged = judged_rna(rng=np.random.default_rng(11))
    assert noise_ceiling(judged.truth, Modality.RNA, rng=np.random.default_rng(0)).ceiling is None


def test_a_good_prediction_is_called_better_with_the_numbers() -> None:
    judged = judged_rna(cells=150, rng=np.random.default_rng(12))
    scores = score_rna(judged.source, judged.truth, **judged.arguments())
    found = verdict(scores)
    better = int((np.nan_to_num(scores.features["pearson"]) > 0).sum())
    assert found.level is Level.BETTER
    assert (found.better, found.tested, found.null) == (better, scores.counts["genes_scored"], "mean")
    assert found.headline.startswith(f"Better than the average profile on {better} of {found.tested} genes tested (")
    assert 0 < found.clearly <= found.better
    assert found.clears["gene_pearson"]
    assert Verdict.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_the_average_profile_itself_is_no_better_than_itself() -> None:
    judged = judged_atac(rng=np.random.default_rng(13))
    scores = score_atac(ArraySource(judged.nulls["mean"]), judged.truth, **judged.arguments())
    found = verdict(scores)
    assert (found.level, found.better, found.clearly) == (Level.NO_BETTER, 0, 0)
    assert not any(found.clears.values())
    assert "does not beat" in found.sentences[1]


def test_noise_is_not_called_better() -> None:
    judged = judged_atac(rng=np.random.default_rng(14))
    noise = np.random.default_rng(15).random(judged.predicted.shape).astype(np.float32)
    assert verdict(score_atac(ArraySource(noise), judged.truth, **judged.arguments())).level is not Level.BETTER


def test_nothing_tested_is_said_so() -> None:
    judged = judged_rna(rng=np.random.default_rng(16))
    empty = sp.csr_matrix(judged.truth.shape, dtype=np.float32)
    found = verdict(score_rna(judged.source, empty, **judged.arguments()))
    assert found.level is Level.NOT_SCORED
    assert found.headline == "No genes could be tested."
