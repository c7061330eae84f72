"""Markers by blocks equal scanpy's on the whole, and lists overlap as the hypergeometric distribution says."""

from __future__ import annotations

import warnings
from math import comb

import numpy as np
import pandas as pd
import pytest

from engine.analysis import profiles as profiles_module
from engine.analysis.markers import MarkerSettings, markers, overlap
from engine.analysis.profiles import RAW, measured
from engine.errors import BadSetting
from engine.types import Modality, Names, PairedCells
from tests.builders import paired
from tests.planted import along_a_path, both_profiles


@pytest.fixture(scope="module")
def pair() -> PairedCells:
    return paired(cells=120, genes=70, peaks=90, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def labels(pair: PairedCells) -> Names:
    return pair.rna.obs["cell_type"]


@pytest.mark.parametrize(
    "method",
    ["t-test_overestim_var", pytest.param("wilcoxon", marks=pytest.mark.slow)],  # scanpy compiles its ranks
)
def test_blocks_of_features_give_what_scanpy_gives_on_all(
    method: str, pair: PairedCells, labels: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anndata as ad
    import scanpy as sc

    raw = measured(pair.rna)
    monkeypatch.setattr(profiles_module, "HELD", 120 * 16)  # sixteen genes at once
    own = markers({RAW: raw}, labels, settings=MarkerSettings(method=method)).tables["markers"]
    adata = ad.AnnData(
        raw.rows(0, len(raw)),
        obs=pd.DataFrame({"group": pd.Categorical(labels)}, index=list(pair.barcodes)),
        var=pd.DataFrame(index=list(raw.names)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.tl.rank_genes_groups(adata, "group", method=method)
    theirs = sc.get.rank_genes_groups_df(adata, group=None).set_index(["group", "names"])
    joined = own.set_index(["group", "feature"]).join(theirs.rename_axis(["group", "feature"]))
    assert len(joined) == 3 * 70
    np.testing.assert_allclose(joined["score"], joined["scores"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(joined["q"], joined["pvals_adj"], rtol=1e-3, atol=1e-12)
    np.testing.assert_allclose(joined["log2_fold"], joined["logfoldchanges"], rtol=1e-3, atol=1e-3)


def test_p_values_of_imputed_cells_are_marked_as_not_valid() -> None:
    built = along_a_path(cells=90, genes=20, peaks=30, stages=2, rng=np.random.default_rng(1))
    found = markers(both_profiles(built)[Modality.RNA], built.pair.rna.obs["stage"])
    valid = found.tables["markers"].groupby("profile")["p_valid"].agg(["all", "any"])
    assert valid.loc["raw"].all()
    assert not valid.loc["imputed"].any()
    assert "not valid" in found.cautions[0]


def test_peaks_are_compared_by_shares_of_open_cells(pair: PairedCells, labels: Names) -> None:
    raw = measured(pair.atac)
    row = markers({RAW: raw}, labels).tables["markers"].iloc[0]
    open_n = raw.columns(np.array([list(raw.names).index(row["feature"])]))[:, 0]
    inside, rest = open_n[labels == row["group"]].mean(), open_n[labels != row["group"]].mean()
    assert row["mean"] == pytest.approx(inside, abs=1e-6)
    assert row["log2_fold"] == pytest.approx(np.log2((inside + 1e-9) / (rest + 1e-9)), rel=1e-4)


def test_overlap_is_hypergeometric() -> None:
    table = pd.DataFrame(
        {"profile": "raw", "group": "x", "feature": [f"G{i}" for i in range(50)], "score": np.arange(50, 0, -1.0)}
    )
    row = overlap(table, ["G0", "G1", "G2", "G30", "G99"], top=10).iloc[0]
    ways = sum(comb(4, k) * comb(46, 10 - k) for k in range(3, 5))
    assert row["p"] == pytest.approx(ways / comb(50, 10))
    assert (row["shared"], row["reference"], row["missing"]) == (3, 4, 1)
    assert row["jaccard"] == pytest.approx(3 / 11)
    assert row["found"] == pytest.approx(3 / 4)
    assert row["expected"] == pytest.approx(10 * 4 / 50)


def test_a_reference_by_group_meets_the_group_of_its_name(pair: PairedCells, labels: Names) -> None:
    raw = measured(pair.rna)
    first = markers({RAW: raw}, labels).tables["markers"].query("group == 'type 1'")["feature"].head(8).tolist()
    table = markers({RAW: raw}, labels, settings=MarkerSettings(top=8), reference={"type 1": first}).tables["overlap"]
    assert table["group"].tolist() == ["type 1"]
    assert (table.iloc[0]["shared"], table.iloc[0]["jaccard"]) == (8, 1.0)


def test_one_group_and_unknown_tests_are_refused(pair: PairedCells) -> None:
    with pytest.raises(BadSetting, match="1 group"):
        markers({RAW: measured(pair.rna)}, np.full(len(pair), "one", dtype=object))
    with pytest.raises(BadSetting, match="no test 'guess'"):
        MarkerSettings(method="guess")
