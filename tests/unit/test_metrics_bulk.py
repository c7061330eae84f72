"""Pseudobulk and structure scores against the plainest way of saying the same."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from engine.metrics import ArraySource, log_normalised
from engine.metrics.bulk import score_bulks
from engine.metrics.structure import Comparable, Components, Reference, SparseSource, score_structure
from engine.types import Modality, as_names
from tests import naive_scores as naive
from tests.builders import paired


class Built:
    """Cells of four types, and a prediction that knows the types with noise."""

    def __init__(self, *, cells: int = 160, genes: int = 50, noise: float = 0.3, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        pair = paired(cells=cells, genes=genes, peaks=40, types=4, rng=rng)
        self.truth = log_normalised(pair.rna.counts)
        self.labels = pair.rna.obs["cell_type"]
        dense = self.truth.toarray()
        means = {kind: dense[self.labels == kind].mean(0) for kind in set(self.labels)}
        self.predicted = np.stack([means[kind] for kind in self.labels])
        self.predicted = (self.predicted + noise * rng.standard_normal(self.predicted.shape)).astype(np.float32)
        self.kept = np.arange(genes, dtype=np.int64)


@pytest.fixture(scope="module")
def built() -> Built:
    return Built()


def test_pseudobulk_scores_are_correlations_of_label_averages(built: Built) -> None:
    found = score_bulks(ArraySource(built.predicted), built.truth, built.labels, kept=built.kept)
    theirs = naive.bulk(built.predicted, built.truth.toarray(), list(built.labels), found.labels)
    assert {name: figure.value for name, figure in found.figures.items()} == pytest.approx(theirs, abs=1e-6)


def test_what_a_cell_pulls_is_how_the_score_moves_with_its_weight(built: Built) -> None:
    found = score_bulks(ArraySource(built.predicted), built.truth, built.labels, kept=built.kept)
    for name in ("label_pearson", "label_specific_pearson", "across_pearson"):
        for cell in (0, 17):
            step = 1e-4
            weight = np.ones(len(built.labels))
            weight[cell] += step
            moved = naive.bulk(built.predicted, built.truth.toarray(), list(built.labels), found.labels, weight)[name]
            slope = (moved - found.figures[name].value) / step
            assert found.figures[name].pull[cell] == pytest.approx(slope, rel=2e-3, abs=1e-8), name
        assert found.figures[name].pull.sum() == pytest.approx(0, abs=1e-9)


def test_a_constant_prediction_scores_nothing_across_labels(built: Built) -> None:
    flat = np.tile(built.truth.toarray().mean(0).astype(np.float32), (len(built.labels), 1))
    found = score_bulks(ArraySource(flat), built.truth, built.labels, kept=built.kept).figures
    assert found["across_pearson"].value == pytest.approx(0, abs=1e-9)
    assert found["label_specific_pearson"].value == pytest.approx(0, abs=1e-6)
    assert found["label_pearson"].value > 0.4


def test_small_labels_are_left_out_and_unlabelled_cells_pull_nothing(built: Built) -> None:
    labels = built.labels.copy()
    labels[:3] = "rare"
    labels[3:9] = ""
    found = score_bulks(ArraySource(built.predicted), built.truth, labels, kept=built.kept)
    assert found.left_out == ("rare",)
    assert not found.figures["label_pearson"].pull[:9].any()


def test_two_labels_are_not_correlated_across() -> None:
    built = Built(cells=80)
    labels = as_names("a" if kind in ("type 0", "type 1") else "b" for kind in built.labels)
    found = score_bulks(ArraySource(built.predicted), built.truth, labels, kept=built.kept).figures
    assert set(found) == {"label_pearson", "label_spearman"}


def test_components_are_those_of_a_full_decomposition(built: Built) -> None:
    dense = built.truth.toarray()
    whole = Comparable(SparseSource(built.truth), Modality.RNA, n=len(dense), f=dense.shape[1], kept=built.kept)
    found = Components.fit(whole, rng=np.random.default_rng(0), k=3, rounds=8).coordinates(whole)
    u, s, _ = np.linalg.svd(dense - dense.mean(0), full_matrices=False)
    for k in range(3):
        assert abs(naive.pearson(found[:, k], u[:, k] * s[k])) > 0.999


def test_a_prediction_that_knows_the_types_clusters_by_them_and_carries_labels() -> None:
    train, test = Built(cells=200, seed=1), Built(cells=200, seed=1)
    reference = Reference.fit(train.truth, train.labels, Modality.RNA, kept=train.kept, rng=np.random.default_rng(0))
    good = structure(test, test.predicted, reference)
    flat = structure(test, np.zeros_like(test.predicted), reference)
    assert good["cluster_ari"] > 0.9
    assert good["cluster_nmi"] > 0.9
    assert good["label_transfer"] > 0.95
    assert flat["cluster_ari"] == 0


def structure(built: Built, predicted: np.ndarray, reference: Reference) -> dict[str, float]:
    found = score_structure(
        ArraySource(predicted), built.labels, Modality.RNA, features=predicted.shape[1], kept=built.kept,
        reference=reference, rng=np.random.default_rng(0),
    )  # fmt: skip
    return {name: figure.value for name, figure in found.items()}


def test_depth_alone_makes_no_clusters_of_openings() -> None:
    rng = np.random.default_rng(0)
    share = rng.random(40).astype(np.float32)
    level = np.repeat([0.1, 1.0], 30).astype(np.float32)[:, None]
    source = ArraySource(level * share)
    labels = as_names(["shallow"] * 30 + ["deep"] * 30)
    kept = np.arange(40, dtype=np.int64)
    found = score_structure(source, labels, Modality.ATAC, features=40, kept=kept, reference=None, rng=rng)
    assert abs(found["cluster_ari"].value) < 0.2


def test_a_sparse_truth_is_read_as_it_is() -> None:
    values = sp.random(20, 9, density=0.4, random_state=np.random.default_rng(0), format="csr")
    source = SparseSource(values)
    np.testing.assert_allclose(source.rows(3, 8), values.toarray()[3:8], rtol=1e-6)
    np.testing.assert_allclose(source.columns(np.array([1, 4])), values.toarray()[:, [1, 4]], rtol=1e-6)
