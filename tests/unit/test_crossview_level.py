"""How many open peaks our own model expects of a cell: against independent fits, and back from known truth."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from engine.translators.crossview.level import SHARPEST, Depths, Level, fit_level
from engine.translators.crossview.linear import PENALTIES, Linear, left_out

TRUE = Level(offset=0.4, slope=0.7, sharpness=0.8)


def known(cells: int, peaks: int, rng: np.random.Generator) -> tuple[Depths, np.ndarray, np.ndarray]:
    """Cells whose peaks are open as `TRUE` says: depths, shares and what is open."""
    share_np = rng.dirichlet(np.full(peaks, 0.5), size=cells).astype(np.float32)
    depth_n = rng.normal(3.0, 0.5, cells)
    expected = np.exp(TRUE.offset + TRUE.slope * depth_n[:, None]) * share_np**TRUE.sharpness
    open_np = rng.random(share_np.shape) < -np.expm1(-expected)
    return Depths(depth_n, open_np.sum(axis=1).astype(np.float64)), share_np, open_np


def test_offset_and_sharpness_are_those_of_a_complementary_log_log_regression() -> None:
    depths, share_np, open_np = known(80, 300, np.random.default_rng(0))
    found = fit_level(depths, depths, share_np, open_np, depth_weight=0.5)
    design = np.column_stack([np.ones(share_np.size), np.log(np.maximum(share_np, 1e-12)).ravel()])
    given = np.repeat(found.slope * depths.predicted_n, share_np.shape[1])
    family = sm.families.Binomial(link=sm.families.links.CLogLog())
    reference = sm.GLM(open_np.ravel().astype(float), design, family=family, offset=given).fit()
    assert found.offset == pytest.approx(reference.params[0], abs=1e-4)
    assert found.sharpness == pytest.approx(reference.params[1], abs=1e-4)


def test_a_known_level_is_found_again() -> None:
    depths, share_np, open_np = known(400, 3000, np.random.default_rng(1))
    found = fit_level(depths, depths, share_np, open_np, depth_weight=1.0)
    assert found.sharpness == pytest.approx(TRUE.sharpness, abs=0.02)
    assert found.slope == pytest.approx(TRUE.slope, abs=0.07)  # openings saturate, so their sum grows a little slower
    expected = found.probability(share_np, found.log_openings(depths.predicted_n.astype(np.float32))[:, None])
    assert expected.sum() == pytest.approx(open_np.sum(), rel=0.01)


def test_the_level_lies_half_way_between_training_and_validation_cells() -> None:
    rng = np.random.default_rng(2)
    depths, share_np, open_np = known(60, 300, rng)
    seen = Depths(rng.normal(3.0, 0.5, 3000), rng.poisson(0.5 * depths.open_n.mean(), 3000).astype(np.float64))
    alone = fit_level(depths, depths, share_np, open_np, depth_weight=0.0)
    between = fit_level(seen, depths, share_np, open_np, depth_weight=0.0)
    half = 0.5 * np.log(seen.open_n.mean() / depths.open_n.mean())
    assert between.offset - alone.offset == pytest.approx(half, abs=1e-6)
    assert between.sharpness == alone.sharpness


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
    assert np.isfinite([found.offset, found.slope, found.sharpness]).all()
    assert SHARPEST[0] <= found.sharpness <= SHARPEST[1]
    assert found.slope == 0.0


def test_a_level_of_a_file_without_sharpness_reads_as_before() -> None:
    old = Level.from_arrays({"line": np.array([0.3, 0.6])})
    share_np, log_n1 = np.array([[0.01, 0.2]], dtype=np.float32), np.array([[2.0]], dtype=np.float32)
    np.testing.assert_allclose(old.probability(share_np, log_n1), 1 - np.exp(-share_np * np.exp(2.0)), rtol=1e-6)


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
