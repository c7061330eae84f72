"""Raw counts as they are read: streamed by blocks of rows, every index and value checked on the way."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import CorruptMatrix, NotCounts, TooLarge
from engine.intake.counts import AGAIN, KEEP, LARGEST, Matrix, arithmetic, columns, judge
from engine.intake.limits import Limits
from engine.intake.look import Layout


def blocks(file: Any, layout: Layout, matrix: Matrix, limits: Limits, scratch: Path) -> Iterator[sp.csr_matrix]:
    """Counts, or what was predicted, as CSR blocks in row order, each of at most about `limits.block_values` values.

    Every index and value is checked on the way. Blocks are float32, canonical (sorted, summed, no stored zeros).
    scratch: folder for the parts of a large CSC matrix, which is turned around on disk.
    Raises CorruptMatrix, NotCounts.
    """
    if matrix.storage == "dense":
        source = _dense_blocks(file, layout, matrix, limits)
    elif matrix.storage == "transposed":
        source = _transposed_blocks(file, layout, matrix, limits)
    elif matrix.storage == "csr":
        source = _csr_blocks(file, layout, matrix, limits)
    else:
        source = _csc_blocks(file, layout, matrix, limits, scratch)
    start = 0
    for block in source:
        yield (_values if layout.values else _canonical)(block, matrix, start)
        start += block.shape[0]


def _canonical(block: sp.csr_matrix, matrix: Matrix, start: int) -> sp.csr_matrix:
    seen = judge(block.data.astype(np.float64, copy=False))
    where = f"{matrix.origin}, cells {start:,}–{start + block.shape[0] - 1:,},"
    if seen.corrupt:
        raise CorruptMatrix(f"{where} {seen.corrupt}.", hint=matrix.again)
    if seen.normalised:
        raise NotCounts(
            f"{where} holds {seen.normalised}; raw counts are needed.",
            hint=KEEP,
        )
    block = sp.csr_matrix(block, dtype=np.float64)  # bool and half precision are no types of scipy's arithmetic
    block.data = np.rint(block.data)
    block.sum_duplicates()
    block.eliminate_zeros()
    if block.nnz and block.data.max() > LARGEST:
        raise CorruptMatrix(f"{where} adds repeated entries up to {block.data.max():.4g}.", hint=matrix.again)
    return sp.csr_matrix(block, dtype=np.float32)


def _values(block: sp.csr_matrix, matrix: Matrix, start: int) -> sp.csr_matrix:
    """As they were predicted, whatever they mean. Raises CorruptMatrix for what is no number."""
    if (seen := judge(block.data.astype(np.float64, copy=False), values=True)).corrupt:
        raise CorruptMatrix(
            f"{matrix.origin}, cells {start:,}–{start + block.shape[0] - 1:,}, {seen.corrupt}.", hint=matrix.again
        )
    block = sp.csr_matrix(block, dtype=np.float32)
    block.sum_duplicates()
    block.eliminate_zeros()
    return block


def _dense_blocks(file: Any, layout: Layout, matrix: Matrix, limits: Limits) -> Iterator[sp.csr_matrix]:
    n, f = matrix.shape
    data = file[layout.resolve(matrix.path)]
    rows = max(1, limits.block_values // f)
    if data.chunks and rows > data.chunks[0]:
        rows -= rows % data.chunks[0]  # whole chunks, so that none is unpacked twice
    for start in range(0, n, rows):
        piece = np.asarray(data[start : start + rows])
        yield sp.csr_matrix(arithmetic(piece))


def _transposed_blocks(file: Any, layout: Layout, matrix: Matrix, limits: Limits) -> Iterator[sp.csr_matrix]:
    n, f = matrix.shape
    chunks = file[layout.resolve(matrix.path)].chunks
    cells = max(1, limits.block_values // f)
    if chunks and cells > chunks[1]:
        cells -= cells % chunks[1]  # whole chunks, so that none is unpacked twice
    for start in range(0, n, cells):
        yield sp.csr_matrix(columns(file, layout, matrix, start, start + cells).T)


def _pointers(file: Any, layout: Layout, matrix: Matrix, *, minor: int) -> NDArray[np.int64]:
    """indptr, checked: starts at 0, never falls, ends at the number of values, no line longer than the matrix."""
    raw = np.asarray(file[layout.resolve(f"{matrix.path}/indptr")][:])
    pointers = raw.astype(np.int64)
    step = np.diff(pointers)
    if pointers[0] != 0 or pointers[-1] != matrix.stored or (step < 0).any():
        raise CorruptMatrix(
            f"{matrix.origin}: indptr must rise from 0 to {matrix.stored:,}, but "
            + (
                f"falls at position {int(np.argmax(step < 0)) + 1:,}."
                if (step < 0).any()
                else f"runs from {pointers[0]:,} to {pointers[-1]:,}."
            ),
            hint=AGAIN,
        )
    if step.size and step.max() > minor:
        raise CorruptMatrix(
            f"{matrix.origin}: one line has {step.max():,} values in a matrix only {minor:,} wide.", hint=AGAIN
        )
    return pointers


def _indices(file: Any, layout: Layout, matrix: Matrix, start: int, stop: int, *, minor: int) -> NDArray[np.int32]:
    """Part of the indices, checked to lie in 0 … minor − 1."""
    raw = np.asarray(file[layout.resolve(f"{matrix.path}/indices")][start:stop])
    if raw.size and (int(raw.min()) < 0 or int(raw.max()) >= minor):
        worst = int(raw.min()) if int(raw.min()) < 0 else int(raw.max())
        raise CorruptMatrix(
            f"{matrix.origin} has an index of {worst:,} in a matrix with {minor:,} "
            f"{'columns' if matrix.storage == 'csr' else 'rows'}.",
            hint=AGAIN,
        )
    return raw.astype(np.int32)


def lines_together(ends: NDArray[np.int64], size: int) -> Iterator[tuple[int, int]]:
    """Consecutive lines (start, stop) holding at most `size` values together, at least one line each."""
    start, last = 0, len(ends) - 1
    while start < last:
        stop = int(np.searchsorted(ends, ends[start] + size, side="right")) - 1
        stop = min(max(stop, start + 1), last, start + size)
        yield start, stop
        start = stop


def _csr_blocks(file: Any, layout: Layout, matrix: Matrix, limits: Limits) -> Iterator[sp.csr_matrix]:
    _, f = matrix.shape
    pointers = _pointers(file, layout, matrix, minor=f)
    data = file[layout.resolve(f"{matrix.path}/data")]
    for start, stop in lines_together(pointers, limits.block_values):
        a, b = int(pointers[start]), int(pointers[stop])
        indices = _indices(file, layout, matrix, a, b, minor=f)
        values = np.asarray(data[a:b]).astype(np.float64)
        yield sp.csr_matrix((values, indices, pointers[start : stop + 1] - a), shape=(stop - start, f))


def _csc_blocks(file: Any, layout: Layout, matrix: Matrix, limits: Limits, scratch: Path) -> Iterator[sp.csr_matrix]:
    """CSC turned into rows: in memory when small, otherwise through one file per group of rows."""
    n, f = matrix.shape
    pointers = _pointers(file, layout, matrix, minor=n)
    data = file[layout.resolve(f"{matrix.path}/data")]
    if matrix.stored <= limits.block_values:
        indices = _indices(file, layout, matrix, 0, matrix.stored, minor=n)
        values = np.asarray(data[:]).astype(np.float64)
        yield sp.csr_matrix(sp.csc_matrix((values, indices, pointers), shape=(n, f)))
        return
    per_row = np.zeros(n, dtype=np.int64)
    pieces = [(a, min(a + limits.block_values, matrix.stored)) for a in range(0, matrix.stored, limits.block_values)]
    for a, b in pieces:
        per_row += np.bincount(_indices(file, layout, matrix, a, b, minor=n), minlength=n)
    if per_row.max() > f:
        raise CorruptMatrix(f"{matrix.origin}: one cell has {per_row.max():,} values for {f:,} features.", hint=AGAIN)
    groups = list(lines_together(np.concatenate([[0], np.cumsum(per_row)]), limits.block_values))
    starts = np.array([start for start, _ in groups])
    record = np.dtype([("row", np.int32), ("column", np.int32), ("value", np.float64)])
    if matrix.stored * record.itemsize > limits.output_bytes:
        raise TooLarge(f"{matrix.origin} is column-compressed and too large to turn around.", hint=AGAIN)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        files = [Path(folder) / f"{i}.bin" for i in range(len(groups))]
        for a, b in pieces:
            part = np.empty(b - a, dtype=record)
            part["row"] = _indices(file, layout, matrix, a, b, minor=n)
            part["column"] = np.searchsorted(pointers, np.arange(a, b), side="right") - 1
            part["value"] = data[a:b]
            group = np.searchsorted(starts, part["row"], side="right") - 1
            order = np.argsort(group, kind="stable")
            cuts = np.searchsorted(group[order], np.arange(len(groups) + 1))
            for i, path in enumerate(files):
                if cuts[i] < cuts[i + 1]:
                    with path.open("ab") as stream:
                        part[order[cuts[i] : cuts[i + 1]]].tofile(stream)
        for path, (start, stop) in zip(files, groups, strict=True):
            part = np.fromfile(path, dtype=record) if path.exists() else np.empty(0, dtype=record)
            where = (part["row"] - start, part["column"])
            yield sp.csr_matrix(sp.coo_matrix((part["value"], where), shape=(stop - start, f)))
