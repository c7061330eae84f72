"""Files that lie, point elsewhere, or are simply wrong: one named writer each, with the code that must refuse them."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp

from tests.builders import gene_names
from tests.splicing import switching, write_loom

Writer = Callable[[Path], None]
HOSTILE: dict[str, tuple[Writer, str]] = {}


def attack(code: str) -> Callable[[Writer], Writer]:
    """Enter a writer into the corpus under its own name."""

    def enter(writer: Writer) -> Writer:
        HOSTILE[writer.__name__] = (writer, code)
        return writer

    return enter


def counts_of(cells: int = 6, genes: int = 5, seed: int = 0) -> sp.csr_matrix:
    return sp.csr_matrix(np.random.default_rng(seed).poisson(1.5, size=(cells, genes)).astype(np.float32))


def write_frame(file: Any, name: str, index: Any) -> None:
    group = file.create_group(name)
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    group.attrs["column-order"] = np.array([], dtype=np.float64)
    group.create_dataset("_index", data=list(index), dtype=h5py.string_dtype())


def write_csr(file: Any, name: str, x: sp.csr_matrix, **parts: Any) -> None:
    """A CSR group; `parts` replaces data, indices or indptr."""
    group = file.create_group(name)
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
    group.attrs["shape"] = np.array(x.shape)
    for part in ("data", "indices", "indptr"):
        group.create_dataset(part, data=parts.get(part, getattr(x, part)))


def skeleton(path: Path, cells: int = 6, genes: int = 5, *, barcodes: Any = None) -> Any:
    """An open AnnData file that lacks only X."""
    file = h5py.File(path, "w")
    file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    write_frame(file, "obs", barcodes if barcodes is not None else [f"CELL{i}" for i in range(cells)])
    write_frame(file, "var", gene_names(genes))
    return file


def good(path: Path) -> None:
    """What the others would be without their fault."""
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())


@attack("not-hdf5")
def no_file_at_all(path: Path) -> None:
    path.unlink(missing_ok=True)


@attack("not-hdf5")
def empty_file(path: Path) -> None:
    path.write_bytes(b"")


@attack("not-hdf5")
def plain_text(path: Path) -> None:
    path.write_text("these are not the cells you are looking for\n")


@attack("not-hdf5")
def csv_table(path: Path) -> None:
    path.write_text("cell,GATA1,SPI1\nA,1,2\n")


@attack("not-hdf5")
def gzip_archive(path: Path) -> None:
    path.write_bytes(gzip.compress(b"cells"))


@attack("not-hdf5")
def zip_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.h5ad", "x")


@attack("not-hdf5")
def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body>Sign in</body></html>")


@attack("not-hdf5")
def truncated_file(path: Path) -> None:
    good(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@attack("not-anndata")
def hdf5_without_anndata(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("numbers", data=np.arange(4))


@attack("not-anndata")
def loom_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=np.ones((3, 3)))
        file.create_group("row_attrs")
        file.create_group("col_attrs")


@attack("not-counts")
def only_normalised_values(path: Path) -> None:
    x = counts_of()
    x.data = np.log1p(x.data * 1.7)
    with skeleton(path) as file:
        write_csr(file, "X", x)


@attack("not-counts")
def scaled_dense_values(path: Path) -> None:
    with skeleton(path) as file:
        file["X"] = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)


@attack("not-counts")
def fractional_value_deep_inside(path: Path) -> None:
    x = sp.csr_matrix(np.ones((2_000, 200), dtype=np.float32))
    x.data[130_000] = 0.5
    with skeleton(path, 2_000, 200) as file:
        write_csr(file, "X", x)


@attack("no-cells")
def no_cells(path: Path) -> None:
    with skeleton(path, 0, 5) as file:
        write_csr(file, "X", sp.csr_matrix((0, 5), dtype=np.float32))


@attack("no-cells")
def no_features(path: Path) -> None:
    with skeleton(path, 6, 0) as file:
        write_csr(file, "X", sp.csr_matrix((6, 0), dtype=np.float32))


@attack("no-cells")
def all_zero(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", sp.csr_matrix((6, 5), dtype=np.float32))


@attack("unsafe-file")
def soft_link_leaving_the_file(path: Path) -> None:
    with skeleton(path) as file:
        file["X"] = h5py.SoftLink("/../../etc/passwd")


@attack("unsafe-file")
def soft_link_through_an_external_link(path: Path) -> None:
    with skeleton(path) as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/hostname", "/")
        file["X"] = h5py.SoftLink("/elsewhere/X")


@attack("unsafe-file")
def external_link_as_x(path: Path) -> None:
    other = path.with_name("victim.h5")
    with h5py.File(other, "w") as file:
        file["secret"] = np.ones((6, 5))
    with skeleton(path) as file:
        file["X"] = h5py.ExternalLink(str(other), "/secret")


@attack("unsafe-file")
def external_link_in_a_middle_component(path: Path) -> None:
    other = path.with_name("victim.h5")
    with h5py.File(other, "w") as file:
        file["counts"] = np.ones((6, 5))
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        file["layers"] = h5py.ExternalLink(str(other), "/")


@attack("unsafe-file")
def external_raw_storage(path: Path) -> None:
    with skeleton(path) as file:
        file.create_dataset("X", (6, 5), np.uint8, external=[("/etc/passwd", 0, 30)])


@attack("unsafe-file")
def virtual_dataset(path: Path) -> None:
    other = path.with_name("victim.h5")
    with h5py.File(other, "w") as file:
        file["secret"] = np.ones((6, 5))
    layout = h5py.VirtualLayout((6, 5), np.float64)
    layout[:] = h5py.VirtualSource(str(other), "secret", (6, 5))
    with skeleton(path) as file:
        file.create_virtual_dataset("X", layout)


@attack("unsafe-file")
def object_references_as_values(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        file["uns/pointers"] = np.array([file["obs"].ref, file["X"].ref], dtype=h5py.ref_dtype)


@attack("unsafe-file")
def region_reference_in_an_attribute(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        data = file["X/data"]
        data.attrs["region"] = data.regionref[0:2]


@attack("unsafe-file")
def unknown_filter(path: Path) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((6, 5))
    plist.set_filter(32_099, h5py.h5z.FLAG_OPTIONAL, (1,))
    with skeleton(path) as file:
        space = h5py.h5s.create_simple((6, 5))
        h5py.h5d.create(file.id, b"X", h5py.h5t.IEEE_F32LE, space, plist)


@attack("too-large")
def declares_320_gb(path: Path) -> None:
    with skeleton(path) as file:
        file.create_dataset("X", (400_000, 200_000), np.float32, chunks=(64, 1024), compression="gzip")


@attack("too-large")
def many_large_arrays(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        for i in range(700):
            file.create_dataset(f"obsm/part{i}", (6_000, 5_000), np.float32, chunks=(64, 1024))


@attack("too-large")
def decompression_bomb(path: Path) -> None:
    rows, columns = 128, 1 << 22
    bomb = zlib.compress(bytes(4 * columns), 9)
    with skeleton(path) as file:
        data = file.create_dataset("X", (rows, columns), np.float32, chunks=(1, columns), compression="gzip")
        for i in range(rows):
            data.id.write_direct_chunk((i, 0), bomb)


@attack("too-large")
def one_enormous_chunk(path: Path) -> None:
    with skeleton(path) as file:
        file.create_dataset("X", (20_000, 20_000), np.float32, chunks=(20_000, 20_000), compression="gzip")


@attack("too-large")
def bottomless_groups(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        file.create_group("uns/" + "/".join("deep" for _ in range(60)))


@attack("corrupt-matrix")
def indices_out_of_range(path: Path) -> None:
    x = counts_of()
    indices = x.indices.copy()
    indices[-1] = 2_000_000_000
    with skeleton(path) as file:
        write_csr(file, "X", x, indices=indices)


@attack("corrupt-matrix")
def negative_indices(path: Path) -> None:
    x = counts_of()
    indices = x.indices.copy()
    indices[0] = -7
    with skeleton(path) as file:
        write_csr(file, "X", x, indices=indices)


@attack("corrupt-matrix")
def indptr_that_falls(path: Path) -> None:
    x = counts_of()
    indptr = x.indptr.copy()
    indptr[2] = indptr[5]
    with skeleton(path) as file:
        write_csr(file, "X", x, indptr=indptr)


@attack("corrupt-matrix")
def indptr_that_runs_past_the_values(path: Path) -> None:
    x = counts_of()
    indptr = x.indptr.copy()
    indptr[-1] += 10
    with skeleton(path) as file:
        write_csr(file, "X", x, indptr=indptr)


@attack("corrupt-matrix")
def one_row_wider_than_the_matrix(path: Path) -> None:
    x = counts_of()
    with skeleton(path) as file:
        wide = np.array([0] + [x.nnz] * 6)
        write_csr(file, "X", x, indptr=wide)


@attack("corrupt-matrix")
def fewer_columns_than_names(path: Path) -> None:
    with skeleton(path, 6, 9) as file:
        write_csr(file, "X", counts_of())


@attack("corrupt-matrix")
def not_a_number(path: Path) -> None:
    x = counts_of()
    data = x.data.copy()
    data[3] = np.nan
    with skeleton(path) as file:
        write_csr(file, "X", x, data=data)


@attack("corrupt-matrix")
def negative_counts(path: Path) -> None:
    x = counts_of()
    data = x.data.copy()
    data[3] = -2
    with skeleton(path) as file:
        write_csr(file, "X", x, data=data)


@attack("duplicate-names")
def duplicate_barcodes(path: Path) -> None:
    with skeleton(path, barcodes=["A", "B", "C", "A", "D", "E"]) as file:
        write_csr(file, "X", counts_of())


@attack("duplicate-names")
def barcodes_equal_once_cleaned(path: Path) -> None:
    with skeleton(path, barcodes=["A", "A\u202e", "C", "D", "E", "F"]) as file:
        write_csr(file, "X", counts_of())


@attack("wrong-modality")
def genes_and_peaks_in_one_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        write_frame(file, "obs", [f"CELL{i}" for i in range(6)])
        write_frame(file, "var", [*gene_names(3), "chr1:10-20", "chr1:30-40"])
        write_csr(file, "X", counts_of())


def loom(path: Path, **replaced: Any) -> None:
    """A small loom file; `replaced` gives other content for a path, as in `tests.splicing.write_loom`."""
    write_loom(path, switching(cells=6, moving=2, still=3, rng=np.random.default_rng(0)), **replaced)


@attack("unsafe-file")
def loom_layer_in_another_file(path: Path) -> None:
    loom(path, layers__spliced=h5py.ExternalLink("/etc/hostname", "/"))


@attack("too-large")
def loom_declares_16_tb(path: Path) -> None:
    loom(path, matrix=None)
    with h5py.File(path, "r+") as file:
        file.create_dataset("matrix", (2_000_000, 2_000_000), np.float32, chunks=(64, 64), compression="gzip")


@attack("corrupt-matrix")
def loom_with_negative_counts(path: Path) -> None:
    loom(path, matrix=np.full((5, 6), -3))


@attack("corrupt-matrix")
def loom_with_a_negative_layer(path: Path) -> None:
    loom(path, layers__unspliced=np.full((5, 6), -3))


@attack("corrupt-matrix")
def loom_layer_of_another_shape(path: Path) -> None:
    loom(path, layers__spliced=np.ones((5, 7)))


@attack("corrupt-matrix")
def loom_with_more_names_than_cells(path: Path) -> None:
    loom(path, col_attrs__CellID=[f"CELL{i}" for i in range(9)])


@attack("corrupt-matrix")
def loom_matrix_of_text(path: Path) -> None:
    loom(path, matrix=["counts"])


@attack("corrupt-matrix")
def loom_not_a_number_deep_inside(path: Path) -> None:
    values = np.ones((1_000, 400), dtype=np.float32)
    values[7, 100] = np.nan
    cells = [f"CELL{i}" for i in range(400)]
    names = {"row_attrs__Gene": list(gene_names(1_000)), "col_attrs__CellID": cells}
    loom(path, matrix=values, layers__spliced=None, layers__unspliced=None, row_attrs__Accession=None, **names)


@attack("no-cells")
def loom_without_cells(path: Path) -> None:
    loom(path, matrix=np.ones((5, 0)))


@attack("duplicate-names")
def loom_with_duplicate_barcodes(path: Path) -> None:
    loom(path, col_attrs__CellID=["a", "b", "c", "a", "d", "e"])


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
def mudata_with_an_external_modality(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("mod")["rna"] = h5py.ExternalLink("/etc/hostname", "/")


@attack("too-large")
def mudata_that_declares_320_gb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        x = file.create_group("mod/rna")
        x.create_dataset("X", (400_000, 200_000), np.float32, chunks=(64, 1024), compression="gzip")


MARKUP = "<img src=x onerror=alert(1)>"


def markup_in_labels(path: Path) -> None:
    """Accepted: the text survives as text, without its control and direction characters."""
    good(path)
    with h5py.File(path, "r+") as file:
        labels = [MARKUP, f"B\x1b[31m{'b' * 500}", "=1+1", "T\u202ecell", "T\ncell", ""]
        file["obs"].create_dataset("cell_type", data=labels, dtype=h5py.string_dtype())
