"""Spliced and unspliced counts: kept from .h5ad and .loom, checked like the counts, read only when asked for."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from engine.errors import BadSetting, CellsDoNotMatch, CorruptMatrix, NotAnnData, NotCounts
from engine.intake import CanonicalCells, Limits, Summary, canonicalise, run_in_child
from engine.pairs import pair
from engine.preprocess.filters import FilterSettings, filter_pair
from engine.types import LAYERS, Cells, Modality, as_names
from tests.builders import paired, split_of, write_h5ad
from tests.splicing import switching, write_loom

SHARED = Path(os.environ.get("CROSSVIEW_SHARED", Path(__file__).parents[3] / "shared"))
SMALL = Limits(block_values=2_000)  # so that even a built file comes in many blocks
RNG = np.random.default_rng


def built() -> Cells:
    return switching(cells=70, moving=10, still=30, rng=RNG(0))


def read(path: Path, limits: Limits = SMALL) -> tuple[Cells, Summary]:
    out = path.with_name("clean.h5ad")
    summary = canonicalise(path, out, limits=limits)
    with CanonicalCells.open(out) as cells:
        return cells.all(layers=True), summary


def same(a: sp.csr_matrix, b: sp.csr_matrix) -> bool:
    return a.shape == b.shape and (a != b).nnz == 0


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, sp.csr_matrix.toarray], ids=["csr", "csc", "dense"])
def test_layers_of_every_form_are_kept(form: object, tmp_path: Path) -> None:
    cells = built()
    layers = {name: form(layer) for name, layer in cells.layers.items()}  # type: ignore[operator]
    got, summary = read(write_h5ad(cells, tmp_path / "a.h5ad", layers={**layers, "other": layers["spliced"]}))
    assert set(got.layers) == set(LAYERS)
    assert all(same(got.layers[name], cells.layers[name]) for name in LAYERS)
    assert same(got.counts, cells.counts)
    assert any("were kept" in note for note in summary.notes)


def test_layers_are_read_only_when_asked_for(tmp_path: Path) -> None:
    cells = built()
    path, out = write_h5ad(cells, tmp_path / "a.h5ad", layers=dict(cells.layers)), tmp_path / "clean.h5ad"
    canonicalise(path, out)
    with h5py.File(out, "r+") as file:
        for name in LAYERS:
            del file[f"layers/{name}/data"]
    with CanonicalCells.open(out) as opened:
        assert opened.layer_names == LAYERS
        assert opened.rows(3, 9).layers == {}
        assert same(opened.all().counts, cells.counts)
        with pytest.raises(KeyError):
            opened.rows(3, 9, layers=True)


def test_some_rows_of_the_layers_equal_those_of_the_whole(tmp_path: Path) -> None:
    cells = built()
    path, out = write_h5ad(cells, tmp_path / "a.h5ad", layers=dict(cells.layers)), tmp_path / "clean.h5ad"
    canonicalise(path, out, limits=SMALL)
    with CanonicalCells.open(out) as opened:
        part = opened.rows(5, 30, layers=True)
    assert all(same(part.layers[name], cells.layers[name][5:30]) for name in LAYERS)


def test_a_file_without_layers_has_none(tmp_path: Path) -> None:
    cells, summary = read(write_h5ad(built(), tmp_path / "a.h5ad"))
    assert cells.layers == {}
    assert not any("pliced" in note for note in summary.notes)


@pytest.mark.parametrize(
    ("layers", "said"),
    [(lambda c: {"spliced": c}, "needs spliced and unspliced"), (lambda c: dict.fromkeys(LAYERS, c * 0.3), "fraction")],
)
def test_layers_of_no_use_are_left_out_and_said(layers: object, said: str, tmp_path: Path) -> None:
    cells = built()
    got, summary = read(write_h5ad(cells, tmp_path / "a.h5ad", layers=layers(cells.counts)))  # type: ignore[operator]
    assert got.layers == {}
    assert any(said in note and "left out" in note for note in summary.notes)


def test_layers_are_not_taken_for_the_genes_of_raw(tmp_path: Path) -> None:
    import anndata as ad

    cells = built()
    write_h5ad(cells, tmp_path / "a.h5ad")
    whole = ad.read_h5ad(tmp_path / "a.h5ad")
    chosen = whole[:, :20].copy()
    chosen.raw, chosen.X = whole, chosen.X.log1p()
    for name in LAYERS:
        chosen.layers[name] = cells.layers[name][:, :20]
    chosen.layers["counts"] = chosen.X * 0.7  # named so, yet no counts
    chosen.write_h5ad(tmp_path / "b.h5ad")
    got, summary = read(tmp_path / "b.h5ad")
    assert len(got.space) == 40
    assert got.layers == {}
    assert any("raw.X" in note and "left out" in note for note in summary.notes)


def test_genes_kept_from_a_mixed_file_bring_their_layers(tmp_path: Path) -> None:
    cells = built()
    names = [*cells.space.names[:30], *(f"chr1:{i}00-{i}50" for i in range(1, 11))]
    mixed = replace(cells, space=replace(cells.space, names=as_names(names)))
    path, out = write_h5ad(mixed, tmp_path / "a.h5ad", layers=dict(mixed.layers)), tmp_path / "clean.h5ad"
    canonicalise(path, out, modality=Modality.RNA)
    with CanonicalCells.open(out) as opened:
        assert same(opened.all(layers=True).layers["unspliced"], cells.layers["unspliced"][:, :30])
    canonicalise(path, out, modality=Modality.ATAC)
    with CanonicalCells.open(out) as opened:
        assert opened.layer_names == ()


@pytest.mark.parametrize("block_values", [50, 2_000, 4_000_000])
def test_a_loom_file_is_turned_around(block_values: int, tmp_path: Path) -> None:
    cells = replace(built(), obs={"cell_type": as_names(f"type {i % 3}" for i in range(70))})
    got, summary = read(write_loom(tmp_path / "a.loom", cells), Limits(block_values=block_values))
    assert same(got.counts, cells.counts)
    assert all(same(got.layers[name], cells.layers[name]) for name in LAYERS)
    assert list(got.space.names) == list(cells.space.names)
    assert got.barcodes[0] == f"run1:{cells.barcodes[0]}x"
    assert summary.labels == {"cell_type": {"type 0": 24, "type 1": 23, "type 2": 23}}
    assert summary.counts_from == "matrix"
    assert any("loom" in note for note in summary.notes)


def test_the_isolated_reader_takes_loom_files(tmp_path: Path) -> None:
    cells = built()
    summary = run_in_child(write_loom(tmp_path / "a.loom", cells), tmp_path / "clean.h5ad")
    assert (summary.cells, summary.features) == cells.counts.shape


def test_spliced_and_unspliced_are_added_where_the_matrix_is_normalised(tmp_path: Path) -> None:
    cells = built()
    scaled = np.asarray(cells.counts.toarray().T) * 0.37
    got, summary = read(write_loom(tmp_path / "a.loom", cells, matrix=scaled))
    assert same(got.counts, cells.counts)
    assert summary.counts_from == 'layers["spliced"] + layers["unspliced"]'


def test_a_loom_file_without_layers_is_counts_alone(tmp_path: Path) -> None:
    got, _ = read(write_loom(tmp_path / "a.loom", replace(built(), layers={})))
    assert got.layers == {}


def test_rows_without_a_symbol_keep_their_id(tmp_path: Path) -> None:
    names = ["", "A", "A", *(f"G{i}" for i in range(37))]
    got, summary = read(write_loom(tmp_path / "a.loom", built(), row_attrs__Gene=names))
    assert list(got.space.names[:3]) == ["ENSG00000000000", "A", "A-1"]
    assert any("more than once" in note for note in summary.notes)


def test_a_loom_file_without_cell_names_says_which_column_it_misses(tmp_path: Path) -> None:
    with pytest.raises(NotAnnData, match="col_attrs/CellID"):
        read(write_loom(tmp_path / "a.loom", built(), col_attrs__CellID=None))


def test_a_loom_file_of_normalised_values_alone_is_refused(tmp_path: Path) -> None:
    cells = replace(built(), layers={})
    with pytest.raises(NotCounts, match="matrix: fractional values"):
        read(write_loom(tmp_path / "a.loom", cells, matrix=np.asarray(cells.counts.toarray().T) * 0.37))


def test_problems_of_a_loom_file_are_told_together(tmp_path: Path) -> None:
    cells = built()
    negative = -np.asarray(cells.counts.toarray().T)
    with pytest.raises(CorruptMatrix, match=r"negative values .* occur more than once"):
        read(write_loom(tmp_path / "a.loom", cells, matrix=negative, col_attrs__CellID=["a"] * 70))


def test_velocyto_names_are_found_under_those_of_ten_x(tmp_path: Path) -> None:
    rna, _ = read(write_loom(tmp_path / "a.loom", built()))
    atac = paired(cells=70, rng=RNG(1)).atac
    matched, matching = pair(rna, replace(atac, barcodes=as_names(f"{b}-1" for b in built().barcodes)))
    assert len(matched) == 70
    assert matching.told
    assert "prefixes and suffixes" in matching.note
    assert same(matched.rna.layers["spliced"], built().layers["spliced"])


def test_layers_follow_their_cells_and_genes() -> None:
    cells = built()
    chosen = cells.named(cells.barcodes[[4, 2]])
    assert same(chosen.layers["unspliced"], cells.layers["unspliced"][[4, 2]])
    both = paired(cells=70, genes=40, rng=RNG(1))
    rna = replace(both.rna, layers=cells.layers)
    settings = replace(FilterSettings.none(), drop_sex_chromosomes=True, min_genes=0)
    kept = filter_pair(replace(both, rna=rna), split_of(both), settings).pair.rna
    assert set(kept.layers) == set(LAYERS)
    assert kept.layers["spliced"].shape == kept.counts.shape


def test_a_layer_of_another_shape_or_name_cannot_be_born() -> None:
    cells = built()
    with pytest.raises(CellsDoNotMatch, match="spliced layer is 70 × 5"):
        replace(cells, layers={"spliced": cells.counts[:, :5]})
    with pytest.raises(BadSetting, match="ambiguous"):
        replace(cells, layers={"ambiguous": cells.counts})


def test_raw_layers_of_a_real_file_survive(tmp_path: Path) -> None:
    path = SHARED / "data" / "velocity_pancreas_50obs" / "rna.h5ad"
    if not path.is_file():
        pytest.skip("velocity_pancreas_50obs is not on this machine")
    out = tmp_path / "clean.h5ad"
    canonicalise(path, out)
    with CanonicalCells.open(out) as opened:
        cells = opened.all(layers=True)
    assert cells.layers["spliced"].nnz == 126_494
    assert cells.layers["unspliced"].nnz == 42_367
