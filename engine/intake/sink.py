"""Writing the canonical copy as AnnData 0.8 and later would, block by block."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp

from engine.intake.frames import Labels
from engine.intake.summary import Summary
from engine.types import Names

FORMAT = 1
CHUNK = 65_536  # values; a chunk of 256 kB is read in one request from a store far away


class RowSink:
    """A matrix as AnnData writes CSR, grown block by block. at: X, layers/spliced …"""

    def __init__(self, out: Any, n: int, f: int, *, at: str = "X") -> None:
        group = out.create_group(at)
        _encode(group, "csr_matrix", "0.1.0", shape=np.array([n, f], dtype=np.int64))
        stored = {"maxshape": (None,), "chunks": (CHUNK,), "compression": "lzf", "shuffle": True}
        self.data = group.create_dataset("data", (0,), np.float32, **stored)
        self.indices = group.create_dataset("indices", (0,), np.int32, **stored)
        self.pointers = np.zeros(n + 1, dtype=np.int64)
        self.group, self.rows, self.nnz = group, 0, 0

    def append(self, block: sp.csr_matrix) -> None:
        end = self.nnz + block.nnz
        for data, values in ((self.data, block.data), (self.indices, block.indices)):
            data.resize((end,))
            data[self.nnz :] = values
        self.pointers[self.rows + 1 : self.rows + 1 + block.shape[0]] = block.indptr[1:].astype(np.int64) + self.nnz
        self.rows += block.shape[0]
        self.nnz = end

    def close(self) -> None:
        self.group.create_dataset("indptr", data=self.pointers, compression="lzf", shuffle=True)


def _encode(element: Any, kind: str, version: str, **more: Any) -> None:
    for name, value in {"encoding-type": kind, "encoding-version": version, **more}.items():
        element.attrs[name] = value


def _write_texts(group: Any, name: str, texts: Names) -> None:
    chunked = {"chunks": (min(len(texts), 8_192),), "compression": "gzip"} if len(texts) else {}
    data = group.create_dataset(name, data=texts, dtype=h5py.string_dtype(), **chunked)
    _encode(data, "string-array", "0.2.0")


def write_frame(out: Any, frame: str, index: Names, columns: Mapping[str, Labels]) -> None:
    group = out.create_group(frame)
    order = np.array(list(columns), dtype=h5py.string_dtype()) if columns else np.array([], dtype=np.float64)
    _encode(group, "dataframe", "0.2.0", **{"_index": "_index", "column-order": order})
    _write_texts(group, "_index", index)
    for name, labels in columns.items():
        column = group.create_group(name)
        _encode(column, "categorical", "0.2.0", ordered=False)
        _write_texts(column, "categories", labels.categories)
        codes = column.create_dataset("codes", data=labels.codes.astype(np.int16), compression="gzip")
        _encode(codes, "array", "0.2.0")


def write_rest(out: Any, summary: Summary) -> None:
    _encode(out, "anndata", "0.1.0")
    for name in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
        _encode(out.require_group(name), "dict", "0.1.0")
    document = json.dumps({"format": FORMAT, **summary.to_json()}, ensure_ascii=False, sort_keys=True)
    _encode(out["uns"].create_dataset("crossview", data=document, dtype=h5py.string_dtype()), "string", "0.2.0")
