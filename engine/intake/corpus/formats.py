"""Loom, 10x and MuData files that contradict themselves, and layers that do."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from engine.intake.corpus.kit import (
    attack,
    canary,
    counts_of,
    gene_names,
    good_loom,
    good_mudata,
    good_tenx,
    skeleton,
    write_csr,
    write_frame,
)  # fmt: skip


@attack("not-anndata")
def loom_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=np.ones((3, 3)))
        file.create_group("row_attrs")
        file.create_group("col_attrs")


@attack("unsafe-file")
def loom_layer_in_another_file(path: Path) -> None:
    good_loom(path, layers__spliced=h5py.ExternalLink(str(canary(path)), "/dense"))


@attack("unsafe-file")
def loom_names_in_another_file(path: Path) -> None:
    good_loom(path, col_attrs__CellID=h5py.ExternalLink(str(canary(path)), "/texts"))


@attack("corrupt-matrix")
def loom_with_negative_counts(path: Path) -> None:
    good_loom(path, matrix=np.full((5, 6), -3))


@attack("corrupt-matrix")
def loom_with_a_negative_layer(path: Path) -> None:
    good_loom(path, layers__unspliced=np.full((5, 6), -3))


@attack("corrupt-matrix")
def loom_layer_of_another_shape(path: Path) -> None:
    good_loom(path, layers__spliced=np.ones((5, 7)))


@attack("corrupt-matrix")
def loom_with_more_names_than_cells(path: Path) -> None:
    good_loom(path, col_attrs__CellID=[f"CELL{i}".encode() for i in range(9)])


@attack("corrupt-matrix")
def loom_matrix_of_text(path: Path) -> None:
    good_loom(path, matrix=[b"counts"])


@attack("corrupt-matrix")
def loom_not_a_number_deep_inside(path: Path) -> None:
    values = np.ones((1_000, 400), dtype=np.float32)
    values[7, 100] = np.nan
    names = [name.encode() for name in gene_names(1_000)]
    cells = [f"CELL{i}".encode() for i in range(400)]
    without = {"layers__spliced": None, "layers__unspliced": None, "row_attrs__Accession": None}
    good_loom(path, matrix=values, row_attrs__Gene=names, col_attrs__CellID=cells, **without)


@attack("no-cells")
def loom_without_cells(path: Path) -> None:
    good_loom(path, matrix=np.ones((5, 0)))


@attack("duplicate-names")
def loom_with_duplicate_barcodes(path: Path) -> None:
    good_loom(path, col_attrs__CellID=[b"a", b"b", b"c", b"a", b"d", b"e"])


@attack("corrupt-matrix")
def layer_of_another_shape(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        write_csr(file, "layers/spliced", counts_of())
        write_csr(file, "layers/unspliced", counts_of(genes=4))


@attack("corrupt-matrix")
def layer_with_negative_counts(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        write_csr(file, "layers/spliced", counts_of())
        write_csr(file, "layers/unspliced", -counts_of())


@attack("corrupt-matrix")
def layer_with_indices_out_of_range(path: Path) -> None:
    x = counts_of()
    with skeleton(path) as file:
        write_csr(file, "X", x)
        write_csr(file, "layers/spliced", x)
        write_csr(file, "layers/unspliced", x, indices=x.indices + 10)


@attack("wrong-modality")
def mudata_of_other_modalities(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("mod/prot")
        write_frame(file, "obs", ["CELL0"])


@attack("unsafe-file")
def mudata_with_external_counts(path: Path) -> None:
    good_mudata(path)
    with h5py.File(path, "r+") as file:
        del file["mod/rna/X"]
        file["mod/rna/X"] = h5py.ExternalLink(str(canary(path)), "/X")


@attack("corrupt-matrix")
def mudata_with_negative_counts(path: Path) -> None:
    good_mudata(path)
    with h5py.File(path, "r+") as file:
        file["mod/rna/X/data"][0] = -1


@attack("not-anndata")
def mudata_whose_modality_is_a_number(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["mod/rna"] = 1


@attack("unsafe-file")
def tenx_features_in_another_file(path: Path) -> None:
    good_tenx(path, features__name=h5py.ExternalLink(str(canary(path)), "/texts"))


@attack("corrupt-matrix")
def tenx_shape_that_overflows(path: Path) -> None:
    good_tenx(path, shape=np.array([2**63, 2**63], dtype=np.uint64))


@attack("corrupt-matrix")
def tenx_shape_of_other_counts(path: Path) -> None:
    good_tenx(path, shape=np.array([8, 11], dtype=np.int32))


@attack("corrupt-matrix")
def tenx_indices_out_of_range(path: Path) -> None:
    good_tenx(path, indices=counts_of(12, 8).indices.astype(np.int64) + 8)


@attack("corrupt-matrix")
def tenx_indptr_that_falls(path: Path) -> None:
    good_tenx(path, indptr=counts_of(12, 8).indptr[::-1].astype(np.int64))


@attack("corrupt-matrix")
def tenx_negative_counts(path: Path) -> None:
    good_tenx(path, data=-counts_of(12, 8).data.astype(np.int32))


@attack("duplicate-names")
def tenx_duplicate_barcodes(path: Path) -> None:
    good_tenx(path, barcodes=[b"AAAC-1"] * 12)


@attack("corrupt-matrix")
def tenx_with_fewer_feature_types(path: Path) -> None:
    good_tenx(path, features__feature_type=[b"Gene Expression"] * 3)


@attack("wrong-modality")
def tenx_of_antibodies(path: Path) -> None:
    good_tenx(path, features__feature_type=[b"Antibody Capture"] * 8)


@attack("not-anndata")
def tenx_without_features(path: Path) -> None:
    good_tenx(path, features__name=None)


@attack("corrupt-matrix")
def tenx_barcodes_that_are_numbers_in_a_table(path: Path) -> None:
    good_tenx(path, barcodes=np.ones((12, 2)))
