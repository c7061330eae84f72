"""Predictions of other models: what their numbers are taken for, what they share with the truth, and their scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import BadSetting, CellsDoNotMatch, FeatureMismatch, WrongModality
from engine.foreign import MEASURED_MEAN, MIN_CELLS, Judged, evaluate_foreign, shared
from engine.metrics import ArraySource, log_normalised
from engine.metrics.rna import score_rna
from engine.metrics.verdict import Level
from engine.predicted import Foreign, scale_of
from engine.types import Cells, FeatureSpace, Modality, PairedCells, Scale, as_names
from tests.builders import paired
from tests.foreign import predicted


@pytest.fixture(scope="module")
def pair() -> PairedCells:
    return paired(cells=90, genes=40, peaks=50, rng=np.random.default_rng(5))


def given(cells: Cells, values: NDArray[Any] | None = None) -> Foreign:
    values = predicted(cells) if values is None else values
    return Foreign(cells.space, cells.barcodes, ArraySource(values))


def judge(cells: Cells, values: NDArray[Any] | None = None, **more: Any) -> Judged:
    foreign = given(cells, values)
    return evaluate_foreign(foreign, cells, scale=scale_of(foreign), **more)


def main(judged: Judged) -> float:
    scores = judged.evaluation.scores
    return scores.scores[scores.main].value


def as_it_is(judged: Judged) -> dict[str, Any]:
    return judged.evaluation.scores.as_dict()


@pytest.mark.parametrize(
    ("modality", "values", "scale"),
    [
        (Modality.RNA, [0.0, 0.7, 3.2], Scale.LOG_NORMALISED),
        (Modality.RNA, [0.0, 1.0, 7.0], Scale.RATE),
        (Modality.RNA, [0.1, 3.5, 812.5], Scale.RATE),
        (Modality.RNA, [-1.2, 0.0, 2.0], Scale.OWN),
        (Modality.RNA, [-0.2, 0.7, 3.2], Scale.LOG_NORMALISED),  # a regression undershoots
        (Modality.RNA, [-0.2, 0.7, 320.0], Scale.OWN),
        (Modality.ATAC, [0.0, 0.2, 1.0], Scale.PROBABILITY),
        (Modality.ATAC, [0.0, 0.2, 2.5], Scale.RATE),
        (Modality.ATAC, [-4.0, 0.2, 2.5], Scale.OWN),
    ],
)
def test_the_scale_is_told_by_the_values(modality: Modality, values: list[float], scale: Scale) -> None:
    table = np.array([values, values], dtype=np.float32)
    foreign = Foreign(FeatureSpace(modality, as_names("abc")), as_names("xy"), ArraySource(table))
    assert scale_of(foreign) is scale
    with pytest.raises(BadSetting):
        scale_of(foreign, asked="percent")


def test_the_scores_are_those_of_the_engine(pair: PairedCells) -> None:
    cells = pair.rna
    judged = judge(cells)
    truth = log_normalised(cells.counts)
    mean = np.tile(np.asarray(truth.mean(axis=0)), (len(cells), 1))
    wanted = score_rna(
        ArraySource(predicted(cells)), truth, names=cells.space.names, nulls={"mean": ArraySource(mean)},
        rng=np.random.default_rng(0),
    )  # fmt: skip
    found = judged.evaluation.scores
    assert found.scores["gene_pearson"].value == pytest.approx(wanted.scores["gene_pearson"].value, abs=1e-6)
    assert found.scores["cell_pearson"].nulls["mean"] == pytest.approx(
        wanted.scores["cell_pearson"].nulls["mean"], abs=1e-5
    )
    assert judged.evaluation.report.nulls == {"mean": MEASURED_MEAN}


def test_knowing_the_types_beats_the_average_and_noise_does_not(pair: PairedCells) -> None:
    for cells in (pair.rna, pair.atac):
        verdict = judge(cells).evaluation.report.verdict
        assert verdict is not None
        assert verdict.level is Level.BETTER
        noise = np.random.default_rng(1).random((len(cells), len(cells.space))).astype(np.float32)
        verdict = judge(cells, noise).evaluation.report.verdict
        assert verdict is not None
        assert verdict.level is not Level.BETTER


def test_order_of_cells_and_features_does_not_matter(pair: PairedCells) -> None:
    cells, rng = pair.rna, np.random.default_rng(2)
    rows, columns = rng.permutation(len(cells)), rng.permutation(len(cells.space))
    space = FeatureSpace(Modality.RNA, cells.space.names[columns], "hg38")
    mixed = Foreign(space, cells.barcodes[rows], ArraySource(predicted(cells)[rows][:, columns]))
    found = evaluate_foreign(mixed, cells, scale=Scale.LOG_NORMALISED)
    assert main(found) == pytest.approx(main(judge(cells)), abs=1e-9)
    assert [str(mixed.barcodes[row]) for row in found.rows] == list(found.evaluation.scores.cells["name"])


def test_predicted_counts_are_brought_to_the_scored_scale(pair: PairedCells) -> None:
    cells = pair.rna
    rates = np.expm1(predicted(cells, noise=0.1)) * 3 + 0.01
    foreign = given(cells, rates.astype(np.float32))
    found = evaluate_foreign(foreign, cells, scale=Scale.RATE)
    report = found.evaluation.report
    assert (report.scale, len(found.factor_n)) == (Scale.LOG_NORMALISED, len(cells))
    assert any("taken as counts" in note for note in report.notes)
    assert "mse_skill" in found.evaluation.scores.features
    deeper = evaluate_foreign(given(cells, rates.astype(np.float32) * 10), cells, scale=Scale.RATE)
    assert main(deeper) == pytest.approx(main(found), abs=1e-6)  # depth is no prediction


def test_a_scale_of_its_own_keeps_order_and_leaves_out_what_it_cannot_say(pair: PairedCells) -> None:
    values = predicted(pair.rna)
    z = (values - values.mean(axis=0)) / values.std(axis=0)
    own, usual = judge(pair.rna, z), judge(pair.rna)
    assert main(own) == pytest.approx(main(usual), abs=1e-5)  # of each gene, over cells
    assert "mse_skill" not in own.evaluation.scores.features
    odds = np.log((predicted(pair.atac) + 0.01) / (1.01 - predicted(pair.atac)))
    found = judge(pair.atac, odds)
    assert main(found) == pytest.approx(main(judge(pair.atac)), abs=1e-3)
    assert found.evaluation.scores.calibration is None


def test_what_is_no_probability_has_no_calibration(pair: PairedCells) -> None:
    foreign = given(pair.atac)
    found = evaluate_foreign(foreign, pair.atac, scale=Scale.OWN).evaluation.scores
    assert found.calibration is None
    assert not {"brier_skill"} & (set(found.scores) | set(found.features))
    assert "brier_skill" in judge(pair.atac).evaluation.scores.scores


def test_cells_that_were_not_measured_are_not_read_by_the_column(pair: PairedCells) -> None:
    class Watched(ArraySource):
        def columns(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
            raise AssertionError("all cells of the file at once")

    wide = np.vstack([predicted(pair.rna), np.full((300, 40), 7.0, dtype=np.float32)])
    names = as_names([*pair.rna.barcodes, *(f"ELSE{i}" for i in range(300))])
    foreign = Foreign(pair.rna.space, names, Watched(wide))
    found = evaluate_foreign(foreign, pair.rna, scale=Scale.LOG_NORMALISED)
    assert as_it_is(found) == as_it_is(judge(pair.rna))


def test_squared_error_goes_where_totals_differ(pair: PairedCells) -> None:
    values = np.log1p(np.expm1(predicted(pair.rna, noise=0.1)) * 40)
    found = judge(pair.rna, values.astype(np.float32))
    assert "mse_skill" not in found.evaluation.scores.features
    assert any("different totals" in note for note in found.evaluation.report.notes)


def test_training_cells_and_source_depth_make_the_usual_nulls(pair: PairedCells) -> None:
    learned = paired(cells=60, genes=40, peaks=50, rng=np.random.default_rng(5))
    renamed = replace(learned.atac, barcodes=as_names(f"OTHER{i}" for i in range(60)))
    depth = np.asarray(pair.rna.counts.sum(axis=1)).ravel()
    known = dict(zip(map(str, pair.rna.barcodes), map(float, depth), strict=True))
    found = judge(pair.atac, training=renamed, source_depth=known).evaluation
    main_score = found.scores.scores[found.scores.main]
    assert set(main_score.nulls) == {"mean", "depth"}
    assert found.report.nulls["mean"] == "the average training cell"
    assert found.report.split == {"scored_in_training": 0, "training_cells": 60}
    leaked = judge(pair.atac, training=pair.atac.rows(slice(0, 30))).evaluation.report
    assert leaked.split["scored_in_training"] == 30
    assert any("flatter" in note for note in leaked.notes)
    spelt = {f"{name}-1": depth for name, depth in known.items()}
    same = judge(pair.atac, training=renamed, source_depth=spelt).evaluation.scores
    assert same.scores[same.main].nulls == main_score.nulls  # cells are matched as everywhere
    del known["CELL00003"]
    assert set(judge(pair.atac, source_depth=known).evaluation.report.nulls) == {"mean"}


def test_what_does_not_belong_together_is_refused_with_its_mend(pair: PairedCells) -> None:
    cells = pair.rna

    def together(space: FeatureSpace, barcodes: Any) -> Any:
        return shared(space=space, barcodes=barcodes, truth_space=cells.space, truth_barcodes=cells.barcodes)

    assert together(cells.space, cells.barcodes).cells == len(cells)
    with pytest.raises(WrongModality, match="ATAC"):
        together(pair.atac.space, cells.barcodes)
    few = as_names([*cells.barcodes[: MIN_CELLS - 1], *(f"ELSE{i}" for i in range(40))])
    with pytest.raises(CellsDoNotMatch, match="Only 9 of 49") as cells_differ:
        together(cells.space, few)
    assert "obs_names" in cells_differ.value.hint
    ids = FeatureSpace(Modality.RNA, as_names(f"ENSG{i:011d}" for i in range(40)))
    with pytest.raises(FeatureMismatch, match="Only 0 of 40 predicted genes") as genes_differ:
        together(ids, cells.barcodes)
    assert "alike" in genes_differ.value.hint


def test_peaks_that_overlap_are_matched(pair: PairedCells) -> None:
    shifted = as_names(
        f"{chrom}:{int(a) + 50}-{int(b) + 50}"
        for chrom, a, b in (str(name).replace("-", ":").split(":") for name in pair.atac.space.names)
    )
    foreign = Foreign(
        FeatureSpace(Modality.ATAC, shifted, "hg38"), pair.atac.barcodes, ArraySource(predicted(pair.atac))
    )
    found = evaluate_foreign(foreign, pair.atac, scale=Scale.PROBABILITY)
    assert main(found) == pytest.approx(main(judge(pair.atac)), abs=1e-9)
    assert "overlap" in found.evaluation.report.coverage["how"]
