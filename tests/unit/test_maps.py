"""Maps: the same cells give the same map, and cells of a kind lie together."""

from __future__ import annotations

import numpy as np
import pytest

from engine import maps
from engine.maps import map_of_counts, map_of_prediction
from engine.metrics.sources import ArraySource
from engine.types import Floats, Modality, Scale
from tests.builders import paired


class Held(ArraySource):
    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape


def closeness(xy_n2: Floats, kinds: list[str]) -> float:
    """Share of cells whose nearest other cell is of their kind."""
    distance_nn = np.linalg.norm(xy_n2[:, None] - xy_n2[None], axis=2)
    np.fill_diagonal(distance_nn, np.inf)
    nearest = distance_nn.argmin(axis=1)
    return float(np.mean([kinds[i] == kinds[j] for i, j in enumerate(nearest)]))


@pytest.mark.parametrize("modality", list(Modality))
def test_cells_of_a_kind_lie_together_and_twice_in_one_place(modality: Modality) -> None:
    pair = paired(cells=90, genes=80, peaks=400, open_share=0.3, rng=np.random.default_rng(3))
    cells = pair.of(modality)
    one, again = map_of_counts(cells, seed=4), map_of_counts(cells, seed=4)
    np.testing.assert_array_equal(one.xy_n2, again.xy_n2)
    assert closeness(one.xy_n2, list(cells.obs["cell_type"])) > 0.8


@pytest.mark.parametrize("scale", list(Scale))
def test_predictions_on_every_scale_are_drawn(scale: Scale) -> None:
    values = np.random.default_rng(0).random((40, 30)).astype(np.float32)
    assert np.isfinite(map_of_prediction(Held(values), scale=scale).xy_n2).all()


@pytest.mark.parametrize("cells", [1, 2, 3, 14, 15, 16])
def test_few_cells_are_drawn_without_complaint(cells: int) -> None:
    pair = paired(cells=cells, rng=np.random.default_rng(0))
    drawn = map_of_counts(pair.rna)
    assert drawn.xy_n2.shape == (cells, 2)
    assert np.isfinite(drawn.xy_n2).all()
    assert bool(drawn.note) == (cells < maps.MIN_CELLS)


def test_a_constant_prediction_is_one_point() -> None:
    drawn = map_of_prediction(Held(np.ones((30, 8), dtype=np.float32)), scale=Scale.RATE)
    assert np.isfinite(drawn.xy_n2).all()


def test_many_cells_are_sampled_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "MAX_CELLS", 40)
    pair = paired(cells=60, rng=np.random.default_rng(0))
    drawn = map_of_counts(pair.rna)
    assert np.isfinite(drawn.xy_n2).all(axis=1).sum() == 40
    assert "40 of 60" in drawn.note


def test_components_by_gram_and_by_projection_span_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.sparse as sp

    x_nf = sp.csr_matrix(np.random.default_rng(1).poisson(1.0, size=(50, 20)).astype(np.float32))
    exact = maps._sparse_components(x_nf, seed=0)
    monkeypatch.setattr(maps, "FEW", 10)
    projected = maps._sparse_components(x_nf, seed=0)
    np.testing.assert_allclose(np.abs(exact[:, 0]), np.abs(projected[:, 0]), atol=1e-3)
    np.testing.assert_allclose(
        exact @ exact.T, maps._dense_components(x_nf.toarray()) @ maps._dense_components(x_nf.toarray()).T, atol=1e-2
    )
