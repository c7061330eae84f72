"""A map of any size as squares: nothing is lost but where in its square a cell lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.translate import Encoded
from engine.types import Latent, Modality, as_names
from jobs.export import write_latent
from jobs.results.binned import Grid, read_drawn


def test_squares_hold_every_cell_and_their_means_the_mean() -> None:
    rng = np.random.default_rng(0)
    xy, values = rng.normal(size=(5_000, 2)).astype(np.float32), rng.random(5_000).astype(np.float32)
    found = Grid.over(xy, 40).of(values)
    count, mean = np.array(found["count"]), np.array(found["mean"])
    assert count.sum() == 5_000
    assert count.min() > 0
    assert (count * mean).sum() == pytest.approx(values.sum(), rel=1e-4)
    assert len(found["x"]) <= 40 * 40


def test_a_cell_lies_in_the_square_it_is_counted_in() -> None:
    xy = np.array([[0, 0], [10, 10], [9.9, 0.1]], dtype=np.float32)
    found = Grid.over(xy, 10).of(np.array([1, 2, 3], dtype=np.float32))
    where = dict(zip(zip(found["x"], found["y"], strict=True), found["mean"], strict=True))
    assert where == {(0.5, 0.5): 1.0, (9.5, 0.5): 3.0, (9.5, 9.5): 2.0}


def test_cells_of_one_place_are_one_square() -> None:
    found = Grid.over(np.ones((7, 2), dtype=np.float32), 50).of(np.arange(7, dtype=np.float32))
    assert (found["count"], found["mean"]) == ((7,), (3.0,))


def test_cells_without_a_place_are_left_out(tmp_path: Path) -> None:
    xy = np.full((6, 2), np.nan, dtype=np.float32)
    xy[[1, 4]] = [[0, 1], [2, 3]]
    z = np.arange(12, dtype=np.float32).reshape(6, 2)
    encoded = Encoded(Latent(z, frozenset({Modality.RNA})), np.ones(6, dtype=np.float32), as_names("abcdef"))
    maps = {"prediction": xy, "truth": np.full((6, 2), np.nan, dtype=np.float32)}
    write_latent(tmp_path / "latent.h5ad", encoded, labels={}, maps=maps, provenance={"seed": 0})
    drawn = read_drawn(tmp_path / "latent.h5ad", Modality.RNA)
    assert set(drawn.at) == {"prediction"}
    assert drawn.at["prediction"][0].tolist() == [1, 4]
    assert drawn.at["prediction"][1].tolist() == [[0, 1], [2, 3]]
