"""What feature names give away: organism, kind of ids, genome build."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.genome.detect import contradiction, detect, guess_build, guess_gene_ids, promoter_enrichment
from engine.genome.peaks import parse_peaks
from engine.types import Modality
from tests.builders import gene_names, peak_names
from tests.genomes import feature_names, moved_as_between_builds, promoter_like

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CROSSVIEW_SHARED", ROOT.parent / "shared"))


@pytest.mark.parametrize(("genome", "organism"), [("hg38", "human"), ("mm10", "mouse")])
def test_peaks_at_promoters_give_their_build_away(genome, organism):
    guess = guess_build(promoter_like(genome))
    assert (guess.build, guess.organism, guess.possible) == (genome, organism, (genome,))
    assert "promoters" in guess.why


def test_peaks_of_an_older_build_hit_promoters_by_chance_only():
    peaks = moved_as_between_builds(promoter_like("hg38"), "hg19")
    assert promoter_enrichment(peaks, "hg38") == pytest.approx(1, abs=0.2)
    guess = guess_build(peaks)
    assert guess.build is None
    assert "hg38" in guess.excluded
    assert guess.possible == ("hg19",)
    assert guess.organism == "human"
    assert guess.why.startswith("Not ")


def test_a_peak_beyond_a_chromosomes_end_rules_a_build_out():
    peaks = parse_peaks(["chr1:249000000-249000500", "chr2:100-200"])
    assert "1 peak lies beyond a chromosome's end (chr1:249,000,000-249,000,500" in (contradiction(peaks, "hg38") or "")
    assert contradiction(peaks, "hg19") is None


def test_a_chromosome_the_organism_lacks_rules_it_out():
    assert contradiction(parse_peaks(["chr22:20000000-20000500"]), "mm10") == "it has no chr22"


def test_scaffolds_and_mitochondria_rule_nothing_out():
    peaks = parse_peaks(["chrM:100-200", "chrUn_KI270742v1:1-100", "GL000194.1:1-100"])
    assert all(contradiction(peaks, genome) is None for genome in ("hg38", "hg19", "mm10", "mm9"))


def test_few_peaks_do_not_tell_the_build():
    guess = guess_build(parse_peaks(peak_names(90)))
    assert guess.build is None
    assert "hg38" not in guess.excluded


def test_tiles_that_cover_everything_do_not_tell_the_build():
    tiles = parse_peaks([f"chr{c}:{s}-{s + 5000}" for c in range(1, 20) for s in range(0, 40_000_000, 5_000)])
    assert promoter_enrichment(tiles, "hg38") is None
    assert guess_build(tiles).possible == ("hg38", "hg19", "mm10", "mm9")


@pytest.mark.parametrize(
    ("names", "ids", "organism"),
    [
        (["GAPDH", "CD74", "HLA-DRA", "MS4A1"], "symbol", "human"),
        (["Gapdh", "Cd74", "Xkr4", "Rp1"], "symbol", "mouse"),
        (["ENSG00000111640.15", "ENSG00000019582"], "ensembl", "human"),
        (["ENSMUSG00000057666", "ENSMUSG00000024610.4"], "ensembl", "mouse"),
        (["chr1:1-2", "chr1:3-4"], "symbol", "unknown"),
        ([], "symbol", "unknown"),
    ],
)
def test_gene_names_give_their_kind_and_organism_away(names, ids, organism):
    guess = guess_gene_ids(names)
    assert (guess.ids, guess.organism) == (ids, organism)


def test_unknown_symbols_are_judged_by_their_case():
    assert guess_gene_ids(gene_names(20)).organism == "human"
    assert guess_gene_ids([name.title() for name in gene_names(20)]).organism == "mouse"


def test_detecting_names_the_table_that_knows_the_genes_and_the_build_of_peaks():
    assert detect(["GAPDH", "CD74"], Modality.RNA).genome == "hg38"
    assert detect(["Gapdh", "Cd74"], Modality.RNA).genome == "mm10"
    assert detect(promoter_like("mm10").names, Modality.ATAC).genome == "mm10"
    assert detect([], Modality.ATAC).genome is None


@pytest.mark.parametrize(
    ("folder", "build"),
    [
        ("snareseq_cellline_mix", "hg38"),
        ("pbmc10k_multiome_40cells", "hg38"),
        ("pbmc10k_chromatinhd_51genes", "hg38"),
        ("single_atac_maestro100", "hg38"),
        ("snareseq_mouse_cortex_adult", "mm10"),
    ],
)
def test_the_build_of_real_peak_sets_is_found(folder, build):
    path = SHARED / "data" / folder / "atac.h5ad"
    if not path.exists():
        pytest.skip(f"{folder} is not on this machine (CROSSVIEW_SHARED)")
    peaks = parse_peaks(feature_names(path))
    assert guess_build(peaks).build == build
    older = {"hg38": "hg19", "mm10": "mm9"}[build]
    guess = guess_build(moved_as_between_builds(peaks, older))
    assert guess.build is None
    if len(peaks) >= 1_000:
        assert build in guess.excluded


@pytest.mark.parametrize(
    ("folder", "organism"),
    [
        ("snareseq_cellline_mix", "human"),
        ("pbmc10k_multiome_40cells", "human"),
        ("single_rna_pbmc_maestro", "human"),
        ("snareseq_mouse_cortex_adult", "mouse"),
        ("velocity_pancreas_50obs", "mouse"),
    ],
)
def test_the_organism_of_real_gene_lists_is_found(folder, organism):
    path = SHARED / "data" / folder / "rna.h5ad"
    if not path.exists():
        pytest.skip(f"{folder} is not on this machine (CROSSVIEW_SHARED)")
    guess = guess_gene_ids(feature_names(path))
    assert (guess.ids, guess.organism) == ("symbol", organism)
