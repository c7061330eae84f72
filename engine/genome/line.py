"""Single places among many peaks, and on another genome build: millions of cuts at once, by sorted sweeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.genome.chains import Chain
from engine.genome.intervals import STRIDE
from engine.genome.peaks import Peaks, canonical_chromosome

Ints = NDArray[np.int64]


class Line:
    """Peaks on one long line of all chromosomes, in layers that do not overlap themselves: a cut is found at once."""

    def __init__(self, peaks: Peaks) -> None:
        self.base = {name: i * STRIDE for i, name in enumerate(peaks.chroms)}
        codes = np.array([self.base[name] for name in peaks.chroms], dtype=np.int64)[peaks.chrom]
        self._start, self._end = codes + peaks.start, codes + peaks.end
        self.layers = [(self._start[order], self._end[order], order) for order in self._layers()]

    def _layers(self) -> list[Ints]:
        order = np.lexsort((self._end, self._start))
        found: list[Ints] = []
        while len(order):
            start, end = self._start[order], self._end[order]
            if bool((start[1:] >= end[:-1]).all()):
                return [*found, order]
            keep, last = np.zeros(len(order), dtype=bool), -1
            for i in range(len(order)):
                if start[i] >= last:
                    keep[i], last = True, int(end[i])
            found.append(order[keep])
            order = order[~keep]
        return found

    def hits(self, at: Ints) -> list[tuple[Ints, Ints]]:
        """By layer: which of the places lie in a peak, and in which. at: shape (k,), −1 where a place has no peak."""
        found = []
        for start, end, order in self.layers:
            left = np.searchsorted(start, at, side="right") - 1
            hit = np.flatnonzero((left >= 0) & (at < end[left]))
            found.append((hit, order[left[hit]]))
        return found


class Crossing:
    """Places of a chain file's old build on the line of peaks of the new one."""

    def __init__(self, chain: Chain, onto: Line) -> None:
        self._chain, self._old = chain, Line(chain.old)
        self.base = self._old.base
        self._begin = np.array([self.base[name] for name in chain.old.chroms], dtype=np.int64)[chain.old.chrom]
        there = [onto.base.get(canonical_chromosome(name), -1) for name in chain.chroms]
        self._there = np.array(there, dtype=np.int64)[chain.chrom]

    def across(self, at: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Where each place lies on the new line (−1: nowhere, or on a chromosome without a peak), and which arrived.

        at: shape (k,), −1 where a place is on no chromosome of the old build. Of several chains the best one counts.
        """
        chain, best = self._chain, np.full(len(at), -1, dtype=np.int64)
        for hit, block in self._old.hits(at):
            better = (best[hit] < 0) | (chain.score[block] > chain.score[best[hit]])
            best[hit[better]] = block[better]
        arrived = best >= 0
        place = at - self._begin[best]
        new = np.where(chain.forward[best], place + chain.shift[best], chain.shift[best] - place)
        return np.where(arrived & (self._there[best] >= 0), self._there[best] + new, -1), arrived
