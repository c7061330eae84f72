"""What is in a result's file, told without telling it: digests, norms, and sums under random signs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.capsule.model import Array

SIGNS = 6  # sums under as many random signs: their largest difference is close to the distance  # ours
BLOCK = 2**20  # numbers at once
MOST_BYTES = 2**30  # larger files are compared as a whole only  # ours
NUMBERS = "biuf"
Columns = Iterator[tuple[str, Any]]


def fingerprints(path: Path, name: str) -> dict[str, Array]:
    """By name of array or column; empty for a kind of file that is compared as a whole."""
    read = _READERS.get(Path(name).suffix)
    if read is None or path.stat().st_size > MOST_BYTES:
        return {}
    return {key: _print(values) for key, values in read(path)}


def distance(one: Array, two: Array) -> float | None:
    """How far apart, as a share of their size: an estimate of |a − b| / |a|; None where they cannot be compared."""
    if one.shape != two.shape or one.norm is None or two.norm is None or one.finite != two.finite:
        return None
    size = max(one.norm, two.norm)
    if size == 0:
        return 0.0
    apart = [abs(a - b) for a, b in zip(one.sums, two.sums, strict=True)]
    return max([*apart, abs(one.norm - two.norm)], default=0.0) / size


@dataclass
class _Seen:
    """Grows block by block."""

    digest: Any
    signs: list[np.random.Generator]
    sums: NDArray[np.float64]
    squares: float = 0.0
    finite: int = 0

    def add(self, values: NDArray[Any]) -> None:
        flat = np.ascontiguousarray(values).ravel()
        self.digest.update(flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes())
        x = flat.astype(np.float64)
        good = np.isfinite(x)
        x[~good] = 0.0
        self.finite += int(good.sum())
        self.squares += float(x @ x)
        for i, rng in enumerate(self.signs):
            self.sums[i] += float(np.where(rng.random(x.size) < 0.5, -1.0, 1.0) @ x)  # one draw a number


def _print(values: Any) -> Array:
    """values: an array, a dataset of h5py, or a list of texts."""
    if isinstance(values, list):
        text = "\n".join(json.dumps(each, ensure_ascii=False) for each in values)
        return Array(shape=(len(values),), sha256=hashlib.sha256(text.encode()).hexdigest())
    seen = _Seen(hashlib.sha256(), [np.random.default_rng(i) for i in range(SIGNS)], np.zeros(SIGNS))
    rows = max(1, BLOCK // max(1, math.prod(values.shape[1:])))
    for start in range(0, values.shape[0], rows) if values.shape else (0,):
        seen.add(np.asarray(values[start : start + rows] if values.shape else values[()]))
    return Array(
        shape=tuple(int(n) for n in values.shape),
        sha256=seen.digest.hexdigest(),
        finite=seen.finite,
        norm=_nine(math.sqrt(seen.squares)),
        sums=tuple(_nine(float(s)) for s in seen.sums),
    )


def _nine(value: float) -> float:
    return float(f"{value:.9g}")


# -- kinds of files --------------------------------------------------------------------------------------------------


def _h5ad(path: Path) -> Columns:
    import h5py

    found: list[tuple[str, Any]] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append((name, item))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        for name, item in sorted(found):
            if item.dtype.kind in NUMBERS:
                yield name, item
            else:
                words = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]
                yield name, [str(word) for word in np.atleast_1d(words)]


def _json(path: Path) -> Columns:
    yield from flat("", json.loads(path.read_text(encoding="utf-8")))


def flat(name: str, value: Any) -> Columns:
    """The leaves of a document by their path: lists of numbers as arrays, all else as text."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from flat(f"{name}/{key}" if name else str(key), value[key])
    elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
        for i, each in enumerate(value):
            yield from flat(f"{name}/{i}", each)
    else:
        yield name or "value", column(value if isinstance(value, list) else [value])


def column(values: Sequence[Any]) -> Any:
    """Numbers and gaps as an array with NaN, anything else as texts."""
    if values and all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values):
        return np.array([math.nan if v is None else float(v) for v in values])
    return [v if isinstance(v, str) else json.dumps(v, sort_keys=True, default=str) for v in values]


def _csv(path: Path) -> Columns:
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    for name, values in zip(rows[0] if rows else (), zip(*rows[1:], strict=True), strict=False):
        yield name, column([_number(v) for v in values])


def _number(text: str) -> Any:
    try:
        return None if text == "" else float(text)
    except ValueError:
        return text


def _parquet(path: Path) -> Columns:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    for name in sorted(table.column_names):
        yield name, column(table.column(name).to_pylist())


def _npz(path: Path) -> Columns:
    with np.load(path, allow_pickle=False) as file:
        for name in sorted(file.files):
            values = file[name]
            yield name, values if values.dtype.kind in NUMBERS else [str(v) for v in values.ravel()]


def _safetensors(path: Path) -> Columns:
    from safetensors.numpy import load_file

    yield from sorted(load_file(path).items())


_READERS = {
    ".h5ad": _h5ad,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".npz": _npz,
    ".safetensors": _safetensors,
}
