"""What the columns of a cells table are taken for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from app.columns import MOST_LABELS, Columns, doubts, labels, numbers


def test_labels_are_text_that_groups_cells_and_numbers_are_not_places_on_a_map() -> None:
    cells = pd.DataFrame(
        {
            "barcode": ["a", "b", "c"],
            "batch": ["1", "1", "2"],
            "cell_type": ["T", "B", "T"],
            "same": ["x", "x", "x"],
            "gappy": ["x", None, "y"],
            "depth": [1.0, 2.0, 3.0],
            "count": [1, 2, 3],
            "never": [np.nan, np.inf, np.nan],
            "kept": [True, False, True],
            "truth_umap_1": [0.0, 1.0, 2.0],
        }
    )
    assert labels(cells) == ["cell_type", "batch"]
    assert numbers(cells) == ["depth", "count"]
    assert labels(cells.head(0)) == numbers(cells.head(0)) == []


@pytest.mark.parametrize(("different", "is_one"), [(MOST_LABELS, True), (MOST_LABELS + 1, False)])
def test_a_column_of_too_many_values_groups_nothing(different: int, is_one: bool) -> None:
    cells = pd.DataFrame({"plate": [f"p{i}" for i in range(different)]})
    assert labels(cells) == (["plate"] if is_one else [])


def test_a_label_of_ones_own_that_is_called_like_a_doubt_is_none() -> None:
    ours = pd.DataFrame({"out_of_domain": [True, False], "novelty": [0.1, 0.2], "expected_score": [np.nan, 0.5]})
    assert doubts(ours) == ["out_of_domain", "novelty", "expected_score"]
    assert doubts(ours.assign(out_of_domain=["yes", "no"])) == ["novelty", "expected_score"]
    assert doubts(ours.drop(columns=["novelty", "expected_score"])) == []
    assert Columns.of(ours.assign(novelty=["a", "b"])).labels == ["novelty"]
