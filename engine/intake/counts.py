"""Raw counts: found wherever a file keeps them, by a glance at some values of each matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, BadSetting, CorruptMatrix, NoCells, NotAnnData, NotCounts
from engine.intake.frames import length
from engine.intake.look import Layout
from engine.intake.names import clean
from engine.intake.walk import Entry

NAMED_COUNTS = ("counts", "raw_counts", "count", "raw", "umi", "umi_counts", "umis", "raw_count")
TOLERANCE = 1e-4  # a count stored as float may have been through arithmetic once
LARGEST_VALUE = float(np.finfo(np.float32).max)
LARGEST = float(1 << 24)  # float32 holds whole numbers exactly up to here
WINDOW = 50_000  # values looked at in each of three places to choose a matrix
AGAIN = "Write the file again from AnnData: adata.X = scipy.sparse.csr_matrix(adata.X); adata.write_h5ad(path)."

AGAIN_LOOM = "Write the loom file again with velocyto or loompy, or copy it again if it broke off."
KEEP = 'Keep the counts before normalising: adata.layers["counts"] = adata.X.copy(), then write again.'

Storage = Literal["csr", "csc", "dense", "transposed"]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A cells × features matrix in the file. features: the table its columns belong to, `var` or `raw/var`.

    A transposed one (loom) is stored dense as features × cells. plus: the path of a second one to be added to it.
    """

    path: str
    storage: Storage
    shape: tuple[int, int]
    features: str
    stored: int  # values kept in the file
    plus: str = ""

    @property
    def origin(self) -> str:
        """As a user would write it: X, layers["counts"], raw.X."""
        return " + ".join(_written(path) for path in (self.path, self.plus) if path)

    @property
    def again(self) -> str:
        """How to write it anew."""
        return AGAIN_LOOM if self.storage == "transposed" else AGAIN


def _written(path: str) -> str:
    if path.startswith("layers/"):
        return f'layers["{clean(path.removeprefix("layers/"), longest=60)}"]'
    return path.replace("/", ".")


@dataclass(frozen=True, slots=True)
class Found:
    """The matrix of raw counts that will be used, and the sentence that says so."""

    matrix: Matrix
    note: str


def find_counts(file: Any, layout: Layout) -> Found:
    """The first matrix that holds counts: a layer named so, then X, then raw.X, then any other layer.

    Of a prediction X alone. Raises NotCounts saying what was seen, CorruptMatrix, NoCells, NotAnnData.
    """
    refused: list[str] = []
    broken: list[BadInput] = []
    for path, features in _candidates(layout):
        try:
            matrix = matrix_at(layout, path, features)
            seen = glance(file, layout, matrix)
        except NoCells:
            raise
        except BadInput as problem:
            broken.append(problem)
            continue
        if seen.corrupt:
            broken.append(CorruptMatrix(f"{matrix.origin} {seen.corrupt}.", hint=AGAIN))
        elif seen.normalised:
            refused.append(f"{matrix.origin}: {seen.normalised}")
        else:
            also = f"; not used: {'; '.join(refused)}" if refused else ""
            what = "Predicted values" if layout.values else "Counts"
            return Found(matrix, f"{what} were read from {matrix.origin}{also}.")
    if broken:
        raise broken[0]
    if refused:
        raise NotCounts(
            f"Only normalised values were found where raw counts are needed ({'; '.join(refused)}).",
            hint=KEEP,
        )
    raise NotAnnData("The file has no matrix: X, layers and raw.X are all missing.", hint=AGAIN)


def _candidates(layout: Layout) -> Iterator[tuple[str, str]]:
    layers = layout.children("layers")
    if layout.layer:
        yield _asked(layout, layers)
        return
    if layout.values:
        yield "X", "var"
        return
    lower = {name.lower(): name for name in layers}
    named = [lower[name] for name in NAMED_COUNTS if name in lower]
    yield from ((f"layers/{name}", "var") for name in named)
    if layout.get("X") is not None:
        yield "X", "var"
    if layout.get("raw/X") is not None and layout.get("raw/var") is not None:
        yield "raw/X", "raw/var"
    yield from ((f"layers/{name}", "var") for name in layers if name not in named)


def _asked(layout: Layout, layers: list[str]) -> tuple[str, str]:
    """The matrix that was asked for. Raises BadSetting listing those there are."""
    if layout.layer in layers:
        return f"layers/{layout.layer}", "var"
    if layout.layer == "X" and layout.get("X") is not None:
        return "X", "var"
    if layout.layer == "raw.X" and layout.get("raw/X") is not None and layout.get("raw/var") is not None:
        return "raw/X", "raw/var"
    raise no_layer(layout.layer, [*(name for name in ("X", "raw/X") if layout.get(name) is not None), *layers])


def no_layer(asked: str, there: list[str]) -> BadSetting:
    """The error for a layer that was asked for and is not there."""
    listed = ", ".join(clean(name.replace("/", "."), longest=40) for name in there[:8]) or "no matrix at all"
    asked = clean(asked, longest=40)
    return BadSetting(f"There is no layer {asked!r}; the file has {listed}.", hint="Name one of these.")


def matrix_at(layout: Layout, path: str, features: str) -> Matrix:
    """The matrix at a path, its parts checked against each other and the tables. Raises CorruptMatrix, NoCells."""
    entry = layout.get(path)
    if entry is None:
        raise NotAnnData(f"The file has no {path}.", hint=AGAIN)
    expected = (length(layout, "obs"), length(layout, features))
    if 0 in expected:
        raise NoCells(
            f"The file has {expected[0]:,} cells and {expected[1]:,} features.", hint="Check the filter that wrote it."
        )
    storage, shape, stored = _dense(entry, path) if not entry.is_group else _sparse(layout, entry, path)
    if shape != expected:
        raise CorruptMatrix(
            f"{path} is {shape[0]:,} × {shape[1]:,}, but the tables name {expected[0]:,} cells and "
            f"{expected[1]:,} features.",
            hint=AGAIN,
        )
    return Matrix(path, storage, shape, features, stored)


def _dense(entry: Entry, path: str) -> tuple[Storage, tuple[int, int], int]:
    if len(entry.shape) != 2 or entry.type not in ("int", "float", "bool"):
        raise CorruptMatrix(f"{path} is not a table of numbers.", hint=AGAIN)
    return "dense", (entry.shape[0], entry.shape[1]), entry.shape[0] * entry.shape[1]


def _sparse(layout: Layout, entry: Entry, path: str) -> tuple[Storage, tuple[int, int], int]:
    kind = entry.text("encoding-type").removesuffix("_matrix") or entry.text("h5sparse_format")
    shape = entry.numbers("shape") or entry.numbers("h5sparse_shape")
    if kind not in ("csr", "csc") or len(shape) != 2 or min(shape) < 0:
        raise CorruptMatrix(f"{path} does not say which sparse form and shape it has.", hint=AGAIN)
    parts = [layout.get(f"{path}/{name}") for name in ("data", "indices", "indptr")]
    data, indices, indptr = parts
    if data is None or indices is None or indptr is None or any(len(p.shape) != 1 for p in parts if p is not None):
        raise CorruptMatrix(f"{path} lacks data, indices or indptr.", hint=AGAIN)
    if data.type not in ("int", "float", "bool") or indices.type != "int" or indptr.type != "int":
        raise CorruptMatrix(
            f"{path} has indices that are not whole numbers, or values that are not numbers.", hint=AGAIN
        )
    major = shape[0] if kind == "csr" else shape[1]
    if data.shape != indices.shape or indptr.shape[0] != major + 1:
        raise CorruptMatrix(
            f"{path} has {data.shape[0]:,} values, {indices.shape[0]:,} indices and {indptr.shape[0]:,} row ends "
            f"for {major:,} {'rows' if kind == 'csr' else 'columns'}.",
            hint=AGAIN,
        )
    return ("csr" if kind == "csr" else "csc"), (shape[0], shape[1]), data.shape[0]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a glance at some values says; both empty for counts."""

    corrupt: str = ""
    normalised: str = ""


def glance(file: Any, layout: Layout, matrix: Matrix) -> Seen:
    """Judge values at the beginning, middle and end."""
    if matrix.storage == "transposed":
        n, f = matrix.shape
        width = min(n, max(1, WINDOW // f))
        starts = {0, (n - width) // 2, n - width}
        pieces = [columns(file, layout, matrix, start, start + width).ravel() for start in sorted(starts)]
    elif matrix.storage == "dense":
        data = file[layout.resolve(matrix.path)]
        rows = max(1, WINDOW // max(matrix.shape[1], 1))
        starts = {0, max(0, matrix.shape[0] // 2 - rows // 2), max(0, matrix.shape[0] - rows)}
        pieces = [np.asarray(data[start : start + rows]).ravel() for start in sorted(starts)]
    else:
        data = file[layout.resolve(f"{matrix.path}/data")]
        starts = {0, max(0, matrix.stored // 2 - WINDOW // 2), max(0, matrix.stored - WINDOW)}
        pieces = [np.asarray(data[start : start + WINDOW]) for start in sorted(starts)]
    return judge(np.concatenate(pieces).astype(np.float64), values=layout.values)


def arithmetic(piece: NDArray[Any]) -> NDArray[Any]:
    """Of a kind scipy has matrices of: neither half precision nor the other byte order."""
    if piece.dtype.kind == "f" and piece.dtype.itemsize not in (4, 8):
        return piece.astype(np.float32)
    return piece.astype(piece.dtype.newbyteorder("="), copy=False)


def columns(file: Any, layout: Layout, matrix: Matrix, start: int, stop: int) -> NDArray[Any]:
    """Cells start … stop − 1 of a transposed matrix, shape (f, stop − start), with what is to be added."""
    piece = np.asarray(file[layout.resolve(matrix.path)][:, start:stop])
    piece = arithmetic(piece)
    if not matrix.plus:
        return piece
    total: NDArray[Any] = piece.astype(np.float64) + file[layout.resolve(matrix.plus)][:, start:stop]
    return total


def judge(numbers: NDArray[np.float64], *, values: bool = False) -> Seen:
    """Whether these can be counts; values: or predicted values, which may be any number."""
    if values:
        beyond = int((~(np.abs(numbers) <= LARGEST_VALUE)).sum())
        said = f"holds {beyond:,} values that are not numbers (NaN or infinite): numpy.nan_to_num(adata.X) fills them"
        return Seen(corrupt=said) if beyond else Seen()
    finite = numbers[np.isfinite(numbers)]
    missing = numbers.size - finite.size
    whole = np.rint(finite)
    odd = finite[np.abs(finite - whole) > TOLERANCE]
    if odd.size:
        sign = "negative and " if finite.min() < 0 else ""
        return Seen(normalised=f"{sign}fractional values such as {odd[0]:.4g}, max {finite.max():.4g}")
    if missing:
        return Seen(corrupt=f"holds {missing:,} values that are not numbers (NaN or infinite)")
    if finite.size and finite.min() < 0:
        return Seen(corrupt=f"holds negative values such as {finite.min():.4g}, which counts cannot be")
    if finite.size and finite.max() > LARGEST:
        return Seen(corrupt=f"holds a value of {finite.max():.4g}, more than any count of molecules")
    return Seen()
