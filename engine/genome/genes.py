"""Gene models of human and mouse, and the sizes of their chromosomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadSetting
from engine.genome.peaks import Peaks
from engine.types import Names

TABLES = ("hg38", "mm10")
ORGANISM = MappingProxyType({"hg38": "human", "hg19": "human", "mm10": "mouse", "mm9": "mouse"})


@dataclass(frozen=True, eq=False)
class GeneModels:
    """One transcript of each gene, in genome order: 0-based starts, ends not included.

    symbol, tx: names, shape (g,). chrom: position in `chroms`, shape (g,). forward: on the + strand, shape (g,).
    tx_start, tx_end: shape (g,). exon_start, exon_end: all exons end to end, shape (e,); those of gene i are
    `exon_offset[i]:exon_offset[i + 1]`, exon_offset of shape (g + 1,).
    """

    genome: str
    chroms: tuple[str, ...]
    symbol: Names
    tx: Names
    chrom: NDArray[np.int32]
    forward: NDArray[np.bool_]
    tx_start: NDArray[np.int64]
    tx_end: NDArray[np.int64]
    exon_start: NDArray[np.int64]
    exon_end: NDArray[np.int64]
    exon_offset: NDArray[np.int64]

    @classmethod
    def load(cls, genome: str) -> GeneModels:
        """The shipped table of "hg38" or "mm10" (RefSeq through lisa2 2.3.2, see data/README.md), read once.

        Raises BadSetting for another genome.
        """
        return _load(genome)

    def __len__(self) -> int:
        return len(self.symbol)

    @cached_property
    def tss(self) -> NDArray[np.int64]:
        """The first transcribed base, shape (g,)."""
        return np.where(self.forward, self.tx_start, self.tx_end - 1)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Position by symbol."""
        return MappingProxyType({symbol: i for i, symbol in enumerate(self.symbol)})

    @cached_property
    def exon_gene(self) -> NDArray[np.int64]:
        """The gene each exon belongs to, shape (e,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.exon_offset))

    @cached_property
    def exon_kb(self) -> NDArray[np.float64]:
        """Total exon length in kb, shape (g,)."""
        lengths = (self.exon_end - self.exon_start) / 1000
        return np.bincount(self.exon_gene, weights=lengths, minlength=len(self)).astype(np.float64)

    def around_tss(self, flank: int) -> Peaks:
        """TSS ± flank bases as intervals, cut at the chromosome's beginning, shape (g,)."""
        return Peaks(self.chroms, self.chrom, np.maximum(self.tss - flank, 0), self.tss + flank + 1)

    def on(self, chroms: Iterable[str]) -> NDArray[np.bool_]:
        """Which genes lie on one of these chromosomes, shape (g,)."""
        wanted = set(chroms)
        return np.array([name in wanted for name in self.chroms], dtype=bool)[self.chrom]


@cache
def _load(genome: str) -> GeneModels:
    if genome not in TABLES:
        raise BadSetting(
            f"There is no gene table for {genome!r}.",
            hint=f"Tables are at hand for {' and '.join(TABLES)}; lift the peaks over to one of these.",
        )
    with (files("engine.genome") / "data" / f"{genome}.genes.npz").open("rb") as file, np.load(file) as table:
        read = {name: table[name] for name in table.files}
    offset = np.concatenate([[0], np.cumsum(read["exon_count"], dtype=np.int64)])
    tx_start = read["tx_start"].astype(np.int64)
    exon_start = read["exon_from_tx_start"] + np.repeat(tx_start, read["exon_count"])
    return GeneModels(
        genome=genome,
        chroms=tuple(str(name) for name in read["chroms"]),
        symbol=read["symbol"].astype(str).astype(object),
        tx=read["tx"].astype(str).astype(object),
        chrom=read["chrom"].astype(np.int32),
        forward=read["forward"],
        tx_start=tx_start,
        tx_end=read["tx_end"].astype(np.int64),
        exon_start=exon_start,
        exon_end=exon_start + read["exon_length"],
        exon_offset=offset,
    )


# Lengths of chr1 …, chrX, chrY in base pairs: facts of the assemblies GRCh38, GRCh37, GRCm38 and NCBI37.
_SIZES = {
    "hg38": """248956422 242193529 198295559 190214555 181538259 170805979 159345973 145138636 138394717 133797422
        135086622 133275309 114364328 107043718 101991189 90338345 83257441 80373285 58617616 64444167 46709983
        50818468 156040895 57227415""",
    "hg19": """249250621 243199373 198022430 191154276 180915260 171115067 159138663 146364022 141213431 135534747
        135006516 133851895 115169878 107349540 102531392 90354753 81195210 78077248 59128983 63025520 48129895
        51304566 155270560 59373566""",
    "mm10": """195471971 182113224 160039680 156508116 151834684 149736546 145441459 129401213 124595110 130694993
        122082543 120129022 120421639 124902244 104043685 98207768 94987271 90702639 61431566 171031299 91744698""",
    "mm9": """197195432 181748087 159599783 155630120 152537259 149517037 152524553 131738871 124076172 129993255
        121843856 121257530 120284312 125194864 103494974 98319150 95272651 90772031 61342430 166650296 15902555""",
}
GENOMES = tuple(_SIZES)


@cache
def chromosome_sizes(genome: str) -> Mapping[str, int]:
    """Length of each standard chromosome in base pairs; hg38, hg19, mm10 or mm9. Raises BadSetting for another."""
    if genome not in _SIZES:
        raise BadSetting(f"The chromosomes of {genome!r} are not known.", hint=f"Known are {', '.join(GENOMES)}.")
    sizes = [int(size) for size in _SIZES[genome].split()]
    names = [f"chr{name}" for name in (*range(1, len(sizes) - 1), "X", "Y")]
    return MappingProxyType(dict(zip(names, sizes, strict=True)))
