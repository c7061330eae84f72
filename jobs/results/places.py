"""A stretch of the genome by its address or by a gene, and the gene models in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from engine.genome.genes import GeneModels, chromosome_sizes
from engine.genome.peaks import canonical_chromosome
from jobs.errors import BadRequest, NotFound
from jobs.results.search import gene_of
from jobs.views import GeneShape

AROUND = 100_000  # bases each side of a gene  # ours: the reach of links
MOST_BASES = 5_000_000  # ours
CLOSE = 3  # names offered instead of an unknown one  # ours
_PLACE = re.compile(r"(?P<chrom>[A-Za-z0-9_.]+?)\s*:\s*(?P<start>[0-9][0-9,]*)\s*(?:-|–|\.\.)\s*(?P<end>[0-9][0-9,]*)")


@dataclass(frozen=True)
class Place:
    """0-based start, end not included."""

    chrom: str
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Places:
    """Of one genome."""

    models: GeneModels

    def find(self, text: str) -> Place:
        """A region as it is written, or a gene with what surrounds it."""
        written = text.strip()
        if not written:
            raise BadRequest("No place was named.", hint="Name a region such as chr1:100,000-200,000, or a gene.")
        region = _PLACE.fullmatch(written)
        return self._region(region) if region else self._gene(written)

    def _region(self, found: re.Match[str]) -> Place:
        sizes = chromosome_sizes(self.models.genome)
        by_case = {name.casefold(): name for name in sizes}
        chrom = by_case.get(canonical_chromosome(found["chrom"].upper().removeprefix("CHR")).casefold())
        if chrom is None:
            raise NotFound(
                f"{self.models.genome} has no chromosome {found['chrom'][:40]!r}.", hint=f"It has {', '.join(sizes)}."
            )
        start, end = (int(found[side].replace(",", "")) for side in ("start", "end"))
        end = min(end, sizes[chrom])
        if not start < end:
            raise BadRequest(
                f"{found[0][:80]} holds no base of {chrom}.", hint=f"{chrom} has {sizes[chrom]:,} bases: start < end."
            )
        if end - start > MOST_BASES:
            raise BadRequest(
                f"{end - start:,} bases are too many to draw.", hint=f"Ask for at most {MOST_BASES:,} at a time."
            )
        return Place(chrom, start, end)

    def _gene(self, name: str) -> Place:
        gene = gene_of(self.models, name)
        if gene is None:
            raise NotFound(
                f"There is no gene {name[:80]!r} in the table of {self.models.genome}.", hint=self._near(name)
            )
        chrom = self.models.chroms[self.models.chrom[gene]]
        start, end = int(self.models.tx_start[gene]) - AROUND, int(self.models.tx_end[gene]) + AROUND
        return Place(chrom, max(0, start), min(end, chromosome_sizes(self.models.genome).get(chrom, end)))

    def _near(self, name: str) -> str:
        """What may have been meant."""
        symbols = {str(symbol).casefold(): str(symbol) for symbol in self.models.symbol}
        close = get_close_matches(name.casefold(), symbols, n=CLOSE)
        return f"Is it {' or '.join(symbols[each] for each in close)}?" if close else "Or name a region: chr1:100-200."

    def genes(self, place: Place) -> Iterator[GeneShape]:
        """Gene models that reach into the stretch, in genome order."""
        m = self.models
        inside = np.flatnonzero(m.on([place.chrom]) & (m.tx_start < place.end) & (m.tx_end > place.start))
        for i in inside[np.argsort(m.tx_start[inside], kind="stable")].tolist():
            own = slice(int(m.exon_offset[i]), int(m.exon_offset[i + 1]))
            exons = sorted(zip(m.exon_start[own].tolist(), m.exon_end[own].tolist(), strict=True))
            yield GeneShape(
                name=str(m.symbol[i]),
                start=int(m.tx_start[i]),
                end=int(m.tx_end[i]),
                forward=bool(m.forward[i]),
                exons=tuple(exons),
            )
