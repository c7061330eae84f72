"""The one clean copy of an upload: counts by row, names, text labels, nothing else. Everybody reads this one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadSetting, CorruptMatrix, CrossViewError, NoCells, NotAnnData
from engine.intake.blocks import blocks
from engine.intake.counts import Matrix
from engine.intake.limits import Limits, as_problem, tidy
from engine.intake.look import Layout, look_at, require_honest_chunks
from engine.intake.loom import plan_loom
from engine.intake.mends import Mends, mended
from engine.intake.mudata import plan_mudata
from engine.intake.names import clean
from engine.intake.opening import opened
from engine.intake.plan import Plan, plan_for
from engine.intake.sink import CHUNK, FORMAT, RowSink, write_frame, write_rest
from engine.intake.summary import QUANTILES, Summary
from engine.intake.tenx import plan_tenx
from engine.types import LAYERS, Cells, FeatureSpace, Modality, Names, as_names

__all__ = ["CanonicalCells", "Progress", "Summary", "canonicalise"]

Progress = Callable[[int, int], None]
STRETCH = 4_096  # cells of a file that are looked at together  # ours


def canonicalise(
    path: Path,
    out: Path,
    *,
    modality: Modality | None = None,
    limits: Limits | None = None,
    source: str | None = None,
    progress: Progress | None = None,
    mends: Mends | None = None,
    looked: Callable[[Layout], None] | None = None,
) -> Summary:
    """Look, find the counts, and stream them into a clean .h5ad at `out`, which appears only when complete.

    modality: wanted features where the file holds both; otherwise what the file must be. source: name to show.
    progress: called with cells done and cells in all. mends: what is to be changed on the way. looked: called with what
    it declares, before a value is read.
    Raises any BadInput of intake; then neither `out` nor anything beside it remains.
    """
    limits, mends, called = limits or Limits(), mends or Mends(), clean(source or path.name)
    partial, scratch = out.with_name(out.name + ".partial"), out.with_name(out.name + ".scratch")
    try:
        before = _state(path)
        if path.exists() and out.exists() and os.path.samefile(path, out):
            raise BadSetting(f"{path.name} would be read and written at once: input and copy are the same file.")
        scratch.mkdir(parents=True, exist_ok=True)
        with opened(path, scratch, limits, mends, called=called) as source_file:
            file = source_file.file
            layout = replace(look_at(file, limits), layer=mends.layer, values=mends.values)
            if looked is not None:
                looked(layout)
            require_honest_chunks(file, layout)
            plan = planner(layout)(file, layout, limits, modality, called)
            plan, done = mended(file, plan, source_file.left, limits)
            plan = replace(plan, notes=(*source_file.notes, *plan.notes), mends=(*source_file.mends, *done))
            summary = _write(file, plan, partial, scratch, limits, progress or (lambda done, of: None))
        if _state(path) != before:
            raise CorruptMatrix(f"{plan.source} changed while it was read.", hint="Give it once it is complete.")
        settle(partial, out)
        return summary
    except CrossViewError as problem:
        tidy(problem)
        raise
    except (OSError, RuntimeError, MemoryError) as error:  # how h5py tells that bytes make no sense
        raise as_problem(error, limits) from error
    finally:
        partial.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _state(path: Path) -> tuple[int, int, int, int] | None:
    """What differs once somebody wrote to the file, or put another in its place."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def planner(layout: Layout) -> Callable[..., Plan]:
    """What decides about a file of this format."""
    if layout.is_loom:
        return plan_loom
    if layout.is_tenx:
        return plan_tenx
    return plan_mudata if layout.is_mudata else plan_for


def _write(file: Any, plan: Plan, partial: Path, scratch: Path, limits: Limits, progress: Progress) -> Summary:
    n, f = len(plan.barcodes), len(plan.space)
    partial.parent.mkdir(parents=True, exist_ok=True)
    depth_n, detected_n = np.zeros(n), np.zeros(n)
    done, largest = 0, 0.0
    progress(0, n)
    with h5py.File(partial, "w", libver=("v110", "v110")) as out:
        sink = RowSink(out, n, f)
        for kept in _kept(file, plan, plan.found.matrix, limits, scratch):
            sink.append(kept)
            rows = slice(done, done + kept.shape[0])
            depth_n[rows] = np.asarray(kept.sum(axis=1, dtype=np.float64)).ravel()
            detected_n[rows] = np.diff(kept.indptr)
            largest = max(largest, float(kept.data.max()) if kept.nnz else 0.0)
            done += kept.shape[0]
            progress(done, n)
        sink.close()
        for name, matrix in plan.layers.items():
            layer = RowSink(out, n, f, at=f"layers/{name}")
            for kept in _kept(file, plan, matrix, limits, scratch):
                layer.append(kept)
            layer.close()
        summary = _summary(plan, sink.nnz, largest, depth_n, detected_n)
        write_frame(out, "obs", plan.barcodes, plan.labels)
        write_frame(out, "var", plan.space.names, {})
        # Without the file's name: the same cells under another name are the same copy, and the same finished job.
        write_rest(out, replace(summary, source=""))
    return summary


def _kept(file: Any, plan: Plan, matrix: Matrix, limits: Limits, scratch: Path) -> Iterator[sp.csr_matrix]:
    for block in blocks(file, plan.layout, matrix, limits, scratch):
        yield block if plan.columns is None else sp.csr_matrix(block[:, plan.columns])


def _summary(
    plan: Plan, nnz: int, largest: float, depth_n: NDArray[np.float64], detected_n: NDArray[np.float64]
) -> Summary:
    n, f = len(plan.barcodes), len(plan.space)
    what = "value" if plan.layout.values else "count"
    empty = int((detected_n == 0).sum())
    if empty == n:
        raise NoCells(
            f"None of the {n:,} cells has a single {what} in {plan.found.matrix.origin}.",
            hint="Check the filter that wrote this file.",
        )
    summary = Summary(
        source=plan.source,
        cells=n,
        features=f,
        modality=plan.space.modality,
        counts_from=plan.found.matrix.origin,
        nnz=nnz,
        density=nnz / (n * f),
        largest=largest,
        empty_cells=empty,
        depth={q: float(np.percentile(depth_n, q)) for q in QUANTILES},
        detected={q: float(np.percentile(detected_n, q)) for q in QUANTILES},
        labels={name: labels.counts() for name, labels in plan.labels.items()},
        genome=plan.space.genome,
        notes=plan.notes,
        mends=plan.mends,
        values=plan.layout.values,
    )
    if not empty:
        return summary
    return replace(
        summary,
        notes=(*summary.notes, f"{empty:,} of {n:,} cells have no {what}s at all."),
    )


def settle(partial: Path, out: Path) -> None:
    """Make the bytes durable, then let the name appear."""
    with partial.open("rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, out)
    folder = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class CanonicalCells:
    """A canonical copy, open for reading by row ranges."""

    def __init__(self, file: Any) -> None:
        self._file = file
        element = file.get("uns/crossview")
        if element is None:
            raise NotAnnData("This .h5ad is not a canonical copy.", hint="Run `crossview inspect` on it.")
        document = json.loads(element[()])
        if document.pop("format") != FORMAT:
            raise NotAnnData("This canonical copy was written by another version.", hint="Inspect the original again.")
        self.summary = Summary.from_json(document)

    @classmethod
    @contextmanager
    def open(cls, source: str | Path | IO[bytes]) -> Iterator[CanonicalCells]:
        """Open a path or a seekable binary stream, such as a ranged reader of a remote object."""
        with h5py.File(source, "r") as file:
            yield cls(file)

    @property
    def n_cells(self) -> int:
        return self.summary.cells

    @property
    def modality(self) -> Modality:
        return self.summary.modality

    @property
    def genome(self) -> str | None:
        return self.summary.genome

    @cached_property
    def names(self) -> Names:
        """Gene or peak names, shape (f,)."""
        return as_names(self._file["var/_index"].asstr()[:])

    @cached_property
    def barcodes(self) -> Names:
        """Cell names, shape (n,)."""
        return as_names(self._file["obs/_index"].asstr()[:])

    @cached_property
    def obs(self) -> dict[str, Names]:
        """Label columns by name, each of shape (n,)."""
        return {name: self._label(name, slice(None)) for name in self.summary.labels}

    @cached_property
    def space(self) -> FeatureSpace:
        return FeatureSpace(self.modality, self.names, self.genome)

    @cached_property
    def layer_names(self) -> tuple[str, ...]:
        """`spliced` and `unspliced` where the upload had them, else nothing."""
        return tuple(name for name in LAYERS if f"layers/{name}" in self._file)

    def rows(self, start: int, stop: int, *, layers: bool = False) -> Cells:
        """Cells start … stop − 1, reading nothing else of the matrix. layers: also spliced and unspliced counts.

        Raises BadSetting outside 0 … n_cells.
        """
        if not 0 <= start < stop <= self.n_cells:
            raise BadSetting(f"Cells {start}–{stop} were asked for; the file has {self.n_cells:,}.")
        where = slice(start, stop)
        return Cells(
            self.space,
            self._matrix("X", start, stop),
            as_names(self._file["obs/_index"].asstr()[where]),
            {name: self._label(name, where) for name in self.summary.labels},
            {name: self._matrix(f"layers/{name}", start, stop) for name in self.layer_names} if layers else {},
        )

    def counts(self, start: int, stop: int) -> sp.csr_matrix:
        """The matrix of cells start … stop − 1 alone, without their names and labels. Raises as `rows`."""
        if not 0 <= start < stop <= self.n_cells:
            raise BadSetting(f"Cells {start}–{stop} were asked for; the file has {self.n_cells:,}.")
        return self._matrix("X", start, stop)

    def chosen(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], sp.csr_matrix]]:
        """Counts of these cells, a stretch of the file at a time: which of `rows` they are, and their matrix.

        Of a stretch that holds any of them all is read, or only they, whichever unpacks less.
        Raises BadSetting outside 0 … n_cells.
        """
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < self.n_cells:
            raise BadSetting(f"Cells {rows.min()}–{rows.max()} were asked for; the file has {self.n_cells:,}.")
        order = np.argsort(rows, kind="stable")
        wanted, pointers = rows[order], self._file["X/indptr"][:]
        for start in range(0, self.n_cells, STRETCH):
            stop = min(start + STRETCH, self.n_cells)
            which = slice(*np.searchsorted(wanted, (start, stop)))
            here = wanted[which]
            if not here.size:
                continue
            if pointers[stop] - pointers[start] <= here.size * CHUNK:  # a chunk at least is unpacked for each cell
                counts = self._matrix("X", start, stop)[here - start]
            else:
                counts = self._single(here, pointers)
            yield order[which], counts

    def all(self, *, layers: bool = False) -> Cells:
        """Every cell at once; for inputs known to fit into memory. layers: also spliced and unspliced counts."""
        return self.rows(0, self.n_cells, layers=layers)

    def _matrix(self, at: str, start: int, stop: int) -> sp.csr_matrix:
        x = self._file[at]
        pointers = x["indptr"][start : stop + 1]
        a, b = int(pointers[0]), int(pointers[-1])
        parts = (x["data"][a:b], x["indices"][a:b], (pointers - a).astype(np.int32))
        return sp.csr_matrix(parts, shape=(stop - start, self.summary.features))

    def _single(self, rows: NDArray[np.int64], pointers: NDArray[np.int64]) -> sp.csr_matrix:
        """Counts of single cells, each read by itself. pointers: all of the matrix."""
        data, indices = self._file["X/data"], self._file["X/indices"]
        spans = [slice(int(pointers[row]), int(pointers[row + 1])) for row in rows]
        ends = np.cumsum([0, *(span.stop - span.start for span in spans)])
        parts = [np.concatenate([of[span] for span in spans]) for of in (data, indices)]
        return sp.csr_matrix((*parts, ends.astype(np.int32)), shape=(len(rows), self.summary.features))

    def _label(self, name: str, where: slice) -> Names:
        column = self._file[f"obs/{name}"]
        found: Names = as_names(column["categories"].asstr()[:])[column["codes"][where]]
        return found
