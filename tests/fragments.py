"""Fragments on known peaks, and the plainest possible count of them."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.genome.peaks import parse_peaks
from engine.types import Names

Fragment = tuple[str, int, int, str]


def fragments_on(
    peaks: Names, *, cells: int, each: int, inside: float = 0.6, rng: np.random.Generator
) -> list[Fragment]:
    """`each` fragments a cell, a share of them starting in a peak; sorted by place, as 10x writes them."""
    parsed = parse_peaks(peaks)
    found: list[Fragment] = []
    for cell in range(cells):
        for peak, hit in zip(rng.integers(0, len(parsed), each), rng.random(each) < inside, strict=True):
            low, high = int(parsed.start[peak]), int(parsed.end[peak])
            start = int(rng.integers(low, high)) if hit else int(rng.integers(high, high + 5_000))
            end = start + int(rng.integers(30, 600))
            found.append((parsed.chroms[parsed.chrom[peak]], start, end, f"CELL{cell:03d}-1"))
    return sorted(found)


def write_fragments(found: Sequence[Fragment], path: Path, *, head: str = "# id=lab\n", fifth: bool = True) -> Path:
    lines = "".join("\t".join(map(str, (*one, *([1] if fifth else [])))) + "\n" for one in found)
    text = (head + lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def counted_plainly(found: Sequence[Fragment], peaks: Names) -> Counter[tuple[str, str]]:
    """Cuts by (cell, peak): every end against every peak of its chromosome, one by one."""
    counts: Counter[tuple[str, str]] = Counter()
    spans = [(name, name.split(":")[0], *map(int, name.split(":")[1].split("-"))) for name in peaks]
    for chrom, start, end, cell in found:
        for name, where, low, high in spans:
            for cut in (start, end - 1):
                if where == chrom and low <= cut < high:
                    counts[cell, name] += 1
    return counts
