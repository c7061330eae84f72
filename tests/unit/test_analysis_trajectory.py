"""The planted order of cells, and genes and promoters along it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson, spearmanr

from engine.analysis.embeddings import rna_only
from engine.analysis.nearby import nearby
from engine.analysis.profiles import IMPUTED, RAW
from engine.analysis.trajectory import TrajectorySettings, medoid, trajectory
from engine.analysis.trends import trends
from engine.errors import BadSetting, NoCells
from engine.genome.genes import GeneModels
from engine.types import Floats, Modality, Names
from tests.planted import Planted, along_a_path, both_profiles, with_links


@pytest.fixture(scope="module")
def built() -> Planted:
    return along_a_path(rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def z_nk(built: Planted) -> Floats:
    return rna_only(built.pair, k=10).z_nk


@pytest.fixture(scope="module")
def stages(built: Planted) -> Names:
    return built.pair.rna.obs["stage"]


@pytest.mark.parametrize("root", ["tip", "medoid"])
def test_pseudotime_follows_the_planted_order(root: str, built: Planted, z_nk: Floats, stages: Names) -> None:
    settings = TrajectorySettings(root=root)
    found = trajectory(z_nk, built.pair.barcodes, root="stage 0", labels_n=stages, settings=settings)
    assert spearmanr(found.tables["cells"]["pseudotime"], built.time_n).statistic >= 0.9
    assert found.tables["labels"]["label"].tolist() == [f"stage {i}" for i in range(5)]


def test_from_the_other_end_the_order_is_reversed(built: Planted, z_nk: Floats, stages: Names) -> None:
    found = trajectory(z_nk, built.pair.barcodes, root="stage 4", labels_n=stages)
    assert spearmanr(found.tables["cells"]["pseudotime"], built.time_n).statistic <= -0.9


def test_a_cell_may_be_the_root(built: Planted, z_nk: Floats) -> None:
    assert built.time_n is not None
    first = built.pair.barcodes[int(built.time_n.argmin())]
    found = trajectory(z_nk, built.pair.barcodes, root=str(first))
    assert found.figures["root"] == first
    time = found.tables["cells"]["pseudotime"].to_numpy()
    assert time[int(built.time_n.argmin())] == 0.0


def test_a_label_in_noise_has_no_order(built: Planted, stages: Names) -> None:
    noise = np.random.default_rng(1).normal(size=(len(stages), 10)).astype(np.float32)
    found = trajectory(noise, built.pair.barcodes, root="stage 0", labels_n=stages)
    assert abs(spearmanr(found.tables["cells"]["pseudotime"], built.time_n).statistic) < 0.3


def test_only_the_labels_named_are_ordered(built: Planted, z_nk: Floats, stages: Names) -> None:
    found = trajectory(
        z_nk, built.pair.barcodes, root="stage 1", labels_n=stages, among=["stage 1", "stage 2", "stage 3"]
    )
    cells = found.tables["cells"]
    assert set(cells.loc[cells["pseudotime"].notna(), "label"]) == {"stage 1", "stage 2", "stage 3"}
    assert found.figures["cells"] == int(cells["used"].sum())


def test_cells_the_root_does_not_reach_are_said(built: Planted) -> None:
    z_nk = np.random.default_rng(2).normal(size=(80, 3)).astype(np.float32)
    z_nk[40:] += 1_000
    found = trajectory(z_nk, built.pair.barcodes[:80], root=str(built.pair.barcodes[0]))
    assert found.figures["not_reached"] == 40
    assert found.tables["cells"]["pseudotime"].isna().sum() == 40
    assert "another component" in found.cautions[0]


def test_the_medoid_is_the_cell_in_the_middle() -> None:
    z_nk = np.array([[0.0], [1.0], [2.0], [9.0]], dtype=np.float32)
    assert medoid(z_nk, np.array([0, 1, 2])) == 1


def test_unknown_roots_and_labels_are_refused(built: Planted, z_nk: Floats, stages: Names) -> None:
    with pytest.raises(BadSetting, match="neither a cell nor a label"):
        trajectory(z_nk, built.pair.barcodes, root="stage 9", labels_n=stages)
    with pytest.raises(BadSetting, match="No cell is labelled 'x'"):
        trajectory(z_nk, built.pair.barcodes, root="stage 0", labels_n=stages, among=["x"])
    with pytest.raises(NoCells):
        trajectory(z_nk[:5], built.pair.barcodes[:5], root=str(built.pair.barcodes[0]))
    with pytest.raises(BadSetting, match="no root 'end'"):
        TrajectorySettings(root="end")


def test_trends_follow_the_planted_curves(built: Planted) -> None:
    assert built.time_n is not None
    profiles = both_profiles(built)[Modality.RNA]
    found = trends(profiles, {}, built.time_n, np.arange(20))
    counts = np.arange(60)  # what is smoothed is the log of counts: its mean, not the log of their mean
    truth = (np.log1p(counts) * poisson.pmf(counts, built.rate_ng[:, :20, None])).sum(axis=-1)
    inside = []
    for g, (gene, curve) in enumerate(found.tables["curve"].query("profile == 'raw'").groupby("gene", sort=False)):
        assert gene == built.pair.rna.space.names[g]
        at = np.interp(curve["pseudotime"], np.sort(built.time_n), truth[np.argsort(built.time_n), g])
        assert np.corrcoef(at, curve["value"])[0, 1] > 0.9 or np.ptp(at) < 0.3
        inside.append(float(np.mean((curve["low"] <= at) & (at <= curve["high"]))))
    assert len(inside) == 20
    assert np.mean(inside) > 0.75  # of 0.95: smoothing takes a little off each peak
    summary = found.tables["summary"]
    assert not summary.loc[summary["profile"] == IMPUTED, "p_valid"].any()


def test_intervals_of_trends_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    built = along_a_path(cells=300, genes=10, peaks=12, rng=rng)
    time = rng.random(300)
    flat = both_profiles(built)[Modality.RNA][RAW]
    found = trends({RAW: flat}, {}, time, np.arange(10))  # this order has nothing to do with the cells
    curve = found.tables["curve"]
    mean_g = dict(zip(flat.names, flat.rows(0, 300).mean(axis=0), strict=True))
    true = curve["gene"].map(mean_g).astype(float)
    assert float(((curve["low"] <= true) & (true <= curve["high"])).mean()) > 0.85
    assert (found.tables["summary"]["q"] > 0.01).all()


def test_promoters_have_trends_of_their_own() -> None:
    built = with_links(cells=200, genes=6, rng=np.random.default_rng(4))
    genes, peaks = built.pair.rna.space.names, built.pair.atac.space.names
    near = nearby(genes, peaks, GeneModels.load("hg38"))
    drive = np.log(built.rate_ng[:, 0])  # the programme of the first gene, as an order
    both = both_profiles(built)
    found = trends(both[Modality.RNA], both[Modality.ATAC], drive, np.arange(2), near).tables["summary"]
    first = found[found["gene"] == genes[0]].set_index(["profile", "what"])
    assert first.loc[(RAW, "promoter accessibility"), "peaks"] == 1
    assert first.loc[(RAW, "promoter accessibility"), "direction"] == "rises"
    assert first.loc[(RAW, "promoter accessibility"), "p"] < 1e-6
    assert first.loc[(RAW, "expression"), "spearman"] > 0.5


def test_few_ordered_cells_have_no_trend(built: Planted) -> None:
    time = np.full(len(built.pair), np.nan)
    time[:5] = 0.5
    with pytest.raises(NoCells, match="5 cells"):
        trends({RAW: both_profiles(built)[Modality.RNA][RAW]}, {}, time, np.arange(2))
