"""Planted links are found by LASSO and by co-accessibility, and a planted track is richer under them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.covariance import graphical_lasso as scalar_lasso
from sklearn.metrics import average_precision_score

from engine.analysis.coaccess import CoaccessSettings, coaccessibility
from engine.analysis.enrichment import bigwig_signal, enrichment, told
from engine.analysis.glasso import graphical_lasso
from engine.analysis.lasso import LassoSettings, lasso_links
from engine.analysis.metacells import Metacells
from engine.analysis.nearby import Nearby, nearby, positions
from engine.analysis.profiles import IMPUTED, RAW, Measured, Profile
from engine.errors import BadInput, UnknownFeature
from engine.genome.genes import GeneModels
from engine.types import Modality, as_names
from tests.planted import Planted, both_profiles, with_links


@pytest.fixture(scope="module")
def built() -> Planted:
    return with_links(rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def near(built: Planted) -> Nearby:
    return nearby(built.pair.rna.space.names, built.pair.atac.space.names, GeneModels.load("hg38"))


@pytest.fixture(scope="module")
def profiles(built: Planted) -> dict[Modality, dict[str, Profile]]:
    return both_profiles(built)


def found_of(table: pd.DataFrame, built: Planted, profile: str, *, shuffled: bool = False) -> float:
    """Average precision of the distal links of a profile."""
    distal = table[(table["profile"] == profile) & (table["kind"] == "distal")]
    true = np.array([pair in built.linked for pair in zip(distal["gene"], distal["peak"], strict=True)])
    score = distal["score"].to_numpy()
    return float(average_precision_score(true, np.random.default_rng(1).permutation(score) if shuffled else score))


# -- neighbourhood ---------------------------------------------------------------------------------------------------


def test_distances_are_from_the_tss_along_the_gene(near: Nearby) -> None:
    models, table = GeneModels.load("hg38"), near.table()
    for row in table.sample(20, random_state=0).to_dict(orient="records"):
        i = models.index[str(row["gene"])]
        chrom, span = str(row["peak"]).split(":")
        centre = sum(map(int, span.split("-"))) // 2
        assert chrom == models.chroms[models.chrom[i]]
        assert row["distance"] == (centre - models.tss[i]) * (1 if models.forward[i] else -1)
        assert row["kind"] == ("proximal" if abs(row["distance"]) <= 2_000 else "distal")


def test_peaks_within_reach_are_all_there_and_no_other() -> None:
    models = GeneModels.load("hg38")
    i = models.index["GAPDH"]
    chrom, tss = models.chroms[models.chrom[i]], int(models.tss[i])
    at = [tss - 100_001, tss - 100_000, tss, tss + 100_000, tss + 100_001]
    found = nearby(as_names(["GAPDH", "NOGENE"]), as_names(f"{chrom}:{c - 1}-{c + 1}" for c in at), models)
    assert sorted(found.peak.tolist()) == [1, 2, 3]
    assert found.placed_g.tolist() == [True, False]
    with pytest.raises(BadInput, match="None of 1 genes"):
        nearby(as_names(["NOGENE"]), as_names(["chr1:1-2"]), models)
    with pytest.raises(UnknownFeature):
        positions(["NOGENE"], as_names(["GAPDH"]))


# -- LASSO -----------------------------------------------------------------------------------------------------------


def test_lasso_finds_planted_links(built: Planted, near: Nearby, profiles: dict[Modality, dict[str, Profile]]) -> None:
    found = lasso_links(profiles[Modality.RNA], profiles[Modality.ATAC], near).tables["links"]
    assert len(found) == 2 * len(near)
    assert found_of(found, built, RAW) > 0.8
    assert found_of(found, built, IMPUTED) > 0.5  # the promoter says the same without noise: it takes the credit
    for name in (RAW, IMPUTED):
        assert found_of(found, built, name, shuffled=True) < 0.4
    weight = found["coefficient"].abs()
    assert (found["selected"] == (weight > 1e-9)).all()  # what rounding leaves of nothing is no link


def test_lasso_finds_planted_links_on_groups_of_cells(
    built: Planted, near: Nearby, profiles: dict[Modality, dict[str, Profile]]
) -> None:
    groups = Metacells.of(built.z_nk, rng=np.random.default_rng(0), size=10)
    raw = {m: {RAW: groups.of_profile(profiles[m][RAW])} for m in Modality}
    found = lasso_links(raw[Modality.RNA], raw[Modality.ATAC], near).tables["links"]
    assert found_of(found, built, RAW) > 0.8


def test_lasso_minimises_its_objective(near: Nearby, profiles: dict[Modality, dict[str, Profile]]) -> None:
    """The conditions of Karush, Kuhn and Tucker of ½·mean (y − Xb)² + α·|b|₁ hold at the answer."""
    alpha, settings = 0.03, LassoSettings(alpha=0.03)
    gene = int(near.gene[0])
    raw = {m: {RAW: profiles[m][RAW]} for m in Modality}
    table = lasso_links(raw[Modality.RNA], raw[Modality.ATAC], near, genes=np.array([gene]), settings=settings)
    b = table.tables["links"]["coefficient"].to_numpy()
    y = profiles[Modality.RNA][RAW].columns(np.array([gene]))[:, 0].astype(np.float64)
    x = profiles[Modality.ATAC][RAW].columns(near.of(np.array([gene])).peak).astype(np.float64)
    y, x = (y - y.mean()) / y.std(), (x - x.mean(0)) / x.std(0)
    slope = x.T @ (y - x @ b) / len(y)
    assert b.any()
    np.testing.assert_allclose(slope[b != 0], alpha * np.sign(b[b != 0]), atol=1e-3)
    assert (np.abs(slope[b == 0]) <= alpha + 1e-3).all()


def test_a_constant_gene_has_no_links(near: Nearby, profiles: dict[Modality, dict[str, Profile]]) -> None:
    from engine.metrics.sources import ArraySource

    rna = profiles[Modality.RNA][RAW]
    flat = Profile(RAW, Modality.RNA, rna.names, len(rna), ArraySource(np.ones((len(rna), len(rna.names)))))
    found = lasso_links({RAW: flat}, {RAW: profiles[Modality.ATAC][RAW]}, near, genes=np.array([0, 1]))
    assert not found.tables["links"]["selected"].any()


# -- co-accessibility ------------------------------------------------------------------------------------------------


def test_the_graphical_lasso_with_one_penalty_is_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 8)) @ rng.normal(size=(8, 8))
    s = np.cov(x / x.std(0), rowvar=False)
    covariance, precision = scalar_lasso(s, alpha=0.1, tol=1e-8, enet_tol=1e-8, max_iter=1000)
    own = graphical_lasso(s, np.full((8, 8), 0.1), tolerance=1e-7, steps=5000)
    np.testing.assert_allclose(own.theta, precision, atol=2e-3)
    np.testing.assert_allclose(own.covariance, covariance, atol=2e-3)


def test_the_graphical_lasso_is_optimal_for_penalties_that_differ() -> None:
    """(S − Θ⁻¹)_ij = −ρ_ij·sign Θ_ij where linked, and within ±ρ_ij where not."""
    rng = np.random.default_rng(3)
    s = np.cov(rng.normal(size=(120, 9)) @ rng.normal(size=(9, 9)) / 3, rowvar=False)
    penalty = rng.uniform(0.02, 0.3, size=(9, 9))
    penalty = (penalty + penalty.T) / 2
    found = graphical_lasso(s, penalty, tolerance=1e-8, steps=20_000)
    assert found.converged
    slope = found.covariance - s  # equals ρ·sign Θ off the diagonal
    off = ~np.eye(9, dtype=bool)
    linked = off & (np.abs(found.theta) > 1e-6)
    np.testing.assert_allclose(slope[linked], (penalty * np.sign(found.theta))[linked], atol=2e-3)
    assert (np.abs(slope[off & ~linked]) <= penalty[off & ~linked] + 2e-3).all()
    np.testing.assert_allclose(np.diag(found.covariance), np.diag(s), rtol=2e-3)


def test_groups_of_cells_share_few_cells_and_their_profile_is_the_mean(
    built: Planted, profiles: dict[Modality, dict[str, Profile]]
) -> None:
    groups = Metacells.of(built.z_nk, rng=np.random.default_rng(0), size=20)
    member = groups.member_mn.toarray() > 0
    assert (member.sum(axis=1) == 20).all()
    shared = member.astype(int) @ member.T.astype(int)
    np.fill_diagonal(shared, 0)
    assert shared.max() <= 0.8 * 20
    raw = profiles[Modality.ATAC][RAW]
    averaged = groups.of_profile(raw)
    np.testing.assert_allclose(averaged.rows(3, 4)[0], raw.rows(0, len(raw))[member[3]].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(averaged.columns(np.array([5]))[:4, 0], averaged.rows(0, 4)[:, 5])


@pytest.mark.parametrize("profile", [RAW, IMPUTED])
def test_coaccessibility_finds_planted_links(
    profile: str, built: Planted, near: Nearby, profiles: dict[Modality, dict[str, Profile]]
) -> None:
    groups = Metacells.of(built.z_nk, rng=np.random.default_rng(0), size=20)
    atac = {profile: groups.of_profile(profiles[Modality.ATAC][profile])}
    found = coaccessibility(atac, near=near)
    assert found_of(found.tables["links"], built, profile) > 0.8
    assert found_of(found.tables["links"], built, profile, shuffled=True) < 0.45
    pairs = found.tables["pairs"]
    assert pairs["score"].abs().max() <= 1
    assert (pairs["distance"] < 500_000).all()
    assert (pairs["score"] != 0).all()


def test_far_pairs_are_held_apart(built: Planted, profiles: dict[Modality, dict[str, Profile]]) -> None:
    """Independent peaks: of pairs beyond the constraint hardly any is linked, near ones may be."""
    rng = np.random.default_rng(4)
    names = as_names(f"chr1:{1_000_000 + i * 20_000}-{1_000_500 + i * 20_000}" for i in range(60))
    source = Measured(sp.csr_matrix((rng.random((300, 60)) < 0.3).astype(np.float32)))
    found = coaccessibility({RAW: Profile(RAW, Modality.ATAC, names, 300, source)})
    pairs = found.tables["pairs"]
    far = pairs[pairs["distance"] > 250_000]
    possible = sum(1 for i in range(60) for j in range(i) if 250_000 < (i - j) * 20_000 < 500_000)
    assert len(far) / possible < 0.15


def test_peaks_that_never_share_a_window_are_refused(profiles: dict[Modality, dict[str, Profile]]) -> None:
    with pytest.raises(BadInput, match="No window"):
        coaccessibility({RAW: profiles[Modality.ATAC][RAW]}, settings=CoaccessSettings(least_share=1.1))
    open_np = Measured(sp.csr_matrix(np.ones((30, 2), dtype=np.float32)))
    lonely = Profile(RAW, Modality.ATAC, as_names(["chr1:1-2", "chr2:1-2"]), 30, open_np)
    with pytest.raises(BadInput, match="No window"):
        coaccessibility({RAW: lonely})


# -- enrichment ------------------------------------------------------------------------------------------------------


def candidates(rng: np.random.Generator, count: int = 300) -> pd.DataFrame:
    """Links whose chance of being called falls with distance."""
    away = rng.integers(2_100, 100_000, size=count)
    start = 1_000_000 + np.arange(count) * 2_000
    return pd.DataFrame(
        {
            "profile": "raw",
            "peak": [f"chr1:{s}-{s + 500}" for s in start],
            "distance": away * rng.choice([-1, 1], size=count),
            "kind": "distal",
            "score": (rng.random(count) < np.clip(15_000 / away, 0, 0.8)).astype(float),
        }
    )


def test_a_signal_of_linked_peaks_is_found() -> None:
    rng = np.random.default_rng(5)
    links = candidates(rng)
    level = dict(zip(links["peak"], 1 + links["score"] + rng.normal(0, 0.3, len(links)), strict=True))
    row = enrichment(links, lambda names: np.array([level[n] for n in names]), seed=1).iloc[0]
    assert row["signal"] == pytest.approx(2.0, abs=0.15)
    assert row["expected"] == pytest.approx(1.0, abs=0.15)
    assert row["p"] < 0.005
    assert told(pd.DataFrame([row]))["raw"]["distal"] == {
        "linked": row["linked"], "ratio": pytest.approx(2.0, abs=0.3), "p": row["p"]
    }  # fmt: skip


def test_a_signal_that_falls_with_distance_alone_is_not_enriched() -> None:
    rng = np.random.default_rng(6)
    p = []
    for _ in range(20):
        links = candidates(rng)
        signal = 5 * np.exp(-links["distance"].abs() / 20_000) + rng.normal(0, 0.2, len(links))
        level = dict(zip(links["peak"], signal, strict=True))
        linked = links["score"] > 0
        assert signal[linked].mean() > 1.2 * signal[~linked].mean()  # naively it looks enriched
        found = enrichment(links, lambda names, level=level: np.array([level[n] for n in names]), permutations=200)
        p.append(found.iloc[0]["p"])
    assert np.mean(np.array(p) < 0.05) <= 0.3


def test_profiles_are_compared_with_as_many_links_each() -> None:
    """A profile that links everything a little is judged by its strongest links."""
    links = candidates(np.random.default_rng(7))
    many = links.assign(profile="imputed", score=links["score"] + np.linspace(0.5, 0.1, len(links)))
    table = enrichment(pd.concat([links, many]), lambda names: np.ones(len(names)), permutations=10)
    assert table["linked"].nunique() == 1
    assert table["profile"].tolist() == ["raw", "imputed"]


def test_tracks_are_read_as_means_over_all_bases(tmp_path: Path) -> None:
    library = pytest.importorskip("pyBigWig")
    path = tmp_path / "signal.bw"
    track = library.open(str(path), "w")
    track.addHeader([("chr1", 10_000), ("2", 5_000)])
    track.addEntries(["chr1"], [100], ends=[200], values=[4.0])
    track.addEntries(["2"], [0], ends=[1_000], values=[1.0])
    track.close()
    found = bigwig_signal(path)(["chr1:100-200", "chr1:150-250", "chr1:300-400", "chr2:500-600", "chr9:1-2"])
    np.testing.assert_allclose(found[:4], [4.0, 2.0, 0.0, 1.0])
    assert np.isnan(found[4])


def test_a_file_that_is_no_track_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyBigWig")
    path = tmp_path / "signal.bw"
    path.write_text("not a track at all" * 100)
    with pytest.raises(BadInput, match="no bigWig"):
        bigwig_signal(path)(["chr1:1-2"])
    with pytest.raises(BadInput, match="no file"):
        bigwig_signal(tmp_path / "none.bw")
