"""Which intervals overlap which: sorted sweeps over whole genomes, no loop in Python."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.genome.peaks import Peaks

Ints = NDArray[np.int64]
STRIDE = 1 << 42  # base pairs given to each chromosome on one long line; peaks parse up to 10^12
_BLOCK = 1 << 22  # candidate pairs looked at together: bounds the memory when a few intervals are huge


def on_one_line(a: Peaks, b: Peaks) -> tuple[Ints, Ints]:
    """Where each peak's chromosome begins if all chromosomes of both lay end to end; shapes (len(a),), (len(b),)."""
    code = {name: i for i, name in enumerate(dict.fromkeys((*a.chroms, *b.chroms)))}
    here = [np.array([code[name] for name in peaks.chroms], dtype=np.int64) for peaks in (a, b)]
    return here[0][a.chrom] * STRIDE, here[1][b.chrom] * STRIDE


def ranges(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Every (i, j) with low[i] ≤ j < high[i], as two flat arrays, ordered by i then j."""
    sizes = np.maximum(high - low, 0)
    rows = np.repeat(np.arange(len(low), dtype=np.int64), sizes)
    first = np.cumsum(sizes) - sizes
    return rows, np.arange(len(rows), dtype=np.int64) - np.repeat(first - low, sizes)


def overlaps(a: Peaks, b: Peaks) -> sp.csr_matrix:
    """1 where a peak of `a` shares at least one base with a peak of `b`; CSR float32, shape (len(a), len(b))."""
    rows, columns = _pairs(a, b) if len(a) and len(b) else (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    return sp.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(len(a), len(b)))


def _pairs(a: Peaks, b: Peaks) -> tuple[Ints, Ints]:
    base_a, base_b = on_one_line(a, b)
    order = np.argsort(base_b + b.start, kind="stable")
    start, end = (base_b + b.start)[order], (base_b + b.end)[order]
    # Ends need not be sorted where intervals nest; their running maximum is.
    low = np.searchsorted(np.maximum.accumulate(end), base_a + a.start, side="right")
    high = np.searchsorted(start, base_a + a.end, side="left")
    pairs = [
        (rows[hit], order[columns[hit]])
        for rows, columns in _blocks(low, high)
        for hit in [end[columns] > (base_a + a.start)[rows]]
    ]
    return np.concatenate([rows for rows, _ in pairs]), np.concatenate([columns for _, columns in pairs])


def _blocks(low: Ints, high: Ints) -> Iterator[tuple[Ints, Ints]]:
    """`ranges`, some rows at a time."""
    total = np.cumsum(np.maximum(high - low, 0))
    cuts = np.searchsorted(total, np.arange(_BLOCK, total[-1] + _BLOCK, _BLOCK), side="left") + 1
    edges = np.unique(np.concatenate([[0], np.minimum(cuts, len(low)), [len(low)]]))
    for first, stop in pairwise(edges.tolist()):
        rows, columns = ranges(low[first:stop], high[first:stop])
        yield rows + first, columns
