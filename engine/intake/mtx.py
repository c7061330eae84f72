"""10x folders: `matrix.mtx` with its tables of barcodes and features, plain or gzip, put into 10x's own .h5 layout.

Cell Ranger 3 and later write `features.tsv` (id, name, type), earlier ones `genes.tsv` (id, name), Cell Ranger ATAC
`peaks.bed`; GEO puts a sample's name before each. The matrix is features × barcodes, its entries in any order; one
written the other way round is told by the lengths of the tables, and turned.
Sources: 10x Genomics, "Feature-Barcode Matrices" (MEX format); NIST, "Matrix Market Exchange Formats".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, CorruptMatrix, NoCells, NotHDF5, TooLarge, UnsafeFile
from engine.intake.limits import Limits
from engine.intake.names import clean, is_peak
from engine.intake.spool import Features, Spool
from engine.intake.texts import AGAIN, Lines, columns, table, unpacked
from engine.types import as_names

MATRIX, BARCODES, FEATURES = "matrix.mtx", "barcodes.tsv", ("features.tsv", "genes.tsv", "peaks.bed")
NAMED = re.compile(r"^(.*?)(matrix\.mtx|barcodes\.tsv|features\.tsv|genes\.tsv|peaks\.bed)(?:\.gz)?$", re.DOTALL)
THREE = "matrix.mtx, barcodes.tsv and features.tsv (or genes.tsv, peaks.bed), each plain or .gz"
_BANNER = re.compile(rb"%%MatrixMarket\s+matrix\s+coordinate\s+(integer|real|pattern)\s+general\s*$", re.IGNORECASE)
_BLANKS = re.compile(rb"[ \t]+")


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the three files of one matrix are. names: what their owner calls them, by role."""

    matrix: Path
    barcodes: Path
    features: Path
    names: Mapping[str, str]


def role(name: str) -> tuple[str, str] | None:
    """A sample's name and the role (matrix.mtx …) of a file in a 10x folder; None for any other file."""
    found = NAMED.match(name)
    return None if found is None or name.startswith("._") else (found[1], found[2])


def gathered(files: Iterable[tuple[str, Path]], *, called: str) -> Parts:
    """The one complete set of three among files. files: name as its owner knows it (with folders), and where it is.

    Raises NotHDF5 when there is none, BadInput when there are several or one is there twice.
    """
    sets: dict[str, dict[str, tuple[str, Path]]] = {}
    for name, path in files:
        folder, _, base = name.rpartition("/")
        if (found := role(base)) is None:
            continue
        kind = "features" if found[1] in FEATURES else found[1]
        files_here = sets.setdefault(f"{folder}/{found[0]}" if folder else found[0], {})
        if kind in files_here:
            raise BadInput(
                f"{called} holds both {clean(files_here[kind][0])} and {clean(name)}.",
                hint="Keep the one that belongs to the matrix.",
            )
        files_here[kind] = (name, path)
    whole = {name: found for name, found in sets.items() if {MATRIX, BARCODES, "features"} <= set(found)}
    if len(whole) > 1:
        listed = ", ".join(clean(found[MATRIX][0]) for found in list(whole.values())[:4])
        raise BadInput(
            f"{called} holds {len(whole)} matrices: {listed}.",
            hint="Give the folder of one of them, usually filtered_feature_bc_matrix.",
        )
    if not whole:
        have = ", ".join(sorted({clean(name) for each in sets.values() for name, _ in each.values()})[:6])
        raise NotHDF5(
            f"{called} does not hold a whole 10x matrix: there is {have or 'none of its files'}.",
            hint=f"A 10x folder has {THREE}.",
        )
    one = next(iter(whole.values()))
    names = {kind: clean(name.rpartition("/")[2]) for kind, (name, _) in one.items()}
    return Parts(one[MATRIX][1], one[BARCODES][1], one["features"][1], names)


def in_folder(folder: Path, *, called: str) -> Parts:
    """The three files of a folder. Raises what `gathered` raises, UnsafeFile where one is no regular file."""
    files = sorted(path for path in folder.iterdir() if role(path.name) is not None)
    for path in files:
        if not path.is_file():
            raise UnsafeFile(f"{clean(path.name)} in {called} is not a regular file.", hint=f"Give {THREE}.")
    return gathered(((path.name, path) for path in files), called=called)


def assemble(parts: Parts, into: Path, scratch: Path, limits: Limits) -> str:
    """Write the matrix as a 10x .h5 at `into`; what was read, in a sentence.

    Raises CorruptMatrix naming the line of the file that is wrong, NoCells, TooLarge.
    """
    names = parts.names
    barcodes = [row[0] for row in table(parts.barcodes, limits, called=names[BARCODES], most=limits.cells)]
    rows = list(table(parts.features, limits, called=names["features"], most=limits.features))
    features = _features(rows, called=names["features"])
    if not barcodes or not rows:
        raise NoCells(f"There are {len(barcodes):,} barcodes and {len(rows):,} features.", hint="Check what wrote it.")
    with Spool(scratch, limits) as spool:
        with unpacked(parts.matrix, limits, called=names[MATRIX]) as stream:
            turned = _read(Lines(stream, called=names[MATRIX]), spool, (len(rows), len(barcodes)), limits)
        spool.write(into, barcodes=barcodes, features=features)
    way = " (cells × features, and turned)" if turned else ""
    return f"Read from {names[MATRIX]} with {names[BARCODES]} and {names['features']}{way}."


def _features(rows: list[list[str]], *, called: str) -> Features:
    if rows and called.removesuffix(".gz").endswith("peaks.bed"):
        if short := [i for i, row in enumerate(rows, 1) if len(row) < 3]:
            raise CorruptMatrix(f"Line {short[0]:,} of {called} has no chromosome, start and end.", hint=AGAIN)
        peaks = [f"{row[0]}:{row[1]}-{row[2]}" for row in rows]
        return Features(peaks, peaks, ["Peaks"] * len(peaks))
    ids = [row[0] for row in rows]
    names = [row[1] if len(row) > 1 and row[1] else row[0] for row in rows]
    if all(len(row) > 2 for row in rows):
        return Features(ids, names, [row[2] for row in rows])
    peaks_f = is_peak(as_names(names))
    return Features(ids, names, ["Peaks" if peak else "Gene Expression" for peak in peaks_f])


def _read(lines: Lines, spool: Spool, tables: tuple[int, int], limits: Limits) -> bool:
    """Every entry, checked, into the spool; whether the matrix lay as cells × features."""
    field = _banner(lines)
    (high, wide, declared), turned = _sizes(lines, tables, limits)
    types = _types(field)
    seen = 0
    for first, piece in lines.pieces():
        found = columns(_tidy(piece), first, types, called=lines.called, delimiter=" ")
        row, column = (np.asarray(found[name]) for name in ("row", "column"))
        _within(row, high, "row", first, lines.called)
        _within(column, wide, "column", first, lines.called)
        value = np.asarray(found["value"]) if "value" in types else 1.0
        feature, cell = (column, row) if turned else (row, column)
        spool.add(cell - 1, feature - 1, value)
        seen += len(row)
        if seen > declared:
            break
    if seen != declared:
        more = "more" if seen > declared else f"{seen:,}"
        raise CorruptMatrix(f"{lines.called} declares {declared:,} entries and holds {more}.", hint=AGAIN)
    return turned


def _banner(lines: Lines) -> str:
    banner = lines.first()
    found = _BANNER.match(banner)
    if found is None:
        raise CorruptMatrix(
            f"Line 1 of {lines.called} is {clean(banner.decode('utf-8', 'replace'), longest=80)!r}, where a sparse "
            "matrix of numbers begins with '%%MatrixMarket matrix coordinate integer general'.",
            hint=AGAIN,
        )
    lines.skip(b"%")
    return found[1].decode().lower()


def _sizes(lines: Lines, tables: tuple[int, int], limits: Limits) -> tuple[tuple[int, int, int], bool]:
    """Rows, columns and entries as declared, and whether rows are cells. tables: features and barcodes named."""
    at, line = lines.number, lines.first().decode("utf-8", "replace")
    fields = line.split()
    if len(fields) != 3 or not all(field.isascii() and field.isdecimal() and len(field) < 19 for field in fields):
        raise CorruptMatrix(f"Line {at:,} of {lines.called} does not declare rows, columns and entries.", hint=AGAIN)
    rows, wide, declared = (int(field) for field in fields)
    if (rows, wide) not in (tables, tables[::-1]):
        raise CorruptMatrix(
            f"{lines.called} is {rows:,} × {wide:,}, but {tables[0]:,} features and {tables[1]:,} barcodes are named.",
            hint="Give the three files of one matrix.",
        )
    if declared > rows * wide:
        raise CorruptMatrix(f"{lines.called} declares {declared:,} entries in {rows:,} × {wide:,} places.", hint=AGAIN)
    if declared * 12 > limits.total_bytes:
        raise TooLarge(f"{lines.called} declares {declared:,} entries.", hint="Split the file by sample.")
    return (rows, wide, declared), (rows, wide) != tables


def _types(field: str) -> dict[str, Any]:
    import pyarrow as pa

    return {"row": pa.int64(), "column": pa.int64(), **({} if field == "pattern" else {"value": pa.float64()})}


def _tidy(piece: bytes) -> bytes:
    """Fields parted by one space; Cell Ranger writes them so, others by tabs or several spaces."""
    if b"\t" not in piece and b"  " not in piece and b" \n" not in piece and b"\n " not in piece and piece[:1] != b" ":
        return piece
    return b"\n".join(line.strip() for line in _BLANKS.sub(b" ", piece).split(b"\n"))


def _within(places: NDArray[np.int64], size: int, what: str, first: int, called: str) -> None:
    """Raises CorruptMatrix naming the first line whose row or column is not in 1 … size."""
    wrong = np.flatnonzero((places < 1) | (places > size))
    if wrong.size:
        raise CorruptMatrix(
            f"Line {first + int(wrong[0]):,} of {called} names {what} {int(places[wrong[0]]):,} of 1 to {size:,}.",
            hint=AGAIN,
        )
