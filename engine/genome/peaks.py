"""Peaks: stretches of a genome, and their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, WrongModality
from engine.types import Names

# The contig may hold dots, dashes and underscores itself (chrUn_KI270742v1, GL000194.1), so the last two numbers count.
_NAME = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)[:_-]([0-9]{1,12})[-_]([0-9]{1,12})")
_LINE = re.compile(f"^{_NAME.pattern}\n", re.MULTILINE)
_BARE = re.compile(r"[0-9]{1,2}|X|Y|M|MT")  # Ensembl's way of naming chromosomes


@dataclass(frozen=True, eq=False)
class Peaks:
    """Intervals on named chromosomes: 0-based start, end not included.

    chroms: distinct chromosome names. chrom: position in `chroms`, shape (p,), int32. start, end: shape (p,), int64.
    Raises BadInput when the arrays disagree or an interval is empty.
    """

    chroms: tuple[str, ...]
    chrom: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.chrom) == len(self.start) == len(self.end):
            raise BadInput(f"{len(self.chrom)} chromosomes, {len(self.start)} starts, {len(self.end)} ends of peaks.")
        wrong = np.flatnonzero((self.start < 0) | (self.end <= self.start))
        if wrong.size:
            i = int(wrong[0])
            raise BadInput(
                f"{wrong.size} of {len(self)} peaks are empty or negative, such as "
                f"{self.chroms[self.chrom[i]]}:{self.start[i]}-{self.end[i]}.",
                hint="A peak needs 0 ≤ start < end.",
            )

    def __len__(self) -> int:
        return len(self.chrom)

    @cached_property
    def names(self) -> Names:
        """`chr1:100-600`, shape (p,)."""
        return np.array(
            [f"{self.chroms[c]}:{s}-{e}" for c, s, e in zip(self.chrom, self.start, self.end, strict=True)],
            dtype=object,
        )

    def rows(self, which: Sequence[int] | NDArray[Any] | slice) -> Peaks:
        """The chosen peaks, in the order asked for."""
        return Peaks(self.chroms, self.chrom[which], self.start[which], self.end[which])

    def on(self, chroms: Iterable[str]) -> NDArray[np.bool_]:
        """Which peaks lie on one of these chromosomes, shape (p,)."""
        wanted = set(chroms)
        return np.array([name in wanted for name in self.chroms], dtype=bool)[self.chrom]


def parse_peaks(names: Iterable[str]) -> Peaks:
    """Peaks from their names: `chr1:1-2`, `chr1-1-2`, `chr1_1_2`, or `1:1-2` (read as chr1).

    Raises WrongModality when most names are no peaks, BadInput when some are not.
    """
    every = list(names)
    peaks, good_f = parse_known(every)
    bad = [name for name, good in zip(every, good_f, strict=True) if not good]
    if not bad:
        return peaks
    message = f"{len(bad):,} of {len(every):,} names cannot be read as peaks, such as {bad[0]!r}."
    if 2 * len(bad) > len(every):
        raise WrongModality(message, hint="Peaks are named like chr1:100-600. Are these genes, given as ATAC?")
    raise BadInput(
        message, hint="Peaks are named like chr1:100-600, chr1-100-600 or chr1_100_600: rename or drop these."
    )


def parse_known(names: Iterable[str]) -> tuple[Peaks, NDArray[np.bool_]]:
    """The peaks among the names, in order, and which names they are, shape (f,)."""
    every = list(names)
    good_f, parts = np.ones(len(every), dtype=bool), _all_parts(every)
    if parts is None:
        found = [_NAME.fullmatch(name) for name in every]
        good_f, parts = np.array([match is not None for match in found]), [m.groups() for m in found if m]
    start, end = (np.fromiter((int(part[k]) for part in parts), np.int64, len(parts)) for k in (1, 2))
    chroms, code = _canonical([part[0] for part in parts])
    real = start < end
    good_f[good_f] = real
    return Peaks(chroms, code[real], start[real], end[real]), good_f


def _all_parts(names: Sequence[str]) -> list[tuple[str, ...]] | None:
    """Chromosome, start and end of each name when all of them are peaks: one pass in C over all names."""
    text = "\n".join(names) + "\n"
    parts = _LINE.findall(text) if text.count("\n") == len(names) else []
    return parts if len(parts) == len(names) else None


def _canonical(spelt: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """The distinct chromosomes, and each peak's position among them (`1` and `chr1` are one)."""
    codes: dict[str, int] = {}
    where = {name: codes.setdefault(canonical_chromosome(name), len(codes)) for name in dict.fromkeys(spelt)}
    return tuple(codes), np.fromiter(map(where.__getitem__, spelt), dtype=np.int32, count=len(spelt))


def canonical_chromosome(name: str) -> str:
    """`1` → `chr1`, `MT` → `chrM`; scaffolds and names that have `chr` stay."""
    if _BARE.fullmatch(name):
        name = f"chr{name}"
    return "chrM" if name == "chrMT" else name


def format_peak(chrom: str, start: int, end: int) -> str:
    """The one spelling used inside: `chr1:100-600`."""
    return f"{chrom}:{start}-{end}"


def looks_like_peaks(names: Sequence[str] | Names, *, sample: int = 200) -> bool:
    """Whether most of a sample of the names, taken evenly, read as peaks. False for no names."""
    step = max(1, len(names) // sample)
    seen = list(names[::step])
    return bool(seen) and sum(_NAME.fullmatch(name) is not None for name in seen) * 2 > len(seen)
