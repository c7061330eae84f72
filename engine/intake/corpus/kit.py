"""What the corpus is made with: its register, small files without a fault, and a canary outside the upload folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import scipy.sparse as sp

from engine.types import Names, as_names

Writer = Callable[[Path], None]
CLEANED = "cleaned"
CANARY = "CANARY-OUTSIDE-THE-UPLOAD-FOLDER"  # text that no clean copy may hold
CANARY_COUNT = 60_013  # nor this count
UNREAD = (1_000_000_000, 1_500_000_000)  # seconds: accessed before it was modified, so that even relatime notices


class Attack(NamedTuple):
    """How the file is made, and what must become of it: refused with this code, or `CLEANED`."""

    write: Writer
    expected: str


CORPUS: dict[str, Attack] = {}


def attack(code: str, *, name: str = "") -> Callable[[Writer], Writer]:
    """Enter a writer into the corpus under its own name, or `name`."""

    def enter(writer: Writer) -> Writer:
        called = name or writer.__name__
        if called in CORPUS:
            raise ValueError(f"two attacks are called {called}")
        CORPUS[called] = Attack(writer, code)
        return writer

    return enter


def canary_of(path: Path) -> Path:
    """Where the file lies that reading `path` must not touch."""
    return path.parent / "outside" / "canary.h5"


def canary(path: Path) -> Path:
    """Make it: counts and texts that would be seen in a copy, and a time of access that reading would change."""
    other = canary_of(path)
    other.parent.mkdir(exist_ok=True)
    with skeleton(other, barcodes=[f"{CANARY}-{i}" for i in range(6)]) as file:
        write_csr(file, "X", sp.csr_matrix(np.full((6, 5), CANARY_COUNT, dtype=np.float32)))
        file["dense"] = np.full((6, 5), CANARY_COUNT, dtype=np.float32)
        file["texts"] = [f"{CANARY}-{i}".encode() for i in range(6)]
    os.utime(other, UNREAD)
    return other


def was_read(path: Path) -> bool:
    """Whether anything read the canary beside `path` since it was made; False where there is none."""
    other = canary_of(path)
    return other.exists() and other.stat().st_atime != UNREAD[0]


def gene_names(genes: int) -> Names:
    return as_names(f"GENE{i}" for i in range(genes))


def cell_names(cells: int) -> list[str]:
    return [f"CELL{i}" for i in range(cells)]


def counts_of(cells: int = 6, genes: int = 5, seed: int = 0) -> sp.csr_matrix:
    return sp.csr_matrix(np.random.default_rng(seed).poisson(1.5, size=(cells, genes)).astype(np.float32))


def write_texts(file: Any, name: str, texts: Sequence[str]) -> None:
    file.create_dataset(name, data=list(texts), dtype=h5py.string_dtype())


def write_frame(file: Any, name: str, index: Any) -> None:
    group = file.create_group(name)
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    group.attrs["column-order"] = np.array([], dtype=np.float64)
    write_texts(group, "_index", index)


def write_csr(file: Any, name: str, x: Any, **parts: Any) -> None:
    """A CSR group, or CSC for such a matrix; `parts` replaces data, indices or indptr."""
    group = file.create_group(name)
    group.attrs.update({"encoding-type": f"{x.format}_matrix", "encoding-version": "0.1.0"})
    group.attrs["shape"] = np.array(x.shape)
    for part in ("data", "indices", "indptr"):
        group.create_dataset(part, data=parts.get(part, getattr(x, part)))


def skeleton(path: Path, cells: int = 6, genes: int = 5, *, barcodes: Any = None) -> Any:
    """An open AnnData file that lacks only X."""
    file = h5py.File(path, "w")
    file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    write_frame(file, "obs", barcodes if barcodes is not None else cell_names(cells))
    write_frame(file, "var", gene_names(genes))
    return file


def good(path: Path) -> None:
    """What the others would be without their fault."""
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())


def good_csc(path: Path) -> None:
    with skeleton(path, 12, 8) as file:
        write_csr(file, "X", sp.csc_matrix(counts_of(12, 8)))
        write_texts(file, "obs/cell_type", ["B", "T"] * 6)


def good_dense(path: Path) -> None:
    with skeleton(path, 12, 8) as file:
        stored = {"chunks": (4, 8), "compression": "gzip", "shuffle": True}
        file.create_dataset("X", data=counts_of(12, 8).toarray(), **stored)
        file.create_dataset("layers/counts", data=counts_of(12, 8).toarray(), compression="lzf")
        category = file.create_group("obs/batch")
        write_texts(category, "categories", ["a", "b"])
        category.create_dataset("codes", data=np.array([0, 1] * 6, dtype=np.int8))


def good_tenx(path: Path, **replaced: Any) -> None:
    """A 10x matrix of genes; `replaced` gives other content for a path under `matrix`, None leaves it out."""
    x = counts_of(12, 8)
    content: dict[str, Any] = {
        "barcodes": [f"AAAC{i:04d}-1".encode() for i in range(12)],
        "data": x.data.astype(np.int32),
        "indices": x.indices.astype(np.int64),
        "indptr": x.indptr.astype(np.int64),
        "shape": np.array([8, 12], dtype=np.int32),
        "features/id": [f"ENSG{i:011d}".encode() for i in range(8)],
        "features/name": [name.encode() for name in gene_names(8)],
        "features/feature_type": [b"Gene Expression"] * 8,
    }
    content |= {name.replace("__", "/"): value for name, value in replaced.items()}
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        _put(matrix, content)


def good_loom(path: Path, **replaced: Any) -> None:
    """A loom file with spliced and unspliced layers; `replaced` as in `good_tenx`: layers__spliced, row_attrs__Gene."""
    x = counts_of().toarray().T.astype(np.float32)
    content: dict[str, Any] = {
        "matrix": x * 2,
        "layers/spliced": x,
        "layers/unspliced": x,
        "row_attrs/Gene": [name.encode() for name in gene_names(5)],
        "row_attrs/Accession": [f"ENSG{i:011d}".encode() for i in range(5)],
        "col_attrs/CellID": [f"run1:CELL{i}x".encode() for i in range(6)],
    }
    content |= {name.replace("__", "/"): value for name, value in replaced.items()}
    with h5py.File(path, "w") as file:
        for group in ("layers", "row_attrs", "col_attrs", "row_graphs", "col_graphs"):
            file.create_group(group)
        file.attrs["LOOM_SPEC_VERSION"] = "3.0.0"
        _put(file, content)


def good_mudata(path: Path) -> None:
    """A MuData file of one modality, with a label in the outer table, and the mark that mudata puts before it."""
    with h5py.File(path, "w", userblock_size=512) as file:
        write_frame(file, "obs", cell_names(6))
        write_frame(file, "var", gene_names(5))
        write_texts(file, "obs/donor", ["d1", "d2"] * 3)
        inner = file.create_group("mod/rna")
        write_frame(inner, "obs", cell_names(6))
        write_frame(inner, "var", gene_names(5))
        write_csr(inner, "X", counts_of())
    with path.open("rb+") as stream:
        stream.write(b"MuData (format-version=0.1.0;creator=mudata;creator-version=0.3.2)")


SOUND: dict[str, Writer] = {
    "h5ad-csr": good,
    "h5ad-csc": good_csc,
    "h5ad-dense": good_dense,
    "10x": good_tenx,
    "loom": good_loom,
    "h5mu": good_mudata,
}


def _put(parent: Any, content: dict[str, Any]) -> None:
    for name, value in content.items():
        if isinstance(value, (h5py.ExternalLink, h5py.SoftLink)):
            parent[name] = value
        elif value is not None:
            parent.create_dataset(name, data=value)
