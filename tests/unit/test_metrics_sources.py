"""Sources: the same numbers from an array, from a file by ranges, and through a choice of cells and features."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from engine.errors import CellsDoNotMatch, CorruptMatrix, UnknownFeature
from engine.metrics import ArraySource, H5Source, chosen
from engine.metrics.sources import blocks


@pytest.fixture
def values() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.random((23, 17)) * (rng.random((23, 17)) < 0.5)).astype(np.float32)


def written(x: object, path: Path) -> Path:
    n, f = x.shape  # type: ignore[attr-defined]
    names = pd.DataFrame(index=[f"c{i}" for i in range(n)]), pd.DataFrame(index=[f"f{i}" for i in range(f)])
    ad.AnnData(X=x, obs=names[0], var=names[1]).write_h5ad(path)
    return path


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, lambda x: x.astype(np.float16)])
def test_a_file_answers_like_the_array_it_holds(tmp_path: Path, values: np.ndarray, form: object) -> None:
    held = form(values)  # type: ignore[operator]
    dense = np.asarray(held.toarray() if sp.issparse(held) else held, dtype=np.float32)
    positions = np.array([5, 0, 16], dtype=np.int64)
    with H5Source(written(held, tmp_path / "x.h5ad")) as source:
        assert source.shape == (23, 17)
        np.testing.assert_array_equal(source.rows(4, 9), dense[4:9])
        np.testing.assert_array_equal(source.columns(positions), dense[:, positions])
        assert source.rows(0, 1).dtype == np.float32


def test_a_column_wise_file_is_refused_with_the_way_out(tmp_path: Path, values: np.ndarray) -> None:
    path = written(sp.csc_matrix(values), tmp_path / "x.h5ad")
    with pytest.raises(CorruptMatrix, match="neither a dense array nor a CSR matrix"):
        H5Source(path)


def test_a_choice_of_cells_and_features_is_that_choice_in_that_order(values: np.ndarray) -> None:
    cells, features = [f"c{i}" for i in range(23)], [f"f{i}" for i in range(17)]
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(23)[:11], rng.permutation(17)[:9]
    source = chosen(
        ArraySource(values),
        cells=cells,
        features=features,
        wanted_cells=[cells[i] for i in rows],
        wanted_features=[features[j] for j in columns],
    )
    expected = values[np.ix_(rows, columns)]
    np.testing.assert_array_equal(source.rows(2, 8), expected[2:8])
    np.testing.assert_array_equal(source.columns(np.array([8, 1])), expected[:, [8, 1]])


def test_cells_far_apart_are_read_in_separate_ranges() -> None:
    read: list[tuple[int, int]] = []
    tall = np.arange(2000, dtype=np.float32)[:, None]

    class Watched(ArraySource):
        def rows(self, start: int, stop: int) -> np.ndarray:
            read.append((start, stop))
            return super().rows(start, stop)

    names = [str(i) for i in range(2000)]
    source = chosen(
        Watched(tall), cells=names, features=["f"], wanted_cells=["1999", "3", "1990"], wanted_features=["f"]
    )
    assert source.rows(0, 3).ravel().tolist() == [1999, 3, 1990]
    assert read == [(3, 4), (1990, 2000)]


def test_what_the_prediction_lacks_is_named(values: np.ndarray) -> None:
    names = {"cells": ["a"], "features": ["f"]}
    with pytest.raises(CellsDoNotMatch, match="lacks 1 of 2 cells, such as b"):
        chosen(ArraySource(values), **names, wanted_cells=["a", "b"], wanted_features=["f"])
    with pytest.raises(UnknownFeature, match="lacks 1 of 1 features, such as g"):
        chosen(ArraySource(values), **names, wanted_cells=["a"], wanted_features=["g"])


def test_blocks_cover_everything_once_within_their_bounds() -> None:
    ranges = list(blocks(103, 10, block=50, elements=70))
    assert ranges[0] == (0, 7)
    assert [start for start, _ in ranges[1:]] == [stop for _, stop in ranges[:-1]]
    assert ranges[-1][1] == 103
    assert list(blocks(2, 10**9, block=50)) == [(0, 1), (1, 2)]
