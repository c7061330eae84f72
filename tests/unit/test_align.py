"""Input columns to model features: what is matched, what is refused, and what is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import CellsDoNotMatch, FeatureMismatch, WrongGenome, WrongModality
from engine.genome.genes import GeneModels
from engine.preprocess.align import align, coverage_problem, match
from engine.preprocess.coverage import required_share
from engine.types import FeatureSpace, Modality, as_names
from tests.builders import gene_names, peak_names
from tests.genomes import moved_as_between_builds, promoter_like

GENES = FeatureSpace(Modality.RNA, gene_names(12), "hg38")
PEAKS = FeatureSpace(Modality.ATAC, peak_names(12), "hg38")
SPACES = pytest.mark.parametrize("space", [GENES, PEAKS], ids=["genes", "peaks"])
SEEDS = st.integers(0, 2**32 - 1)


def counts_of(cells: int, features: int, seed: int) -> sp.csr_matrix:
    return sp.csr_matrix(np.random.default_rng(seed).poisson(0.7, (cells, features)).astype(np.float32))


def overlapping(space: FeatureSpace) -> list[str]:
    """Names that differ from the space's but lie over its peaks; genes as they are."""
    if space.modality is Modality.RNA:
        return list(space.names)
    places = (name.replace(":", "-").split("-") for name in space.names)
    return [f"{chrom}:{int(start) - 100}-{int(end) - 100}" for chrom, start, end in places]


@SPACES
@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_alignment_to_itself_is_identity(space, seed):
    counts = counts_of(5, len(space), seed)
    alignment = align(space.names, space)
    assert alignment.coverage.share == 1
    assert alignment.coverage.how == "name"
    assert np.array_equal(alignment.apply(counts).toarray(), counts.toarray())


@SPACES
@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, exact=st.booleans())
def test_the_order_of_columns_does_not_matter(space, seed, exact):
    names = list(space.names) if exact else overlapping(space)
    counts = counts_of(5, len(space), seed)
    order = np.random.default_rng(seed).permutation(len(names))
    straight, shuffled = align(names, space), align([names[i] for i in order], space)
    assert shuffled.coverage == straight.coverage
    assert np.array_equal(shuffled.apply(counts[:, order]).toarray(), straight.apply(counts).toarray())


OUTSIDE = st.lists(st.one_of(st.text(max_size=12), st.sampled_from(["chrX:5-10", "Gapdh", "chr1:0-1"])), max_size=6)


@SPACES
@settings(deadline=None, max_examples=50)
@given(seed=SEEDS, outside=OUTSIDE)
def test_names_outside_the_space_are_ignored(space, seed, outside):
    extra = [name for name in outside if name not in space.index]
    counts = counts_of(5, len(space) + len(extra), seed)
    alignment = align([*space.names, *extra], space)
    assert np.array_equal(alignment.apply(counts).toarray(), counts[:, : len(space)].toarray())
    assert (alignment.coverage.used, alignment.coverage.given) == (len(space), len(space) + len(extra))


@SPACES
def test_a_missing_feature_is_zero_and_named(space):
    kept = list(space.names[1:])
    alignment = align(kept, space)
    assert alignment.coverage.found == len(space) - 1
    assert alignment.coverage.unmatched_examples == (space.names[0],)
    aligned = alignment.apply(counts_of(4, len(kept), 0))
    assert aligned.dtype == np.float32
    assert aligned[:, 0].nnz == 0
    assert aligned.has_sorted_indices


@SPACES
def test_a_column_named_twice_is_added_up(space):
    counts = counts_of(4, len(space) + 1, 1)
    aligned = align([*space.names, space.names[2]], space).apply(counts).toarray()
    assert np.array_equal(aligned[:, 2], counts.toarray()[:, [2, len(space)]].sum(axis=1))


def test_a_peak_counts_for_every_model_peak_it_overlaps():
    space = FeatureSpace(Modality.ATAC, as_names(["chr1:100-200", "chr1:200-300", "chr2:100-200"]))
    alignment = align(["chr1:150-250", "chr1:260-290", "chr3:1-9"], space)
    assert alignment.apply(sp.csr_matrix([[1.0, 10.0, 100.0]])).toarray().tolist() == [[1, 11, 0]]
    assert alignment.coverage.how == "overlap"
    assert (alignment.coverage.found, alignment.coverage.used) == (2, 2)


def test_a_model_peak_of_the_same_name_takes_that_column_alone():
    space = FeatureSpace(Modality.ATAC, as_names(["chr1:100-200", "chr1:300-400"]))
    alignment = align(["chr1:100-200", "chr1:150-350"], space)
    assert alignment.apply(sp.csr_matrix([[1.0, 10.0]])).toarray().tolist() == [[1, 10]]
    assert alignment.coverage.how == "name, overlap"
    assert alignment.coverage.by_name == 1


def test_another_spelling_of_the_same_peak_is_the_same_name():
    names = [name.replace(":", "_").replace("-", "_").removeprefix("chr") for name in PEAKS.names]
    alignment = align(names, PEAKS)
    assert (alignment.coverage.how, alignment.coverage.by_name) == ("name", len(PEAKS))


def test_versions_of_ensembl_ids_are_left_out_on_either_side():
    space = FeatureSpace(Modality.RNA, as_names(f"ENSG{i:011d}.{i}" for i in range(8)))
    alignment = align([f"ENSG{i:011d}.9" for i in range(8)], space)
    assert alignment.coverage.share == 1
    assert alignment.coverage.by_name == 0


def test_a_symbol_with_a_dot_is_not_a_version():
    space = FeatureSpace(Modality.RNA, as_names(["AL627309.1", "AL627309.5"]))
    assert match(["AL627309.2", "AL627309"], space).coverage.found == 0


def test_the_second_names_are_used_where_they_find_more():
    ensembl = FeatureSpace(Modality.RNA, as_names(f"ENSG{i:011d}" for i in range(12)))
    counts = counts_of(3, 12, 0)
    alignment = align(GENES.names, ensembl, gene_ids=ensembl.names[::-1])
    assert np.array_equal(alignment.apply(counts).toarray(), counts.toarray()[:, ::-1])


def test_mouse_genes_are_refused_by_a_human_model():
    human = FeatureSpace(Modality.RNA, GeneModels.load("hg38").symbol, "hg38")
    mouse = [name.title() for name in human.names]  # Gapdh is not GAPDH
    with pytest.raises(WrongGenome, match=r"at least 50 % are needed\. The input holds mouse genes .* human \(hg38\)"):
        align(mouse, human)


def test_ensembl_ids_are_refused_by_a_model_of_symbols_with_the_way_out():
    human = FeatureSpace(Modality.RNA, GeneModels.load("hg38").symbol[:2_000], "hg38")
    with pytest.raises(FeatureMismatch) as caught:
        align([f"ENSG{i:011d}" for i in range(2_000)], human)
    assert "0 of the model's 2,000 genes found (0 %)" in caught.value.message
    assert "look like Ensembl ids" in caught.value.message
    assert "symbols" in caught.value.hint


def test_a_selection_of_genes_is_refused_as_one():
    with pytest.raises(FeatureMismatch, match=r"3 of the model's 12 genes found \(25 %\).*only 3 genes"):
        align(GENES.names[:3], GENES)


def test_peaks_of_another_build_are_refused():
    peaks = promoter_like("hg38")
    space = FeatureSpace(Modality.ATAC, peaks.names, "hg38")
    older = moved_as_between_builds(peaks, "hg19")
    with pytest.raises(WrongGenome, match=r"not on hg38, the model's genome.*probably hg19"):
        align(older.names, space)


def test_wide_peaks_of_another_build_are_refused_though_enough_overlap_by_chance():
    peaks = promoter_like("hg38", count=30_000)
    space = FeatureSpace(Modality.ATAC, as_names(dict.fromkeys(peaks.names)), "hg38")
    older = moved_as_between_builds(peaks, "hg19")
    wide = [f"{c}:{max(int(s) - 18_000, 0)}-{int(s) + 18_000}" for c, s in _places(older.names)]
    assert match(wide, space).coverage.share > required_share(Modality.ATAC)
    with pytest.raises(WrongGenome, match="overlap the model's by chance only"):
        align(wide, space)


def _places(names):
    return [name.split("-")[0].split(":") for name in names]


def test_mouse_peaks_are_refused_by_a_human_model():
    space = FeatureSpace(Modality.ATAC, promoter_like("hg38").names, "hg38")
    with pytest.raises(WrongGenome, match="they fit mm10"):
        align(promoter_like("mm10").names, space)


def test_peaks_called_elsewhere_on_the_same_build_pass():
    peaks = promoter_like("hg38")
    space = FeatureSpace(Modality.ATAC, peaks.names, "hg38")
    half = [f"{c}:{int(s) + 150}-{int(s) + 700}" for c, s in _places(peaks.names[::2])]
    coverage = align(half, space).coverage
    assert coverage.share == pytest.approx(0.5, abs=0.05)
    assert coverage.how == "overlap"


@pytest.mark.parametrize(("names", "space"), [(PEAKS.names, GENES), (GENES.names, PEAKS)], ids=["peaks", "genes"])
def test_the_wrong_modality_is_called_so(names, space):
    with pytest.raises(WrongModality):
        align(names, space)


def test_a_problem_is_also_told_without_raising():
    assert coverage_problem(GENES.names, GENES) is None
    problem = coverage_problem(GENES.names[:3], GENES)
    assert problem is not None
    assert problem.code == "feature-mismatch"
    assert coverage_problem(GENES.names[:3], GENES, min_coverage=0.2) is None
    assert coverage_problem(GENES.names[:3], PEAKS, min_coverage=0) is None


def test_coverage_is_plain_json():
    told = json.loads(json.dumps(align(PEAKS.names[:9], PEAKS).coverage.as_dict()))
    assert told["share"] == 0.75
    assert told["modality"] == "atac"
    assert {"found", "of", "how", "used", "given", "unmatched_examples"} <= set(told)


def test_a_matrix_of_another_width_is_refused():
    with pytest.raises(CellsDoNotMatch, match="11 columns; 12 names"):
        align(GENES.names, GENES).apply(counts_of(2, 11, 0))
