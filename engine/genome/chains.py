"""UCSC chain files: places of one genome build on another. Peaks are lifted by both ends, or left out and counted.

A chain aligns a stretch of the old build (its "target") to one of the new (its "query", perhaps on the other strand)
as blocks without gaps. Format: UCSC Genome Browser, "Chain Format".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadSetting
from engine.genome.intervals import overlaps
from engine.genome.peaks import Peaks, canonical_chromosome

if TYPE_CHECKING:
    from engine.intake.limits import Limits

KEEP_LIFTED = 0.5  # ours: share of the peaks, or of the cuts of fragments, that must arrive on the other build
SAME_LENGTH = 0.1  # ours: share by which a peak may grow or shrink on the way
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Lifted:
    """peaks: on the other build. kept: which of the given ones they are, shape (len(peaks),).

    dropped: how many were left out: "unmapped" (an end is in no block), "split" (the ends are in different chains),
    "resized".
    """

    peaks: Peaks
    kept: Ints
    dropped: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Chain:
    """Blocks of all chains, each array of shape (b,). old: where they lie. shift: added to a place on the + strand,
    or from which it is taken on the −. chain: which one a block belongs to; score: of that chain. chroms: of the new.
    """

    name: str
    sha256: str
    old: Peaks
    chroms: tuple[str, ...]
    chrom: NDArray[np.int32]
    forward: NDArray[np.bool_]
    shift: Ints
    chain: Ints
    score: Ints

    @classmethod
    def read(cls, path: Path, *, limits: Limits) -> Chain:
        """A chain file, plain or gzip. Raises BadSetting when it is none, naming the line."""
        from engine.intake.texts import Lines, unpacked

        if not path.is_file():
            raise BadSetting(f"There is no chain file {path.name}.", hint="Put it into the folder CROSSVIEW_CHAINS.")
        digest, blocks = hashlib.sha256(path.read_bytes()).hexdigest(), _Blocks(path.name)
        with unpacked(path, limits, called=path.name) as stream:
            for first, piece in Lines(stream, called=path.name).pieces():
                for number, line in enumerate(piece.decode("utf-8", "replace").split("\n"), first):
                    blocks.take(line.split(), number)
        return blocks.done(digest)

    def points(self, chrom: NDArray[np.int32], chroms: tuple[str, ...], at: Ints) -> tuple[Ints, Ints]:
        """The block of each place (−1: none; of several that of the best chain) and its place on the new build."""
        where = overlaps(Peaks(chroms, chrom, at, at + 1), self.old).tocoo()
        row, block = where.row.astype(np.int64), where.col.astype(np.int64)
        order = np.lexsort((self.score[block], row))  # the last of each place is the best
        found = np.full(len(at), -1, dtype=np.int64)
        found[row[order]] = block[order]
        new = np.where(self.forward[found], at + self.shift[found], self.shift[found] - at)
        return found, np.where(found < 0, -1, new)

    def lift(self, peaks: Peaks, *, same_length: float = SAME_LENGTH) -> Lifted:
        """Peaks whose ends both lie in one chain, and whose length stays within a share of what it was."""
        first, low = self.points(peaks.chrom, peaks.chroms, peaks.start)
        last, high = self.points(peaks.chrom, peaks.chroms, peaks.end - 1)
        there = (first >= 0) & (last >= 0)
        whole = there & (self.chain[first] == self.chain[last])
        start, end = np.minimum(low, high), np.maximum(low, high) + 1
        length = peaks.end - peaks.start
        same = whole & (np.abs((end - start) - length) <= same_length * length)
        kept = np.flatnonzero(same)
        dropped = {
            "unmapped": int((~there).sum()),
            "split": int((there & ~whole).sum()),
            "resized": int((whole & ~same).sum()),
        }
        return Lifted(Peaks(self.chroms, self.chrom[first[kept]], start[kept], end[kept]), kept, dropped)


class _Blocks:
    """Blocks as the lines of a file give them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.old: dict[str, int] = {}
        self.new: dict[str, int] = {}
        self.rows: list[tuple[int, int, int, int, bool, int, int, int]] = []
        self._at: tuple[int, int, int, bool, int] | None = None  # old, new, sizes and strand of the open chain
        self._place = (0, 0)
        self._score, self._number = 0, 0

    def take(self, fields: list[str], number: int) -> None:
        """One line. Raises BadSetting."""
        try:
            if not fields or fields[0].startswith("#"):
                return
            if fields[0] == "chain":
                self._header(fields)
            else:
                self._block([int(field) for field in fields])
        except (ValueError, IndexError, TypeError) as error:
            raise BadSetting(
                f"Line {number:,} of {self.name} is none of a chain file.",
                hint="Fetch it again from UCSC: hg19ToHg38.over.chain.gz and kin.",
            ) from error

    def _header(self, fields: list[str]) -> None:
        _, score, old, _, strand, start, _, new, size, turned, begin = fields[:11]
        if strand != "+" or turned not in ("+", "-"):
            raise ValueError(strand)
        codes = self.old.setdefault(canonical_chromosome(old), len(self.old)), self.new.setdefault(new, len(self.new))
        self._at = (*codes, int(size), turned == "+", int(score))
        self._place = (int(start), int(begin))
        self._number += 1

    def _block(self, numbers: list[int]) -> None:
        if self._at is None:
            raise ValueError("a block before its chain")
        old, new, size, forward, score = self._at
        here, there = self._place
        length, *gaps = numbers
        if length <= 0 or here < 0 or len(gaps) not in (0, 2):
            raise ValueError(length)
        # On the − strand places count from the far end of the chromosome.
        shift = there - here if forward else size - 1 - there + here
        self.rows.append((old, here, here + length, new, forward, shift, self._number, score))
        if gaps:
            self._place = (here + length + gaps[0], there + length + gaps[1])

    def done(self, sha256: str) -> Chain:
        if not self.rows:
            raise BadSetting(f"{self.name} holds no chains.", hint="Fetch it again from UCSC.")
        old, start, end, new, forward, shift, chain, score = (np.array(part) for part in zip(*self.rows, strict=True))
        return Chain(
            self.name,
            sha256,
            Peaks(tuple(self.old), old.astype(np.int32), start.astype(np.int64), end.astype(np.int64)),
            tuple(self.new),
            new.astype(np.int32),
            forward.astype(bool),
            shift.astype(np.int64),
            chain.astype(np.int64),
            score.astype(np.int64),
        )
