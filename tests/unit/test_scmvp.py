"""scMVP: what its joint view, its imputations and its training owe their users."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from engine.checkpoint import FolderCheckpoints
from engine.errors import BadSetting
from engine.preprocess.steps import DepthScale
from engine.translators.base import Epoch, Hooks
from engine.translators.scmvp import rare
from engine.translators.scmvp.components import components_of
from engine.translators.scmvp.inputs import Inputs, Rows
from engine.translators.scmvp.recipe import ScMVPRecipe
from engine.translators.scmvp.stages import Training
from engine.translators.scmvp.translator import EXTRAS, ScMVPTranslator
from engine.types import CellBatch, Modality, PairedCells, Split, empty_csr
from tests.builders import paired, split_of

SMALL = ScMVPRecipe(epochs=24, start_epochs=16, batch=32, hidden=32, latent=4)
PUBLISHED = {
    "start_epochs": 0,
    "warmup": 0,
    "apart": False,
    "thin_genes": 0.0,
    "thin_peaks": 0.0,
    "in_units": False,
    "level": False,
    "kl_weight": 1.0,
    "atac_weight": 1.0,
    "anneal": False,
    "top_peaks": 1.0,
    "batch": 128,
}


@pytest.fixture(scope="module")
def cells() -> tuple[PairedCells, Split]:
    pair = paired(cells=240, rng=np.random.default_rng(4))
    return pair, split_of(pair)


@pytest.fixture(scope="module")
def tiered(cells: tuple[PairedCells, Split]) -> ScMVPTranslator:
    """A quarter of the peaks are the network's, however few those are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rare, "FEWEST", 20)
        return SMALL.fit(*cells, Hooks(threads=1))


@pytest.fixture(scope="module")
def model(cells: tuple[PairedCells, Split]) -> ScMVPTranslator:
    return SMALL.fit(*cells, Hooks(threads=1))


def both(pair: PairedCells) -> CellBatch:
    return CellBatch(rna=pair.rna.counts, atac=pair.atac.counts)


def test_the_joint_view_shows_the_kinds_of_held_out_cells(
    cells: tuple[PairedCells, Split], model: ScMVPTranslator
) -> None:
    held = cells[0].named((*cells[1].valid, *cells[1].test))
    z_nk = model.embedding(model.encode(both(held)))
    found = KMeans(3, n_init=10, random_state=0).fit_predict(z_nk)
    assert adjusted_rand_score(held.rna.obs["cell_type"], found) > 0.9


def test_what_is_carried_beside_the_embedding_does_not_move_cells_apart(
    cells: tuple[PairedCells, Split], model: ScMVPTranslator
) -> None:
    latent = model.encode(both(cells[0]))
    z_nk, whole = model.embedding(latent), latent.values
    assert whole.shape[1] == SMALL.latent + EXTRAS
    apart = [np.linalg.norm(v[:100, None] - v[None, :100], axis=2) for v in (z_nk, whole)]
    assert np.abs(apart[0] - apart[1]).max() < 0.01 * apart[0].max()


@pytest.mark.parametrize("target", list(Modality))
def test_imputation_is_nearer_to_a_kinds_mean_than_the_cells_own_counts(
    cells: tuple[PairedCells, Split], model: ScMVPTranslator, target: Modality
) -> None:
    pair, split = cells
    held = pair.named(split.test)
    imputed = model.decode(model.encode(both(held)), target).values
    counts = held.of(target).counts
    raw = DepthScale.fit(counts).log_normalised(counts).toarray() if target is Modality.RNA else counts.toarray()
    train = pair.named(split.train)
    profile = {kind: _mean(train, target, kind) for kind in set(train.rna.obs["cell_type"])}
    r_imputed, r_raw = (
        np.mean([np.corrcoef(v[i], profile[kind])[0, 1] for i, kind in enumerate(held.rna.obs["cell_type"])])
        for v in (imputed, raw)
    )
    assert r_imputed > 0.95 > r_raw


def _mean(pair: PairedCells, target: Modality, kind: str) -> np.ndarray:
    counts = pair.of(target).counts[np.flatnonzero(pair.rna.obs["cell_type"] == kind)]
    values = DepthScale.fit(counts).log_normalised(counts) if target is Modality.RNA else counts
    return np.asarray(values.mean(axis=0)).ravel()


def test_imputed_probabilities_add_up_to_about_the_peaks_that_were_open(
    cells: tuple[PairedCells, Split], model: ScMVPTranslator
) -> None:
    held = cells[0].named(cells[1].test)
    expected = model.decode(model.encode(both(held)), Modality.ATAC).values.sum(axis=1)
    opened = np.diff(held.atac.counts.indptr)
    assert np.corrcoef(expected, opened)[0, 1] > 0.9
    assert expected.mean() == pytest.approx(opened.mean(), rel=0.15)


def test_the_commonest_peaks_are_the_networks_and_the_others_are_told_from_it(
    cells: tuple[PairedCells, Split], tiered: ScMVPTranslator
) -> None:
    pair, split = cells
    open_p = np.asarray((pair.named(split.train).atac.counts > 0).sum(axis=0)).ravel()
    common = tiered._tiers.common
    assert len(common.common_p) == max(20, round(0.25 * (open_p > 0).sum()))
    assert open_p[common.common_p].min() >= open_p[common.rare_p].max()
    assert sorted([*common.common_p, *common.rare_p]) == list(range(len(open_p)))
    assert any(f"{len(common.rare_p):,} others are told" in note for note in tiered.notes)

    held = pair.named(split.test)
    told = tiered.decode(tiered.encode(CellBatch(rna=held.rna.counts)), Modality.ATAC).values[:, common.rare_p]
    seen = held.atac.counts[:, common.rare_p].toarray() > 0
    mean_p = pair.named(split.train).atac.counts[:, common.rare_p].astype(bool).mean(axis=0).A1
    assert np.square(told - seen).mean() < 0.97 * np.square(mean_p - seen).mean()
    imputed = tiered.decode(tiered.encode(both(held)), Modality.ATAC).values[:, common.rare_p]
    assert imputed.sum() == pytest.approx(seen.sum(), rel=0.15)


def test_peaks_of_both_kinds_come_in_the_order_asked_for_and_survive_the_disk(
    cells: tuple[PairedCells, Split], tiered: ScMVPTranslator, tmp_path: Path
) -> None:
    latent = tiered.encode(both(cells[0].named(cells[1].test)))
    whole = tiered.decode(latent, Modality.ATAC).values
    asked = np.random.default_rng(0).permutation(whole.shape[1])[:30]
    np.testing.assert_allclose(tiered.decode(latent, Modality.ATAC, asked).values, whole[:, asked], rtol=1e-5)
    tiered.save(tmp_path)
    again = ScMVPTranslator.load(tmp_path, rna=cells[0].rna.space, atac=cells[0].atac.space)
    np.testing.assert_array_equal(again.decode(latent, Modality.ATAC).values, whole)
    assert again.notes == tiered.notes


@pytest.mark.parametrize(("cells", "size"), [(200, 64), (1_999, 64), (2_000, 128)])
def test_few_cells_are_read_in_smaller_batches(cells: int, size: int) -> None:
    assert ScMVPRecipe().batch_of(cells) == size
    assert ScMVPRecipe(batch=128).batch_of(cells) == 128


def test_the_number_of_components_is_counted_where_it_is_not_given(cells: tuple[PairedCells, Split]) -> None:
    counts = [paired(cells=300, types=k, rng=np.random.default_rng(k)).rna.counts for k in (3, 6)]
    assert [components_of(x, np.random.default_rng(0)) for x in counts] == [3, 6]
    quick = replace(SMALL, epochs=2, start_epochs=1)
    counted = quick.fit(*cells, Hooks(threads=1))
    given = replace(quick, components=5).fit(*cells, Hooks(threads=1))
    assert counted.notes[0].startswith("3 mixture")
    assert given.notes[0].startswith("5 mixture")


def test_cells_without_any_structure_get_the_fewest_components() -> None:
    noise = sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (200, 80)).astype(np.float32))
    assert components_of(noise, np.random.default_rng(0)) <= 3
    assert components_of(empty_csr(30, 20), np.random.default_rng(0)) == 2


def test_sizes_of_the_latent_are_swept_by_one_setting(cells: tuple[PairedCells, Split]) -> None:
    stages: list[str] = []
    quick = replace(SMALL, epochs=2, start_epochs=1, sweep="2, 5,2")
    swept = quick.fit(*cells, Hooks(threads=1, on_epoch=lambda epoch: stages.append(epoch.stage)))
    assert stages == ["latent-2-start", "latent-2-mixture", "latent-5-start", "latent-5-mixture"]
    alone = {k: replace(quick, latent=k, sweep="").fit(*cells, Hooks(threads=1)).trained for k in (2, 5)}
    losses = {k: trained.best_loss for k, trained in alone.items() if trained}
    assert swept.swept == pytest.approx(losses)
    latent = min(losses, key=lambda k: losses[k])
    assert swept.embedding(swept.encode(both(cells[0]))).shape[1] == latent
    assert f"{latent} dimensions of z" in swept.notes[1]


@pytest.mark.parametrize("sweep", ["ten", "0", "5,1000", "-3"])
def test_sizes_that_are_none_are_refused(sweep: str) -> None:
    with pytest.raises(BadSetting):
        replace(SMALL, sweep=sweep)


def test_the_card_says_that_translation_is_our_extension(model: ScMVPTranslator) -> None:
    assert any("extension" in note for note in model.notes)


def test_an_empty_cell_is_read_and_decoded(model: ScMVPTranslator) -> None:
    empty = {m.value: empty_csr(2, len(model.space(m))) for m in Modality}
    for given in (empty, {"rna": empty["rna"]}, {"atac": empty["atac"]}):
        latent = model.encode(CellBatch(**given))
        for target in Modality:
            assert np.isfinite(model.decode(latent, target).values).all()


def test_the_published_settings_train(cells: tuple[PairedCells, Split]) -> None:
    told: list[Epoch] = []
    recipe = replace(SMALL, epochs=3, **PUBLISHED)
    recipe.fit(*cells, Hooks(threads=1, on_epoch=told.append))
    assert {epoch.stage for epoch in told} == {"mixture"}
    assert np.isfinite([value for epoch in told for value in epoch.train.values()]).all()


@pytest.mark.parametrize("apart", [True, False])
def test_a_cycle_that_is_apart_does_not_choose_the_epoch(cells: tuple[PairedCells, Split], apart: bool) -> None:
    recipe = replace(SMALL, apart=apart, kl_weight=0.5, atac_weight=0.25, cycle=2.0)
    training = _training(cells, recipe)
    training.network.eval()
    for training.clock.mixture in (False, True):
        found = training.validate()
        cycle = sum(value for name, value in found.items() if name.startswith("cycle_"))
        alone = found["rna"] + 0.25 * found["atac"] + 0.5 * (found["kl_z"] + found["kl_c"])
        assert cycle > 0
        counts = training.clock.mixture and not apart
        assert found["total"] == pytest.approx(alone + 2.0 * cycle * counts, rel=1e-4)


def test_the_mixture_waits_for_its_stage(cells: tuple[PairedCells, Split]) -> None:
    training = _training(cells, replace(SMALL, epochs=4, start_epochs=3, warmup=2, kl_weight=1.0))
    before = {name: value.clone() for name, value in training.network.prior.state_dict().items()}
    shares = []
    for epoch in range(3):
        training.clock.epoch = epoch
        shares.append(training.weights().kl)
        assert training.weights().apart
    assert shares == pytest.approx([1 / 3, 2 / 3, 1.0])
    seen: list[bool] = []

    def on_epoch(epoch: Epoch) -> None:
        same = all(bool((before[n] == v).all()) for n, v in training.network.prior.state_dict().items())
        seen.append(same)

    training.whole(np.random.default_rng(0), Hooks(threads=1, on_epoch=on_epoch))
    assert seen == [True, True, True, False]
    assert training.weights().kl == 1.0


def _training(cells: tuple[PairedCells, Split], recipe: ScMVPRecipe) -> Training:
    import torch

    pair, split = cells
    rows, held = (Rows.named(pair, names) for names in (split.train, split.valid))
    inputs = Inputs.fit(rows, in_units=True, level=True)
    _, network = recipe.start(rows, inputs, np.random.default_rng(0))
    return Training(recipe, network, inputs, rows, held, torch.device("cpu"))


class Killed(BaseException):
    """As a SIGKILL would, it leaves nobody time to tidy."""


def test_a_training_killed_in_each_stage_ends_as_an_undisturbed_one(
    cells: tuple[PairedCells, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rare, "FEWEST", 20)
    recipe = replace(SMALL, epochs=6, start_epochs=3, warmup=2)
    whole: list[Epoch] = []
    expected = recipe.fit(*cells, Hooks(on_epoch=whole.append, threads=1))
    seen: dict[tuple[str, int], Epoch] = {}
    kills = [("start", 2), ("mixture", 2), ("rare", 5)]

    def on_epoch(epoch: Epoch) -> None:
        if kills and (epoch.stage, epoch.number) == kills[0]:
            kills.pop(0)
            raise Killed
        seen[epoch.stage, epoch.number] = epoch

    hooks = Hooks(on_epoch=on_epoch, threads=1, checkpoint_s=0.0, checkpoints=FolderCheckpoints(tmp_path))
    for _ in range(len(kills)):
        with pytest.raises(Killed):
            recipe.fit(*cells, hooks)
    found = recipe.fit(*cells, hooks)
    assert [(e.stage, e.number, e.train, e.valid) for e in seen.values()] == [
        (e.stage, e.number, e.train, e.valid) for e in whole
    ]
    expected.save(tmp_path / "one")
    found.save(tmp_path / "other")
    for name in ("weights.safetensors", "preprocess.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        {"heads": 7},
        {"latent": 125},
        {"latent": 0},
        {"components": -1},
        {"thin_genes": 1.0},
        {"start_epochs": -1},
        {"top_peaks": 0.0},
    ],
)
def test_settings_that_make_no_model_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(BadSetting):
        ScMVPRecipe(**settings)  # type: ignore[arg-type]
