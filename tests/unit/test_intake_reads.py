"""What intake accepts: every place and form of counts, every encoding of names, and the copy it writes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from engine.errors import BadSetting, NotAnnData, NotCounts, WrongModality
from engine.intake import CanonicalCells, Limits, Summary, canonicalise
from engine.types import Cells, Modality
from tests.builders import gene_names, paired, write_h5ad
from tests.hostile import counts_of, skeleton, write_csr, write_frame

SHARED = Path(os.environ.get("CROSSVIEW_SHARED", Path(__file__).parents[3] / "shared"))
SMALL = Limits(block_values=300)  # so that even a built file comes in many blocks


def built(cells: int = 60) -> Cells:
    return paired(cells=cells, rng=np.random.default_rng(1)).rna


def write(path: Path, x: object, cells: Cells, **extra: object) -> Path:
    obs = pd.DataFrame({name: list(values) for name, values in cells.obs.items()}, index=list(cells.barcodes))
    ad.AnnData(X=x, obs=obs, var=pd.DataFrame(index=list(cells.space.names)), **extra).write_h5ad(path)
    return path


def read(path: Path, limits: Limits = SMALL, **options: object) -> Cells:
    out = path.with_name("clean.h5ad")
    canonicalise(path, out, limits=limits, **options)  # type: ignore[arg-type]
    with CanonicalCells.open(out) as cells:
        return cells.all()


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, sp.csr_matrix.toarray], ids=["csr", "csc", "dense"])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.int64, np.uint16])
def test_every_form_and_number_gives_the_same_counts(form: object, kind: type, tmp_path: Path) -> None:
    cells = built()
    got = read(write(tmp_path / "a.h5ad", form(cells.counts.astype(kind)), cells))  # type: ignore[operator]
    assert (got.counts != cells.counts).nnz == 0
    assert list(got.barcodes) == list(cells.barcodes)
    assert list(got.space.names) == list(cells.space.names)
    assert list(got.obs["cell_type"]) == list(cells.obs["cell_type"])


@pytest.mark.parametrize("chunks", [(7, 60), (60, 7), None])
def test_dense_chunks_of_any_shape_are_read(chunks: tuple[int, int] | None, tmp_path: Path) -> None:
    cells = built()
    with skeleton(tmp_path / "a.h5ad", 60, 60) as file:
        file.create_dataset("X", data=cells.counts.toarray(), chunks=chunks)
    assert (read(tmp_path / "a.h5ad").counts != cells.counts).nnz == 0


def test_counts_in_a_layer_are_found_and_said(tmp_path: Path) -> None:
    cells = built()
    logged = cells.counts.log1p()
    write(tmp_path / "a.h5ad", logged, cells, layers={"scaled": logged.toarray(), "counts": cells.counts})
    summary = canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    assert summary.counts_from == 'layers["counts"]'
    assert any('read from layers["counts"]' in note for note in summary.notes)


def test_counts_in_raw_are_found_with_their_own_genes(tmp_path: Path) -> None:
    cells = built()
    whole = ad.AnnData(
        cells.counts, obs=pd.DataFrame(index=list(cells.barcodes)), var=pd.DataFrame(index=list(cells.space.names))
    )
    chosen = whole[:, :20].copy()
    chosen.X = chosen.X.log1p()
    chosen.raw = whole
    chosen.write_h5ad(tmp_path / "a.h5ad")
    summary = canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    assert (summary.counts_from, summary.features) == ("raw.X", 60)
    assert "fractional values" in summary.notes[0]


def test_binary_peaks_are_counts(tmp_path: Path) -> None:
    atac = paired(rng=np.random.default_rng(1)).atac
    summary = canonicalise(write_h5ad(atac, tmp_path / "a.h5ad"), tmp_path / "clean.h5ad")
    assert summary.modality is Modality.ATAC
    assert summary.binary


@pytest.mark.parametrize("spelling", ["{}-{}-{}", "{}_{}_{}", "{}:{}-{}"])
def test_peaks_are_written_one_way(spelling: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        write_frame(file, "obs", [f"C{i}" for i in range(6)])
        write_frame(file, "var", [spelling.format("chr2", 100 * i, 100 * i + 50) for i in range(5)])
        write_csr(file, "X", counts_of())
    assert list(read(tmp_path / "a.h5ad").space.names)[:2] == ["chr2:0-50", "chr2:100-150"]


def test_a_file_of_both_is_split_by_the_modality_asked_for(tmp_path: Path) -> None:
    pair = paired(rng=np.random.default_rng(1))
    both = sp.hstack([pair.rna.counts, pair.atac.counts]).tocsr()
    names = [*pair.rna.space.names, *pair.atac.space.names]
    ad.AnnData(both, obs=pd.DataFrame(index=list(pair.barcodes)), var=pd.DataFrame(index=names)).write_h5ad(
        tmp_path / "a.h5ad"
    )
    for modality in Modality:
        got = read(tmp_path / "a.h5ad", modality=modality)
        assert (got.counts != pair.of(modality).counts).nnz == 0
        assert list(got.space.names) == list(pair.of(modality).space.names)


def test_genes_given_as_peaks_are_refused(tmp_path: Path) -> None:
    write_h5ad(built(), tmp_path / "a.h5ad")
    with pytest.raises(WrongModality, match="look like genes"):
        canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad", modality=Modality.ATAC)


def test_repeated_genes_are_numbered_and_said(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        write_frame(file, "obs", [f"C{i}" for i in range(6)])
        write_frame(file, "var", ["TBCE", "GATA1", "TBCE", "TBCE-1", "TBCE"])
        write_csr(file, "X", counts_of())
    summary = canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    with CanonicalCells.open(tmp_path / "clean.h5ad") as cells:
        assert list(cells.names) == ["TBCE", "GATA1", "TBCE-2", "TBCE-1", "TBCE-3"]
    assert any("more than once" in note for note in summary.notes)


def test_symbols_replace_ensembl_ids_where_the_file_has_them(tmp_path: Path) -> None:
    ids = [f"ENSG{i:011d}" for i in range(5)]
    var = pd.DataFrame({"feature_name": ["GATA1", "SPI1", "", "CD3E", "CD4"]}, index=ids)
    obs = pd.DataFrame(index=[f"C{i}" for i in range(6)])
    ad.AnnData(counts_of(), obs=obs, var=var).write_h5ad(tmp_path / "a.h5ad")
    names = list(read(tmp_path / "a.h5ad").space.names)
    assert names[:2] == ["GATA1", "SPI1"]
    assert names[2] == ids[2]


@pytest.mark.parametrize("block", [1, 7, 300, 10**9])
@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_block_size_changes_nothing(block: int, form: str, tmp_path: Path) -> None:
    cells = built(20)
    x = {"csr": cells.counts, "csc": cells.counts.tocsc(), "dense": cells.counts.toarray()}[form]
    write(tmp_path / "a.h5ad", x, cells)
    assert (read(tmp_path / "a.h5ad", Limits(block_values=block)).counts != cells.counts).nnz == 0


def test_parts_equal_the_whole(tmp_path: Path) -> None:
    write_h5ad(built(), tmp_path / "a.h5ad")
    canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad", limits=SMALL)
    with CanonicalCells.open(tmp_path / "clean.h5ad") as cells:
        whole = cells.all()
        parts = [cells.rows(start, min(start + 17, cells.n_cells)) for start in range(0, cells.n_cells, 17)]
        with pytest.raises(BadSetting):
            cells.rows(50, 61)
    assert (sp.vstack([part.counts for part in parts]) != whole.counts).nnz == 0
    assert [name for part in parts for name in part.barcodes] == list(whole.barcodes)
    assert [label for part in parts for label in part.obs["cell_type"]] == list(whole.obs["cell_type"])


@pytest.mark.parametrize("chunk", [1, 10**6], ids=["cell by cell", "whole stretches"])
def test_chosen_cells_are_those_of_the_whole_in_the_order_asked_for(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.intake.canonical.CHUNK", chunk)
    monkeypatch.setattr("engine.intake.canonical.STRETCH", 16)  # many in so small a file
    out = tmp_path / "clean.h5ad"
    canonicalise(write(tmp_path / "a.h5ad", built().counts, built()), out)
    rows = np.array([59, 0, 17, 17, 3, 16, 42])
    with CanonicalCells.open(out) as cells:
        found = sp.lil_matrix((len(rows), cells.summary.features))
        for which, counts in cells.chosen(rows):
            found[which] = counts
        assert (found.tocsr() != cells.all().counts[rows]).nnz == 0
        assert list(cells.chosen(rows[:0])) == []
        for beyond in (-1, 60):
            with pytest.raises(BadSetting):
                next(cells.chosen(np.array([3, beyond])))


def test_unsorted_and_repeated_entries_are_put_in_order(tmp_path: Path) -> None:
    with skeleton(tmp_path / "a.h5ad", 2, 5) as file:
        write_csr(
            file,
            "X",
            sp.csr_matrix((2, 5), dtype=np.float32),
            data=np.array([2.0, 1.0, 3.0, 0.0]),
            indices=np.array([4, 1, 4, 0]),
            indptr=np.array([0, 3, 4]),
        )
    counts = read(tmp_path / "a.h5ad").counts
    assert counts.toarray().tolist() == [[0, 1, 0, 0, 5], [0, 0, 0, 0, 0]]
    assert counts.has_canonical_format


def test_anndata_reads_the_copy_and_it_holds_nothing_else(tmp_path: Path) -> None:
    cells = built()
    extra = {"obsm": {"X_pca": np.ones((60, 3))}, "uns": {"note": "private", "nested": {"a": 1}}}
    write(tmp_path / "a.h5ad", cells.counts, cells, **extra)
    canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    clean = ad.read_h5ad(tmp_path / "clean.h5ad")
    assert (cells.counts != clean.X).nnz == 0
    assert list(clean.obs["cell_type"]) == list(cells.obs["cell_type"])
    assert list(clean.uns) == ["crossview"]
    assert not clean.obsm


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    write_h5ad(built(), tmp_path / "a.h5ad")
    for name in ("one", "two"):
        canonicalise(tmp_path / "a.h5ad", tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_copy_is_read_from_a_stream(tmp_path: Path) -> None:
    write_h5ad(built(), tmp_path / "a.h5ad")
    canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    with (tmp_path / "clean.h5ad").open("rb") as stream, CanonicalCells.open(stream) as cells:
        assert len(cells.rows(3, 9)) == 6


def test_only_a_canonical_copy_opens_as_one(tmp_path: Path) -> None:
    write_h5ad(built(), tmp_path / "a.h5ad")
    with pytest.raises(NotAnnData, match="canonical"), CanonicalCells.open(tmp_path / "a.h5ad"):
        pass


def test_the_same_cells_under_another_name_are_the_same_copy(tmp_path: Path) -> None:
    write_h5ad(built(), tmp_path / "a.h5ad")
    for name in ("one", "other"):
        canonicalise(tmp_path / "a.h5ad", tmp_path / f"{name}.h5ad", source=name)
    assert (tmp_path / "one.h5ad").read_bytes() == (tmp_path / "other.h5ad").read_bytes()


def test_the_summary_survives_json(tmp_path: Path) -> None:
    cells = built()
    write_h5ad(cells, tmp_path / "a.h5ad")
    summary = canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad", source="my\tfile.h5ad")
    assert Summary.from_json(summary.to_json()) == summary
    assert summary.source == "my file.h5ad"
    assert summary.depth[50] == np.median(np.asarray(cells.counts.sum(1)))
    assert summary.nnz == cells.counts.nnz
    with CanonicalCells.open(tmp_path / "clean.h5ad") as copy:
        assert copy.summary == replace(summary, source="")  # the name is the upload's, not the cells'


def test_labels_kept_are_few_and_text(tmp_path: Path) -> None:
    cells = built(300)
    obs = pd.DataFrame({f"c{i:02d}": [f"v{i}"] * 300 for i in range(25)}, index=list(cells.barcodes))
    obs["leiden"] = pd.Categorical(np.arange(300) % 4)
    obs["missing"] = pd.Categorical(["a", None, "b"] * 100)
    obs["barcode"] = [f"unique {i}" for i in range(300)]
    obs["n_counts"] = np.arange(300.0)
    ad.AnnData(cells.counts, obs=obs, var=pd.DataFrame(index=list(cells.space.names))).write_h5ad(tmp_path / "a.h5ad")
    summary = canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    assert len(summary.labels) == 20
    assert next(iter(summary.labels)) == "leiden"
    assert summary.labels["leiden"] == {"0": 75, "1": 75, "2": 75, "3": 75}
    assert not {"barcode", "n_counts"} & set(summary.labels)
    assert any("left out" in note for note in summary.notes)


def test_missing_labels_are_a_category_of_their_own(tmp_path: Path) -> None:
    with skeleton(tmp_path / "a.h5ad") as file:
        write_csr(file, "X", counts_of())
        column = file["obs"].create_group("batch")
        column.create_dataset("categories", data=["a", "b"], dtype=h5py.string_dtype())
        column["codes"] = np.array([0, 1, -1, 0, -1, 1], dtype=np.int8)
        broken = file["obs"].create_group("broken")
        broken.create_dataset("categories", data=["a"], dtype=h5py.string_dtype())
        broken["codes"] = np.array([0, 9, 0, 0, 0, 0], dtype=np.int8)
    summary = canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    assert summary.labels == {"batch": {"a": 2, "b": 2, "(none)": 2}}
    assert any("broken" in note for note in summary.notes)


def test_anndata_0_7_categories_are_read_without_following_references(tmp_path: Path) -> None:
    with skeleton(tmp_path / "a.h5ad") as file:
        write_csr(file, "X", counts_of())
        categories = file["obs"].create_dataset("__categories/batch", data=["a", "b"], dtype=h5py.string_dtype())
        codes = file["obs"].create_dataset("batch", data=np.array([0, 1, 1, 0, 1, 0], dtype=np.int8))
        codes.attrs["categories"] = categories.ref
    assert list(read(tmp_path / "a.h5ad").obs["batch"]) == ["a", "b", "b", "a", "b", "a"]


def test_compound_tables_of_anndata_0_6_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        text = h5py.string_dtype()
        obs = np.array([(f"C{i}", i) for i in range(6)], dtype=[("index", "S8"), ("n", "<i4")])
        var = np.array([(name,) for name in gene_names(5)], dtype=[("index", text)])
        file["obs"], file["var"] = obs, var
        x = counts_of()
        group = file.create_group("X")
        group.attrs.update({"h5sparse_format": "csr", "h5sparse_shape": np.array(x.shape)})
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(x, part)
    got = read(tmp_path / "a.h5ad")
    assert list(got.barcodes) == [f"C{i}" for i in range(6)]
    assert (got.counts != counts_of()).nnz == 0


def test_an_index_by_another_name_or_as_nullable_strings_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        obs = file.create_group("obs")
        obs.attrs["_index"] = "barcode"
        obs["barcode"] = np.array([b"C1", b"C2", b"C3", b"C4", b"C5", b"C6"])
        var = file.create_group("var")
        var.attrs["_index"] = "symbol"
        names = var.create_group("symbol")
        names.create_dataset("values", data=list(gene_names(5)), dtype=h5py.string_dtype())
        names["mask"] = np.zeros(5, dtype=bool)
        write_csr(file, "X", counts_of())
    got = read(tmp_path / "a.h5ad")
    assert got.barcodes[0] == "C1"
    assert list(got.space.names) == list(gene_names(5))


def shared(name: str) -> Path:
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


def test_smoothed_values_of_a_real_set_are_refused_as_counts(tmp_path: Path) -> None:
    with pytest.raises(NotCounts, match="fractional values"):
        canonicalise(shared("pbmc10k_chromatinhd_51genes/rna_smoothed.h5ad"), tmp_path / "clean.h5ad")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "cells", "features", "modality"),
    [
        ("pbmc10k_multiome_40cells/rna.h5ad", 40, 36_601, Modality.RNA),
        ("pbmc10k_multiome_40cells/atac.h5ad", 40, 108_344, Modality.ATAC),
        ("single_rna_pbmc_maestro/rna.h5ad", 1_985, 2_000, Modality.RNA),
        ("single_atac_maestro100/atac.h5ad", 100, 4_283, Modality.ATAC),
        ("velocity_pancreas_50obs/rna.h5ad", 50, 27_998, Modality.RNA),
        ("pbmc10k_chromatinhd_51genes/atac.h5ad", 10_291, 667, Modality.ATAC),
    ],
)
def test_real_sets_are_accepted_unchanged(
    name: str, cells: int, features: int, modality: Modality, tmp_path: Path
) -> None:
    summary = canonicalise(shared(name), tmp_path / "clean.h5ad")
    assert (summary.cells, summary.features, summary.modality) == (cells, features, modality)
    original = ad.read_h5ad(shared(name))
    with CanonicalCells.open(tmp_path / "clean.h5ad") as copy:
        assert (copy.all().counts != sp.csr_matrix(original.X)).nnz == 0
        assert list(copy.barcodes) == list(original.obs_names)
