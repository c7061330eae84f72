"""Our own model's parts: thinning, stacking, depth × composition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from engine.errors import BadSetting
from engine.genome.genes import GeneModels
from engine.translators.base import Hooks
from engine.translators.crossview.caution import Caution, Sighting
from engine.translators.crossview.genes import PRIOR, stacked
from engine.translators.crossview.linear import PENALTIES, Linear
from engine.translators.crossview.nearby import nearby_genes
from engine.translators.crossview.network import thinned
from engine.translators.crossview.rarity import Lumped
from engine.translators.crossview.recipe import FEW, MANY, CrossViewRecipe
from engine.translators.crossview.translator import CrossViewTranslator
from engine.types import CellBatch, FeatureSpace, Modality, PairedCells, Split, as_names
from tests.builders import paired, split_of

SMALL = CrossViewRecipe(view_components=8, components=8, latent=8, hidden=24)


@pytest.fixture(scope="module")
def cells() -> tuple[PairedCells, Split]:
    pair = paired(cells=260, rng=np.random.default_rng(2))
    return pair, split_of(pair)


@pytest.fixture(scope="module")
def model(cells: tuple[PairedCells, Split]) -> CrossViewTranslator:
    return SMALL.fit(*cells, Hooks(seed=1, threads=1))


def test_thinning_keeps_sums_on_average() -> None:
    rng = np.random.default_rng(0)
    x_nf = sp.random(50, 400, 0.3, format="csr", random_state=1, dtype=np.float32)
    kept = [thinned(x_nf, 0.8, rng) for _ in range(60)]
    assert np.mean([k.nnz for k in kept]) == pytest.approx(0.2 * x_nf.nnz, rel=0.03)
    assert np.mean([k.sum() for k in kept]) == pytest.approx(float(x_nf.sum()), rel=0.03)
    assert (kept[0] != kept[0].multiply(x_nf > 0)).nnz == 0  # nothing new appears


def test_stacking_trusts_the_member_that_is_right_and_drops_what_neither_predicts() -> None:
    rng = np.random.default_rng(1)
    right, noise, unseen = (rng.standard_normal((400, 2)).astype(np.float32) for _ in range(3))
    truth = np.column_stack([right[:, 0], unseen[:, 1]])
    blend = stacked(right, noise, truth)
    assert blend[0, 0] == pytest.approx(1.0, abs=0.1)
    assert blend[1, 0] < 0.1
    assert blend[:, 1].sum() < 0.35 * sum(PRIOR)


def test_the_linear_member_is_ridge_with_the_penalty_of_least_generalised_cross_validation() -> None:
    rng = np.random.default_rng(4)
    z = rng.standard_normal((40, 6)).astype(np.float32)
    y = z @ rng.standard_normal((6, 3)).astype(np.float32) + 3.0 * rng.standard_normal((40, 3)).astype(np.float32)
    centred = z - z.mean(axis=0)
    errors, weights = [], []
    for penalty in PENALTIES * len(z):
        inverse = np.linalg.inv(centred.T @ centred + penalty * np.eye(6))
        hat = centred @ inverse @ centred.T + 1.0 / len(z)  # the offset is not penalised
        left = y - hat @ y
        errors.append(float((left**2).sum()) / (1 - np.trace(hat) / len(z)) ** 2)
        weights.append(inverse @ centred.T @ y)
    chosen = int(np.argmin(errors))
    assert 0 < chosen < len(PENALTIES) - 1
    fitted = Linear.fit(z, y)
    np.testing.assert_allclose(fitted.weight_kj, weights[chosen], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose((y - fitted(z)).mean(axis=0), 0.0, atol=1e-4)


def test_a_cells_shares_sum_to_one(cells: tuple[PairedCells, Split], model: CrossViewTranslator) -> None:
    pair, _ = cells
    latent = model.encode(CellBatch(rna=pair.rna.counts))
    share = model._peaks.share(latent.values[:, :-2], np.arange(len(pair.atac.space)))
    np.testing.assert_allclose(share.sum(axis=1), 1.0, rtol=1e-4)


def test_without_weight_on_depth_all_cells_are_given_the_same(cells: tuple[PairedCells, Split]) -> None:
    pair, split = cells
    flat = replace(SMALL, depth_weight=0.0, members=1).fit(pair, split, Hooks(seed=1, threads=1))
    log_n = flat.encode(CellBatch(rna=pair.rna.counts)).values[:, -3]
    assert np.ptp(log_n) < 1e-5


def test_predicted_openings_are_as_many_as_there_are(
    cells: tuple[PairedCells, Split], model: CrossViewTranslator
) -> None:
    pair, split = cells
    held = pair.named(split.test)
    found = model.decode(model.encode(CellBatch(rna=held.rna.counts)), Modality.ATAC).values
    assert found.sum() == pytest.approx(float((held.atac.counts > 0).sum()), rel=0.1)


def test_strictness_falls_with_the_number_of_cells() -> None:
    few, many, more = (CrossViewRecipe().setting(n) for n in (FEW, MANY, 500_000))
    assert few.peaks.thin > many.peaks.thin
    assert few.genes.decay > many.genes.decay
    assert few.batch < many.batch
    assert (more.batch, more.genes.epochs, more.shares.epochs, more.peaks.epochs) == (256, 2, 2, 2)
    assert CrossViewRecipe().epochs == 2 * (few.genes.epochs + few.peaks.epochs) + few.shares.epochs
    assert CrossViewRecipe(thin_genes=0.0).setting(FEW).peaks.thin == 0.0
    assert few.inside > many.inside == 0.0
    assert many.peaks.echo > few.peaks.echo == 0.0
    assert (few.compositions, many.compositions) == (1, 2)


def test_an_echo_is_part_of_the_training_and_not_of_the_model(cells: tuple[PairedCells, Split]) -> None:
    noted: list[dict[str, float]] = []
    hooks = Hooks(seed=1, threads=1, on_epoch=lambda epoch: noted.append(epoch.train))
    with_it = replace(SMALL, echo=1.0, members=1, peak_epochs=6, learning_rate=0.02).fit(*cells, hooks)
    told = [parts["echo"] for parts in noted if "echo" in parts]
    assert len(told) == 6
    assert told[-1] < told[0]
    without = replace(SMALL, echo=0.0, members=1, peak_epochs=6).fit(*cells, Hooks(seed=1, threads=1))
    assert with_it._peaks.arrays().keys() == without._peaks.arrays().keys()


def test_two_kinds_of_members_are_weighed_by_squared_error(
    cells: tuple[PairedCells, Split], model: CrossViewTranslator
) -> None:
    pair, split = cells
    held, genes = pair.named(split.valid), np.arange(len(pair.rna.space))
    head, reader = model._genes, model._readers[Modality.ATAC]
    latent = head.encode(reader, held.atac.counts)
    truth = head.basis.scale.log_normalised(held.rna.counts).toarray()

    def error(share: float) -> float:
        left = (replace(head, share=share).decode(latent, genes) - truth) * head.basis.weight_g
        return float(np.square(left).sum())

    errors = [error(share) for share in np.linspace(0, 1, 21)]
    assert error(head.share) <= min(errors) * (1 + 1e-6)
    assert int(np.argmin(errors)) > 0, "the builder's cells should need both"


def test_rare_features_are_predicted_as_one() -> None:
    counts = sp.csr_matrix(np.array([[1, 0, 2, 0, 1], [1, 0, 0, 0, 3], [0, 0, 0, 1, 1]], dtype=np.float32))
    lumped = Lumped.fit(counts)
    assert lumped.place_f.tolist() == [0, 2, 2, 2, 1]
    np.testing.assert_allclose(lumped.within_f, [1, 0.25 / 3.25, 2 / 3.25, 1 / 3.25, 1])
    np.testing.assert_array_equal(lumped.counts(counts).toarray(), [[1, 1, 2], [1, 3, 0], [0, 1, 1]])
    assert counts.toarray().tolist() == [[1, 0, 2, 0, 1], [1, 0, 0, 0, 3], [0, 0, 0, 1, 1]]


def test_nearby_genes_are_those_of_the_activity_score() -> None:
    models = GeneModels.load("hg38")
    gene = models.index["GAPDH"]
    chrom, tss = models.chroms[models.chrom[gene]], int(models.tss[gene])
    peaks = FeatureSpace(Modality.ATAC, as_names(["nowhere", f"{chrom}:{tss - 100}-{tss + 100}"]), "hg38")
    genes = FeatureSpace(Modality.RNA, as_names(["NOT-A-GENE", "GAPDH"]), "hg38")
    links = nearby_genes(peaks, genes).toarray()
    assert links[1, 1] > 0.5
    assert np.count_nonzero(links) == 1
    elsewhere = FeatureSpace(Modality.ATAC, peaks.names, None)
    assert nearby_genes(elsewhere, genes).nnz == 0


def test_cells_of_another_kind_are_found_novel(cells: tuple[PairedCells, Split], model: CrossViewTranslator) -> None:
    pair, split = cells
    usual = pair.named(split.test).rna.counts
    other = sp.csr_matrix(usual[:, np.random.default_rng(5).permutation(usual.shape[1])])
    doubts = [model.doubt(model.encode(CellBatch(rna=counts))) for counts in (usual, other)]
    assert np.median(doubts[0].novelty_n) < 0.9
    assert doubts[1].outside_n.mean() > 0.9 > 0.2 > doubts[0].outside_n.mean()
    assert doubts[1].expected_n.mean() <= doubts[0].expected_n.mean() + 1e-6


def test_unlikeness_does_not_go_by_depth() -> None:
    rng = np.random.default_rng(6)

    def cells_of(n: int) -> Sighting:
        depth = rng.standard_normal(n).astype(np.float32)
        noise = rng.standard_normal((n, 6)) * np.exp(-0.5 * depth)[:, None]  # shallow cells scatter more
        return Sighting(noise.astype(np.float32), depth)

    held = cells_of(3000)
    caution = Caution.fit(cells_of(3000), held, 0.5 + 0.1 * held.depth_n.astype(np.float64), rng=rng)
    fresh = cells_of(3000)
    columns = caution.columns(fresh)
    assert abs(np.corrcoef(columns[:, 0], fresh.depth_n)[0, 1]) < 0.1
    assert columns[:, 0].mean() == pytest.approx(0.5, abs=0.05)
    assert np.corrcoef(columns[:, 1], fresh.depth_n)[0, 1] > 0.95


def test_few_cells_do_not_invent_what_to_trust() -> None:
    rng = np.random.default_rng(8)
    train = Sighting(rng.standard_normal((500, 4)).astype(np.float32), rng.standard_normal(500).astype(np.float32))
    flat = 0
    for _ in range(20):
        held = Sighting(rng.standard_normal((60, 4)).astype(np.float32), rng.standard_normal(60).astype(np.float32))
        caution = Caution.fit(train, held, 0.5 + 0.1 * rng.standard_normal(60), rng=rng)
        flat += int(np.ptp(caution.columns(held)[:, 1]) < 1e-6)
    assert flat >= 14


@pytest.mark.parametrize("settings", [{"members": 4}, {"thin_genes": 1.0}, {"members": 0}])
def test_settings_that_make_no_model_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(BadSetting):
        CrossViewRecipe(**settings)  # type: ignore[arg-type]
