"""A pair through a model: embedding and imputed profiles; gene activity beside expression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.analysis.activity import Activity, activity
from engine.analysis.joint import JointView, look
from engine.analysis.profiles import RAW, measured
from engine.analysis.sample import drawn
from engine.bundle import load_bundle
from engine.errors import BadSetting, NoCells
from engine.genome.activity import activity_matrix
from engine.genome.genes import GeneModels
from engine.genome.peaks import parse_peaks
from engine.translators.base import Embedding, Translator, embedding_of
from engine.translators.baselines.ridge import RidgeTranslator
from engine.translators.crossview.translator import CrossViewTranslator
from engine.translators.multivi.translator import MultiVITranslator
from engine.types import Latent, Modality, PairedCells
from tests.builders import paired
from tests.planted import both_profiles, bundle_of, joint_bundle, with_links


@pytest.fixture(scope="module")
def pair() -> PairedCells:
    return paired(cells=90, genes=60, peaks=110, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def view(pair: PairedCells, tmp_path_factory: pytest.TempPathFactory) -> JointView:
    return look(load_bundle(joint_bundle(pair, tmp_path_factory.mktemp("joint") / "small")), pair)


def test_both_modalities_make_the_embedding_and_both_are_imputed_from_it(view: JointView) -> None:
    assert view.z_nk.shape == (90, 16)
    assert view.notes == ()
    assert all(view.latents[m].source == frozenset(Modality) for m in Modality)
    for modality in Modality:
        profiles = view.profiles(modality)
        assert list(profiles) == ["raw", "imputed"]
        whole = profiles["imputed"].rows(0, 90)
        np.testing.assert_allclose(
            profiles["imputed"].columns(np.array([4, 1])), whole[:, [4, 1]], rtol=1e-5, atol=1e-6
        )
        assert profiles["imputed"].imputed


def test_the_training_mean_is_the_same_for_every_cell(view: JointView) -> None:
    mean = view.training_mean(Modality.ATAC)
    np.testing.assert_array_equal(mean.rows(0, 1), mean.rows(5, 6))
    np.testing.assert_array_equal(mean.columns(np.array([3]))[:, 0], np.full(90, mean.rows(0, 1)[0, 3]))


def test_cells_in_another_order_of_features_are_seen_alike(view: JointView, pair: PairedCells) -> None:
    from dataclasses import replace

    from engine.types import FeatureSpace

    order = np.random.default_rng(1).permutation(len(pair.rna.space))
    space = FeatureSpace(Modality.RNA, pair.rna.space.names[order], pair.rna.space.genome)
    turned = PairedCells(replace(pair.rna, space=space, counts=pair.rna.counts[:, order]), pair.atac)
    np.testing.assert_allclose(look(view.bundle, turned).z_nk, view.z_nk, rtol=1e-5)


def test_a_model_of_one_modality_at_a_time_predicts_each_from_the_other_and_says_so(
    pair: PairedCells, tmp_path: Path
) -> None:
    found = look(load_bundle(bundle_of(pair, tmp_path / "kernel", model="kernel-ridge")), pair)
    assert found.latents[Modality.RNA].source == {Modality.ATAC}
    assert found.latents[Modality.ATAC].source == {Modality.RNA}
    assert found.notes == (
        "small has no joint embedding: its cells lie by RNA alone.",
        "Imputed RNA is predicted from ATAC alone.",
    )
    assert np.isfinite(found.profiles(Modality.RNA)["imputed"].rows(0, 3)).all()


def test_a_model_that_decodes_what_it_was_given_imputes_from_that_alone(tiny_model: Path) -> None:
    from tests.running import built_cells

    found = look(load_bundle(tiny_model), built_cells())
    assert found.latents[Modality.RNA].source == {Modality.RNA}
    assert found.notes == ("tiny has no joint embedding: its cells lie by RNA alone.",)


@pytest.mark.parametrize("translator", [CrossViewTranslator, MultiVITranslator])
def test_columns_that_only_decoding_needs_are_no_coordinates(translator: type[Translator]) -> None:
    latent = Latent(np.arange(12, dtype=np.float32).reshape(3, 4), frozenset(Modality))
    bare = object.__new__(translator)  # what is left out depends on nothing that is fitted
    assert isinstance(bare, Embedding)
    np.testing.assert_array_equal(embedding_of(bare, latent), latent.values[:, :2])


def test_a_model_that_names_no_part_has_all_of_its_latent_as_coordinates() -> None:
    latent = Latent(np.arange(12, dtype=np.float32).reshape(3, 4), frozenset(Modality))
    np.testing.assert_array_equal(embedding_of(object.__new__(RidgeTranslator), latent), latent.values)


def test_unknown_profiles_and_single_cells_are_refused(view: JointView, pair: PairedCells) -> None:
    with pytest.raises(BadSetting, match="no profile 'smoothed'"):
        view.profiles(Modality.RNA, ["smoothed"])
    with pytest.raises(NoCells):
        look(view.bundle, pair.named(list(pair.barcodes[:1])))


# -- gene activity ---------------------------------------------------------------------------------------------------


def test_activity_is_the_weighted_sum_of_open_peaks() -> None:
    built = with_links(cells=60, genes=5, rng=np.random.default_rng(2))
    models = GeneModels.load("hg38")
    genes, peaks = built.pair.rna.space.names, built.pair.atac.space.names
    weights = Activity.of(genes, peaks, models)
    raw = measured(built.pair.atac)
    whole = activity_matrix(parse_peaks(list(peaks)), models).toarray()
    open_p = raw.rows(7, 8)[0]
    expected = np.array([open_p @ whole[:, models.index[str(g)]] for g in weights.genes])
    np.testing.assert_allclose(weights.scores(raw)[7], np.log1p(1e4 * expected / expected.sum()), rtol=1e-4)


def test_activity_follows_expression_where_peaks_follow_the_gene() -> None:
    built = with_links(cells=300, genes=10, rng=np.random.default_rng(3))
    profiles = both_profiles(built)
    found, scores, weights = activity(profiles[Modality.ATAC], profiles[Modality.RNA][RAW], GeneModels.load("hg38"))
    table = found.tables["genes"].groupby("profile")["pearson"].mean()
    assert table["imputed"] > table["raw"] > 0.15
    assert scores["raw"].shape == (300, len(weights.genes))
    assert len(found.tables["cells"]) == 300
    row = found.tables["genes"].iloc[0]
    here, place = list(weights.genes).index(row["gene"]), weights.position_g[list(weights.genes).index(row["gene"])]
    expression = profiles[Modality.RNA][RAW].rows(0, 300)
    assert row["pearson"] == pytest.approx(np.corrcoef(scores["raw"][:, here], expression[:, place])[0, 1])
    assert found.tables["cells"]["raw pearson"][7] == pytest.approx(
        np.corrcoef(scores["raw"][7], expression[7, weights.position_g])[0, 1]
    )


def test_activity_of_many_cells_is_let_go_and_compared_on_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.analysis.sample.MOST_CELLS", 40)
    built = with_links(cells=80, genes=6, rng=np.random.default_rng(3))
    profiles, kept = both_profiles(built), {}
    found, held, _ = activity(
        profiles[Modality.ATAC], profiles[Modality.RNA][RAW], GeneModels.load("hg38"),
        keep=lambda name, scores, weights: kept.update({name: scores.shape}),
    )  # fmt: skip
    assert (held, set(kept.values())) == ({}, {(80, 6)})
    assert found.cautions[-1] == "Genes were correlated over 40 of the 80 cells, drawn by chance."
    assert len(set(drawn(50, 0).tolist())) == 40
