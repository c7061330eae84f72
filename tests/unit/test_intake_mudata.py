"""MuData files: one file gives both modalities with the labels of its cells; what is missing is named."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import BadInput, CellsDoNotMatch, CorruptMatrix, NotAnnData, UnsafeFile, WrongModality
from engine.intake import CanonicalCells, Limits, canonicalise, run_in_child
from engine.pairs import pair as pair_up
from engine.types import Cells, Modality, PairedCells
from tests.builders import paired
from tests.multiome import as_anndata, write_h5mu


@pytest.fixture
def pair() -> PairedCells:
    return paired(cells=30, genes=12, peaks=18, rng=np.random.default_rng(0))


def read(path: Path, out: Path, modality: Modality | None) -> Cells:
    canonicalise(path, out, modality=modality)
    with CanonicalCells.open(out) as cells:
        return cells.all()


@pytest.mark.parametrize("modality", list(Modality))
def test_one_file_gives_either_modality(pair: PairedCells, tmp_path: Path, modality: Modality) -> None:
    found = read(write_h5mu(pair, tmp_path / "a.h5mu"), tmp_path / "out.h5ad", modality)
    wanted = pair.of(modality)
    assert list(found.space.names) == list(wanted.space.names)
    assert list(found.barcodes) == list(pair.barcodes)
    assert list(found.obs["cell_type"]) == list(wanted.obs["cell_type"])
    np.testing.assert_array_equal(found.counts.toarray(), wanted.counts.toarray())


@pytest.mark.skipif(importlib.util.find_spec("mudata") is None, reason="mudata comes with the extra `peers`")
@pytest.mark.filterwarnings("ignore")
def test_what_mudata_itself_writes_is_read(pair: PairedCells, tmp_path: Path) -> None:
    from mudata import MuData

    MuData({m.value: as_anndata(pair.of(m)) for m in Modality}).write(tmp_path / "a.h5mu")
    found = [read(tmp_path / "a.h5mu", tmp_path / f"{m.value}.h5ad", m) for m in Modality]
    assert len(pair_up(*found)[0]) == 30
    assert set(found[0].obs) == {"cell_type"}  # the copy in the outer table, rna:cell_type, is left out


def test_it_is_read_in_the_isolated_child_too(pair: PairedCells, tmp_path: Path) -> None:
    path = write_h5mu(pair, tmp_path / "a.h5mu")
    summary = run_in_child(path, tmp_path / "out.h5ad", modality=Modality.ATAC)
    assert (summary.cells, summary.features, summary.modality) == (30, 18, Modality.ATAC)
    assert summary.notes[0] == "Read from mod/atac of a MuData file."


def test_labels_of_the_outer_table_are_carried_over_by_name(pair: PairedCells, tmp_path: Path) -> None:
    donors = [f"donor {i % 3}" for i in range(30)]
    path = write_h5mu(pair, tmp_path / "a.h5mu", shared={"donor": donors, "rna:batch": donors}, labels=False)
    with h5py.File(path, "a") as file:  # the modality keeps every other cell, in reverse
        from anndata.io import write_elem

        del file["mod/rna"]
        write_elem(file, "mod/rna", as_anndata(pair.rna.rows(np.arange(29, -1, -2)), labels=False))
    found = read(path, tmp_path / "out.h5ad", Modality.RNA)
    assert set(found.obs) == {"donor"}
    assert list(found.obs["donor"]) == donors[::-2]


def test_an_outer_table_of_other_cells_costs_its_labels_alone(pair: PairedCells, tmp_path: Path) -> None:
    path = write_h5mu(pair, tmp_path / "a.h5mu", shared={"donor": ["a"] * 30}, labels=False)
    with h5py.File(path, "a") as file:
        file["obs/_index"][0] = "somebody else"
    assert read(path, tmp_path / "out.h5ad", Modality.RNA).obs == {}


def test_a_file_of_both_asks_which(pair: PairedCells, tmp_path: Path) -> None:
    with pytest.raises(WrongModality, match=r"both RNA \(mod/rna\) and ATAC \(mod/atac\)"):
        canonicalise(write_h5mu(pair, tmp_path / "a.h5mu"), tmp_path / "out.h5ad")


def test_other_spellings_of_the_modalities_are_known(pair: PairedCells, tmp_path: Path) -> None:
    path = write_h5mu(pair, tmp_path / "a.h5mu", called={"rna": "GEX", "atac": "Peaks"})
    assert len(read(path, tmp_path / "out.h5ad", Modality.ATAC).space) == 18


def test_what_is_missing_is_named(pair: PairedCells, tmp_path: Path) -> None:
    path = write_h5mu(pair, tmp_path / "a.h5mu", called={"rna": "rna"})
    assert read(path, tmp_path / "out.h5ad", None).modality is Modality.RNA
    with pytest.raises(WrongModality, match=r"has no mod/atac; it holds mod/rna\."):
        canonicalise(path, tmp_path / "atac.h5ad", modality=Modality.ATAC)


def test_peaks_under_the_name_of_genes_are_refused(pair: PairedCells, tmp_path: Path) -> None:
    path = write_h5mu(pair, tmp_path / "a.h5mu", called={"atac": "rna"})
    with pytest.raises(WrongModality, match="Genes were expected"):
        canonicalise(path, tmp_path / "out.h5ad", modality=Modality.RNA)


def test_limits_hold_within_a_modality(pair: PairedCells, tmp_path: Path) -> None:
    path = write_h5mu(pair, tmp_path / "a.h5mu")
    with pytest.raises(BadInput, match="30 cells"):
        canonicalise(path, tmp_path / "out.h5ad", modality=Modality.RNA, limits=Limits(cells=29))


def external(file: h5py.File) -> None:
    del file["mod/atac/X"]
    file["mod/atac/X"] = h5py.ExternalLink("/etc/hostname", "/X")


def soft(file: h5py.File) -> None:
    del file["mod/rna"]
    file["mod/rna"] = h5py.SoftLink("/../../elsewhere")


def no_names(file: h5py.File) -> None:
    del file["mod/rna/var"]


def no_group(file: h5py.File) -> None:
    del file["mod/rna"]
    file["mod/rna"] = np.ones((3, 3))


def out_of_range(file: h5py.File) -> None:
    file["mod/rna/X/indices"][0] = 2_000_000_000


@pytest.mark.parametrize(
    ("broken", "error", "said"),
    [
        (external, UnsafeFile, "/mod/atac/X is an external link"),
        (soft, UnsafeFile, "/mod/rna is a soft link"),
        (no_names, NotAnnData, "mod/rna of this MuData file lacks var"),
        (no_group, NotAnnData, "mod/rna of this MuData file is no group"),
        (out_of_range, CorruptMatrix, "2,000,000,000"),
    ],
)
def test_a_fault_inside_a_modality_is_refused_by_its_place(
    pair: PairedCells, tmp_path: Path, broken: object, error: type[Exception], said: str
) -> None:
    path = write_h5mu(pair, tmp_path / "a.h5mu")
    with h5py.File(path, "a") as file:
        broken(file)  # type: ignore[operator]
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(error, match=said):
        canonicalise(path, out / "clean.h5ad", modality=Modality.RNA)
    assert list(out.iterdir()) == []


def test_modalities_of_different_cells_do_not_pair(pair: PairedCells, tmp_path: Path) -> None:
    path = write_h5mu(pair, tmp_path / "a.h5mu")
    with h5py.File(path, "a") as file:
        file["mod/atac/obs/_index"][...] = [f"OTHER{i}" for i in range(30)]
    found = [read(path, tmp_path / f"{m.value}.h5ad", m) for m in Modality]
    with pytest.raises(CellsDoNotMatch):
        pair_up(*found)
