"""Fragments of single-cell ATAC (`fragments.tsv.gz` of 10x, ArchR, SnapATAC2), counted on the peaks of a model.

Counted are insertions: each end of a fragment counts once in each peak it lies in, as Cell Ranger ATAC and ARC count
their peak matrices (cut sites) and ArchR its peaks, so that counts made here are what a model trained on such matrices
knows. (Signac's FeatureMatrix and SnapATAC2's "fragment" count whole fragments; paired insertion counting, Miao & Kim
2024, counts a fragment with both ends in a peak once. The fifth column, read pairs of a fragment, is not counted.)
Starts are 0-based, ends not included: the cuts are `start` and `end − 1`.
Sources: 10x Genomics, "ATAC Fragments File" (Cell Ranger ARC); Granja et al. 2021 (ArchR).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, BadSetting, CorruptMatrix, NeedsPeaks, NoCells, TooLarge, WrongGenome
from engine.genome.chains import KEEP_LIFTED, Chain
from engine.genome.detect import like_tiles
from engine.genome.genes import GENOMES, chromosome_sizes
from engine.genome.line import Crossing, Line
from engine.genome.peaks import Peaks, canonical_chromosome, parse_peaks
from engine.intake.limits import Limits
from engine.intake.names import clean
from engine.intake.spool import Features, Spool
from engine.intake.texts import AGAIN, Lines, columns, unpacked
from engine.types import as_names

if TYPE_CHECKING:
    from engine.intake.mends import Mends

CONVENTION = "insertions"
LONGEST = 1 << 31  # bases; what a position may be
MOST_CHROMOSOMES = 1 << 20  # ours
BEYOND = 1e-5  # ours: share of fragments beyond a chromosome's end that no right build has; at least 10 of them
# Ours, as in `engine.genome.detect`: cuts in peaks over cuts in the same peaks moved aside. A right build gave 1.9 and
# more, another one about 1; judged only where at least 500 cuts of a sample hit at all.
RIGHT, ENOUGH_HITS, SAMPLE = 1.3, 500, 10_000  # a piece
RARE, ENOUGH = 2e-3, 20_000  # ours: share of cuts in peaks below which no build is right, of so many looked at
SHIFTS = (-300_000, -150_000, 150_000, 300_000)
_FIELDS = re.compile(rb"[^\t\n]+\t[0-9]+\t[0-9]+\t[^\t\n]+(\t[^\n]*)?\r?\n")
Ints = NDArray[np.int64]


def looks_like_fragments(text: bytes) -> bool:
    """Whether the first lines (comments aside) are chromosome, start, end, barcode."""
    while text.startswith(b"#"):
        text = text.partition(b"\n")[2]
    return _FIELDS.match(text) is not None


@dataclass
class Tally:
    """What was seen on the way. fragments: by barcode code, shape (known,)."""

    fragments: Ints = field(default_factory=lambda: np.zeros(1 << 10, dtype=np.int64))
    lines: int = 0
    cuts_in_peaks: int = 0
    beyond: int = 0
    beyond_example: str = ""
    elsewhere: int = 0  # fragments on chromosomes that have no peak
    cuts_lifted: int = 0
    sampled: int = 0
    here: int = 0
    aside: float = 0.0


def assemble(
    path: Path, into: Path, scratch: Path, limits: Limits, mends: Mends, *, called: str
) -> tuple[list[str], dict[str, Any]]:
    """Count into a 10x .h5 at `into`; what was done in words, and as a record.

    Raises NeedsPeaks without peaks, WrongGenome, NoCells, CorruptMatrix naming a line, TooLarge.
    """
    if not mends.peaks:
        raise NeedsPeaks(
            f"{called} holds fragments, which are counted on the peaks of a model, and no model was named.",
            hint="Name it: `--model ID` on the command line, `model` of an import.",
        )
    names = as_names(line for line in Path(mends.peaks).read_text(encoding="utf-8").splitlines() if line)
    counted = _Counting(parse_peaks(names), mends.genome, called, _chain(mends, limits))
    with Spool(scratch, limits) as spool:
        counted.read(path, spool, limits)
        counted.judge(mends)
        barcodes = as_names(counted.codes)
        kept, chosen = _cells(barcodes, counted.tally.fragments, mends, called)
        features = Features(list(names), list(names), ["Peaks"] * len(names))
        spool.write(into, barcodes=list(barcodes[kept]), features=features, kept=kept)
    return counted.told(len(kept), chosen, mends, names)


class _Counting:
    """One pass over a file of fragments. chain: from their own build to that of the peaks, where these differ."""

    def __init__(self, peaks: Peaks, genome: str, called: str, chain: tuple[str, Chain] | None = None) -> None:
        self.peaks, self.genome, self.called = peaks, genome, called
        self.line, self.tally = Line(peaks), Tally()
        self.build = chain[0] if chain else genome
        self.chain = chain[1] if chain else None
        self.crossing = Crossing(self.chain, self.line) if self.chain is not None else None
        self.base = (self.crossing or self.line).base
        self.codes: dict[str, int] = {}
        self.spelt: dict[str, str] = {}
        self.sizes: Mapping[str, int] = chromosome_sizes(self.build) if self.build in GENOMES else {}
        self.tiles = like_tiles(peaks)

    def read(self, path: Path, spool: Spool, limits: Limits) -> None:
        with unpacked(path, limits, called=self.called) as stream:
            lines = Lines(stream, called=self.called)
            lines.skip(b"#")
            types: dict[str, Any] | None = None
            for first, piece in lines.pieces():
                types = types or _types(piece)
                self._take(columns(piece, first, types, called=self.called), first, spool, limits)
        if not self.tally.lines:
            raise NoCells(f"{self.called} holds no fragments.", hint="Check what wrote it.")

    def _take(self, found: Any, first: int, spool: Spool, limits: Limits) -> None:
        chrom, spelt = _coded(found["chrom"])
        cell, barcodes = _coded(found["barcode"])
        start, end = np.asarray(found["start"]), np.asarray(found["end"])
        wrong = np.flatnonzero((start < 0) | (end <= start) | (end > LONGEST))
        if wrong.size:
            i = int(wrong[0])
            raise CorruptMatrix(
                f"Line {first + i:,} of {self.called} runs from {int(start[i]):,} to {int(end[i]):,}.", hint=AGAIN
            )
        codes = np.array([self.codes.setdefault(name, len(self.codes)) for name in barcodes], dtype=np.int64)
        if len(self.codes) > limits.cells:
            raise TooLarge(f"{self.called} names more than {limits.cells:,} barcodes.", hint="Split it by sample.")
        tally = self.tally
        rows = codes[cell]
        tally.fragments = _wide(tally.fragments, len(self.codes))
        tally.fragments[: len(self.codes)] += np.bincount(rows, minlength=len(self.codes))
        tally.lines += len(rows)
        base = self._bases(spelt, chrom, end)[chrom]
        known = base >= 0
        tally.elsewhere += int((~known).sum())
        for cut in (start, end - 1):
            at = self._on_the_line(np.where(known, base + cut, -1))
            for hit, peak in self.line.hits(at):
                tally.cuts_in_peaks += len(hit)
                spool.add(rows[hit], peak, 1.0)
            if cut is start:
                self._sample(at[:: max(1, len(rows) // SAMPLE)])

    def _on_the_line(self, at: Ints) -> Ints:
        """Places of the fragments' build on the line of the peaks."""
        if self.crossing is None:
            return at
        there, arrived = self.crossing.across(at)
        self.tally.cuts_lifted += int(arrived.sum())
        return there

    def _bases(self, spelt: list[str], chrom: NDArray[Any], end: Ints) -> Ints:
        """Where each chromosome of a piece begins on the line of peaks; −1 for those without a peak."""
        bases = np.full(len(spelt), -1, dtype=np.int64)
        for i, name in enumerate(spelt):
            canonical = canonical_chromosome(name)
            self.spelt.setdefault(name, canonical)
            bases[i] = self.base.get(canonical, -1)
            if (size := self.sizes.get(canonical)) is not None:
                over = np.flatnonzero((chrom == i) & (end > size))
                if over.size and not self.tally.beyond_example:
                    self.tally.beyond_example = f"{name} at {int(end[over[0]]):,}, where {self.build} has {size:,}"
                self.tally.beyond += int(over.size)
        if len(self.spelt) > MOST_CHROMOSOMES:
            raise CorruptMatrix(f"{self.called} names more than {MOST_CHROMOSOMES:,} chromosomes.", hint=AGAIN)
        return bases

    def _sample(self, at: Ints) -> None:
        """Some cuts, and the same moved aside: how much more they lie in peaks than by chance."""
        tally, known = self.tally, at[at >= 0]
        tally.sampled += len(at)
        tally.here += sum(len(hit) for hit, _ in self.line.hits(known))
        moved = [sum(len(hit) for hit, _ in self.line.hits(known + by)) for by in SHIFTS]
        tally.aside += float(np.mean(moved))

    def judge(self, mends: Mends) -> None:
        """Raises WrongGenome when the fragments cannot be of the peaks' build, BadInput when they hit none of them."""
        tally = self.tally
        whose = f"the peaks of {mends.of}" if mends.of else "the peaks"
        build = f" ({self.genome})" if self.genome else ""
        mend = (
            "Name the build they are on, and they are lifted over (`--lift hg19`, `lift` of an import); or choose a "
            "model of their own build."
        )
        if self.chain is not None:
            mend = f"Are they on {self.build}? Leave `--lift` out, or name another build."
            if self._lifted < KEEP_LIFTED:
                raise WrongGenome(
                    f"Only {self._lifted:.1%} of the cuts have a place on {mends.onto} by {self.chain.name}.", hint=mend
                )
        if tally.elsewhere == tally.lines:
            theirs = ", ".join(clean(name, longest=20) for name in list(self.spelt)[:4])
            raise WrongGenome(f"No fragment lies on a chromosome of {whose}{build}: they are on {theirs}.", hint=mend)
        if tally.beyond >= 10 and tally.beyond > BEYOND * tally.lines:
            raise WrongGenome(
                f"{tally.beyond:,} of {tally.lines:,} fragments lie beyond a chromosome's end "
                f"({tally.beyond_example}): they are of another genome build than {self._theirs(whose, build)}.",
                hint=mend,
            )
        share = tally.cuts_in_peaks / (2 * tally.lines)
        if self.tiles:
            return
        judged = tally.here >= ENOUGH_HITS and tally.here < RIGHT * tally.aside
        if judged or (tally.sampled >= ENOUGH and share < RARE) or not tally.cuts_in_peaks:
            raise WrongGenome(
                f"{1 - share:.1%} of the cuts lie outside {whose}{build}, and those inside are no more than chance: "
                "the fragments seem to be of another genome build or organism.",
                hint=mend,
            )

    @property
    def _lifted(self) -> float:
        return self.tally.cuts_lifted / (2 * self.tally.lines)

    def _theirs(self, whose: str, build: str) -> str:
        return f"{whose}{build}" if self.chain is None else f"{self.build}, which was named"

    def told(self, cells: int, chosen: str, mends: Mends, names: Any) -> tuple[list[str], dict[str, Any]]:
        tally = self.tally
        share = tally.cuts_in_peaks / (2 * tally.lines)
        whose = f"the {len(names):,} peaks of {mends.of}" if mends.of else f"{len(names):,} peaks"
        notes = [
            f"{tally.lines:,} fragments were counted on {whose}: each end in a peak counts once (as Cell Ranger and "
            f"ArchR count); {share:.1%} of the ends lie in one.",
            f"{cells:,} of {len(self.codes):,} barcodes are cells: {chosen}.",
        ]
        renamed = [name for name, canonical in self.spelt.items() if name != canonical]
        if renamed:
            example = renamed[0]
            notes.append(f"Chromosomes were renamed as the model names them, such as {clean(example)} to "
                         f"{clean(self.spelt[example])}.")  # fmt: skip
        if self.chain is not None:
            notes.append(
                f"{self._lifted:.1%} of the ends were lifted from {self.build} to {mends.onto}, each by itself; the "
                "others have no place there."
            )
        if tally.elsewhere:
            notes.append(f"{tally.elsewhere:,} fragments lie on chromosomes without a peak and were passed over.")
        record = {
            "what": "recount", "counted": CONVENTION, "peaks_of": mends.of, "peaks": len(names),
            "fragments": tally.lines, "in_peaks": round(share, 6), "barcodes": len(self.codes), "cells": cells,
            "min_fragments": 0 if mends.cells else mends.min_fragments,
        }  # fmt: skip
        if self.chain is not None:
            record |= {
                "from": self.build, "to": mends.onto, "chain": self.chain.name, "sha256": self.chain.sha256,
                "lifted": round(self._lifted, 6),
            }  # fmt: skip
        return notes, record


def _chain(mends: Mends, limits: Limits) -> tuple[str, Chain] | None:
    """The fragments' own build and the way from it, where they are to be lifted. Raises BadSetting."""
    if not mends.lift:
        return None
    if mends.genome and mends.onto != mends.genome:
        raise BadSetting(
            f"Fragments were to be lifted to {mends.onto}, but the peaks they are counted on are of {mends.genome}.",
            hint=f"Leave --onto out: they are lifted to {mends.genome}.",
        )
    return mends.lift, Chain.read(Path(mends.chain), limits=limits)


def _cells(barcodes: Any, fragments: Ints, mends: Mends, called: str) -> tuple[Ints, str]:
    """Which barcodes are cells, in name order, and why. Raises NoCells, CellsDoNotMatch."""
    if mends.cells:
        from engine.pairs import match_barcodes

        wanted = as_names(line for line in Path(mends.cells).read_text(encoding="utf-8").splitlines() if line)
        found = match_barcodes(wanted, barcodes, what=("given", "fragment"))
        kept = found.index_b
        why = f"those of the other file ({len(kept):,} of its {len(wanted):,})"
    else:
        kept = np.flatnonzero(fragments[: len(barcodes)] >= mends.min_fragments)
        why = f"those with at least {mends.min_fragments:,} fragments"
        if not len(kept):
            raise NoCells(
                f"No barcode of {called} has {mends.min_fragments:,} fragments; the fullest has "
                f"{int(fragments.max()):,}.",
                hint="Ask for fewer with --min-fragments (`min_fragments` of an import), or name the cells.",
            )
    return kept[np.argsort(barcodes[kept].astype(str), kind="stable")], why


def _coded(column: Any) -> tuple[NDArray[Any], list[str]]:
    """A dictionary column as codes and the texts they stand for."""
    joined = column.combine_chunks()
    joined = joined.chunk(0) if hasattr(joined, "chunk") else joined
    return np.asarray(joined.indices), [clean(text) for text in joined.dictionary.to_pylist()]


def _wide(array: Ints, size: int) -> Ints:
    if size <= len(array):
        return array
    return np.concatenate([array, np.zeros(max(size, 2 * len(array)) - len(array), dtype=np.int64)])


def _types(piece: bytes) -> dict[str, Any]:
    """Columns by what the first line has; all after the barcode are passed over."""
    import pyarrow as pa

    more = piece.partition(b"\n")[0].count(b"\t") + 1 - 4
    if more < 0:
        raise BadInput("The first line has fewer than four columns.", hint=AGAIN)
    coded = pa.dictionary(pa.int32(), pa.string())
    known = {"chrom": coded, "start": pa.int64(), "end": pa.int64(), "barcode": coded}
    return {**known, **{f"more{i}": pa.string() for i in range(more)}}
