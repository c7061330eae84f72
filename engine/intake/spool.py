"""Counts that come one by one and in any order, put by cell: through disk, in bounded memory, into 10x's own layout.

What is written is what Cell Ranger writes as .h5 (features × barcodes, compressed by barcode), so that one reader
serves both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import CorruptMatrix, TooLarge
from engine.intake.limits import Limits

Ints = NDArray[np.int64]
RECORD = np.dtype([("row", np.int32), ("column", np.int32), ("value", np.float64)])


@dataclass(frozen=True, eq=False)
class Features:
    """A 10x table of features, each of shape (f,). kind: "Gene Expression", "Peaks" …"""

    id: Sequence[str]
    name: Sequence[str]
    kind: Sequence[str]


class Spool:
    """Entries on disk, in the order they came. folder: is given, and goes with its owner."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._block = max(1, limits.block_values // 4)  # entries at once: records are wide, and copied a few times
        self._path = folder / "entries.bin"
        self._stream = self._path.open("wb")
        self._per_row = np.zeros(1, dtype=np.int64)
        self._last, self._ordered = -1, True
        self.entries = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._path.unlink(missing_ok=True)

    def add(self, row: NDArray[Any], column: NDArray[Any], value: NDArray[Any] | float) -> None:
        """row, column: 0-based, shape (k,). Raises TooLarge when the disk would hold too much."""
        if not len(row):
            return
        self.entries += len(row)
        if self.entries * RECORD.itemsize > self._limits.output_bytes:
            raise TooLarge(f"More than {self.entries:,} counts are given.", hint="Split the file by sample.")
        part = np.empty(len(row), dtype=RECORD)
        part["row"], part["column"], part["value"] = row, column, value
        if self._ordered:
            self._ordered = int(part["row"][0]) >= self._last and bool((np.diff(part["row"]) >= 0).all())
            self._last = int(part["row"][-1])
        seen = np.bincount(part["row"])
        if len(seen) > len(self._per_row):
            self._per_row = np.concatenate([self._per_row, np.zeros(len(seen), dtype=np.int64)])
        self._per_row[: len(seen)] += seen
        part.tofile(self._stream)

    def write(self, into: Path, *, barcodes: Sequence[str], features: Features, kept: Ints | None = None) -> None:
        """The 10x file. kept: which rows become cells, in this order (None: all); the others are left out.

        Entries of one place are added up. Raises CorruptMatrix when one cell has more entries than can be.
        """
        self._stream.close()
        chosen = np.arange(len(barcodes), dtype=np.int64) if kept is None else kept
        known = max(len(self._per_row), int(chosen.max(initial=0)) + 1)
        per_row = np.zeros(known, dtype=np.int64)
        per_row[: len(self._per_row)] = self._per_row
        sizes = per_row[chosen]
        if int(sizes.max(initial=0)) > self._limits.cell_values:
            raise CorruptMatrix(f"One barcode has {int(sizes.max()):,} counts.", hint="Leave it out: it is no cell.")
        place = np.full(known, -1, dtype=np.int64)
        place[chosen] = np.arange(len(chosen))
        with h5py.File(into, "w", libver=("v110", "v110")) as out:
            matrix = out.create_group("matrix")
            grown = {"shape": (0,), "maxshape": (None,), "chunks": (1 << 16,)}
            data = matrix.create_dataset("data", dtype=np.float64, **grown)
            indices = matrix.create_dataset("indices", dtype=np.int32, **grown)
            pointers = [np.zeros(1, dtype=np.int64)]
            for block in self._blocks(place, sizes, len(features.name)):
                end = len(data)
                for stored, values in ((data, block.data), (indices, block.indices)):
                    stored.resize((end + block.nnz,))
                    stored[end:] = values
                pointers.append(block.indptr[1:].astype(np.int64) + end)
            matrix["indptr"] = np.concatenate(pointers)
            matrix["shape"] = np.array([len(features.name), len(barcodes)], dtype=np.int64)
            _texts(matrix, "barcodes", barcodes)
            table = matrix.create_group("features")
            for name, texts in (("id", features.id), ("name", features.name), ("feature_type", features.kind)):
                _texts(table, name, texts)

    def _blocks(self, place: Ints, sizes: Ints, width: int) -> Iterator[sp.csr_matrix]:
        from engine.intake.blocks import lines_together

        ends = np.concatenate([[0], np.cumsum(sizes)])
        cut = list(lines_together(ends, self._block))
        ordered = self._ordered and bool((np.diff(place[place >= 0]) > 0).all())
        parts = self._ranges(place, cut) if ordered else self._sorted_out(place, cut)
        for (start, stop), part in zip(cut, parts, strict=True):
            where = (part["row"] - start, part["column"])
            yield sp.csr_matrix(sp.coo_matrix((part["value"], where), shape=(stop - start, width)))

    def _pieces(self, place: Ints) -> Iterator[NDArray[Any]]:
        """The entries that are kept, at their places, as they came."""
        with self._path.open("rb") as stream:
            while len(part := np.fromfile(stream, dtype=RECORD, count=self._block)):
                part["row"] = place[part["row"]]
                yield part[part["row"] >= 0]

    def _ranges(self, place: Ints, cut: Sequence[tuple[int, int]]) -> Iterator[NDArray[Any]]:
        """Groups of rows from entries that come by row already."""
        pieces, held = self._pieces(place), np.empty(0, dtype=RECORD)
        for _, stop in cut:
            while not len(held) or held["row"][-1] < stop:
                if (piece := next(pieces, None)) is None:
                    break
                held = np.concatenate([held, piece])
            end = int(np.searchsorted(held["row"], stop))
            yield held[:end]
            held = held[end:]

    def _sorted_out(self, place: Ints, cut: Sequence[tuple[int, int]]) -> Iterator[NDArray[Any]]:
        """The same from entries in any order, through a file a group."""
        starts = np.array([start for start, _ in cut])
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            paths = [Path(folder) / f"{i}.bin" for i in range(len(cut))]
            for part in self._pieces(place):
                group = np.searchsorted(starts, part["row"], side="right") - 1
                order = np.argsort(group, kind="stable")
                cuts = np.searchsorted(group[order], np.arange(len(paths) + 1))
                for i, path in enumerate(paths):
                    if cuts[i] < cuts[i + 1]:
                        with path.open("ab") as stream:
                            part[order[cuts[i] : cuts[i + 1]]].tofile(stream)
            for path in paths:
                yield np.fromfile(path, dtype=RECORD) if path.exists() else np.empty(0, dtype=RECORD)
                path.unlink(missing_ok=True)


def _texts(group: Any, name: str, texts: Sequence[str]) -> None:
    group.create_dataset(name, data=list(texts), dtype=h5py.string_dtype())
