"""Build the compact gene tables engine/genome/data/{hg38,mm10}.genes.npz from the package lisa2 2.3.2 (BSD-3).

    python infra/dev/build_gene_models.py

RefSeq lists several isoforms of a gene; one is kept per symbol: the longest total exon length, ties by transcript id,
then by place (a few transcripts are placed twice: the pseudo-autosomal ones on chrX and chrY). Only chr1 … chr22 (or
chr19 in mouse), chrX and chrY. Genes stand in genome order. The same wheel gives the same bytes.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from wheels import LISA2, fetched

INSIDE = "lisa/genomes/{genome}.refseq"
AUTOSOMES = {"hg38": 22, "mm10": 19}
CHOICE = "longest total exon length, ties by transcript id, then by place"
DATA = Path(__file__).resolve().parents[2] / "engine" / "genome" / "data"


@dataclass(frozen=True)
class Transcript:
    """One line of the package's table: 0-based starts, ends not included."""

    tx: str
    chrom: str
    forward: bool
    start: int
    end: int
    exon_starts: tuple[int, ...]
    exon_ends: tuple[int, ...]
    symbol: str

    @classmethod
    def of(cls, line: str) -> Transcript:
        tx, chrom, strand, start, end, starts, ends, symbol, _ = line.split("\t")
        return cls(tx, chrom, strand == "+", int(start), int(end), _numbers(starts), _numbers(ends), symbol)

    @property
    def exon_length(self) -> int:
        return sum(self.exon_ends) - sum(self.exon_starts)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.strip(",").split(","))


def chromosomes(genome: str) -> list[str]:
    return [f"chr{name}" for name in (*range(1, AUTOSOMES[genome] + 1), "X", "Y")]


def one_per_symbol(transcripts: Iterable[Transcript], order: Sequence[str]) -> list[Transcript]:
    """The chosen isoform of each gene, in genome order."""
    place = {chrom: i for i, chrom in enumerate(order)}
    chosen: dict[str, Transcript] = {}
    known = [t for t in transcripts if t.chrom in place]
    for t in sorted(known, key=lambda t: (-t.exon_length, t.tx, place[t.chrom], t.start)):
        chosen.setdefault(t.symbol, t)
    return sorted(chosen.values(), key=lambda t: (place[t.chrom], t.start, t.end, t.symbol))


def write(genes: Sequence[Transcript], genome: str, path: Path) -> None:
    """Plain arrays, no objects: names as fixed-width bytes, exons flat with the offsets of each gene."""
    order = chromosomes(genome)
    np.savez_compressed(
        path,
        genome=np.array(genome),
        choice=np.array(CHOICE),
        source=np.array(LISA2.requirement),
        chroms=np.array(order),
        symbol=np.array([g.symbol for g in genes], dtype=np.bytes_),
        tx=np.array([g.tx for g in genes], dtype=np.bytes_),
        chrom=np.array([order.index(g.chrom) for g in genes], dtype=np.uint8),
        forward=np.array([g.forward for g in genes]),
        tx_start=np.array([g.start for g in genes], dtype=np.int32),
        tx_end=np.array([g.end for g in genes], dtype=np.int32),
        exon_count=np.array([len(g.exon_starts) for g in genes], dtype=np.int32),
        # Relative and as lengths: the numbers are small, and the file half as large.
        exon_from_tx_start=np.array([s - g.start for g in genes for s in g.exon_starts], dtype=np.int32),
        exon_length=np.array(
            [e - s for g in genes for s, e in zip(g.exon_starts, g.exon_ends, strict=True)], dtype=np.int32
        ),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="the lisa2 2.3.2 wheel; downloaded with pip when not given")
    parser.add_argument("--out", type=Path, default=DATA, help="folder to write into")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with fetched(LISA2, options.wheel) as wheel, zipfile.ZipFile(wheel) as archive:
        for genome in AUTOSOMES:
            lines = archive.read(INSIDE.format(genome=genome)).decode().splitlines()
            genes = one_per_symbol(map(Transcript.of, lines), chromosomes(genome))
            path = options.out / f"{genome}.genes.npz"
            write(genes, genome, path)
            print(f"{path}: {len(genes):,} genes of {len(lines):,} transcripts, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
