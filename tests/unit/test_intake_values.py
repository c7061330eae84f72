"""Predictions on their way in: any number is kept as it is, what is no number is refused, counts stay counts."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from engine.errors import BadInput, CorruptMatrix, NotCounts
from engine.intake.canonical import CanonicalCells, canonicalise
from engine.intake.mends import Mends
from engine.types import PairedCells
from tests.builders import paired, write_h5ad
from tests.foreign import predicted, write_values

VALUES = Mends(values=True)


@pytest.fixture(scope="module")
def pair() -> PairedCells:
    return paired(cells=30, genes=20, peaks=25, rng=np.random.default_rng(3))


@pytest.mark.parametrize("dense", [True, False])
def test_predicted_values_are_kept_as_they_are(pair: PairedCells, tmp_path: Path, dense: bool) -> None:
    values = predicted(pair.rna) - 0.5
    source = write_values(pair.rna, values, tmp_path / "in.h5ad", dense=dense)
    summary = canonicalise(source, tmp_path / "out.h5ad", mends=VALUES)
    assert (summary.values, summary.mends) == (True, ({"what": "values"},))
    assert "Predicted values were read from X." in summary.notes
    with CanonicalCells.open(tmp_path / "out.h5ad") as found:
        np.testing.assert_array_equal(found.all().counts.toarray(), values)
        assert found.summary == summary.from_json({**summary.to_json(), "source": ""})
        assert list(found.obs) == ["predicted_type"]


def test_without_the_wish_they_are_refused(pair: PairedCells, tmp_path: Path) -> None:
    source = write_values(pair.rna, predicted(pair.rna), tmp_path / "in.h5ad")
    with pytest.raises(NotCounts):
        canonicalise(source, tmp_path / "out.h5ad")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 17])
def test_what_is_no_number_is_refused_with_its_mend(pair: PairedCells, tmp_path: Path, bad: float, at: int) -> None:
    values = predicted(pair.atac)
    values[at, 3] = bad
    source = write_values(pair.atac, values, tmp_path / "in.h5ad")
    with pytest.raises(CorruptMatrix, match="nan_to_num"):
        canonicalise(source, tmp_path / "out.h5ad", mends=VALUES)
    assert list(tmp_path.iterdir()) == [source]


def test_a_layer_can_be_named_and_counts_beside_it_are_not_taken(pair: PairedCells, tmp_path: Path) -> None:
    source = write_values(pair.rna, predicted(pair.rna), tmp_path / "in.h5ad")
    adata = ad.read_h5ad(source)
    adata.layers["counts"] = pair.rna.counts
    adata.layers["mine"] = adata.X * 2
    adata.write_h5ad(source)
    usual = canonicalise(source, tmp_path / "x.h5ad", mends=VALUES)
    named = canonicalise(source, tmp_path / "y.h5ad", mends=Mends(values=True, layer="mine"))
    assert (usual.counts_from, named.counts_from) == ("X", 'layers["mine"]')
    assert named.largest == pytest.approx(2 * usual.largest)
    del adata.X
    adata.write_h5ad(source)
    with pytest.raises(BadInput):
        canonicalise(source, tmp_path / "z.h5ad", mends=VALUES)


def test_a_copy_of_counts_is_the_same_as_it_always_was(pair: PairedCells, tmp_path: Path) -> None:
    source = write_h5ad(pair.rna, tmp_path / "in.h5ad")
    summary = canonicalise(source, tmp_path / "out.h5ad")
    assert not summary.values
    assert "values" not in summary.to_json()
