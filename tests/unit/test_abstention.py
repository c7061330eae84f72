"""Leaving out the least certain: equal to doing it cell by cell, whatever ties and whatever lacks a score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.metrics.abstention import MOST, Abstention, abstention, certainty, kept

TABLES = st.lists(
    st.tuples(
        st.one_of(st.just(float("nan")), st.floats(-1, 1, width=32)),
        st.one_of(st.just(float("nan")), st.integers(0, 3).map(float)),  # few values: many ties
    ),
    min_size=1,
    max_size=24,
)


def one_by_one(score: np.ndarray, certainty: np.ndarray) -> list[float]:
    """Every cell's weight among the kept, written out; cells equally certain share what is taken from them."""
    n, means = len(score), []
    rank = np.where(np.isnan(certainty), -np.inf, certainty)
    for gone in range(int(MOST * n + 1e-9) + 1):
        weight, left = np.ones(n), float(gone)
        for value in sorted(set(rank)):
            alike = rank == value
            taken = min(left, alike.sum())
            weight[alike] = 1 - taken / alike.sum()
            left -= taken
        counted = np.isfinite(score)
        total = weight[counted].sum()
        means.append((weight[counted] * score[counted]).sum() / total if total > 1e-9 else np.nan)
    return means


@settings(deadline=None)
@given(TABLES)
def test_the_curve_is_what_weighing_every_cell_gives(table: list[tuple[float, float]]) -> None:
    score, certainty = (np.array(column) for column in zip(*table, strict=True))
    found = abstention(score, certainty)
    np.testing.assert_allclose(found.mean_m, one_by_one(score, certainty), atol=1e-9)


def test_ties_are_what_drawing_among_equals_gives_on_average() -> None:
    rng = np.random.default_rng(0)
    score, certainty = rng.random(20), rng.integers(0, 3, 20)
    drawn = []
    for _ in range(4000):
        order = np.lexsort((rng.random(20), certainty))
        drawn.append(score[order[7:]].mean())
    assert abstention(score, certainty).after(7) == pytest.approx(np.mean(drawn), abs=3e-3)


def test_without_ties_the_kept_are_the_most_certain() -> None:
    rng = np.random.default_rng(1)
    score, certainty = rng.random(100), rng.permutation(100)
    found = abstention(score, certainty)
    assert found.after(40) == pytest.approx(score[certainty >= 40].mean())
    assert found.everything == pytest.approx(score.mean())
    assert found.share_m[-1] == pytest.approx(MOST)


def test_cells_that_are_all_alike_give_the_flat_line_of_chance() -> None:
    score = np.random.default_rng(2).random(30)
    found = abstention(score, np.zeros(30))
    np.testing.assert_allclose(found.mean_m, score.mean())
    assert found.area == pytest.approx(score.mean())


def test_the_area_is_the_mean_height_and_orders_the_orders() -> None:
    score = np.random.default_rng(3).random(50)
    best, worst, chance = (abstention(score, by) for by in (score, -score, np.zeros(50)))
    assert best.area > chance.area > worst.area
    assert best.area == pytest.approx(np.trapezoid(best.mean_m, best.share_m) / best.share_m[-1])


def test_the_sum_of_few_cells_is_not_lost_in_the_sum_of_all() -> None:
    score = np.append(np.full(9, 1e9), 1e-9)
    assert abstention(score, np.arange(10)).after(9) == 1e-9


def test_a_cell_without_a_score_is_left_out_in_its_turn_and_counts_in_no_mean() -> None:
    score, certainty = np.array([np.nan, 0.2, 0.4, np.nan]), np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(abstention(score, certainty).mean_m, [0.3, 0.3, 0.4, np.nan])
    assert abstention(score, certainty).area == pytest.approx((0.3 + 0.35) / 2)


def test_a_cell_the_model_says_nothing_of_is_the_first_to_go() -> None:
    certainty = np.array([0.1, np.nan, 0.3, 0.4])
    assert kept(certainty, 0.25).tolist() == [True, False, True, True]
    assert abstention(np.array([0.1, 0.9, 0.3, 0.5]), certainty).after(1) == pytest.approx(0.3)


def test_without_cells_or_scores_there_is_no_number_and_no_error() -> None:
    for found in (abstention([], []), abstention([np.nan, np.nan], [0.1, 0.2])):
        assert np.isnan(found.everything)
        assert np.isnan(found.area)
        assert np.isnan(found.after(1))
    assert kept([], 0.5).tolist() == []


def test_a_curve_does_not_reach_beyond_its_end() -> None:
    found = abstention([0.1, 0.2], [0.1, 0.2])
    assert isinstance(found, Abstention)
    assert np.isnan(found.after(2))
    assert np.isnan(found.after(-1))


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="certainties"):
        abstention([0.1, 0.2], [0.1])
    with pytest.raises(ValueError, match="share"):
        kept([0.1], 1.5)


@settings(deadline=None)
@given(TABLES, st.integers(0, 100))
def test_those_left_out_are_never_more_certain_nor_more_than_asked(
    table: list[tuple[float, float]], percent: int
) -> None:
    certainty = np.array([row[1] for row in table])
    flags = kept(certainty, percent / 100)
    rank = np.where(np.isnan(certainty), -np.inf, certainty)
    assert (~flags).sum() <= round(percent / 100 * len(rank))
    if flags.any() and not flags.all():
        assert rank[~flags].max() < rank[flags].min()
    # As many as possible: the next group would be too many.
    if flags.any():
        following = rank == rank[flags].min()
        assert (~flags).sum() + following.sum() > round(percent / 100 * len(rank))


@settings(deadline=None)
@given(TABLES, st.integers(0, 90))
def test_the_mean_of_the_flagged_lies_on_the_curve(table: list[tuple[float, float]], percent: int) -> None:
    score, certainty = (np.array(column) for column in zip(*table, strict=True))
    flags = kept(certainty, percent / 100)
    on_curve = abstention(score, certainty).after(int((~flags).sum()))
    if np.isfinite(score[flags]).any() and np.isfinite(on_curve):
        assert np.nanmean(score[flags]) == pytest.approx(on_curve, abs=1e-9)


def test_pages_offer_as_much_as_the_curve_covers() -> None:
    from jobs.results import certainty

    assert round(100 * MOST) == certainty.MOST


def test_cells_of_which_the_same_is_expected_go_by_how_novel_they_are() -> None:
    ranks = certainty([0.3, 0.3, 0.1, np.nan, 0.3, 0.3], [0.2, 0.9, 0.0, 0.5, np.nan, 0.9])
    np.testing.assert_array_equal(ranks, [2, 1, 0, np.nan, 3, 1])
    assert kept(ranks, 0.34).tolist() == [True, True, False, False, True, True]


def test_a_flat_expectation_leaves_out_the_most_novel_first() -> None:
    novelty = np.random.default_rng(4).random(50)
    np.testing.assert_array_equal(kept(certainty(np.full(50, 0.2), novelty), 0.2), novelty <= np.sort(novelty)[39])
