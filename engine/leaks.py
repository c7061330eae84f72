"""Does a cell, or a batch of cells, stand on both sides of a split? Found here, by name, before anything is fitted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import scipy.sparse as sp

from engine.errors import BadSetting, LeakedCells
from engine.pairs import spellings
from engine.types import Cells, PairedCells, Split

TOLD_APART = 20  # detected features from which two cells with equal counts are the same cell  # ours
_BATCH = re.compile(r"^(batch|donor|sample|patient|individual|subject|mouse|animal|replicate|library|lane)", re.I)


@dataclass(frozen=True)
class Leaks:
    """What was looked at and found harmless. checked: for the card; notes: what makes scores optimistic."""

    checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, list[str]]:
        return {"checked": list(self.checked), "notes": list(self.notes)}


def check(split: Split, cells: PairedCells | Cells, *, by: str = "") -> Leaks:
    """Refuses a split whose cells that judge were seen in training under another name, or in another batch `by`.

    cells: those of the split; with both modalities, cells of equal counts are found too.
    by: column whose values may not stand on both sides; other batch-like columns that do are noted.
    The very same name on two sides is refused where a Split is born. Raises LeakedCells, BadSetting.
    """
    known = cells.rna if isinstance(cells, PairedCells) else cells
    side_of = {name: side for side in ("train", "valid", "test") for name in getattr(split, side)}
    _refuse_spellings(side_of)
    compared = _refuse_twins(side_of, cells)
    left = len(side_of) - compared
    checked = [
        f"no barcode is on two sides, in any spelling, and no two of the {compared:,} cells on different sides "
        "have the same counts"
        + (f" ({left:,} with fewer than {TOLD_APART} features were not compared)" if left else "")
    ]
    if by:
        _refuse_straddling(split, known, by)
        checked.append(f"no {by} is on both sides")
    return Leaks(tuple(checked), tuple(_straddling_notes(split, known, but=by)))


def _refuse_spellings(side_of: dict[str, str]) -> None:
    """AAAC beside AAAC-1 or lane1#AAAC is one cell spelled twice; AAAC-1 beside AAAC-2 are two lanes."""
    plain = {name.upper(): name for name in side_of}
    pairs = [
        (twin, name)
        for name, side in side_of.items()
        for key in spellings(name)
        if (twin := plain.get(key)) is not None and twin != name and side_of[twin] != side
    ]
    if pairs:
        one, other = pairs[0]
        raise LeakedCells(
            f"{len(pairs):,} barcodes are on two sides of the split in two spellings, such as {one} "
            f"({side_of[one]}) and {other} ({side_of[other]}).",
            hint="Give every cell one name, and let it stand on one side only.",
        )


def _refuse_twins(side_of: dict[str, str], cells: PairedCells | Cells) -> int:
    """Two names whose counts are equal in every feature are the same cell, whatever it is called.

    Returns how many cells had enough counts to be compared.
    """
    seen: dict[bytes, str] = {}
    pairs: list[tuple[str, str]] = []
    compared = 0
    for name, mark in _marks(cells):
        if name not in side_of:
            continue
        compared += 1
        first = seen.setdefault(mark, name)
        if side_of[first] != side_of[name]:
            pairs.append((first, name))
    if pairs:
        one, other = pairs[0]
        raise LeakedCells(
            f"{len(pairs):,} cells are on two sides of the split under two names: {one} ({side_of[one]}) and {other} "
            f"({side_of[other]}) have the same counts in every gene and peak.",
            hint="Remove the copies: a cell that trains may not judge.",
        )
    return compared


def _marks(cells: PairedCells | Cells) -> Iterator[tuple[str, bytes]]:
    """Name and digest of the counts of each cell with enough of them to be told from any other."""
    parts = (cells.rna, cells.atac) if isinstance(cells, PairedCells) else (cells,)
    matrices = [_sorted(part.counts) for part in parts]
    for row, name in enumerate(parts[0].barcodes):
        seen, features = hashlib.blake2b(digest_size=16), 0
        for matrix in matrices:
            a, b = int(matrix.indptr[row]), int(matrix.indptr[row + 1])
            features += b - a
            seen.update(matrix.indices[a:b].tobytes() + b"|" + matrix.data[a:b].tobytes() + b"|")
        if features >= TOLD_APART:
            yield str(name), seen.digest()


def _sorted(counts: sp.csr_matrix) -> Any:
    if counts.has_sorted_indices:
        return counts
    return counts.sorted_indices()


def _refuse_straddling(split: Split, cells: Cells, by: str) -> None:
    if by not in cells.obs:
        known = ", ".join(cells.obs) or "none"
        raise BadSetting(f"There is no column {by!r} to split by.", hint=f"Columns: {known}.")
    shared = _shared(split, cells, by)
    if shared:
        raise LeakedCells(
            f"{len(shared):,} values of {by} are on both sides of the split, such as {shared[0]}: "
            "cells of one batch would train and judge.",
            hint=f"Hold out whole values of {by}, or leave the column out to score by cell.",
        )


def _straddling_notes(split: Split, cells: Cells, *, but: str) -> Iterator[str]:
    for column in cells.obs:
        if column != but and _BATCH.match(column) and _shared(split, cells, column):
            yield f"Cells of the same {column} are on both sides: scores are by-cell, optimistic for new batches."


def _shared(split: Split, cells: Cells, column: str) -> list[str]:
    """Values that both train or choose and judge, where there is more than one value at all."""
    values = dict(zip(cells.barcodes, cells.obs[column], strict=True))
    learns = {values[name] for name in (*split.train, *split.valid) if name in values}
    judges = {values[name] for name in split.test if name in values}
    if len(learns | judges) < 2:
        return []
    return sorted(str(value) for value in learns & judges)
