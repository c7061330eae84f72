"""Gene activity against cases computed by hand and a loop that knows nothing of the fast code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.genome.activity import activity_matrix
from engine.genome.genes import GeneModels
from engine.genome.peaks import Peaks, format_peak, parse_peaks
from engine.types import as_names


def genes_of(*models: tuple[str, bool, list[tuple[int, int]]]) -> GeneModels:
    """Genes from (chromosome, forward, exons)."""
    chroms = tuple(dict.fromkeys(model[0] for model in models))
    exons = [model[2] for model in models]
    return GeneModels(
        genome="built",
        chroms=chroms,
        symbol=as_names(f"G{i}" for i in range(len(models))),
        tx=as_names(f"T{i}" for i in range(len(models))),
        chrom=np.array([chroms.index(model[0]) for model in models], dtype=np.int32),
        forward=np.array([model[1] for model in models]),
        tx_start=np.array([e[0][0] for e in exons], dtype=np.int64),
        tx_end=np.array([e[-1][1] for e in exons], dtype=np.int64),
        exon_start=np.array([s for e in exons for s, _ in e], dtype=np.int64),
        exon_end=np.array([s for e in exons for _, s in e], dtype=np.int64),
        exon_offset=np.cumsum([0, *map(len, exons)], dtype=np.int64),
    )


def by_loop(peaks: Peaks, genes: GeneModels, decay: float) -> np.ndarray:
    w_pg = np.zeros((len(peaks), len(genes)))
    for i in range(len(peaks)):
        centre = (peaks.start[i] + peaks.end[i]) / 2
        claims, distal = {}, {}
        for j in range(len(genes)):
            if peaks.chroms[peaks.chrom[i]] != genes.chroms[genes.chrom[j]]:
                continue
            exons = range(genes.exon_offset[j], genes.exon_offset[j + 1])
            tss = genes.tx_start[j] if genes.forward[j] else genes.tx_end[j] - 1
            d = abs(centre - tss)
            if any(genes.exon_start[k] <= centre < genes.exon_end[k] for k in exons):
                claims[j] = 1000 / sum(genes.exon_end[k] - genes.exon_start[k] for k in exons)
            elif d <= 2000:
                claims[j] = 2 ** (-d / decay)
            elif d <= 15 * decay:
                distal[j] = 2 ** (-d / decay)
        for j, weight in (claims or distal).items():
            w_pg[i, j] = weight
    return w_pg


LONE = ("chr1", True, [(1_000_000, 1_000_500), (1_010_000, 1_011_500)])  # 2 kb of exons


@pytest.mark.parametrize(
    ("peak", "weight"),
    [
        ("chr1:1000100-1000300", 1 / 2),  # in the first exon: as at the TSS, over 2 kb of exons
        ("chr1:1010000-1010200", 1 / 2),  # in the second exon
        ("chr1:998900-999100", 2**-0.1),  # in the promoter, 1 kb before the TSS
        ("chr1:1000900-1001100", 2**-0.1),  # in the promoter, 1 kb after the TSS
        ("chr1:1004900-1005100", 2**-0.5),  # in the intron
        ("chr1:989900-990100", 2**-1),  # distal, 10 kb away
        ("chr1:849900-850100", 2**-15),  # just within reach, 150 kb away
        ("chr1:849899-850099", 0),  # just out of reach
        ("chr2:1000100-1000300", 0),  # on another chromosome
    ],
)
def test_a_lone_gene_weighs_peaks_as_computed_by_hand(peak, weight):
    w_pg = activity_matrix(parse_peaks([peak]), genes_of(LONE))
    assert w_pg.toarray()[0, 0] == pytest.approx(weight, rel=1e-6)


def test_distance_is_from_the_start_of_transcription_on_either_strand():
    backward = genes_of(("chr1", False, [(1_000_000, 1_000_500), (1_010_000, 1_011_501)]))
    w_pg = activity_matrix(parse_peaks(["chr1:1021400-1021600"]), backward)
    assert w_pg.toarray()[0, 0] == pytest.approx(2**-1)


def test_a_peak_in_anothers_exon_or_promoter_does_not_count():
    genes = genes_of(LONE, ("chr1", True, [(1_020_000, 1_021_000)]))
    peaks = parse_peaks(["chr1:1020400-1020600", "chr1:1018900-1019100", "chr1:1029900-1030100"])
    w_pg = activity_matrix(peaks, genes).toarray()
    assert w_pg[0] == pytest.approx([0, 1])  # the other's exon, 1 kb long
    assert w_pg[1] == pytest.approx([0, 2**-0.1])  # the other's promoter
    assert w_pg[2] == pytest.approx([2**-3, 2**-1])  # nobody's


def test_a_promoter_shared_by_two_genes_counts_for_both():
    genes = genes_of(LONE, ("chr1", False, [(990_000, 999_001)]))
    w_pg = activity_matrix(parse_peaks(["chr1:999400-999600"]), genes).toarray()
    assert w_pg[0] == pytest.approx([2**-0.05, 2**-0.05])


def test_the_decay_is_a_setting():
    w_pg = activity_matrix(parse_peaks(["chr1:989900-990100"]), genes_of(LONE), decay=5_000)
    assert w_pg.toarray()[0, 0] == pytest.approx(2**-2)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_the_matrix_equals_a_slow_loop(seed):
    rng = np.random.default_rng(seed)
    models = []
    for _ in range(12):
        edges = np.unique(rng.integers(0, 60_000, 2 * int(rng.integers(1, 4)) + 2))[: 2 * int(rng.integers(1, 3))]
        exons = [(int(s), int(e)) for s, e in zip(edges[::2], edges[1::2], strict=True)]
        models.append((str(rng.choice(["chr1", "chr2"])), bool(rng.random() < 0.5), exons))
    starts, widths = rng.integers(0, 60_000, 60), rng.integers(1, 3_000, 60)
    names = [
        format_peak(str(rng.choice(["chr1", "chr2", "chr3"])), int(s), int(s + w))
        for s, w in zip(starts, widths, strict=True)
    ]
    peaks, genes = parse_peaks(names), genes_of(*models)
    w_pg = activity_matrix(peaks, genes, decay=2_000)
    assert np.allclose(w_pg.toarray(), by_loop(peaks, genes, 2_000), rtol=1e-6, atol=0)


def test_a_whole_genome_of_peaks_is_weighed_at_once():
    genes = GeneModels.load("hg38")
    rng = np.random.default_rng(0)
    chrom = rng.integers(0, len(genes.chroms), 100_000).astype(np.int32)
    start = rng.integers(0, 40_000_000, 100_000)
    w_pg = activity_matrix(Peaks(genes.chroms, chrom, start, start + 400), genes)
    assert w_pg.shape == (100_000, len(genes))
    assert np.isfinite(w_pg.data).all()
    assert w_pg.data.min() > 0
