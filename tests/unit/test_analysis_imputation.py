"""Imputed cells against their label's other half: correlation, and the label's peaks they find."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson
from sklearn.metrics import average_precision_score, precision_recall_curve

from engine.analysis.imputation import Halves, correlation
from engine.analysis.profiles import IMPUTED, RAW, LogRates, Profile, coded, group_means, imputed, measured
from engine.analysis.recovery import Ranking, called_peaks, recovery
from engine.errors import BadSetting
from engine.metrics.sources import ArraySource
from engine.types import Modality, Names, Scale, as_names
from tests.planted import Planted, along_a_path, both_profiles


@pytest.fixture(scope="module")
def built() -> Planted:
    return along_a_path(cells=240, genes=90, peaks=300, stages=3, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def labels(built: Planted) -> Names:
    return built.pair.rna.obs["stage"]


def test_a_profile_gives_the_same_by_rows_by_columns_and_in_blocks(built: Planted) -> None:
    raw = measured(built.pair.rna)
    whole = raw.rows(0, len(raw))
    np.testing.assert_array_equal(raw.columns(np.array([7, 2])), whole[:, [7, 2]])
    np.testing.assert_array_equal(np.concatenate([rows for _, _, rows in raw.row_blocks()]), whole)
    positions = np.arange(len(raw.names))
    np.testing.assert_array_equal(np.hstack([part for _, _, part in raw.column_blocks(positions)]), whole)


def test_expected_counts_are_compared_as_logarithms_of_equal_totals(built: Planted) -> None:
    rates = built.rate_ng.astype(np.float32) * np.linspace(0.5, 3, len(built.rate_ng))[:, None].astype(np.float32)
    found = imputed(
        ArraySource(rates), modality=Modality.RNA, scale=Scale.RATE, names=built.pair.rna.space.names, cells=len(rates)
    )
    assert isinstance(found.source, LogRates)
    total = np.expm1(found.rows(0, len(rates))).sum(axis=1)
    np.testing.assert_allclose(total, total[0], rtol=1e-4)
    np.testing.assert_allclose(found.columns(np.array([3])), found.rows(0, len(rates))[:, [3]], rtol=1e-6)


def test_group_means_leave_cells_of_no_group_out(built: Planted) -> None:
    raw = measured(built.pair.atac)
    codes = np.array([0, 1, -1] * 80)
    whole = raw.rows(0, len(raw))
    np.testing.assert_allclose(group_means(raw, codes, 2)[1], whole[codes == 1].mean(axis=0), atol=1e-6)
    assert coded(as_names(["b", "", "a", "b"]))[1].tolist() == [1, -1, 0, 1]


def test_halves_part_every_label_and_a_cell_is_never_compared_with_itself(built: Planted, labels: Names) -> None:
    raw = measured(built.pair.rna)
    halves = Halves.of(raw, labels, rng=np.random.default_rng(0))
    sizes = np.bincount(halves.group_n)
    assert (np.abs(sizes[::2] - sizes[1::2]) <= 1).all()
    assert all(labels[i] == halves.labels[g // 2] for i, g in enumerate(halves.group_n))
    whole = raw.rows(0, len(raw))
    np.testing.assert_allclose(halves.bulk_gf[3], whole[halves.group_n == 3].mean(axis=0), atol=1e-6)
    assert halves.other(3) == 2


def test_of_very_many_cells_some_are_scored_against_pseudobulks_of_all(
    built: Planted, labels: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = both_profiles(built)[Modality.ATAC]
    whole = {of.__name__: of(profiles, profiles[RAW], labels, seed=1) for of in (correlation, recovery)}
    monkeypatch.setattr("engine.analysis.imputation.drawn", lambda cells, seed: np.arange(0, cells, 3))
    for of in (correlation, recovery):
        found, every = of(profiles, profiles[RAW], labels, seed=1), whole[of.__name__].tables["cells"]
        assert found.cautions[-1] == "80 of 240 cells were scored, drawn by chance; pseudobulks are made of all."
        cells = found.tables["cells"]
        assert (cells["label"] != "").sum() == 80
        for name in cells.columns.drop("label"):
            np.testing.assert_array_equal(cells[name][::3], every[name][::3])
            assert cells[name].drop(cells.index[::3]).isna().all()


def test_correlations_are_numpys_own(built: Planted, labels: Names) -> None:
    profiles = both_profiles(built)[Modality.RNA]
    found = correlation(profiles, profiles[RAW], labels, seed=4)
    halves = Halves.of(profiles[RAW], labels, rng=np.random.default_rng(4))
    other = halves.bulk_gf[halves.group_n[11] ^ 1, halves.kept_f]
    for name, profile in profiles.items():
        own = profile.rows(11, 12)[0, halves.kept_f]
        value = found.tables["cells"][f"{name} pearson"][11]
        assert value == pytest.approx(np.corrcoef(own, other)[0, 1], abs=1e-5)


@pytest.mark.parametrize("modality", list(Modality))
def test_a_perfect_imputation_beats_raw_and_the_mean_profile(modality: Modality, built: Planted, labels: Names) -> None:
    profiles = both_profiles(built)[modality]
    table = correlation(profiles, profiles[RAW], labels).tables["correlation"]
    for label in ("", "stage 0", "stage 1", "stage 2"):
        row = table[(table["label"] == label) & (table["profile"] == IMPUTED) & (table["score"] == "pearson")].iloc[0]
        assert row["gain_over_raw_low"] > 0
        assert row["gain_over_mean_low"] > 0
        assert row["low"] <= row["value"] <= row["high"]


def test_the_mean_profile_gains_nothing_over_itself(built: Planted, labels: Names) -> None:
    """An imputation that gives every cell the average gains nothing over the average."""
    raw = measured(built.pair.rna)
    mean = np.tile(raw.rows(0, len(raw)).mean(axis=0), (len(raw), 1))
    flat = Profile("flat", Modality.RNA, raw.names, len(raw), ArraySource(mean), imputed=True)
    table = correlation({"flat": flat}, raw, labels).tables["correlation"]
    row = table.query("label == '' and profile == 'flat' and score == 'pearson'").iloc[0]
    assert abs(row["gain_over_mean"]) < 0.01


def test_a_ranking_is_read_as_scikit_learn_reads_it() -> None:
    rng = np.random.default_rng(1)
    true, values = rng.random(400) < 0.2, rng.integers(0, 12, size=400).astype(float)
    values += 3 * true
    found = Ranking.of(values, true)
    assert found.average_precision == pytest.approx(average_precision_score(true, values))
    precision, recall, _ = precision_recall_curve(true, values)
    least = float(np.median(precision))
    assert found.recall_at(least) == pytest.approx(recall[precision >= least].max())
    assert 0 < found.recall_at(least) < 1
    assert found.recall_at(1.01) == 0.0


def test_called_peaks_are_those_above_the_average_peak() -> None:
    rng = np.random.default_rng(2)
    rate = np.full(1_000, 0.05)
    rate[:60] = 0.4
    flags = called_peaks(rng.binomial(200, rate) / 200, 200)
    assert flags[:60].all()
    assert flags[60:].mean() < 0.01
    assert not called_peaks(np.full(50, 0.05), 200).any()
    counts = np.array([3] * 99 + [30])
    assert called_peaks(counts / 100, 100).tolist() == [False] * 99 + [True]
    assert poisson.sf(29, counts.mean()) < 0.05 / 100


def test_imputed_cells_find_more_peaks_at_the_raw_cells_own_precision(built: Planted, labels: Names) -> None:
    profiles = both_profiles(built)[Modality.ATAC]
    found = recovery(profiles, profiles[RAW], labels)
    table = found.tables["recovery"].query("peaks == 'all'").set_index(["label", "profile", "score"])
    raw = table.loc[("", RAW, "recall_at_raw_precision")]
    assert raw["value"] == pytest.approx(table.loc[("", RAW, "recall"), "value"])
    gained = table.loc[("", IMPUTED, "recall_at_raw_precision")]
    assert gained["value"] > raw["value"] + 0.2
    assert gained["gain_over_raw_low"] > 0
    assert gained["gain_over_mean_low"] > 0
    curve = found.tables["curve"].query(f"profile == '{IMPUTED}' and label == 'stage 1' and peaks == 'all'")
    assert (np.diff(curve["precision"]) <= 1e-12).all()


def test_the_mean_profile_does_not_find_what_sets_a_label_apart(built: Planted, labels: Names) -> None:
    profiles = both_profiles(built)[Modality.ATAC]
    found = recovery(profiles, profiles[RAW], labels)
    called = found.tables["peaks"].pivot(index="label", columns="peaks", values="called")
    assert (called["specific"] < called["all"]).all()
    table = found.tables["recovery"].set_index(["peaks", "label", "profile", "score"])["value"]
    which = ("", IMPUTED, "average_precision")
    assert table[("specific", *which)] > table["specific", "", "mean", "average_precision"] + 0.1
    score = correlation(profiles, profiles[RAW], labels).figures["specific"]
    assert score["mean"] == 0
    assert score["imputed"] > score["raw"] + 0.2


def test_a_label_without_peaks_of_its_own_has_no_score(built: Planted, labels: Names) -> None:
    """Its cells are like all others: nothing is specific to it, and the other labels are scored all the same."""
    rng = np.random.default_rng(5)
    mixed = np.where(rng.random(len(labels)) < 0.25, "anything", labels)
    profiles = both_profiles(built)[Modality.ATAC]
    table = recovery(profiles, profiles[RAW], mixed).tables["recovery"].query("peaks == 'specific'")
    value = table.set_index(["label", "profile", "score"])["value"]
    assert np.isnan(value["anything", IMPUTED, "average_precision"])
    assert value["stage 0", IMPUTED, "average_precision"] > 0.1


def test_shuffled_peaks_recover_nothing(built: Planted, labels: Names) -> None:
    profiles = both_profiles(built)[Modality.ATAC]
    order = np.random.default_rng(3).permutation(len(profiles[RAW].names))
    lost = Profile("lost", Modality.ATAC, profiles[RAW].names, len(labels), ArraySource(built.open_np[:, order]), True)
    table = recovery({"lost": lost}, profiles[RAW], labels).tables["recovery"]
    row = table.query("label == '' and profile == 'lost' and score == 'recall_at_raw_precision'").iloc[0]
    assert row["peaks"] == "all"
    assert row["gain_over_mean"] < 0


def test_labels_without_cells_and_genes_for_peaks_are_refused(built: Planted, labels: Names) -> None:
    raw = measured(built.pair.rna)
    with pytest.raises(BadSetting, match="No label has 20 cells"):
        correlation({RAW: raw}, raw, as_names(f"label {i}" for i in range(len(labels))))
    with pytest.raises(BadSetting, match="Genes are not recovered"):
        recovery({RAW: raw}, raw, labels)
