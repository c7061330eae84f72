"""The scores: equal to the plainest way of writing them, whatever the blocks and the order of cells."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.errors import BadInput
from engine.metrics import ArraySource, Scores, log_normalised, score_atac, score_rna
from engine.metrics.correlation import pearson_values, rank_values
from engine.metrics.ranking import random_average_precision, score_peaks
from tests import naive_scores as naive
from tests.predictions import Judged, judged_atac, judged_rna


def rna(judged: Judged, **more: object) -> Scores:
    return score_rna(judged.source, judged.truth, **judged.arguments(**{"resamples": 100, **more}))


def atac(judged: Judged, **more: object) -> Scores:
    return score_atac(judged.source, judged.truth, **judged.arguments(**{"resamples": 100, **more}))


@pytest.fixture(scope="module")
def expression() -> Judged:
    return judged_rna(rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def openings() -> Judged:
    return judged_atac(rng=np.random.default_rng(2))


def test_expression_scores_equal_the_plain_ones(expression: Judged) -> None:
    scores = rna(expression)
    truth = expression.truth.toarray()
    for name, value in naive.rna(expression.predicted, truth).items():
        assert scores.scores[name].value == pytest.approx(value, abs=1e-9), name
    for null, predicted in expression.nulls.items():
        for name, value in naive.rna(predicted, truth).items():
            assert scores.scores[name].nulls[null] == pytest.approx(value, abs=1e-7), (null, name)


def test_opening_scores_equal_the_plain_ones(openings: Judged) -> None:
    scores = atac(openings)
    truth = openings.truth.toarray()
    for name, value in naive.atac(openings.predicted, truth).items():
        assert scores.scores[name].value == pytest.approx(value, abs=1e-9), name
    for null, predicted in openings.nulls.items():
        for name, value in naive.atac(predicted, truth).items():
            assert scores.scores[name].nulls[null] == pytest.approx(value, abs=1e-9), (null, name)


def test_a_constant_prediction_scores_chance_and_is_counted(expression: Judged, openings: Judged) -> None:
    flat = rna(
        Judged(np.full_like(expression.predicted, 0.3), expression.truth, expression.names, {}, expression.counts)
    )
    assert {name: score.value for name, score in flat.scores.items()} == dict.fromkeys(flat.scores, 0.0)
    assert flat.counts["genes_undefined"] == flat.counts["genes_scored"] == flat.scores["gene_pearson"].undefined
    assert flat.scores["gene_pearson"].interval == (0.0, 0.0)
    shut = atac(Judged(np.full_like(openings.predicted, 0.3), openings.truth, openings.names, {}, openings.counts))
    for name in ("peak_auroc", "peak_auroc_depth_adjusted", "cell_auroc", "flat_auroc"):
        assert shut.scores[name].value == 0.5, name
    assert shut.scores["flat_auprc"].value == pytest.approx(shut.counts["base_rate"])
    assert shut.counts["peaks_undefined"] == shut.counts["peaks_scored"] > 0


def test_genes_never_seen_and_peaks_always_open_are_not_scored(expression: Judged, openings: Judged) -> None:
    assert expression.names[1] not in rna(expression).features["name"]
    assert openings.names[1] not in atac(openings).features["name"]


@pytest.mark.parametrize("block", [1, 7, 512])
def test_parts_equal_the_whole_whatever_the_block(expression: Judged, openings: Judged, block: int) -> None:
    for run, judged in ((rna, expression), (atac, openings)):
        whole, parts = run(judged, block=33), run(judged, block=block)
        for name, score in whole.scores.items():
            assert parts.scores[name].value == pytest.approx(score.value, abs=1e-12)
            assert parts.scores[name].interval == pytest.approx(score.interval, abs=1e-9)
        for column, values in whole.features.items():
            if column != "name":
                np.testing.assert_allclose(
                    parts.features[column].astype(float), values.astype(float), atol=1e-12, err_msg=column
                )


def test_the_order_of_cells_is_irrelevant(expression: Judged) -> None:
    order = np.random.default_rng(0).permutation(len(expression.predicted))
    moved = Judged(expression.predicted[order], expression.truth[order], expression.names, {}, expression.counts)
    for name, score in rna(expression).scores.items():
        assert rna(moved).scores[name].value == pytest.approx(score.value, abs=1e-9), name


def test_the_order_of_cells_is_irrelevant_to_openings_within_unequal_depths() -> None:
    judged = judged_atac(rng=np.random.default_rng(5))
    order = np.random.default_rng(0).permutation(len(judged.predicted))
    moved = Judged(judged.predicted[order], judged.truth[order], judged.names, {}, judged.counts)
    mine, theirs = atac(judged).scores, atac(moved).scores
    for name in set(theirs) - {"peak_auroc_depth_adjusted"}:  # cells of equal depth are put in strata in file order
        assert theirs[name].value == pytest.approx(mine[name].value, abs=1e-9), name


@settings(max_examples=40, deadline=None)
@given(
    scores=arrays(np.float32, (3, 24), elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.8, 1.0])),
    truth=arrays(np.bool_, (3, 24)),
)
def test_rank_scores_survive_any_monotone_map_and_match_the_plain_ones(scores: np.ndarray, truth: np.ndarray) -> None:
    members = [np.arange(0, 10), np.arange(10, 24), np.empty(0, dtype=np.int64)]
    first, second = score_peaks(scores, truth, members), score_peaks(np.exp(3 * scores) - 7, truth, members)
    for mine, mapped in zip(first[:3], second[:3], strict=True):
        np.testing.assert_allclose(mine.value, mapped.value)
        np.testing.assert_allclose(mine.pull, mapped.pull, atol=1e-12)
    for j in range(3):
        for mine, plain in (
            (first.auroc, naive.auroc(scores[j], truth[j])),
            (first.adjusted, naive.adjusted_auroc(scores[j], truth[j], members)),
            (first.average_precision, naive.auprc(scores[j], truth[j])),
        ):
            assert mine.value[j] == pytest.approx(plain, nan_ok=True)
            assert mine.pull[j].sum() == pytest.approx(0, abs=1e-9)


def test_random_scores_have_the_average_precision_expected_of_them() -> None:
    rng = np.random.default_rng(0)
    drawn = [naive.auprc(rng.random(40), np.arange(40) < 5) for _ in range(3000)]
    expected = random_average_precision(np.array([5]), 40)[0]
    assert expected == pytest.approx(np.mean(drawn), rel=0.03)
    assert expected > 5 / 40


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (2, 12), elements=st.sampled_from([0.0, 1.0, 2.0, 5.0])))
def test_spearman_is_pearson_of_plain_ranks(x: np.ndarray) -> None:
    mine = pearson_values(rank_values(x[:1]), rank_values(x[1:]))[0]
    assert mine == pytest.approx(naive.spearman(x[0], x[1]), nan_ok=True)


def test_numbers_that_are_not_finite_count_as_zero_and_are_counted(expression: Judged) -> None:
    broken, mended = expression.predicted.copy(), expression.predicted.copy()
    broken[3, 5], broken[4, 6] = np.nan, np.inf
    mended[3, 5] = mended[4, 6] = 0
    found = rna(Judged(broken, expression.truth, expression.names, {}, expression.counts))
    assert found.counts["nonfinite"] == 2
    clean = rna(Judged(mended, expression.truth, expression.names, {}, expression.counts))
    assert found.scores["gene_pearson"].value == clean.scores["gene_pearson"].value


def test_a_prediction_of_another_shape_is_refused(expression: Judged) -> None:
    with pytest.raises(BadInput, match=r"values where \(80, 40\) were asked for"):
        score_rna(ArraySource(expression.predicted[:, :-1]), expression.truth, **expression.arguments())


def test_no_gene_to_score_gives_a_note_and_no_number(expression: Judged) -> None:
    nothing = sp.csr_matrix(expression.truth.shape, dtype=np.float32)
    scores = score_rna(expression.source, nothing, **expression.arguments())
    assert scores.counts["genes_scored"] == 0
    assert scores.as_dict()["scores"]["gene_pearson"]["value"] is None
    assert "no per-gene score" in scores.notes[0]


def test_nothing_open_gives_no_number_either(openings: Judged) -> None:
    nothing = sp.csr_matrix(openings.truth.shape, dtype=np.float32)
    written = score_atac(openings.source, nothing, **openings.arguments()).as_dict()
    assert written["scores"]["peak_auroc"]["value"] is None
    assert written["scores"]["flat_auroc"]["interval"] == [None, None]
    json.dumps(written, allow_nan=False)


def test_a_single_cell_is_scored_without_claiming_to_be_sure(expression: Judged, openings: Judged) -> None:
    one = Judged(expression.predicted[:1], expression.truth[:1], expression.names, {}, expression.counts)
    assert rna(one).scores["cell_pearson"].interval == (-1.0, 1.0)
    one = Judged(openings.predicted[:1], openings.truth[:1], openings.names, {}, openings.counts)
    assert atac(one).scores["cell_auroc"].interval == (0.0, 1.0)


def test_a_scorecard_survives_json(expression: Judged, openings: Judged) -> None:
    for scores in (rna(expression), atac(openings)):
        text = json.dumps(scores.as_dict(), allow_nan=False)
        assert Scores.from_dict(json.loads(text)).as_dict() == scores.as_dict()


def test_equal_seeds_give_equal_intervals(expression: Judged) -> None:
    assert rna(expression).as_dict() == rna(expression).as_dict()


def test_progress_is_told_and_ends_at_the_total(openings: Judged) -> None:
    told: list[tuple[int, int]] = []
    atac(openings, block=16, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 0


def test_tables_hold_one_row_a_scored_feature_and_cell(openings: Judged) -> None:
    scores = atac(openings, cells=[f"c{i}" for i in range(80)])
    assert {len(column) for column in scores.features.values()} == {int(scores.counts["peaks_scored"])}
    assert {len(column) for column in scores.cells.values()} == {80}
    place = int(scores.features["position"][4])
    assert scores.features["auroc"][4] == pytest.approx(
        naive.auroc(openings.predicted[:, place], openings.truth.toarray()[:, place])
    )
    assert scores.features["auroc_depth_adjusted_null_mean"].tolist() == [0.5] * int(scores.counts["peaks_scored"])


def test_log_normalised_scales_to_the_median_of_all_cells_given() -> None:
    counts = sp.csr_matrix(np.array([[1, 1, 0], [2, 2, 0], [4, 0, 4], [0, 0, 0]], dtype=np.float32))
    expected = np.log1p([[2, 2, 0], [2, 2, 0], [2, 0, 2], [0, 0, 0]])
    np.testing.assert_allclose(log_normalised(counts).toarray(), expected, rtol=1e-6)
    np.testing.assert_allclose(log_normalised(counts, scale_to=2).toarray()[0], np.log1p([1, 1, 0]), rtol=1e-6)


def test_noise_is_smoothed_away_and_the_spread_says_so(expression: Judged) -> None:
    half = Judged(expression.truth.toarray() / 2, expression.truth, expression.names, {}, expression.counts)
    assert rna(half).spread == pytest.approx(0.25, rel=1e-4)
