"""Where predicted numbers come from: anything that can be asked again for some rows or some columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, CellsDoNotMatch, CorruptMatrix, UnknownFeature
from engine.types import Floats

Positions = NDArray[np.int64]

ELEMENTS = 2**21  # ours: entries worked on at once; some ten float64 copies of them live together (~200 MB)
COLUMN_ELEMENTS = 2**25  # ours: entries asked of a source in one column read (128 MB as float32)
READ_ELEMENTS = 2**23  # ours: entries a file is read by (32 MB as float32)
RUN_GAP = 64  # ours: rows this close together are read in one go


class Source(Protocol):
    """A prediction that can be decoded again and is never held whole."""

    def rows(self, start: int, stop: int) -> Floats:
        """Values of the cells start..stop, shape (stop - start, f)."""
        ...

    def columns(self, positions: Positions) -> Floats:
        """Values of some features of all cells, shape (n, len(positions))."""
        ...


def blocks(total: int, width: int, *, block: int, elements: int = ELEMENTS) -> Iterator[tuple[int, int]]:
    """Ranges that cover 0..total: at most `block` long, and at most `elements` entries of `width` each."""
    step = max(1, min(block, elements // max(width, 1)))
    for start in range(0, total, step):
        yield start, min(start + step, total)


@dataclass(frozen=True, eq=False)
class ArraySource:
    """A dense array as a source. values: shape (n, f)."""

    values: NDArray[Any]

    def rows(self, start: int, stop: int) -> Floats:
        return np.asarray(self.values[start:stop], dtype=np.float32)

    def columns(self, positions: Positions) -> Floats:
        return np.asarray(self.values[:, positions], dtype=np.float32)


@dataclass(eq=False)
class H5Source:
    """X of an .h5ad file, dense or CSR, read by row ranges.

    A column read goes once through the file and keeps only the columns asked for, so ask for many at once.
    Use as a context manager, or call `close`. Raises CorruptMatrix when X is neither dense nor CSR.
    """

    path: Path
    key: str = "X"
    _file: Any = field(init=False, repr=False)
    _matrix: Any = field(init=False, repr=False)
    shape: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        import h5py

        self._file = h5py.File(self.path, "r")
        element = self._file[self.key]
        if isinstance(element, h5py.Dataset):
            self._matrix = element
        elif element.attrs.get("encoding-type") == "csr_matrix":
            import anndata.io

            self._matrix = anndata.io.sparse_dataset(element)
        else:
            self.close()
            raise CorruptMatrix(
                f"{self.key} of {self.path.name} is neither a dense array nor a CSR matrix.",
                hint="Write the prediction with X dense or as scipy.sparse.csr_matrix.",
            )
        self.shape = (int(self._matrix.shape[0]), int(self._matrix.shape[1]))

    def rows(self, start: int, stop: int) -> Floats:
        try:
            part = self._matrix[start:stop]
        except OSError as error:
            error.add_note(f"while reading {self.path} rows {start}:{stop}")
            raise
        dense: NDArray[Any] = part if isinstance(part, np.ndarray) else part.toarray()
        return np.asarray(dense, dtype=np.float32)

    def columns(self, positions: Positions) -> Floats:
        n, f = self.shape
        out = np.empty((n, len(positions)), dtype=np.float32)
        for start, stop in blocks(n, f, block=n, elements=READ_ELEMENTS):
            out[start:stop] = self.rows(start, stop)[:, positions]
        return out

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, eq=False)
class ChosenSource:
    """Some cells and features of another source, in another order. cells: shape (n,); features: shape (f,)."""

    inner: Source
    cells: Positions
    features: Positions

    def rows(self, start: int, stop: int) -> Floats:
        wanted = self.cells[start:stop]
        order = np.argsort(wanted, kind="stable")
        ascending = wanted[order]
        out = np.empty((len(wanted), len(self.features)), dtype=np.float32)
        for first, last in _runs(ascending):
            low, high = int(ascending[first]), int(ascending[last - 1]) + 1
            part = self.inner.rows(low, high)
            out[order[first:last]] = part[np.ix_(ascending[first:last] - low, self.features)]
        return out

    def columns(self, positions: Positions) -> Floats:
        return self.inner.columns(self.features[positions])[self.cells]


def _runs(ascending: Positions) -> Iterator[tuple[int, int]]:
    """Places [first, last) in a sorted list whose members lie close together."""
    cuts = np.nonzero(np.diff(ascending) > RUN_GAP)[0] + 1
    edges = [0, *cuts.tolist(), len(ascending)]
    yield from pairwise(edges)


def chosen(
    source: Source,
    *,
    cells: Sequence[str],
    features: Sequence[str],
    wanted_cells: Sequence[str],
    wanted_features: Sequence[str],
) -> ChosenSource:
    """The source seen through the truth's cells and features, found by name.

    Raises CellsDoNotMatch or UnknownFeature when the prediction lacks some of them.
    """
    row = {name: i for i, name in enumerate(cells)}
    column = {name: i for i, name in enumerate(features)}
    if lost := [name for name in wanted_cells if name not in row]:
        raise CellsDoNotMatch(
            f"The prediction lacks {len(lost):,} of {len(wanted_cells):,} cells, such as {lost[0]}.",
            hint="Predict every cell that is to be scored, or score fewer.",
        )
    if lost := [name for name in wanted_features if name not in column]:
        raise UnknownFeature(
            f"The prediction lacks {len(lost):,} of {len(wanted_features):,} features, such as {lost[0]}.",
            hint="Choose the features that both files hold before scoring.",
        )
    return ChosenSource(
        source,
        np.array([row[name] for name in wanted_cells], dtype=np.int64),
        np.array([column[name] for name in wanted_features], dtype=np.int64),
    )


@dataclass(eq=False)
class Finite:
    """A source whose answers have the right shape and no NaN or infinity: those count as 0, and are counted.

    nonfinite: how many were met in row reads.
    """

    inner: Source
    cells: int
    features: int
    nonfinite: int = 0

    def rows(self, start: int, stop: int) -> Floats:
        values, bad = self._clean(self.inner.rows(start, stop), (stop - start, self.features))
        self.nonfinite += bad
        return values

    def columns(self, positions: Positions) -> Floats:
        return self._clean(self.inner.columns(positions), (self.cells, len(positions)))[0]

    def _clean(self, values: Floats, shape: tuple[int, int]) -> tuple[Floats, int]:
        if values.shape != shape:
            raise BadInput(
                f"The prediction answered with {values.shape} values where {shape} were asked for.",
                hint="Prediction and truth must hold the same cells and features in the same order.",
            )
        values = np.asarray(values, dtype=np.float32)
        finite = np.isfinite(values)
        if finite.all():
            return values, 0
        return np.where(finite, values, np.float32(0)), int(values.size - np.count_nonzero(finite))
