"""What every translator owes its users, whatever is inside."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from engine.bundle import load_bundle, make_manifest, save_bundle, verify_bundle
from engine.errors import BadBundle, FeatureMismatch, MissingExtra, UnknownFeature, WrongDirection
from engine.nulls import Nulls
from engine.preprocess.filters import FilterSettings, filter_pair
from engine.translators.base import Hooks, Translator
from engine.translators.registry import DEPTH_ALONE, JOINT, MODELS, recipe
from engine.types import CellBatch, Cells, Direction, Modality, PairedCells, Split
from tests.builders import paired, split_of

SETTINGS: dict[str, dict[str, str]] = {
    "knn": {"neighbours": "10", "components": "5"},
    "ridge": {"components": "8", "target_components": "8"},
    "celltype-mean": {"components": "8"},
    "svd-mlp": {"components": "8", "target_components": "8", "hidden": "32", "dropout": "0"},
    "kernel-ridge": {"rna_components": "8", "atac_components": "8", "genes_as": "8", "peaks_as": "8"},
    "multivi": {"epochs": "5", "batch": "16", "learning_rate": "0.03", "hidden": "64", "latent": "8"},
    "babel": {"epochs": "8", "batch": "48", "learning_rate": "0.02"},
    "scbutterfly": {"pretrain_epochs": "3", "epochs": "8", "batch": "48", "learning_rate": "0.02", "start": "mean"},
    "scmvp": {"epochs": "12", "batch": "32", "components": "3", "start_epochs": "10", "hidden": "32", "latent": "4"},
    "crossview": {
        "view_components": "8",
        "components": "8",
        "latent": "8",
        "hidden": "24",
        "thin_genes": "0.3",
        "gene_epochs": "8",
        "share_epochs": "8",
        "peak_epochs": "8",
        "learning_rate": "0.02",
    },
    "crossmp": {"epochs": "12", "batch": "16", "patience": "12", "learning_rate": "0.03", "significant_genes": "20"},
}


@dataclasses.dataclass(frozen=True)
class Fitted:
    key: str
    pair: PairedCells
    split: Split
    translator: Translator


def fit(key: str, pair: PairedCells, split: Split) -> Translator:
    return recipe(key, SETTINGS.get(key)).fit(pair, split, Hooks(seed=0, threads=1))


@pytest.fixture(scope="module", params=sorted(MODELS))
def fitted(request: pytest.FixtureRequest) -> Fitted:
    pair = paired(cells=200, rng=np.random.default_rng(1))
    split = split_of(pair)
    try:
        return Fitted(request.param, pair, split, fit(request.param, pair, split))
    except MissingExtra as extra:
        pytest.skip(str(extra))


def batch(pair: PairedCells, direction: Direction) -> CellBatch:
    return CellBatch(**{direction.source.value: pair.of(direction.source).counts})


def predict(translator: Translator, pair: PairedCells, direction: Direction) -> np.ndarray:
    return translator.decode(translator.encode(batch(pair, direction)), direction.target).values


@pytest.mark.parametrize("direction", list(Direction))
def test_predictions_are_finite_and_on_the_declared_scale(fitted: Fitted, direction: Direction) -> None:
    values = predict(fitted.translator, fitted.pair, direction)
    assert values.shape == (len(fitted.pair), len(fitted.pair.of(direction.target).space))
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    if direction.target is Modality.ATAC:
        assert values.min() >= 0
        assert values.max() <= 1


@pytest.mark.parametrize("direction", list(Direction))
def test_saving_and_loading_is_identity(fitted: Fitted, direction: Direction, tmp_path: Path) -> None:
    fitted.translator.save(tmp_path)
    rna, atac = (fitted.translator.space(m) for m in Modality)
    again = type(fitted.translator).load(tmp_path, rna=rna, atac=atac)
    np.testing.assert_array_equal(
        predict(again, fitted.pair, direction), predict(fitted.translator, fitted.pair, direction)
    )


@pytest.mark.parametrize("direction", list(Direction))
def test_decoding_some_features_equals_those_columns_of_the_whole(fitted: Fitted, direction: Direction) -> None:
    latent = fitted.translator.encode(batch(fitted.pair, direction))
    whole = fitted.translator.decode(latent, direction.target).values
    for chosen in ([5], [7, 2, 40], slice(10, 20)):
        some = fitted.translator.decode(latent, direction.target, chosen)
        np.testing.assert_allclose(some.values, whole[:, chosen], atol=1e-6)
        assert list(some.names) == list(fitted.translator.space(direction.target).names[chosen])


@pytest.mark.parametrize("direction", list(Direction))
def test_a_cell_does_not_depend_on_its_batch_mates(fitted: Fitted, direction: Direction) -> None:
    whole = predict(fitted.translator, fitted.pair, direction)
    alone = predict(fitted.translator, fitted.pair.named(fitted.pair.barcodes[[3]]), direction)
    np.testing.assert_allclose(alone[0], whole[3], atol=2e-6)


def test_latents_are_small(fitted: Fitted) -> None:
    values = fitted.translator.encode(batch(fitted.pair, Direction.RNA_TO_ATAC)).values
    assert values.shape[1] <= 128
    assert values.dtype == np.float32


def test_scrambled_held_out_cells_do_not_change_the_fit(fitted: Fitted, tmp_path: Path) -> None:
    pair, split = fitted.pair, fitted.split
    rng = np.random.default_rng(9)
    test_rows = np.isin(pair.barcodes, split.test)
    scrambled = PairedCells(*(scramble(pair.of(m), test_rows, rng) for m in Modality))
    other = fit(fitted.key, scrambled, split)
    train = pair.named(split.train)
    for direction in Direction:
        np.testing.assert_array_equal(predict(other, train, direction), predict(fitted.translator, train, direction))
    assert bundle(fitted, other, tmp_path / "other") == bundle(fitted, fitted.translator, tmp_path / "one")


def scramble(cells: Cells, rows: np.ndarray, rng: np.random.Generator) -> Cells:
    dense = cells.counts.toarray()
    dense[rows] = rng.poisson(2.0, size=(int(rows.sum()), dense.shape[1])) + 1
    return Cells(cells.space, sp.csr_matrix(dense.astype(np.float32)), cells.barcodes, cells.obs)


def test_the_same_seed_gives_the_same_bundle_digest(fitted: Fitted, tmp_path: Path) -> None:
    again = fit(fitted.key, fitted.pair, fitted.split)
    assert bundle(fitted, again, tmp_path / "again") == bundle(fitted, fitted.translator, tmp_path / "one")


def bundle(fitted: Fitted, translator: Translator, into: Path) -> str:
    train = fitted.pair.named(fitted.split.train)
    manifest = make_manifest(
        translator, id="built", train=train, split=fitted.split, seed=0, code_version="0", settings={}, filters={}
    )
    return save_bundle(into, translator, Nulls.fit(train), manifest).digest


def test_a_bundle_is_loaded_verified_and_refused_when_tampered_with(fitted: Fitted, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    digest = bundle(fitted, fitted.translator, folder)
    assert load_bundle(folder).digest == digest
    assert max(verify_bundle(folder).values()) < 1e-5
    names = folder / "features.rna.txt"
    names.write_text(names.read_text().replace("GENE00000", "GENE99999"))
    with pytest.raises(BadBundle, match="digest"):
        load_bundle(folder)


def test_an_unknown_feature_is_refused(fitted: Fitted) -> None:
    latent = fitted.translator.encode(batch(fitted.pair, Direction.RNA_TO_ATAC))
    with pytest.raises(UnknownFeature):
        fitted.translator.decode(latent, Modality.ATAC, [10_000])


@pytest.mark.parametrize("direction", list(Direction))
def test_it_beats_the_mean_on_built_cells(fitted: Fitted, direction: Direction) -> None:
    if fitted.key in {"mean", "depth"}:
        values = predict(fitted.translator, fitted.pair, direction)
        mean = Nulls.fit(fitted.pair.named(fitted.split.train)).of(direction.target).mean_f
        shape = values.mean(axis=0)
        assert np.corrcoef(shape, mean)[0, 1] > 0.999
        return
    test = fitted.pair.named(fitted.split.test)
    values = predict(fitted.translator, test, direction)
    truth = test.of(direction.target).counts.toarray()
    r = [np.corrcoef(values[:, j], truth[:, j])[0, 1] for j in range(truth.shape[1]) if truth[:, j].std() > 0]
    assert np.nanmean(r) > 0.2


def test_filters_are_fitted_on_training_cells_only() -> None:
    pair = paired(cells=100, rng=np.random.default_rng(2), open_share=0.08)
    split = split_of(pair)
    settings = FilterSettings(min_genes=5, max_genes=60, max_share=0.2)
    rows = np.isin(pair.barcodes, [*split.valid, *split.test])
    scrambled = PairedCells(*(scramble(pair.of(m), rows, np.random.default_rng(3)) for m in Modality))
    one, other = (filter_pair(p, split, settings).pair for p in (pair, scrambled))
    assert list(one.atac.space.names) == list(other.atac.space.names)
    assert 0 < len(one.atac.space) < len(pair.atac.space)


@pytest.mark.parametrize("modality", list(Modality))
def test_counts_of_other_features_are_refused(fitted: Fitted, modality: Modality) -> None:
    counts = fitted.pair.of(modality).counts
    wider = sp.csr_matrix(sp.hstack([counts, counts]))
    with pytest.raises(FeatureMismatch, match="where the model reads"):
        fitted.translator.encode(CellBatch(**{modality.value: wider}))


def test_the_registry_knows_which_models_read_both_modalities_at_once(fitted: Fitted) -> None:
    both = CellBatch(rna=fitted.pair.rna.counts[:9], atac=fitted.pair.atac.counts[:9])
    latent = fitted.translator.encode(both)
    if fitted.key in DEPTH_ALONE:
        assert fitted.key not in JOINT
        return
    assert (latent.source == set(Modality)) is (fitted.key in JOINT)
    if fitted.key in JOINT:
        for target in Modality:  # imputation: what was given is decoded too
            assert np.isfinite(fitted.translator.decode(latent, target, [0, 1]).values).all()


def test_a_batch_without_a_source_is_refused_by_direction(fitted: Fitted) -> None:
    from engine.translate import require_direction

    class OneWay:
        directions = frozenset({Direction.RNA_TO_ATAC})

    class Half:
        translator = OneWay()
        manifest = type("M", (), {"id": "half", "directions": ("rna-to-atac",)})()

    with pytest.raises(WrongDirection, match="half does not translate atac-to-rna"):
        require_direction(Half(), Direction.ATAC_TO_RNA)  # type: ignore[arg-type]
