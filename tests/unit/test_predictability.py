"""Skill over null by gene and peak: equal to scikit-learn one at a time, kept in a file, read a page at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, mean_squared_error, roc_auc_score

from app import readings
from engine.bundle import Bundle, load_bundle, read_manifest, verify_bundle
from engine.errors import BadBundle, WrongDirection
from engine.evaluate import Evaluation, evaluate
from engine.metrics import log_normalised, score_atac, score_rna
from engine.metrics.verdict import FEATURE_COLUMN
from engine.predictability import FILE, Predictability, packed, read_predictability, unpacked, write_predictability
from engine.preprocess.align import align
from engine.preprocess.steps import binarised
from engine.translate import encode_cells
from engine.types import Direction, Modality
from jobs import predictability as pages
from jobs.commands import predictability as command
from jobs.errors import BadRequest, NotFound
from jobs.views import PredictabilityView
from tests import naive_scores as naive
from tests.predictions import Judged, judged_atac, judged_rna
from tests.running import built_cells

HELD_OUT = slice(112, 160)
SPACES = {"rna": 60, "atac": 90}


# -- columns of the scores -------------------------------------------------------------------------------------------


def test_gains_and_skills_of_genes_equal_numpy_one_gene_at_a_time() -> None:
    judged = judged_rna(rng=np.random.default_rng(1))
    table, truth = score_rna(judged.source, judged.truth, **judged.arguments(resamples=10)).features, judged.truth
    nulls = [naive.pearson(judged.nulls["depth"][:, j], truth[:, j].toarray().ravel()) for j in table["position"]]
    assert np.mean(nulls) > 0  # the mean null is constant and scores chance: depth is the best
    for row, gene in enumerate(table["position"]):
        y = truth[:, gene].toarray().ravel()
        mine, best = judged.predicted[:, gene], nulls[row]
        r = naive.pearson(mine, y)
        assert table["pearson_null_best"][row] == pytest.approx(best, abs=1e-9)
        assert table["pearson_gain"][row] == pytest.approx((0.0 if np.isnan(r) else r) - best, abs=1e-9)
        skill = 1 - mean_squared_error(y, mine) / mean_squared_error(y, judged.nulls["mean"][:, gene])
        assert table["mse_skill"][row] == pytest.approx(skill, abs=1e-5)


def test_gains_and_skills_of_peaks_equal_scikit_learn_one_peak_at_a_time() -> None:
    judged = judged_atac(rng=np.random.default_rng(2))
    table = score_atac(judged.source, judged.truth, **judged.arguments(resamples=10)).features
    truth = judged.truth.toarray() > 0
    members = naive.strata(truth.sum(1))
    depths = [roc_auc_score(truth[:, j], judged.nulls["depth"][:, j]) for j in table["position"]]
    adjusted_depths = [
        naive.adjusted_auroc(judged.nulls["depth"][:, j], truth[:, j], members) for j in table["position"]
    ]
    assert np.mean(depths) > 0.5  # the mean null is constant and scores 0.5
    for row, peak in enumerate(table["position"]):
        y, mine, best = truth[:, peak], judged.predicted[:, peak], depths[row]
        assert table["auroc_null_best"][row] == pytest.approx(best, abs=1e-9)
        assert table["auroc_gain"][row] == pytest.approx(roc_auc_score(y, mine) - best, abs=1e-9)
        best = adjusted_depths[row] if np.mean(adjusted_depths) > 0.5 else 0.5
        assert table["auroc_depth_adjusted_null_best"][row] == pytest.approx(best, abs=1e-9)
        adjusted = naive.adjusted_auroc(mine, y, members)
        assert table["auroc_depth_adjusted_gain"][row] == pytest.approx(adjusted - best, abs=1e-9)
        base = brier_score_loss(y, judged.nulls["mean"][:, peak].astype(float))
        skill = 1 - brier_score_loss(y, mine.astype(float)) / base
        assert table["brier_skill"][row] == pytest.approx(skill, abs=1e-5)


def test_the_skill_of_all_peaks_is_that_of_their_brier_scores_added_up() -> None:
    judged = judged_atac(rng=np.random.default_rng(4))
    first = score_atac(judged.source, judged.truth, **judged.arguments(resamples=10))
    kept = first.features["position"]
    some = Judged(
        judged.predicted[:, kept],
        judged.truth[:, kept],
        [judged.names[j] for j in kept],
        {name: null[:, kept] for name, null in judged.nulls.items()},
        judged.counts[:, kept],
    )
    scores = score_atac(some.source, some.truth, **some.arguments(resamples=10))
    np.testing.assert_array_equal(scores.features["position"], np.arange(len(kept)))
    base_p = ((some.nulls["mean"] - (some.truth.toarray() > 0)) ** 2).mean(0)
    weighted = float((scores.features["brier_skill"] * base_p).sum() / base_p.sum())
    assert weighted == pytest.approx(scores.scores["brier_skill"].value, abs=1e-6)


def test_values_that_are_no_probabilities_have_no_brier_skill() -> None:
    judged = judged_atac(rng=np.random.default_rng(2))
    above = Judged(judged.predicted + 1, judged.truth, judged.names, judged.nulls, judged.counts)
    table = score_atac(above.source, above.truth, **above.arguments(resamples=10)).features
    assert "brier_skill" not in table
    assert "auroc_gain" in table


def test_without_nulls_chance_is_the_bar() -> None:
    judged = judged_rna(rng=np.random.default_rng(1))
    table = score_rna(judged.source, judged.truth, **judged.arguments(resamples=10, nulls={})).features
    np.testing.assert_allclose(table["pearson_gain"], np.nan_to_num(table["pearson"]))
    assert "mse_skill" not in table


# -- one direction, scored -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tiny_model: Path) -> Bundle:
    return load_bundle(tiny_model)


@pytest.fixture(scope="module")
def judged(bundle: Bundle) -> dict[Direction, Evaluation]:
    """The tiny model on cells it never saw."""
    found = {}
    for direction in Direction:
        source, truth = (built_cells().of(m).rows(HELD_OUT) for m in (direction.source, direction.target))
        encoded = encode_cells(bundle, source, align(source.space.names, bundle.space(direction.source)))
        found[direction] = evaluate(bundle=bundle, direction=direction, predicted=encoded, truth=truth)
    return found


@pytest.fixture(scope="module")
def tables(judged: dict[Direction, Evaluation]) -> dict[Direction, Predictability]:
    return {direction: Predictability.of(found) for direction, found in judged.items()}


@pytest.mark.parametrize("direction", list(Direction))
def test_the_table_equals_scores_made_from_the_decoded_prediction(
    bundle: Bundle, tables: dict[Direction, Predictability], direction: Direction
) -> None:
    table, target = tables[direction], direction.target
    source = built_cells().of(direction.source).rows(HELD_OUT)
    encoded = encode_cells(bundle, source, align(source.space.names, bundle.space(direction.source)))
    predicted = bundle.translator.decode(encoded.latent, target).values
    counts = built_cells().of(target).rows(HELD_OUT).counts
    scale: Callable[[Any], Any] = log_normalised if target is Modality.RNA else binarised
    truth, mean = scale(counts).toarray(), bundle.nulls.of(target).mean_f
    members = naive.strata((truth > 0).sum(1))
    assert len(table) > 20
    for row, place in enumerate(table.positions):
        x, y = predicted[:, place], truth[:, place]
        score = naive.pearson(x, y) if target is Modality.RNA else naive.adjusted_auroc(x, y, members)
        assert table.score[row] == pytest.approx(score, abs=1e-5, nan_ok=True)
        skill = 1 - ((x - y) ** 2).mean() / ((mean[place] - y) ** 2).mean()
        assert table.skill[row] == pytest.approx(skill, abs=1e-4)
    gain = table.gain(target)
    assert (gain > 0).mean() > 0.5  # built cells have structure that a right model finds
    bar = np.maximum(table.null, 0.0 if target is Modality.RNA else 0.5)
    np.testing.assert_allclose(table.gain_low(target), table.score - 1.96 * table.standard_error - bar, atol=1e-6)


def test_places_are_those_of_the_models_space_where_truth_lacks_some(bundle: Bundle) -> None:
    source, truth = (built_cells().of(m).rows(HELD_OUT) for m in (Modality.ATAC, Modality.RNA))
    encoded = encode_cells(bundle, source, align(source.space.names, bundle.space(Modality.ATAC)))
    order = np.arange(59, 9, -1)  # fifty of sixty genes, backwards
    some = replace(truth, space=replace(truth.space, names=truth.space.names[order]), counts=truth.counts[:, order])
    table = Predictability.of(evaluate(bundle=bundle, direction=Direction.ATAC_TO_RNA, predicted=encoded, truth=some))
    assert table.positions.min() >= 10
    assert (np.diff(table.positions) > 0).all()


# -- the file --------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tiny_model: Path, tables: dict[Direction, Predictability], tmp_path: Path) -> Path:
    """The tiny model with its table."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    write_predictability(folder, tables, bundle=read_manifest(folder).digest)
    return folder


def read(folder: Path) -> dict[Direction, Predictability]:
    return read_predictability(folder, bundle=read_manifest(folder).digest, spaces=SPACES)


def same(a: Predictability, b: Predictability) -> None:
    for name in ("positions", "score", "standard_error", "null", "skill"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == (np.int32 if name == "positions" else np.float32)


def test_writing_and_reading_is_identity_and_the_digest_stays(
    model: Path, tables: dict[Direction, Predictability]
) -> None:
    found = read(model)
    assert set(found) == set(tables)
    for direction, table in tables.items():
        same(found[direction], table)
        same(unpacked(packed(table)), table)
    verify_bundle(model)


def test_the_same_table_gives_the_same_bytes(model: Path, tables: dict[Direction, Predictability]) -> None:
    first = (model / FILE).read_bytes()
    write_predictability(model, tables, bundle=read_manifest(model).digest)
    assert (model / FILE).read_bytes() == first
    assert [path.name for path in model.iterdir() if path.name.startswith(".")] == []


def test_a_bundle_without_the_file_is_whole(tiny_model: Path) -> None:
    assert read(tiny_model) == {}


def test_nothing_scored_leaves_no_file_of_an_earlier_model(model: Path) -> None:
    write_predictability(model, {}, bundle="x")
    assert not (model / FILE).exists()


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with np.load(folder / FILE) as file:
        arrays: dict[str, Any] = {name: file[name] for name in file.files}
    change(arrays)
    np.savez(folder / FILE, **arrays)


RNA = "atac-to-rna"
DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a column is missing": (lambda a: a.pop(f"{RNA}.null"), "null is missing"),
    "a column is short": (lambda a: a.update({f"{RNA}.skill": a[f"{RNA}.skill"][1:]}), "differ in length"),
    "a column is of another kind": (
        lambda a: a.update({f"{RNA}.score": a[f"{RNA}.score"].astype(np.float64)}), "no list of float32",
    ),
    "a column is a matrix": (lambda a: a.update({f"{RNA}.score": a[f"{RNA}.score"][:, None]}), "no list of float32"),
    "a place is outside": (
        lambda a: a.update({f"{RNA}.positions": a[f"{RNA}.positions"] + np.int32(60)}), "outside the model's 60",
    ),
    "a place comes twice": (
        lambda a: a.update({f"{RNA}.positions": np.maximum(a[f"{RNA}.positions"], np.int32(3))}), "out of order",
    ),
    "a number is infinite": (
        lambda a: a.update({f"{RNA}.score": np.where(np.arange(len(a[f"{RNA}.score"])), a[f"{RNA}.score"], np.inf)
                            .astype(np.float32)}), "infinite",
    ),
    "something else lies in it": (lambda a: a.update({"cells.names": np.arange(3)}), "cells.names"),
    "it is of another model": (lambda a: a.update({"bundle": np.array("0" * 64)}), "another model"),
    "it does not say of which": (lambda a: a.pop("bundle"), "cannot be read"),
    "it holds an object": (lambda a: a.update({f"{RNA}.score": np.array([None], dtype=object)}), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_with_the_reason(model: Path, damage: str) -> None:
    change, word = DAMAGES[damage]
    rewritten(model, lambda arrays: (change(arrays), None)[1])
    with pytest.raises(BadBundle, match=word):
        read(model)


@pytest.mark.parametrize("length", [0, 1, 100, 1000])
def test_a_file_that_was_cut_short_is_refused(model: Path, length: int) -> None:
    path = model / FILE
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BadBundle, match=r"predictability\.npz is damaged"):
        read(model)


def test_a_flipped_byte_is_refused(model: Path) -> None:
    path = model / FILE
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(BadBundle):
        read(model)


# -- a page of it ----------------------------------------------------------------------------------------------------


def page(folder: Path, direction: Direction = Direction.ATAC_TO_RNA, **asked: Any) -> PredictabilityView:
    return pages.predictability("tiny", folder, direction, **asked)


def test_a_page_says_how_many_are_better_as_the_table_does(
    model: Path, tables: dict[Direction, Predictability]
) -> None:
    for direction, table in tables.items():
        found = page(model, direction, limit=7)
        assert (found.tested, found.matching, len(found.name)) == (len(table), len(table), 7)
        assert found.better == int((table.gain(direction.target) > 0).sum())
        assert found.clearly == int((table.gain_low(direction.target) > 0).sum())
        assert found.skilled == int((table.skill > 0).sum())
        assert found.measure == FEATURE_COLUMN[direction.target]
        assert list(found.gain_low) == sorted(found.gain_low, reverse=True)


def test_pages_laid_end_to_end_are_the_whole(model: Path) -> None:
    whole = page(model, limit=1000)
    again = pages.whole(lambda start: page(model, limit=7, offset=start))
    assert again == whole
    assert page(model, offset=1000).name == ()


@pytest.mark.parametrize("sort", ["score", "skill", "null", "gain", "gain_low"])
def test_rows_are_sorted_the_highest_first_and_the_undefined_last(model: Path, sort: str) -> None:
    rewritten(model, lambda a: a[f"{RNA}.{'score' if sort.startswith('gain') else sort}"].__setitem__(3, np.nan))
    values = getattr(page(model, sort=sort, limit=1000), sort)
    defined = [v for v in values if v is not None]
    assert defined == sorted(defined, reverse=True)
    assert all(v is None for v in values[len(defined) :])
    assert set(page(model, sort="position", limit=1000).name) == set(page(model, sort=sort, limit=1000).name)


def test_genes_are_found_by_a_part_of_their_name_and_peaks_by_region(model: Path) -> None:
    found = page(model, query="gene0001", limit=1000)
    assert 0 < found.matching < found.tested
    assert all(name.startswith("GENE0001") for name in found.name)
    found = page(model, Direction.RNA_TO_ATAC, query="chr2:0-12,000")
    assert set(found.name) <= {"chr2:1000-1400", "chr2:11000-11400"}
    assert found.matching == len(found.name) > 0
    assert page(model, query="NOTHING").matching == 0


def test_what_cannot_be_answered_is_refused(model: Path, tiny_model: Path) -> None:
    for wrong in ({"sort": "name"}, {"limit": 0}, {"limit": pages.MOST_ROWS + 1}, {"offset": -1}):
        with pytest.raises(BadRequest):
            page(model, **wrong)
    with pytest.raises(NotFound, match="made without them"):
        page(tiny_model)


def test_a_direction_the_model_lacks_is_refused(model: Path, tables: dict[Direction, Predictability]) -> None:
    write_predictability(
        model, {Direction.RNA_TO_ATAC: tables[Direction.RNA_TO_ATAC]}, bundle=read_manifest(model).digest
    )
    assert page(model, Direction.RNA_TO_ATAC).tested > 0
    with pytest.raises(NotFound, match="not scored"):
        page(model)
    text = (model / "bundle.json").read_text().replace('"atac-to-rna",\n', "")
    (model / "bundle.json").write_text(text)
    with pytest.raises(WrongDirection, match="does not translate atac-to-rna"):
        page(model)


def test_the_command_offers_every_order_there_is() -> None:
    assert command.SORTS == pages.SORTS


# -- in words --------------------------------------------------------------------------------------------------------


def view(**changes: Any) -> PredictabilityView:
    columns = dict.fromkeys(pages.COLUMNS, ())
    said = {"model": "m", "bundle": "b", "direction": "atac-to-rna", "measure": "pearson", "chance": 0.0}
    counts = {"tested": 1045, "better": 812, "clearly": 400, "skilled": 700, "matching": 1045}
    return PredictabilityView.model_validate({**columns, **said, **counts, **changes})


def test_a_sentence_says_on_how_many_genes_it_beats_the_average() -> None:
    said = readings.predicts(view(cells=148, part="test"))
    assert "Beats the average profile on **" in readings.predicts(view(best_null="mean"))
    assert "Beats the average profile scaled by depth" in readings.predicts(view(best_null="depth"))
    assert said.startswith("Beats the best null on **812 of")
    assert "**812 of 1,045 genes tested** (78 %), clearly so on 400." in said
    assert "148 cells held out of its training" in said
    assert "chose it" in readings.predicts(view(cells=20, part="valid"))
    assert "1 peak tested" in readings.predicts(view(direction="rna-to-atac", tested=1, better=0))
    assert "No gene was measured" in readings.predicts(view(tested=0, better=0))


def test_columns_of_skill_are_called_by_their_meaning() -> None:
    assert readings.column_words("pearson_gain") == "correlation (Pearson), above the best null"
    assert readings.column_words("auroc_null_best") == "AUROC of the best null"
    assert readings.column_words("brier_skill") == "Brier skill over the average profile"
