"""Which peaks lie near which gene, and which of those are its promoter's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.errors import BadInput, UnknownFeature
from engine.genome.genes import GeneModels
from engine.genome.intervals import on_one_line, ranges
from engine.genome.peaks import Peaks, parse_peaks
from engine.metrics.ranks import Flags, Integers
from engine.types import Names

REACH = 100_000  # bases each side of the TSS; scMVP's methods
PROMOTER = 2_000  # bases each side of the TSS: proximal; scMVP counts from 2 kb upstream
PROXIMAL, DISTAL = "proximal", "distal"


@dataclass(frozen=True, eq=False)
class Nearby:
    """Every (gene, peak) within reach, by gene and then from left to right. Each array of shape (m,).

    gene, peak: positions in the profiles' features. distance: bases from the TSS to the peak's centre, negative
    upstream of the gene. genes, peaks: the profiles' names. placed_g: which genes have a model at all.
    """

    genes: Names
    peaks: Names
    gene: Integers
    peak: Integers
    distance: Integers
    placed_g: Flags

    def __len__(self) -> int:
        return len(self.gene)

    @property
    def proximal(self) -> Flags:
        return np.asarray(np.abs(self.distance) <= PROMOTER)

    def of(self, genes: Integers) -> Nearby:
        """Only the pairs of these genes."""
        kept = np.isin(self.gene, genes)
        return Nearby(self.genes, self.peaks, self.gene[kept], self.peak[kept], self.distance[kept], self.placed_g)

    def table(self) -> pd.DataFrame:
        """gene, peak, distance, kind (proximal or distal)"""
        return pd.DataFrame(
            {
                "gene": self.genes[self.gene],
                "peak": self.peaks[self.peak],
                "distance": self.distance,
                "kind": np.where(self.proximal, PROXIMAL, DISTAL),
            }
        )


def nearby(genes: Names, peaks: Names, models: GeneModels, *, reach: int = REACH) -> Nearby:
    """Peaks whose centre is at most `reach` bases from the TSS of a gene's model.

    Raises BadInput where no gene has a model (the names are of another organism, or Ensembl ids).
    """
    place = models.index
    model_g = np.array([place.get(str(name), -1) for name in genes], dtype=np.int64)
    known = np.flatnonzero(model_g >= 0)
    if not len(known):
        raise BadInput(
            f"None of {len(genes):,} genes is in the gene table of {models.genome}, such as {genes[0]}.",
            hint="Gene symbols of that genome are needed.",
        )
    where = parse_peaks([str(name) for name in peaks])
    base_p, base_g = on_one_line(where, models.around_tss(0))
    centre = base_p + (where.start + where.end) // 2
    order = np.argsort(centre, kind="stable")
    tss = (base_g + models.tss)[model_g[known]]
    row, column = ranges(
        np.searchsorted(centre[order], tss - reach, side="left"),
        np.searchsorted(centre[order], tss + reach, side="right"),
    )
    gene, peak = known[row], order[column]
    ahead = np.where(models.forward[model_g[gene]], 1, -1)
    return Nearby(genes, peaks, gene, peak, (centre[peak] - tss[row]) * ahead, model_g >= 0)


def promoters(near: Nearby) -> Nearby:
    """The pairs of a gene and a peak of its promoter."""
    kept = near.proximal
    return Nearby(near.genes, near.peaks, near.gene[kept], near.peak[kept], near.distance[kept], near.placed_g)


def positions(names: Sequence[str], genes: Names) -> Integers:
    """Places of these genes. Raises UnknownFeature for one that is not there."""
    index = {str(name): i for i, name in enumerate(genes)}
    lost = [name for name in names if name not in index]
    if lost:
        raise UnknownFeature(
            f"{len(lost)} of {len(names)} genes are not in the profile, such as {lost[0]}.",
            hint="`crossview models show ID --features` lists the model's genes.",
        )
    return np.array([index[name] for name in names], dtype=np.int64)


def centres(peaks: Peaks) -> Integers:
    """shape (p,)"""
    return np.asarray((peaks.start + peaks.end) // 2, dtype=np.int64)
