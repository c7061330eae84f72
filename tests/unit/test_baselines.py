"""The simple models do what their sources say: checked against pandas, scikit-learn and plain networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from engine.errors import BadSetting, WrongDirection
from engine.nulls import Nulls
from engine.preprocess.steps import DepthScale, Projection
from engine.translators.base import Epoch, Hooks, Translator
from engine.translators.baselines.celltype import CelltypeMeanRecipe, label_column
from engine.translators.baselines.common import target_matrix
from engine.translators.baselines.kernel_ridge import (
    KernelRidgeRecipe,
    fit_exact,
    fit_landmarks,
    wide_projection,
)
from engine.translators.baselines.svd_mlp import Layers, Perceptron, SvdMlpRecipe
from engine.translators.registry import recipe
from engine.types import CellBatch, Cells, Direction, Floats, Modality, PairedCells, Split, as_names
from tests.builders import paired, split_of

HOOKS = Hooks(seed=0, threads=1)
SMALL_MLP = SvdMlpRecipe(components=6, target_components=6, hidden=16, epochs=4, dropout=0.0)
SMALL_KERNEL = KernelRidgeRecipe(rna_components=8, atac_components=8, genes_as=6, peaks_as=6)


def built(*, cells: int = 160, seed: int = 4) -> PairedCells:
    """Types so far apart that a cell's own modality says which it is."""
    return paired(cells=cells, genes=80, peaks=300, depth=3000, open_share=0.3, rng=np.random.default_rng(seed))


def relabelled(pair: PairedCells, obs: dict[str, np.ndarray]) -> PairedCells:
    return PairedCells(*(replace(pair.of(m), obs=obs) for m in Modality))


def predict(translator: Translator, pair: PairedCells, direction: Direction) -> Floats:
    batch = CellBatch(**{direction.source.value: pair.of(direction.source).counts})
    return translator.decode(translator.encode(batch), direction.target).values


def on_target_scale(cells: Cells, fitted: Cells) -> np.ndarray:
    return target_matrix(cells, DepthScale.fit(fitted.counts)).toarray()


@pytest.mark.parametrize("direction", list(Direction))
def test_celltype_mean_is_the_mean_of_the_cells_type_where_types_are_clear(direction: Direction) -> None:
    pair = built()
    split = split_of(pair)
    train, test = pair.named(split.train), pair.named(split.test)
    translator = CelltypeMeanRecipe(hard=True, components=6).fit(pair, split, HOOKS)
    target = direction.target
    seen = pd.DataFrame(on_target_scale(train.of(target), train.of(target)))
    by_type = seen.groupby(list(train.rna.obs["cell_type"])).mean()
    expected = by_type.loc[list(test.rna.obs["cell_type"])].to_numpy()
    np.testing.assert_allclose(predict(translator, test, direction), expected, atol=1e-5)


def test_celltype_mean_holds_one_profile_a_label_and_no_cell() -> None:
    pair = built()
    translator = CelltypeMeanRecipe(components=6).fit(pair, split_of(pair), HOOKS)
    latent = translator.encode(CellBatch(rna=pair.rna.counts))
    assert latent.values.shape == (len(pair), 3)
    np.testing.assert_allclose(latent.values.sum(axis=1), 1.0, atol=1e-5)
    assert translator.labels == {"rna": ("type 0", "type 1", "type 2"), "atac": ("type 0", "type 1", "type 2")}


def test_clusters_stand_in_for_labels_and_the_card_says_how_many() -> None:
    pair = relabelled(built(), {})
    translator = CelltypeMeanRecipe(components=6, clusters=5).fit(pair, split_of(pair), HOOKS)
    assert "5 from RNA, 5 from ATAC" in translator.notes[0]
    assert translator.encode(CellBatch(atac=pair.atac.counts)).values.shape[1] == 5


def test_the_likeliest_column_is_taken_for_labels() -> None:
    pair = built(cells=40)
    kinds = pair.rna.obs["cell_type"]
    each = as_names(f"barcode {i}" for i in range(40))
    assert label_column(relabelled(pair, {"donor": each, "Leiden": kinds})) == "Leiden"
    assert label_column(relabelled(pair, {"my_celltype": kinds, "label": each})) == "my_celltype"
    assert label_column(relabelled(pair, {"donor": kinds})) == ""
    with pytest.raises(BadSetting, match="no column 'donor'"):
        label_column(pair, "donor")


def test_cells_without_a_label_are_left_out_of_the_means() -> None:
    pair = built()
    kinds = pair.rna.obs["cell_type"].copy()
    kinds[:10] = "(none)"
    translator = CelltypeMeanRecipe(components=6).fit(relabelled(pair, {"cell_type": kinds}), split_of(pair), HOOKS)
    assert len(translator.labels["rna"]) == 3
    assert "10 training cells without a label" in translator.notes[0]


def test_kernel_ridge_equals_scikit_learn() -> None:
    from sklearn.kernel_ridge import KernelRidge

    rng = np.random.default_rng(1)
    z_nk, y_nj = (rng.normal(size=shape).astype(np.float32) for shape in ((60, 7), (60, 3)))
    unseen_nk = rng.normal(size=(20, 7)).astype(np.float32)
    ours = fit_exact(z_nk, y_nj, length_scale=2.5, alpha=0.3, parts=[np.arange(60)])
    theirs = KernelRidge(alpha=0.3, kernel="rbf", gamma=1 / (2 * 2.5**2)).fit(z_nk.astype(np.float64), y_nj)
    np.testing.assert_allclose(ours(unseen_nk), theirs.predict(unseen_nk.astype(np.float64)), atol=1e-5)


def test_landmarks_on_every_cell_equal_the_exact_fit() -> None:
    rng = np.random.default_rng(2)
    z_nk, y_nj = (rng.normal(size=shape).astype(np.float32) for shape in ((50, 4), (50, 2)))
    parts = [np.arange(50), np.arange(30)]
    exact = fit_exact(z_nk, y_nj, length_scale=2.0, alpha=1.0, parts=parts)
    landmarks = fit_landmarks(z_nk, y_nj, np.arange(50), length_scale=2.0, alpha=1.0, parts=parts)
    np.testing.assert_allclose(landmarks(z_nk), exact(z_nk), atol=1e-4)


def test_one_machine_gives_the_average_of_its_fits() -> None:
    rng = np.random.default_rng(3)
    z_nk, y_nj = (rng.normal(size=shape).astype(np.float32) for shape in ((40, 4), (40, 2)))
    parts = [np.arange(0, 25), np.arange(15, 40)]
    both = fit_exact(z_nk, y_nj, length_scale=2.0, alpha=0.5, parts=parts)
    alone = [fit_exact(z_nk[p], y_nj[p], length_scale=2.0, alpha=0.5, parts=[np.arange(25)])(z_nk) for p in parts]
    np.testing.assert_allclose(both(z_nk), np.mean(alone, axis=0), atol=1e-5)


def test_more_cells_than_landmarks_keep_landmarks_only() -> None:
    pair = built()
    split = split_of(pair)
    translator = replace(SMALL_KERNEL, landmarks=30).fit(pair, split, HOOKS)
    assert translator.chosen["rna-to-atac"]["cells"] == 30
    few, all_of_them = (
        predict(t, pair.named(split.test), Direction.RNA_TO_ATAC)
        for t in (translator, SMALL_KERNEL.fit(pair, split, HOOKS))
    )
    assert np.corrcoef(few.ravel(), all_of_them.ravel())[0, 1] > 0.98


def test_fits_are_averaged_over_batches_and_over_halves() -> None:
    pair = built()
    batches = as_names(f"batch {i % 4}" for i in range(len(pair)))
    pair, split = relabelled(pair, {"batch": batches}), split_of(pair)
    fits = {
        how: replace(SMALL_KERNEL, consensus=how).fit(pair, split, HOOKS).chosen["atac-to-rna"]["fits"]
        for how in ("batches", "halves", "none")
    }
    assert fits == {"batches": 4, "halves": 10, "none": 1}


def test_kernel_settings_of_zero_are_chosen_on_the_validation_cells() -> None:
    pair = built()
    split = split_of(pair)
    chosen = replace(SMALL_KERNEL, length_scale=0.0, alpha=0.0).fit(pair, split, HOOKS).chosen
    assert chosen["rna-to-atac"]["length_scale"] > 0
    assert chosen["rna-to-atac"]["alpha"] > 0
    blind = replace(SMALL_KERNEL, length_scale=0.0, alpha=0.0).fit(pair, Split(split.train), HOOKS).chosen
    assert (blind["atac-to-rna"]["length_scale"], blind["atac-to-rna"]["alpha"]) == (10.0, 0.1)


@pytest.mark.parametrize("shape", [(30, 50), (50, 30)])
@pytest.mark.parametrize("centred", [True, False])
def test_the_gram_matrix_gives_the_singular_value_decomposition(shape: tuple[int, int], centred: bool) -> None:
    x = sp.csr_matrix(sp.random(*shape, density=0.4, rng=np.random.default_rng(5), dtype=np.float32))
    dense = x.toarray().astype(np.float64)
    found = wide_projection(x, k=20, centred=centred, rng=np.random.default_rng(0))
    _, s_k, _ = np.linalg.svd(dense - dense.mean(axis=0) * centred, full_matrices=False)
    np.testing.assert_allclose(found.s_k, s_k[:20], rtol=1e-4)
    np.testing.assert_allclose(found.v_fk.T @ found.v_fk, np.eye(20), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found.transform(x), axis=0), s_k[:20], rtol=1e-3)


def test_a_projection_that_is_not_centred_keeps_the_mean() -> None:
    x = sp.csr_matrix(np.full((12, 5), 2.0, dtype=np.float32))
    plain = Projection.fit(x, k=1, rng=np.random.default_rng(0), centred=False)
    assert not plain.mean_f.any()
    np.testing.assert_allclose(np.abs(plain.transform(x)), 2 * np.sqrt(5), rtol=1e-5)


def test_folded_layers_equal_the_network() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Perceptron(5, 4, hidden=9, dropout=0.3)
        network(torch.randn(64, 5))  # moves BatchNorm's statistics
        network.eval()
        z_nk = torch.randn(7, 5)
        expected = network(z_nk).detach().numpy()
    np.testing.assert_allclose(Layers.of(network)(z_nk.numpy()), expected, atol=1e-5)


def test_the_average_of_networks_decodes_a_subset_as_the_whole() -> None:
    pair = built()
    translator = replace(SMALL_MLP, seeds=2).fit(pair, split_of(pair), HOOKS)
    latent = translator.encode(CellBatch(atac=pair.atac.counts))
    whole = translator.decode(latent, Modality.RNA).values
    np.testing.assert_allclose(translator.decode(latent, Modality.RNA, [3, 50]).values, whole[:, [3, 50]], atol=1e-6)
    assert set(translator.trained) == {f"{d.value}-{i}" for d in Direction for i in (1, 2)}


class Kept:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.saved: dict[str, bytes] = {}

    def load(self, name: str) -> bytes | None:
        return self.saved.get(name)

    def save(self, name: str, data: bytes) -> None:
        self.saved[name] = data


def test_training_goes_on_after_a_kill_with_the_stages_it_had_finished() -> None:
    pair = built()
    split = split_of(pair)
    undisturbed = predict(SMALL_MLP.fit(pair, split, HOOKS), pair, Direction.ATAC_TO_RNA)
    kept = Kept()

    def killed(epoch: Epoch) -> None:
        if epoch.stage == "atac-to-rna-1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SMALL_MLP.fit(pair, split, replace(HOOKS, checkpoints=kept, on_epoch=killed))
    seen: list[str] = []
    hooks = replace(HOOKS, checkpoints=kept, on_epoch=lambda epoch: seen.append(epoch.stage))
    resumed = SMALL_MLP.fit(pair, split, hooks)
    assert set(seen) == {"atac-to-rna-1"}
    np.testing.assert_array_equal(predict(resumed, pair, Direction.ATAC_TO_RNA), undisturbed)


@pytest.mark.parametrize("key", ["celltype-mean", "svd-mlp", "kernel-ridge"])
@pytest.mark.parametrize("direction", list(Direction))
def test_each_beats_the_mean_on_unseen_cells(key: str, direction: Direction) -> None:
    pair = built(cells=240)
    split = split_of(pair)
    train, test = pair.named(split.train), pair.named(split.test)
    target = direction.target
    truth = on_target_scale(test.of(target), train.of(target))
    mean = Nulls.fit(train).of(target).mean_f
    error = ((predict(recipe(key).fit(pair, split, HOOKS), test, direction) - truth) ** 2).mean()
    assert error < 0.95 * ((mean - truth) ** 2).mean()


@pytest.mark.parametrize("chosen", [CelltypeMeanRecipe(components=6), SMALL_MLP, SMALL_KERNEL])
def test_a_modality_is_not_predicted_from_itself(
    chosen: CelltypeMeanRecipe | SvdMlpRecipe | KernelRidgeRecipe,
) -> None:
    pair = built(cells=60)
    translator = chosen.fit(pair, split_of(pair), HOOKS)
    latent = translator.encode(CellBatch(rna=pair.rna.counts))
    with pytest.raises(WrongDirection, match="encoded from rna"):
        translator.decode(latent, Modality.RNA)


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("svd-mlp", {"dropout": "1"}),
        ("svd-mlp", {"seeds": "0"}),
        ("kernel-ridge", {"consensus": "most"}),
        ("kernel-ridge", {"genes_as": "200"}),
        ("kernel-ridge", {"alpha": "-1"}),
    ],
)
def test_impossible_settings_are_refused(key: str, settings: dict[str, str]) -> None:
    with pytest.raises(BadSetting):
        recipe(key, settings)
