"""Significant genes: by RNA velocity where it was measured, by variability otherwise, and always said which."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.errors import BadSetting, MissingExtra
from engine.preprocess.significant import Method, highly_variable, significant_genes
from engine.preprocess.steps import DepthScale
from engine.preprocess.velocity import NoVelocity, _fit_velocity, _prepared, scvelo_version, velocity_genes
from engine.types import Cells
from tests.splicing import switching

MOVING = 60
needs_scvelo = pytest.mark.skipif(scvelo_version() is None, reason="the extra `velocity` (scVelo) is not installed")
RNG = np.random.default_rng


@pytest.fixture(scope="module")
def cells() -> Cells:
    # Many level genes: with few, scaling to a common depth would make them move against the others.
    return switching(moving=MOVING, still=600, rng=RNG(0))


def test_without_layers_the_most_variable_genes_are_taken_and_the_reason_is_given(cells: Cells) -> None:
    bare = replace(cells, layers={})
    found = significant_genes(bare, count=20, rng=RNG(0))
    expected = highly_variable(DepthScale.fit(cells.counts).scaled(cells.counts), count=20)
    assert found.positions.tolist() == expected.tolist()
    assert found.by is Method.VARIABLE
    assert found.how == "most variable (20 genes; the training cells have no spliced and unspliced counts)"


def test_velocity_demanded_without_layers_is_refused_with_what_to_do(cells: Cells) -> None:
    half = replace(cells, layers={"spliced": cells.layers["spliced"]})
    with pytest.raises(BadSetting, match="no unspliced counts") as caught:
        significant_genes(half, count=20, method="velocity", rng=RNG(0))
    assert "significant=variable" in caught.value.hint


def test_too_few_cells_are_told(cells: Cells) -> None:
    with pytest.raises(NoVelocity, match="40 training cells; at least 60"):
        velocity_genes(cells.rows(slice(40)), 10, RNG(0))


@pytest.mark.skipif(scvelo_version() is not None, reason="the extra `velocity` is installed")
def test_without_the_extra_its_name_is_told_and_variability_takes_over(cells: Cells) -> None:
    with pytest.raises(MissingExtra, match="scVelo is not installed") as caught:
        significant_genes(cells, count=20, method=Method.VELOCITY, rng=RNG(0))
    assert "crossview[velocity]" in caught.value.hint
    assert "scVelo is not installed" in significant_genes(cells, count=20, rng=RNG(0)).how


def test_a_method_or_count_that_means_nothing_is_refused(cells: Cells) -> None:
    with pytest.raises(BadSetting, match="auto, velocity, variable"):
        significant_genes(cells, count=20, method="speed", rng=RNG(0))
    with pytest.raises(BadSetting, match="at least one"):
        significant_genes(cells, count=0, rng=RNG(0))


def test_variable_genes_draw_no_random_numbers(cells: Cells) -> None:
    rng = RNG(5)
    significant_genes(cells, count=5, method=Method.VARIABLE, rng=rng)
    assert rng.random() == RNG(5).random()


@needs_scvelo
def test_genes_switched_on_and_off_rank_before_those_that_stay_level(cells: Cells) -> None:
    found = significant_genes(cells, count=30, rng=RNG(0))
    assert found.by is Method.VELOCITY
    assert found.how == f"velocity (scVelo {scvelo_version()}, 30 genes)"
    assert (found.positions < MOVING).mean() > 0.9  # 0.09 by chance
    assert found.positions.tolist() == sorted(set(found.positions.tolist()))


@needs_scvelo
def test_the_same_seed_gives_the_same_genes_and_the_cells_stay_as_they_were(cells: Cells) -> None:
    before = {name: layer.copy() for name, layer in cells.layers.items()}
    once, again = (velocity_genes(cells, 25, RNG(7)) for _ in range(2))
    assert once.tolist() == again.tolist()
    assert all((layer != cells.layers[name]).nnz == 0 for name, layer in before.items())


@needs_scvelo
def test_fewer_genes_than_asked_for_are_given_where_fewer_move(cells: Cells) -> None:
    assert 10 <= len(velocity_genes(cells, 10_000, RNG(0))) < len(cells.space)


@needs_scvelo
def test_large_inputs_are_ranked_on_a_drawn_part_of_the_cells(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.preprocess.velocity.MOST_VALUES", 150 * len(cells.space))
    drawn = velocity_genes(cells, 30, RNG(0))
    assert (drawn < MOVING).mean() > 0.6  # half the cells tell less; 0.09 by chance
    assert drawn.tolist() == velocity_genes(cells, 30, RNG(0)).tolist()


@needs_scvelo
def test_cells_without_splicing_dynamics_fall_back_and_say_so() -> None:
    level = switching(moving=0, still=100, rng=RNG(1))
    with pytest.raises(NoVelocity):
        velocity_genes(level, 20, RNG(0))
    assert significant_genes(level, count=20, rng=RNG(0)).by is Method.VARIABLE


@needs_scvelo
def test_hardly_any_shared_counts_are_told(cells: Cells) -> None:
    layers: dict[str, Any] = {name: layer * 0 for name, layer in cells.layers.items()}
    with pytest.raises(NoVelocity, match="0 genes have 20 counts"):
        velocity_genes(replace(cells, layers=layers), 20, RNG(0))


@needs_scvelo
def test_our_stochastic_step_solves_the_least_squares_problem_of_each_gene(cells: Cells) -> None:
    """Solved gene by gene with a library's solver; with NumPy below 2.4, also scVelo's own answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy as sc
        import scvelo
        from scvelo.preprocessing.moments import second_order_moments
        from scvelo.tools.optimization import get_weight

        adata = _prepared(scvelo, cells, RNG(0))
        sc.pp.neighbors(adata, n_neighbors=30, use_rep="X")
        scvelo.pp.moments(adata, n_neighbors=None)
        ours = adata.copy()
        _fit_velocity(scvelo, ours)
        fit = scvelo.Velocity(adata, r2_adjusted=None)
        fit.compute_deterministic(perc=[5, 95])
        s, u, (ss, us) = adata.layers["Ms"], adata.layers["Mu"], second_order_moments(adata)
        weight = get_weight(s, u, perc=95) | get_weight(s, perc=95)
        weight = weight.toarray() if hasattr(weight, "toarray") else weight
    x2, y2 = 2 * ss - s, 2 * us + u
    first = (x2 * y2).sum(0) / (x2 * x2).sum(0)
    for g in np.flatnonzero(fit._velocity_genes)[:20]:
        spread, spread2 = fit._residual[:, g].std(), (y2[:, g] - first[g] * x2[:, g]).std()
        left = np.concatenate([s[:, g] * weight[:, g] / spread, x2[:, g] / spread2])
        right = np.concatenate([u[:, g] * weight[:, g] / spread, y2[:, g] / spread2])
        gamma = np.linalg.lstsq(left[:, None], right, rcond=None)[0][0]
        np.testing.assert_allclose(ours.layers["velocity"][:, g], u[:, g] - gamma * s[:, g], atol=1e-4)
    if np.lib.NumpyVersion(np.__version__) < "2.4.0":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scvelo.tl.velocity(adata)
        np.testing.assert_allclose(ours.layers["velocity"], adata.layers["velocity"], atol=1e-4)
