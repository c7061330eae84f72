"""Preprocessing steps against their dense definitions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from engine.errors import BadSetting, NoCells
from engine.preprocess.filters import FilterSettings, filter_pair, lost_cells
from engine.preprocess.steps import DepthScale, Projection, TfIdf, ZScore
from engine.translators.baselines.common import as_probability
from engine.types import PairedCells
from tests.builders import paired, split_of


def counts(rng: np.random.Generator, *, cells: int = 50, genes: int = 30, rate: float = 0.5) -> sp.csr_matrix:
    return sp.csr_matrix(rng.poisson(rate, size=(cells, genes)).astype(np.float32))


def test_a_cell_is_scaled_to_the_training_median() -> None:
    train = counts(np.random.default_rng(0))
    scale = DepthScale.fit(train)
    np.testing.assert_allclose(scale.scaled(train).toarray().sum(axis=1), scale.median, rtol=1e-5)
    assert scale.median == np.median(train.toarray().sum(axis=1))


def test_an_empty_cell_stays_empty() -> None:
    scale = DepthScale(100.0)
    assert scale.log_normalised(sp.csr_matrix((1, 4), dtype=np.float32)).nnz == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 3.0))
def test_zscores_as_a_constant_row_and_a_difference_equal_the_dense_ones(seed: int, rate: float) -> None:
    x = counts(np.random.default_rng(seed), rate=rate)
    step = ZScore.fit(x)
    dense = x.toarray().astype(np.float64)
    std = dense.std(axis=0)
    std[std < 1e-8] = 1
    wanted = np.clip((dense - dense.mean(axis=0)) / std, step.low, step.high)
    np.testing.assert_allclose(step.difference(x).toarray() + step.zero_f, wanted, atol=2e-5)


def test_clipping_bounds_are_percentiles_of_the_whole_matrix() -> None:
    x = counts(np.random.default_rng(1), cells=200, genes=50)
    step = ZScore.fit(x)
    z = (x.toarray() - step.mean_f) / step.std_f
    low, high = np.percentile(z, [0.5, 99.5], method="inverted_cdf")
    assert step.low == pytest.approx(low, abs=1e-4)
    assert step.high == pytest.approx(high, abs=1e-4)


def test_the_projection_is_that_of_principal_components() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(size=(80, 4)) @ rng.normal(size=(4, 40)) * 3 + rng.normal(size=(80, 40)) * 0.1
    found = Projection.fit(sp.csr_matrix(base.astype(np.float32)), k=4, rng=rng)
    wanted = PCA(4).fit(base)
    np.testing.assert_allclose(found.s_k, wanted.singular_values_, rtol=1e-3)
    agreement = np.abs(np.sum(found.v_fk * wanted.components_.T, axis=0))
    np.testing.assert_allclose(agreement, 1.0, atol=1e-3)


def test_tfidf_weighs_rare_peaks_more() -> None:
    open_np = sp.csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0]], dtype=np.float32))
    weighed = TfIdf.fit(open_np).transform(open_np).toarray()
    assert weighed[0, 1] > weighed[0, 0]
    assert weighed[2, 0] > weighed[0, 0]  # the only open peak of its cell


@given(st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=30, unique=True))
def test_probabilities_from_linear_scores_keep_the_order(values: list[float]) -> None:
    ordered = np.sort(np.array(values, dtype=np.float32))
    mapped = as_probability(ordered)
    assert (np.diff(mapped) >= 0).all()
    assert mapped.min() >= 0
    assert mapped.max() <= 1
    inside = (ordered > 1e-3) & (ordered < 0.999)
    np.testing.assert_allclose(mapped[inside], ordered[inside])


def test_sex_chromosomes_and_common_peaks_are_dropped_as_published() -> None:
    pair = paired(cells=60, genes=50, peaks=88, rng=np.random.default_rng(3))
    names = pair.atac.space.names.copy()
    names[0] = "chrX:5-50"
    from engine.types import Cells, FeatureSpace

    atac = Cells(FeatureSpace(pair.atac.modality, names, "hg38"), pair.atac.counts, pair.barcodes)
    pair = PairedCells(pair.rna, atac)
    found = filter_pair(pair, split_of(pair), FilterSettings(min_genes=0, max_share=0.15, min_cells=2))
    assert "chrX:5-50" not in found.pair.atac.space.index
    train = found.pair.named(found.split.train).atac.counts
    share = np.asarray((train > 0).mean(axis=0)).ravel()
    assert share.max() <= 0.15
    assert found.kept["peaks"] == [len(found.pair.atac.space), 88]


def test_filters_that_leave_few_cells_say_so_and_how_to_keep_them() -> None:
    pair = paired(cells=60, genes=50, peaks=88, rng=np.random.default_rng(3))
    split = split_of(pair)
    detected = np.sort(np.diff(pair.named(split.train).rna.counts.indptr))
    half, all_of_them = int(detected[len(detected) // 2]), int(detected[0])
    kept = filter_pair(pair, split, FilterSettings(min_genes=half, max_share=1, min_cells=0)).kept
    left, of = kept["training_cells"]
    assert 0 < left < 0.9 * of
    assert f"{left:,} of {of:,} training cells" in lost_cells(kept)
    assert f"fewer than {half} " in lost_cells(kept)
    whole = filter_pair(pair, split, FilterSettings(min_genes=all_of_them, max_share=1, min_cells=0)).kept
    assert lost_cells(whole) == lost_cells({}) == ""


def test_filters_that_leave_nothing_say_which_and_what_to_do() -> None:
    pair = paired(cells=40, rng=np.random.default_rng(4))
    with pytest.raises(NoCells, match="200–7,000 genes"):
        filter_pair(pair, split_of(pair), FilterSettings())
    with pytest.raises(BadSetting, match="max_share"):
        FilterSettings(max_share=0.0)
