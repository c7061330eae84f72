"""The shipped gene tables and the chromosomes' sizes."""

from __future__ import annotations

import csv
import gzip
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BadSetting
from engine.genome.genes import GENOMES, TABLES, GeneModels, chromosome_sizes

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CROSSVIEW_SHARED", ROOT.parent / "shared"))


@pytest.mark.parametrize("genome", TABLES)
def test_a_table_is_whole_and_lies_on_its_chromosomes(genome):
    genes, sizes = GeneModels.load(genome), chromosome_sizes(genome)
    assert set(genes.chroms) == set(sizes)
    assert len(set(genes.symbol)) == len(genes) > 25_000
    ends = np.array([sizes[name] for name in genes.chroms])[genes.chrom]
    assert ((genes.tx_start >= 0) & (genes.tx_end <= ends)).all()
    assert (genes.exon_end > genes.exon_start).all()
    first, last = genes.exon_offset[:-1], genes.exon_offset[1:] - 1
    assert np.array_equal(genes.exon_start[first], genes.tx_start)
    assert np.array_equal(genes.exon_end[last], genes.tx_end)


@pytest.mark.parametrize(
    ("genome", "symbol", "chrom", "tss", "forward"),
    [("hg38", "GAPDH", "chr12", 6_534_516, True), ("mm10", "Adora1", "chr1", 134_235_456, False)],
)
def test_a_known_gene_stands_where_it_is_known_to(genome, symbol, chrom, tss, forward):
    genes = GeneModels.load(genome)
    i = genes.index[symbol]
    assert (genes.chroms[genes.chrom[i]], genes.tss[i], genes.forward[i]) == (chrom, tss, forward)


@pytest.mark.parametrize("genome", TABLES)
def test_the_longest_isoform_of_every_gene_was_kept(genome):
    path = SHARED / "annotation" / f"lisa_refseq_{genome}_transcripts_exons.tsv.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not on this machine (CROSSVIEW_SHARED)")
    genes = GeneModels.load(genome)
    sizes, isoforms = chromosome_sizes(genome), defaultdict(list)
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["chrom"] in sizes:
                starts, ends = (
                    tuple(map(int, row[key].strip(",").split(","))) for key in ("exon_starts0", "exon_ends")
                )
                place = (row["chrom"], row["strand"] == "+", int(row["tss0"]), starts, ends)
                isoforms[row["gene_symbol"]].append((sum(starts) - sum(ends), row["tx_id"], place))
    assert set(isoforms) == set(genes.symbol)
    for i, symbol in enumerate(genes.symbol):
        exons = slice(genes.exon_offset[i], genes.exon_offset[i + 1])
        ours = (
            genes.chroms[genes.chrom[i]],
            bool(genes.forward[i]),
            int(genes.tss[i]),
            tuple(genes.exon_start[exons].tolist()),
            tuple(genes.exon_end[exons].tolist()),
        )
        longest = min(length_tx[:2] for length_tx in isoforms[symbol])
        assert longest[1] == genes.tx[i]
        assert ours in [place for *length_tx, place in isoforms[symbol] if tuple(length_tx) == longest]


def test_tables_are_small_and_hold_no_objects():
    for path in (ROOT / "engine" / "genome" / "data").glob("*.npz"):
        assert path.stat().st_size < 2 << 20
        with np.load(path, allow_pickle=False) as table:
            assert all(table[name].dtype != object for name in table.files)


def test_a_table_is_read_once():
    assert GeneModels.load("hg38") is GeneModels.load("hg38")


def test_a_genome_without_a_table_is_refused_with_the_known_ones():
    with pytest.raises(BadSetting, match=r"no gene table for 'hg19'.*hg38 and mm10"):
        GeneModels.load("hg19")
    with pytest.raises(BadSetting, match="'dm6' are not known"):
        chromosome_sizes("dm6")


def test_chromosomes_are_those_of_the_organism():
    assert {genome: len(chromosome_sizes(genome)) for genome in GENOMES} == {
        "hg38": 24,
        "hg19": 24,
        "mm10": 21,
        "mm9": 21,
    }
    assert chromosome_sizes("hg19")["chr1"] == 249_250_621
    assert chromosome_sizes("mm9")["chrX"] == 166_650_296
