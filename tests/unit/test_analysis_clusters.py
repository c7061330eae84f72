"""Clusters, embeddings beside the joint one, and what is raised where an extra is missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from engine.analysis.clusters import ClusterSettings, agreement, cluster, kmeans, leiden, purity
from engine.analysis.embeddings import KNOWN, atac_only, embedding, lacking, rna_only
from engine.errors import BadSetting, MissingExtra
from engine.types import PairedCells, as_names
from tests.builders import paired


@pytest.fixture(scope="module")
def pair() -> PairedCells:
    return paired(cells=150, genes=120, peaks=240, rng=np.random.default_rng(0))


def test_purity_counts_what_lies_in_a_labels_own_clusters() -> None:
    clusters = np.array([0, 0, 0, 1, 1, 2, 2])
    found = purity(clusters, as_names(["a", "a", "b", "b", "b", "a", ""])).set_index("label")
    assert found.loc["a"].to_dict() == {"cells": 3, "clusters": 2, "purity": 3 / 4, "found": 1.0}
    assert found.loc["b"].to_dict() == {"cells": 3, "clusters": 1, "purity": 1.0, "found": 2 / 3}


def test_a_label_without_a_cluster_of_its_own_has_purity_zero() -> None:
    found = purity(np.zeros(5, dtype=np.int64), as_names(["a", "a", "a", "b", "b"])).set_index("label")
    assert (found.loc["b", "clusters"], found.loc["b", "purity"], found.loc["b", "found"]) == (0, 0.0, 0.0)


def test_agreement_leaves_cells_without_a_label_out() -> None:
    assert agreement(np.array([0, 0, 1, 1, 0]), as_names(["x", "x", "y", "y", ""])) == (1.0, 1.0)
    assert np.isnan(agreement(np.array([0, 1]), as_names(["x", "x"]))).all()


@pytest.mark.parametrize("name", ["rna", "atac"])
def test_planted_types_are_found_by_both_ways_and_not_in_noise(name: str, pair: PairedCells) -> None:
    labels = pair.rna.obs["cell_type"]
    noise = np.random.default_rng(1).normal(size=(len(pair), 10)).astype(np.float32)
    found = cluster({name: embedding(name, pair).z_nk, "noise": noise}, labels, settings=ClusterSettings(seeds=(0, 1)))
    table = found.tables["agreement"]
    assert len(table) == 8
    assert (table.loc[table["embedding"] == name, "ari"] > 0.9).all()
    assert (table.loc[table["embedding"] == "noise", "ari"] < 0.1).all()
    assert list(found.tables["cells"]) == [f"{name} k-means", f"{name} leiden", "noise k-means", "noise leiden"]


def test_without_labels_there_are_clusters_and_nothing_to_score_them_by(pair: PairedCells) -> None:
    found = cluster({"rna": rna_only(pair).z_nk}, None, settings=ClusterSettings(components=4))
    assert found.tables["agreement"][["ari", "nmi"]].isna().all(axis=None)
    assert len(found.tables["purity"]) == 0
    assert found.tables["cells"]["rna k-means"].nunique() == 4


def test_the_same_seed_gives_the_same_clusters(pair: PairedCells) -> None:
    z_nk = rna_only(pair).z_nk
    np.testing.assert_array_equal(leiden(z_nk, seed=3), leiden(z_nk, seed=3))
    np.testing.assert_array_equal(kmeans(z_nk, 3, seed=3), kmeans(z_nk, 3, seed=3))


def test_peaks_alone_are_embedded_without_their_depth(pair: PairedCells) -> None:
    found = atac_only(pair, k=8)
    log_n = np.log1p(np.asarray(pair.atac.counts.sum(axis=1)).ravel())
    assert max(abs(np.corrcoef(column, log_n)[0, 1]) for column in found.z_nk.T) <= 0.75
    assert found.notes == ("1 component that follows depth, left out.",)


def test_impossible_numbers_of_clusters_are_refused(pair: PairedCells) -> None:
    z_nk = rna_only(pair).z_nk
    with pytest.raises(BadSetting, match="151 clusters"):
        kmeans(z_nk, 151)
    with pytest.raises(BadSetting, match="How many"):
        cluster({"rna": z_nk}, None)
    with pytest.raises(BadSetting, match="no embedding 'pca'"):
        embedding("pca", pair)


@pytest.mark.parametrize(
    ("name", "module"), [("wnn", "muon"), ("mofa", "mofapy2"), ("scvi", "scvi"), ("multivi", "scvi")]
)
def test_a_missing_extra_is_named(name: str, module: str, pair: PairedCells, monkeypatch: pytest.MonkeyPatch) -> None:
    for known in [known for known in sys.modules if known.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setattr(sys, "meta_path", [_Hidden(module), *sys.meta_path])
    with pytest.raises(MissingExtra, match=r"crossview\[peers\]"):
        embedding(name, pair)


class _Hidden:
    """An import system in which one package is not installed."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] == self._package:
            raise ModuleNotFoundError(f"No module named {self._package!r}", name=self._package)


def test_what_is_lacking_is_known_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.analysis.embeddings.find_spec", lambda name: None if name == "scvi" else name)
    assert lacking(["joint", "rna", "scvi", "multivi", "wnn"]) == {"scvi": "scvi", "multivi": "scvi"}


@pytest.mark.slow
@pytest.mark.timeout(900)  # muon compiles its neighbour search anew in every process: 90 s of CPU
@pytest.mark.parametrize(("name", "module"), [("wnn", "muon"), ("mofa", "mofapy2"), ("scvi", "scvi")])
def test_peers_find_planted_types(name: str, module: str, pair: PairedCells) -> None:
    _installed(module)
    labels = pair.rna.obs["cell_type"]
    told: list[str] = []
    settings = {"epochs": 60, "say": told.append} if name == "scvi" else {}
    found = KNOWN[name](pair, **settings)
    assert (name == "scvi") is ("scVI: epoch 1 of at most 60" in told)
    assert len(found.z_nk) == len(pair)
    assert agreement(kmeans(found.z_nk, 3), labels)[0] > 0.8


def _installed(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
