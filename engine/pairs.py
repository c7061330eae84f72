"""The same cells in two files: barcodes reconciled, and what was done is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import CellsDoNotMatch, DuplicateNames, WrongModality
from engine.types import Cells, Modality, Names, PairedCells, duplicated

_SUFFIX = re.compile(r"([-_.](\d{1,3}|rna|atac|gex|RNA|ATAC|GEX))+$")  # 10x lane or modality: AAAC-1, AAAC_rna
_VELOCYTO = re.compile(r"(?<=[ACGTN]{6})x$")  # velocyto ends every barcode so: sample:AAACAGCCx
_PREFIX = re.compile(r"^.*[#:/|]|^.*_(?=[ACGTNacgtn]{6,}(\W|_|$))")  # ArchR sample#AAAC, sample:AAAC, 09A_AAAC


@dataclass(frozen=True, eq=False)
class Matching:
    """Which cell of one list is which of the other, in the order of the first.

    index_a, index_b: positions, shape (m,) each. share: m over the length of the shorter list.
    note: what was done to the names, in words. told: whether that is worth a reader's while, because names were
    changed or cells left out.
    """

    index_a: NDArray[np.int64]
    index_b: NDArray[np.int64]
    note: str
    share: float
    told: bool

    def __len__(self) -> int:
        return len(self.index_a)


def _same(name: str) -> str:
    return name


def _bare(name: str) -> str:
    return _VELOCYTO.sub("", _SUFFIX.sub("", name))


def _unprefixed(name: str) -> str:
    return _PREFIX.sub("", name)


# From the least to the most invasive: a later one must match more cells to be chosen.
_WAYS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("", _same),
    ("ignoring case", str.upper),
    ("without suffixes such as -1", _bare),
    ("without sample prefixes", _unprefixed),
    ("without sample prefixes and suffixes", lambda name: _bare(_unprefixed(name))),
    ("without suffixes and ignoring case", lambda name: _bare(name).upper()),
    ("without sample prefixes and ignoring case", lambda name: _unprefixed(name).upper()),
    ("without sample prefixes, suffixes and case", lambda name: _bare(_unprefixed(name)).upper()),
)


def spellings(name: str) -> frozenset[str]:
    """Every form under which `match_barcodes` would know this cell, in capitals."""
    return frozenset(key(name).upper() for _, key in _WAYS)


def match_barcodes(
    a: Sequence[str] | Names, b: Sequence[str] | Names, *, what: tuple[str, str] = ("RNA", "ATAC")
) -> Matching:
    """Match cell names exactly, or else without suffixes, sample prefixes or case: the mildest that matches most.

    A way that would make two names of one list equal is not used. what: how to call the two lists.
    Raises CellsDoNotMatch when nothing matches, DuplicateNames when a list names a cell twice.
    """
    for names, label in zip((a, b), what, strict=True):
        if twice := duplicated(names):
            raise DuplicateNames(
                f"{len(twice):,} {label} cell names occur more than once, such as {twice[0]}.",
                hint="Make the names unique, for example by prefixing each sample's barcodes.",
            )
    best: Matching | None = None
    ambiguous: tuple[int, str, str] | None = None
    for said, key in _WAYS:
        if best is not None and len(best) == min(len(a), len(b)):
            break  # none can match more
        keys_a, keys_b = [key(str(name)) for name in a], [key(str(name)) for name in b]
        shared = len(set(keys_a) & set(keys_b))
        if shared <= (len(best) if best else 0):
            continue
        if (twin := _collision(a, keys_a) or _collision(b, keys_b)) is not None:
            ambiguous = ambiguous or (shared, said, f"{twin[0]} and {twin[1]}")
            continue
        best = _matched(keys_a, keys_b, said, what)
    if best is None:
        raise _nothing(a, b, what, ambiguous)
    return best


def _collision(names: Sequence[str] | Names, keys: list[str]) -> tuple[str, str] | None:
    """Two names that became one, if any."""
    first: dict[str, str] = {}
    for name, key in zip(names, keys, strict=True):
        if key in first:
            return first[key], str(name)
        first[key] = str(name)
    return None


def _matched(keys_a: list[str], keys_b: list[str], said: str, what: tuple[str, str]) -> Matching:
    position = {key: i for i, key in enumerate(keys_b)}
    index_a = np.array([i for i, key in enumerate(keys_a) if key in position], dtype=np.int64)
    index_b = np.array([position[keys_a[i]] for i in index_a], dtype=np.int64)
    m, only_a, only_b = len(index_a), len(keys_a) - len(index_a), len(keys_b) - len(index_a)
    note = f"{m:,} cells are in both files" + (f", their names compared {said}" if said else "") + "."
    if only_a or only_b:
        note += f" Left out: {only_a:,} only in {what[0]}, {only_b:,} only in {what[1]}."
    return Matching(index_a, index_b, note, m / max(1, min(len(keys_a), len(keys_b))), bool(said or only_a or only_b))


def _examples(names: Sequence[str] | Names) -> str:
    return ", ".join(str(name) for name in names[:3])


def _nothing(
    a: Sequence[str] | Names, b: Sequence[str] | Names, what: tuple[str, str], ambiguous: tuple[int, str, str] | None
) -> CellsDoNotMatch:
    shown = f"{what[0]}: {_examples(a)} …; {what[1]}: {_examples(b)} …"
    if ambiguous is not None:
        shared, said, twins = ambiguous
        return CellsDoNotMatch(
            f"No cell name is in both files. Compared {said}, {shared:,} would match, but then {twins} "
            f"would be the same cell ({shown}).",
            hint="Give both files the same sample prefix or suffix, so that every cell has one name.",
        )
    return CellsDoNotMatch(
        f"None of {len(a):,} {what[0]} cells is among the {len(b):,} {what[1]} cells ({shown}).",
        hint="Both files must come from the same cells and keep their barcodes; "
        "suffixes such as -1, sample prefixes and case are reconciled.",
    )


def same_cells(rna: Sequence[str] | Names, atac: Sequence[str] | Names, *, min_share: float = 0.5) -> Matching:
    """`match_barcodes` of two files that must hold the same cells. Raises CellsDoNotMatch where too few are in both."""
    matching = match_barcodes(rna, atac)
    if matching.share < min_share:
        raise CellsDoNotMatch(
            f"{len(matching):,} of {min(len(rna), len(atac)):,} cells match ({matching.share:.0%}); "
            f"at least {min_share:.0%} are needed (RNA: {_examples(rna)} …; ATAC: {_examples(atac)} …).",
            hint="Check that both files come from the same sample and keep their barcodes.",
        )
    return matching


def pair(rna: Cells, atac: Cells, *, min_share: float = 0.5) -> tuple[PairedCells, Matching]:
    """The cells found in both, in RNA order and under the RNA names.

    min_share: matched cells over the smaller file's cells that are needed.
    Raises CellsDoNotMatch with numbers and examples, WrongModality when the two are swapped.
    """
    if rna.modality is not Modality.RNA or atac.modality is not Modality.ATAC:
        raise WrongModality(
            f"The first file holds {rna.modality.value.upper()}, the second {atac.modality.value.upper()}.",
            hint="Give RNA (genes) first and ATAC (peaks) second.",
        )
    matching = same_cells(rna.barcodes, atac.barcodes, min_share=min_share)
    kept_rna, kept_atac = rna.rows(matching.index_a), atac.rows(matching.index_b)
    return PairedCells(kept_rna, replace(kept_atac, barcodes=kept_rna.barcodes)), matching
