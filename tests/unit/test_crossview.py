"""Our own model's parts: thinning, stacking, depth × composition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from engine.errors import BadSetting
from engine.translators.base import Hooks
from engine.translators.crossview.genes import PRIOR, stacked
from engine.translators.crossview.linear import PENALTIES, Linear
from engine.translators.crossview.network import thinned
from engine.translators.crossview.recipe import FEW, MANY, CrossViewRecipe
from engine.translators.crossview.translator import CrossViewTranslator
from engine.types import CellBatch, Modality, PairedCells, Split
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
    share = model._peaks.share(latent.values, np.arange(len(pair.atac.space)))
    np.testing.assert_allclose(share.sum(axis=1), 1.0, rtol=1e-4)


def test_without_weight_on_depth_all_cells_are_given_the_same(cells: tuple[PairedCells, Split]) -> None:
    pair, split = cells
    flat = replace(SMALL, depth_weight=0.0, members=1).fit(pair, split, Hooks(seed=1, threads=1))
    log_n = flat.encode(CellBatch(rna=pair.rna.counts)).values[:, -1]
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
    assert few.thin_genes > many.thin_genes
    assert few.gene_decay > many.gene_decay
    assert few.batch < many.batch
    assert (more.batch, more.gene_epochs, more.peak_epochs) == (256, 3, 2)
    assert CrossViewRecipe().epochs == 2 * (few.gene_epochs + few.peak_epochs)
    assert CrossViewRecipe(thin_genes=0.0).setting(FEW).thin_genes == 0.0


@pytest.mark.parametrize("settings", [{"members": 4}, {"thin_genes": 1.0}, {"members": 0}])
def test_settings_that_make_no_model_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(BadSetting):
        CrossViewRecipe(**settings)  # type: ignore[arg-type]
