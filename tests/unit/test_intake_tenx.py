"""10x Genomics matrices: one file gives both modalities; what is broken is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import CorruptMatrix, NotAnnData, NotCounts, WrongModality
from engine.intake import CanonicalCells, canonicalise, run_in_child
from engine.types import Cells, Modality, PairedCells, as_names
from tests.builders import paired
from tests.tenx import write_tenx


@pytest.fixture
def pair() -> PairedCells:
    return paired(cells=30, genes=12, peaks=18, rng=np.random.default_rng(0))


def read(path: Path, out: Path, modality: Modality | None) -> Cells:
    canonicalise(path, out, modality=modality)
    with CanonicalCells.open(out) as cells:
        return cells.all()


@pytest.mark.parametrize("modality", list(Modality))
def test_one_file_gives_either_modality(pair: PairedCells, tmp_path: Path, modality: Modality) -> None:
    path = write_tenx(pair, tmp_path / "multiome.h5", extra=3)
    found, wanted = read(path, tmp_path / "out.h5ad", modality), pair.of(modality)
    assert list(found.space.names) == list(wanted.space.names)
    assert list(found.barcodes) == [f"{name}-1" for name in pair.barcodes]
    np.testing.assert_array_equal(found.counts.toarray(), wanted.counts.toarray())


def test_it_is_read_in_the_isolated_child_too(pair: PairedCells, tmp_path: Path) -> None:
    path = write_tenx(pair, tmp_path / "multiome.h5")
    summary = run_in_child(path, tmp_path / "out.h5ad", modality=Modality.ATAC)
    assert (summary.cells, summary.features, summary.modality) == (30, 18, Modality.ATAC)
    assert "10x Genomics matrix" in summary.notes[0]


def test_gem_wells_of_an_aggregated_file_are_a_label(pair: PairedCells, tmp_path: Path) -> None:
    wells = as_names(str(1 + i % 2) for i in range(30))
    path = write_tenx(pair, tmp_path / "aggregated.h5", wells=wells)
    assert list(read(path, tmp_path / "out.h5ad", Modality.RNA).obs["gem_well"]) == list(wells)


def test_a_file_of_both_asks_which(pair: PairedCells, tmp_path: Path) -> None:
    path = write_tenx(pair, tmp_path / "multiome.h5")
    with pytest.raises(WrongModality, match=r"both genes \(12\) and peaks \(18\)"):
        canonicalise(path, tmp_path / "out.h5ad")


def test_a_gene_expression_file_has_no_peaks(pair: PairedCells, tmp_path: Path) -> None:
    kinds = np.array([b"Gene Expression"] * 30)
    path = write_tenx(pair, tmp_path / "genes.h5", feature_type=kinds)
    with pytest.raises(WrongModality, match="peaks are needed"):
        canonicalise(path, tmp_path / "out.h5ad", modality=Modality.ATAC)


@pytest.mark.parametrize(
    ("replaced", "error", "said"),
    [
        ({"shape": np.array([31, 30], dtype=np.int32)}, CorruptMatrix, "should hold 31 names"),
        ({"shape": np.array([30, 29], dtype=np.int32)}, CorruptMatrix, "29 barcodes"),
        ({"shape": np.array([-30, 30], dtype=np.int32)}, CorruptMatrix, "-30 features"),
        ({"indptr": None}, NotAnnData, "not an AnnData file|10x"),
        ({"data": None}, CorruptMatrix, "no data"),
        ({"indptr": np.arange(30.0)}, CorruptMatrix, "whole numbers"),
        ({"barcodes": np.array([b"A-1"] * 3)}, CorruptMatrix, "matrix/barcodes should hold 30"),
        ({"feature_type": np.array([b"Peaks"] * 3)}, CorruptMatrix, "3 feature types"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(
    pair: PairedCells, tmp_path: Path, replaced: dict[str, Any], error: type[Exception], said: str
) -> None:
    path = write_tenx(pair, tmp_path / "broken.h5", **replaced)
    with pytest.raises(error, match=said):
        canonicalise(path, tmp_path / "out.h5ad", modality=Modality.RNA)
    assert not (tmp_path / "out.h5ad").exists()


def test_indices_outside_the_matrix_are_refused(pair: PairedCells, tmp_path: Path) -> None:
    whole = write_tenx(pair, tmp_path / "good.h5")
    import h5py

    with h5py.File(whole) as file:
        indices = file["matrix/indices"][:]
    indices[5] = 10_000
    path = write_tenx(pair, tmp_path / "broken.h5", indices=indices)
    with pytest.raises(CorruptMatrix, match="10,000"):
        canonicalise(path, tmp_path / "out.h5ad", modality=Modality.RNA)


def test_normalised_values_are_no_counts(pair: PairedCells, tmp_path: Path) -> None:
    nnz = pair.rna.counts.nnz + pair.atac.counts.nnz
    path = write_tenx(pair, tmp_path / "log.h5", data=np.full(nnz, 0.37))
    with pytest.raises(NotCounts, match="raw counts are needed"):
        canonicalise(path, tmp_path / "out.h5ad", modality=Modality.RNA)
