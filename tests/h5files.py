"""What an .h5ad says of itself on disk, walked element by element: encodings, versions, and what old readers refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# What anndata 0.8 writes itself, and what R's anndataR reads.
KNOWN = frozenset(
    {
        ("anndata", "0.1.0"),
        ("dict", "0.1.0"),
        ("dataframe", "0.2.0"),
        ("array", "0.2.0"),
        ("string-array", "0.2.0"),
        ("string", "0.2.0"),
        ("numeric-scalar", "0.2.0"),
        ("categorical", "0.2.0"),
        ("csr_matrix", "0.1.0"),
        ("csc_matrix", "0.1.0"),
    }
)
PARTS = {"X", "obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns", "raw"}


def wrong(path: Path) -> list[str]:
    """Everything in the file that anndata 0.8 or anndataR would not read, by its place; empty where all is well."""
    with h5py.File(path, "r") as file:
        return [*_wrong(file, "/"), *(f"/{name}: no part of an AnnData" for name in set(file) - PARTS)]


def _wrong(item: Any, where: str) -> Iterator[str]:
    said = (str(item.attrs.get("encoding-type", "")), str(item.attrs.get("encoding-version", "")))
    inside = where.count("/") > 1 and _of(item.parent) in ("categorical", "csr_matrix", "csc_matrix")
    if said not in KNOWN and not (inside and said == ("", "")):
        yield f"{where}: {' '.join(said).strip() or 'no encoding'}"
    if isinstance(item, h5py.Dataset):
        yield from _wrong_dataset(item, where)
        return
    if said[0] == "dataframe":
        columns = [str(name) for name in item.attrs["column-order"]]
        if {*columns, str(item.attrs["_index"])} != set(item):
            yield f"{where}: columns {columns} are not those it holds"
    for name in item:
        link = item.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            yield f"{where}{name}: a link to elsewhere"
            continue
        yield from _wrong(item[name], f"{where}{name}/" if isinstance(item[name], h5py.Group) else f"{where}{name}")


def _wrong_dataset(item: h5py.Dataset, where: str) -> Iterator[str]:
    if item.shape is None:
        yield f"{where}: an empty dataspace, which older readers take for None"
        return
    kind = item.dtype.kind
    if kind == "O" and h5py.check_string_dtype(item.dtype) is None:
        yield f"{where}: an object that is no text"
    elif kind not in "biufO" and h5py.check_enum_dtype(item.dtype) is None:
        yield f"{where}: dtype {item.dtype}"
    if kind == "f" and item.dtype.itemsize not in (4, 8):
        yield f"{where}: {item.dtype}, which R has no numbers for"


def _of(group: h5py.Group) -> str:
    return str(group.attrs.get("encoding-type", ""))


def unlike_cellxgene(path: Path) -> list[str]:
    """What CELLxGENE's schema says of any AnnData (not of its ontology columns) and this file breaks."""
    import anndata as ad

    adata = ad.read_h5ad(path)
    found = []
    for name, frame in (("obs", adata.obs), ("var", adata.var)):
        if not frame.index.is_unique:
            found.append(f"{name} index has names twice")
        if not frame.columns.is_unique:
            found.append(f"{name} has a column twice")
        found += [f"{name} column {c!r} begins with __" for c in frame.columns if str(c).startswith("__")]
        found += [f"{name} column {c!r} is {frame[c].dtype}" for c in frame.columns if frame[c].dtype == object]
        for c in frame.columns:
            if str(frame[c].dtype) == "category" and not all(isinstance(v, str) for v in frame[c].cat.categories):
                found.append(f"{name} column {c!r} has categories that are no text")
    if adata.X is not None and adata.n_vars:
        form = getattr(adata.X, "format", "array")
        if form not in ("csr", "array"):
            found.append(f"X is {form}, neither CSR nor dense")
        if adata.X.dtype != np.float32:
            found.append(f"X is {adata.X.dtype}, not float32")
        values = adata.X.data if form == "csr" else adata.X
        if not np.isfinite(values).all():
            found.append("X holds what is no number")
    embeddings = [key for key in adata.obsm if key.startswith("X_")]
    if not embeddings:
        found.append("no embedding X_… in obsm")
    for key, values in adata.obsm.items():
        name = key.removeprefix("X_")
        if not name or not name[0].isalpha() or not all(c.isalnum() or c in "_-." for c in name):
            found.append(f"obsm {key!r}: a name CELLxGENE does not take")
        table = isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "fiu"
        if not table or values.shape[1] < 2:
            found.append(f"obsm {key!r} is no table of numbers of at least two columns")
        elif np.isinf(values).any() or np.isnan(values).all():
            found.append(f"obsm {key!r} holds infinity, or nothing")
    found += [f"uns {key!r} is empty" for key, value in adata.uns.items() if value is None or len(value) == 0]
    return found
