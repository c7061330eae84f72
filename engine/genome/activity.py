"""Gene activity: how much the open peaks around a gene speak for it, as one sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.genome.genes import GeneModels
from engine.genome.intervals import Ints, on_one_line, ranges
from engine.genome.peaks import Peaks

PROMOTER = 2_000  # bases each side of the TSS; MAESTRO's enhanced model
REACH = 15  # decays; MAESTRO's enhanced model


def activity_matrix(peaks: Peaks, genes: GeneModels, *, decay: int = 10_000) -> sp.csr_matrix:
    """Weights `w_pg` such that `a_np @ w_pg` is the gene activity score; CSR float32, shape (p, g).

    MAESTRO's "enhanced" regulatory-potential model (Wang et al. 2020, Genome Biology 21:198; used by CrossMP §2.1).
    A peak is where its centre is, d bases from the TSS:
    in an exon of the gene it weighs 1 / (total exon length in kb), as if it stood at the TSS;
    elsewhere within 2 kb of the TSS, 2^(−d/decay);
    elsewhere within 15 decays, 2^(−d/decay), unless it lies in an exon or promoter of another gene.
    A peak in exons or promoters of several genes counts for each of those, as in MAESTRO.
    `genes` are all genes of the genome, not only those wanted: the others claim their peaks. Take columns afterwards.
    """
    line = _Line.of(peaks, genes)
    exon = line.in_exons()
    near = line.around_tss(PROMOTER)
    near = near.rows(~np.isin(near.key, exon.key))
    claimed_p = np.zeros(len(peaks), dtype=bool)
    claimed_p[exon.peak] = claimed_p[near.peak] = True
    far = line.around_tss(REACH * decay)
    far = far.rows(~claimed_p[far.peak])
    decayed = np.concatenate([near.distance, far.distance]) / decay
    weights = np.concatenate([1 / genes.exon_kb[exon.gene], np.exp2(-decayed)]).astype(np.float32)
    rows, columns = (np.concatenate([getattr(part, axis) for part in (exon, near, far)]) for axis in ("peak", "gene"))
    return sp.csr_matrix((weights, (rows, columns)), shape=(len(peaks), len(genes)))


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Some (peak, gene) pairs and the bases between them, each of shape (m,)."""

    peak: Ints
    gene: Ints
    distance: NDArray[np.float64]

    @property
    def key(self) -> Ints:
        return (self.gene << 32) + self.peak

    def rows(self, which: NDArray[np.bool_]) -> _Pairs:
        return _Pairs(self.peak[which], self.gene[which], self.distance[which])


@dataclass(frozen=True, eq=False)
class _Line:
    """Peak centres in order on one long line. Positions are doubled: the centre of an odd peak stays an integer."""

    genes: GeneModels
    base: Ints  # where each gene's chromosome begins, shape (g,)
    order: Ints  # the peaks from left to right, shape (p,)
    centre: Ints  # their doubled centres, shape (p,)

    @classmethod
    def of(cls, peaks: Peaks, genes: GeneModels) -> _Line:
        base_p, base_g = on_one_line(peaks, genes.around_tss(0))
        centre = 2 * base_p + peaks.start + peaks.end
        order = np.argsort(centre, kind="stable")
        return cls(genes, 2 * base_g, order, centre[order])

    def in_exons(self) -> _Pairs:
        """Peaks whose centre lies in an exon, with the exon's gene."""
        base = self.base[self.genes.exon_gene]
        low = np.searchsorted(self.centre, base + 2 * self.genes.exon_start, side="left")
        high = np.searchsorted(self.centre, base + 2 * self.genes.exon_end, side="left")
        exon, place = ranges(low, high)
        return self._pairs(self.genes.exon_gene[exon], place)

    def around_tss(self, reach: int) -> _Pairs:
        """Peaks whose centre is at most so many bases from a gene's TSS."""
        tss = self.base + 2 * self.genes.tss
        low = np.searchsorted(self.centre, tss - 2 * reach, side="left")
        high = np.searchsorted(self.centre, tss + 2 * reach, side="right")
        return self._pairs(*ranges(low, high))

    def _pairs(self, gene: Ints, place: Ints) -> _Pairs:
        tss = self.base[gene] + 2 * self.genes.tss[gene]
        return _Pairs(self.order[place], gene, np.abs(self.centre[place] - tss) / 2)
