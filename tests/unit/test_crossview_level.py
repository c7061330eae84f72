"""How many open peaks our own model expects of a cell: against independent fits, and back from known truth."""

from __future__ import annotations

import numpy as np
import pytest

from engine.translators.crossview.level import Depths, Level, fit_level
from engine.translators.crossview.linear import PENALTIES, Linear, left_out

POWER = 0.7


def truth(depth_n: np.ndarray, share_np: np.ndarray) -> np.ndarray:
    raised = share_np**POWER / (share_np**POWER).sum(axis=1, keepdims=True)
    return np.asarray(-np.expm1(-np.exp(0.2 + 0.8 * depth_n[:, None]) * raised))


def known(cells: int, peaks: int, rng: np.random.Generator) -> tuple[Depths, np.ndarray, np.ndarray]:
    """Depths, shares and what is open, of cells in which rare peaks are opener, common ones less open, than said."""
    share_np = rng.dirichlet(np.full(peaks, 0.5), size=cells).astype(np.float32)
    depth_n = rng.normal(4.0, 0.5, cells)
    open_np = rng.random(share_np.shape) < truth(depth_n, share_np)
    return Depths(depth_n, open_np.sum(axis=1).astype(np.float64)), share_np, open_np


def test_on_other_cells_of_the_kind_as_many_are_open_as_expected_in_every_group() -> None:
    rng = np.random.default_rng(0)
    depths, share_np, open_np = known(300, 2000, rng)
    other, other_share_np, _ = known(100, 2000, rng)
    right = truth(other.predicted_n, other_share_np)
    found = fit_level(depths, depths, share_np, open_np, depth_weight=1.0)
    bent, straight = (
        level.probability(other_share_np, level.log_openings(other.predicted_n.astype(np.float32))[:, None])
        for level in (found, Level(found.offset, found.slope))
    )
    groups = np.array_split(np.argsort(straight, axis=None), 20)
    asked, said, naive = (np.array([values.ravel()[g].mean() for g in groups]) for values in (right, bent, straight))
    assert np.abs(said - asked).mean() < 0.05 * asked.mean()
    assert np.abs(naive - asked).mean() > 0.15 * asked.mean()


def test_the_curve_changes_no_order() -> None:
    depths, share_np, open_np = known(60, 300, np.random.default_rng(1))
    found = fit_level(depths, depths, share_np, open_np, depth_weight=0.5)
    log_n1 = found.log_openings(depths.predicted_n.astype(np.float32))[:, None]
    bent = found.probability(share_np, log_n1).ravel()
    order = np.argsort((np.log(np.maximum(share_np, 1e-12)) + log_n1).ravel())
    assert (np.diff(bent[order]) >= 0).all()
    assert (np.diff(found.curve_2k) > 0).all()


def test_a_known_slope_is_found_again() -> None:
    depths, share_np, open_np = known(400, 3000, np.random.default_rng(2))
    found = fit_level(depths, depths, share_np, open_np, depth_weight=1.0)
    assert found.slope == pytest.approx(0.8, abs=0.07)  # openings saturate, so their sum grows a little slower


def test_the_level_lies_half_way_between_training_and_validation_cells() -> None:
    rng = np.random.default_rng(2)
    depths, share_np, open_np = known(60, 300, rng)
    seen = Depths(rng.normal(3.0, 0.5, 3000), rng.poisson(0.5 * depths.open_n.mean(), 3000).astype(np.float64))
    alone = fit_level(depths, depths, share_np, open_np, depth_weight=0.0)
    between = fit_level(seen, depths, share_np, open_np, depth_weight=0.0)
    half = 0.5 * np.log(seen.open_n.mean() / depths.open_n.mean())
    assert between.offset - alone.offset == pytest.approx(half, abs=1e-6)
    moved = between.curve_2k - alone.curve_2k
    np.testing.assert_allclose(moved, half, atol=1e-9)  # the same cells lie at the same places of the curve


def test_the_slope_is_multiplied_by_its_weight() -> None:
    depths, share_np, open_np = known(200, 200, np.random.default_rng(3))
    whole, half, none = (
        fit_level(depths, depths, share_np, open_np, depth_weight=weight).slope for weight in (1.0, 0.5, 0.0)
    )
    assert half == pytest.approx(0.5 * whole)
    assert none == 0.0


def test_cells_that_show_nothing_give_a_level_all_the_same() -> None:
    share_np = np.full((5, 20), 0.05, dtype=np.float32)
    depths = Depths(np.zeros(5), np.zeros(5))
    found = fit_level(depths, depths, share_np, np.zeros((5, 20), dtype=bool), depth_weight=0.5)
    assert np.isfinite(found.offset)
    assert found.slope == 0.0
    np.testing.assert_array_equal(found.curve_2k[0], found.curve_2k[1])


def test_a_level_of_a_file_without_a_curve_reads_as_before() -> None:
    old = Level.from_arrays({"line": np.array([0.3, 0.6])})
    share_np, log_n1 = np.array([[0.01, 0.2]], dtype=np.float32), np.array([[2.0]], dtype=np.float32)
    np.testing.assert_allclose(old.probability(share_np, log_n1), 1 - np.exp(-share_np * np.exp(2.0)), rtol=1e-5)


def test_a_level_is_saved_whole() -> None:
    depths, share_np, open_np = known(60, 300, np.random.default_rng(3))
    found = fit_level(depths, depths, share_np, open_np, depth_weight=0.5)
    back = Level.from_arrays(found.arrays())
    assert (back.offset, back.slope) == (found.offset, found.slope)
    np.testing.assert_array_equal(back.curve_2k, found.curve_2k)


def test_cells_left_out_are_predicted_as_by_fits_without_them() -> None:
    rng = np.random.default_rng(5)
    z_nk = rng.standard_normal((30, 4)).astype(np.float32)
    y_nj = (z_nk @ rng.standard_normal((4, 2)) + rng.standard_normal((30, 2))).astype(np.float32)
    found = left_out(z_nk, y_nj)
    centred = z_nk - z_nk.mean(axis=0)
    whole = Linear.fit(z_nk, y_nj)

    def ridge(rows: np.ndarray, penalty: float) -> np.ndarray:
        design = np.column_stack([np.ones(len(rows)), centred[rows]])
        return np.linalg.solve(design.T @ design + np.diag([0.0, *([penalty] * 4)]), design.T @ y_nj[rows])

    everyone = np.arange(30)
    penalty = min(PENALTIES * 30, key=lambda p: np.abs(ridge(everyone, p)[1:] - whole.weight_kj).max())
    for i in (0, 7, 29):
        weights = ridge(np.delete(everyone, i), penalty)
        np.testing.assert_allclose(found[i], np.concatenate([[1.0], centred[i]]) @ weights, rtol=1e-4, atol=1e-4)
