"""Planted abnormal cells are found, and none is called where none is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from engine.analysis.abnormal import abnormal
from engine.analysis.clusters import leiden
from engine.analysis.embeddings import atac_only, rna_only
from engine.types import Floats, PairedCells
from tests.builders import paired
from tests.planted import with_abnormal


def together(pair: PairedCells) -> Floats:
    parts = [rna_only(pair, k=10).z_nk, atac_only(pair, k=10).z_nk]
    return np.hstack([z_nk / z_nk[:, 0].std() for z_nk in parts])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_abnormal_cells_are_found(seed: int) -> None:
    pair, truth = with_abnormal(rng=np.random.default_rng(seed))
    found = abnormal(pair, leiden(together(pair)))
    called = found.tables["cells"]["abnormal"].to_numpy()
    ill = truth == "abnormal"
    assert called[ill].mean() > 0.9
    assert called[~ill].mean() < 0.02
    cluster = found.tables["clusters"].query("abnormal").iloc[0]
    assert cluster["rna_depth"] < 120
    assert cluster["atac_depth"] > 100


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_none_is_called_among_clean_cells(seed: int) -> None:
    pair = paired(cells=300, genes=200, peaks=400, rng=np.random.default_rng(seed))
    found = abnormal(pair, leiden(together(pair)))
    assert found.figures == {"abnormal_clusters": 0, "abnormal_cells": 0}


def test_shallow_cells_and_deep_cells_are_not_abnormal() -> None:
    """Little of both, or much of both, is depth alone."""
    pair = paired(cells=200, genes=150, peaks=300, types=2, rng=np.random.default_rng(5))
    half = (pair.rna.obs["cell_type"] == "type 0").astype(np.float32)
    scale = sp.diags_array(1 + 4 * half)
    deep = PairedCells(
        replace(pair.rna, counts=sp.csr_matrix(scale @ pair.rna.counts)),
        replace(pair.atac, counts=sp.csr_matrix(scale @ pair.atac.counts)),
    )
    assert abnormal(deep, half.astype(np.int64)).figures["abnormal_clusters"] == 0


def test_a_type_that_differs_in_depth_is_not_called_once_labels_are_known() -> None:
    pair = paired(cells=200, genes=150, peaks=300, types=2, rng=np.random.default_rng(6))
    labels = pair.rna.obs["cell_type"]
    first = labels == "type 0"
    odd = PairedCells(
        replace(pair.rna, counts=sp.csr_matrix(sp.diags_array(np.where(first, 0.2, 1.0)) @ pair.rna.counts)),
        replace(pair.atac, counts=sp.csr_matrix(sp.diags_array(np.where(first, 4.0, 1.0)) @ pair.atac.counts)),
    )
    groups = first.astype(np.int64)
    without, with_labels = abnormal(odd, groups), abnormal(odd, groups, labels_n=labels)
    assert without.figures["abnormal_clusters"] == 1
    assert "without labels" in without.cautions[0]
    assert with_labels.figures["abnormal_clusters"] == 0


def test_one_cluster_has_nothing_to_differ_from() -> None:
    pair = paired(cells=40, rng=np.random.default_rng(7))
    assert abnormal(pair, np.zeros(40, dtype=np.int64)).figures["abnormal_clusters"] == 0
