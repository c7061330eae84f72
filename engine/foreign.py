"""A prediction of any model, by its names: what its numbers are, what it shares with the measurement, how good it is.

Nothing is asked of the model that made it. Genes and peaks are those of the prediction; the truth is brought to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import CellsDoNotMatch, DuplicateNames, FeatureMismatch, WrongModality
from engine.evaluate import NULL_WORDS, Evaluation, versions
from engine.metrics.atac import score_atac
from engine.metrics.ceiling import noise_ceiling
from engine.metrics.normalise import log_normalised, median_depth
from engine.metrics.rna import score_rna
from engine.metrics.scores import Scores, Table
from engine.metrics.sources import READ_ELEMENTS, ChosenSource, Source, blocks
from engine.metrics.verdict import verdict
from engine.nulls import RankOne, TargetNull, fit_target
from engine.pairs import Matching, match_barcodes
from engine.predicted import ASSUMED, LOOKED_AT, Foreign, scored_scale
from engine.preprocess.align import Alignment, match
from engine.preprocess.steps import binarised
from engine.report import Report
from engine.types import Cells, Direction, FeatureSpace, Floats, Modality, Names, Scale, as_names

Positions = NDArray[np.int64]
MIN_CELLS = 10  # fewer make no correlation over cells  # ours
MIN_FEATURES = 10  # ours
OFF = 2.0  # how far totals of two log scales may lie apart before their squared errors mean nothing  # ours
MEASURED_MEAN = (
    "the average of the measured cells themselves, as no training cells were given: it knows what no model can, so a "
    "prediction that beats it has earned it"
)


@dataclass(frozen=True, eq=False)
class Shared:
    """What prediction and truth have in common.

    matching: cells of the prediction (index_a) and of the truth (index_b). scored: features of the prediction that
    the truth measured. alignment: from the truth's features to the prediction's.
    """

    matching: Matching
    alignment: Alignment
    scored: Positions

    @property
    def cells(self) -> int:
        return len(self.matching)


def shared(*, space: FeatureSpace, barcodes: Names, truth_space: FeatureSpace, truth_barcodes: Names) -> Shared:
    """Cells by barcode, features by name; peaks also by overlap.

    Raises WrongModality, CellsDoNotMatch, FeatureMismatch.
    """
    if space.modality is not truth_space.modality:
        raise WrongModality(
            f"The prediction holds {space.modality.value.upper()} and the measurement "
            f"{truth_space.modality.value.upper()}.",
            hint="Give the measurement of what was predicted: genes for genes, peaks for peaks.",
        )
    matching = match_barcodes(barcodes, truth_barcodes, what=("predicted", "true"))
    if len(matching) < MIN_CELLS:
        raise CellsDoNotMatch(
            f"Only {len(matching):,} of {len(barcodes):,} predicted cells are among the {len(truth_barcodes):,} "
            f"measured ones; at least {MIN_CELLS} are needed.",
            hint="Name the cells of both files alike (adata.obs_names), and give the measurement of the same cells.",
        )
    alignment = match(truth_space.names, space)
    scored = np.flatnonzero(np.diff(sp.csc_matrix(alignment.lead_if).indptr)).astype(np.int64)
    if len(scored) < MIN_FEATURES:
        kind, how = _kind_and_mend(space.modality)
        raise FeatureMismatch(
            f"Only {len(scored):,} of {len(space):,} predicted {kind} (such as {space.names[0]}) are among the "
            f"{len(truth_space):,} measured ones (such as {truth_space.names[0]}); at least {MIN_FEATURES} are needed.",
            hint=how,
        )
    return Shared(matching, alignment, scored)


def _kind_and_mend(modality: Modality) -> tuple[str, str]:
    if modality is Modality.RNA:
        return "genes", "Name genes alike in both: bring one of them in again with its genes named by the other's kind."
    return "peaks", "Name peaks chromosome:start-end on one genome build in both files; lift one of them if need be."


@dataclass(eq=False)
class Chosen:
    """Some cells and features of a prediction in a file. cells: shape (n,); features: shape (f,); width: of the file.

    Whatever the file holds besides is not read, or only a few rows at a time.
    """

    inner: ChosenSource
    width: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, prediction: Foreign, both: Shared) -> Chosen:
        chosen = ChosenSource(prediction.source, both.matching.index_a, both.scored)
        return cls(chosen, len(prediction.space), (both.cells, len(both.scored)))

    def rows(self, start: int, stop: int) -> Floats:
        return self.inner.rows(start, stop)

    def columns(self, positions: Positions) -> Floats:
        n = self.shape[0]
        out = np.empty((n, len(positions)), dtype=np.float32)
        for start, stop in blocks(n, self.width, block=LOOKED_AT, elements=READ_ELEMENTS):
            out[start:stop] = self.rows(start, stop)[:, positions]
        return out


@dataclass(frozen=True, eq=False)
class LogScaled:
    """Predicted counts on the scored scale: log1p of each cell's counts times its factor, shape (n,)."""

    inner: Source
    factor_n: Floats

    def rows(self, start: int, stop: int) -> Floats:
        values_nf: Floats = np.log1p(self.inner.rows(start, stop) * self.factor_n[start:stop, None])
        return values_nf

    def columns(self, positions: Positions) -> Floats:
        values_nf: Floats = np.log1p(self.inner.columns(positions) * self.factor_n[:, None])
        return values_nf


@dataclass(frozen=True, eq=False)
class Judged:
    """evaluation: scores of the shared cells and features. rows: the scored cells in the prediction, shape (m,).

    factor_n: what each of their predicted counts is multiplied by before log1p; empty where values stay as they are.
    """

    evaluation: Evaluation
    rows: Positions
    factor_n: Floats = field(default_factory=lambda: np.empty(0, np.float32))


def evaluate_foreign(
    prediction: Foreign,
    truth: Cells,
    *,
    scale: Scale,
    source_depth: Mapping[str, float] | None = None,
    training: Cells | None = None,
    seed: int = 0,
) -> Judged:
    """Score what was predicted of the cells that the truth holds too, on the features both have.

    truth: raw counts, all cells of the file. source_depth: by barcode, of the cells it was predicted from, for the
    depth null. training: cells the model learned from, for the mean null; without them the truth's own mean.
    Raises WrongModality, CellsDoNotMatch, FeatureMismatch.
    """
    target = prediction.space.modality
    both = shared(
        space=prediction.space, barcodes=prediction.barcodes, truth_space=truth.space, truth_barcodes=truth.barcodes
    )
    counts_nf, truth_nf = _scored(truth, both.alignment, both.matching.index_b, both.scored)
    rows, names = both.matching.index_a, prediction.barcodes[both.matching.index_a]
    chosen: Source = Chosen.of(prediction, both)
    factor_n = np.empty(0, np.float32)
    if scored_scale(target, scale) is not scale:
        factor_n = _factors(chosen, counts_nf)
        chosen = LogScaled(chosen, factor_n)
    depth_n = _depths(source_depth, names)
    nulls, words = _nulls(truth_nf, training, both, depth_n)
    score = score_rna if target is Modality.RNA else score_atac
    scores = score(
        chosen,
        truth_nf,
        names=prediction.space.names[both.scored],
        nulls=nulls,
        rng=np.random.default_rng(seed),
        cells=names,
    )
    if scale is not Scale.PROBABILITY:
        scores = _by_order(scores)
    notes = [both.matching.note] if both.matching.told else []
    notes += [ASSUMED[target, scale], *_unequal(scores.features, target, scale, chosen, truth_nf)]
    if training is None:
        notes.append(f"The average profile is {MEASURED_MEAN}.")
    leaked = len({str(n) for n in names} & {str(n) for n in training.barcodes}) if training is not None else 0
    if leaked:
        notes.append(
            f"{leaked:,} of the {len(rows):,} scored cells are among the training cells: the scores flatter it."
        )
    ceiling = noise_ceiling(
        counts_nf,
        target,
        rng=np.random.default_rng(seed),
        scale_to=median_depth(truth.counts) if target is Modality.RNA else None,
    )
    report = Report(
        direction=Direction.to(target),
        n_cells=len(rows),
        bundle="",
        scale=scored_scale(target, scale),
        split={"scored_in_training": leaked, **({"training_cells": len(training)} if training is not None else {})},
        seeds=(seed,),
        coverage=both.alignment.coverage.as_dict(),
        scores=scores,
        verdict=verdict(scores),
        ceilings={scores.main: ceiling},
        nulls=words,
        versions=versions(),
        notes=tuple(notes),
    )
    return Judged(Evaluation(report, scores, both.scored, both.matching.note), rows, factor_n)


def _scored(truth: Cells, alignment: Alignment, rows: Positions, scored: Positions) -> tuple[Any, Any]:
    """Raw and on the scored scale, of some cells and features."""
    counts_nf = sp.csr_matrix(alignment.apply(truth.counts[rows])[:, scored])
    if truth.modality is Modality.ATAC:
        return counts_nf, binarised(counts_nf)
    whole = log_normalised(truth.counts)[rows]
    return counts_nf, sp.csr_matrix(alignment.apply(whole)[:, scored])


def _factors(predicted: Source, counts_nf: sp.csr_matrix) -> Floats:
    """From each cell's predicted total to the measured median, on the shared genes alone, shape (n,)."""
    n, f = counts_nf.shape
    total_n = np.concatenate(
        [predicted.rows(a, b).sum(axis=1, dtype=np.float64) for a, b in blocks(n, f, block=LOOKED_AT)]
    )
    factor_n: Floats = np.where(total_n > 0, median_depth(counts_nf) / np.maximum(total_n, 1e-9), 0).astype(np.float32)
    return factor_n


def rows_in(barcodes: Names, names: Names) -> Positions | None:
    """Where each of these cells stands in another file, matched as cells are; None unless every one is there."""
    try:
        found = match_barcodes(names, barcodes, what=("scored", "source"))
    except (CellsDoNotMatch, DuplicateNames):
        return None
    return found.index_b if len(found) == len(names) else None


def _depths(known: Mapping[str, float] | None, names: Names) -> Floats | None:
    """Of the scored cells; None where the source is not known of every one."""
    rows = None if known is None else rows_in(as_names(known), names)
    return None if rows is None or known is None else np.array(list(known.values()), dtype=np.float32)[rows]


def _nulls(
    truth_nf: sp.csr_matrix, training: Cells | None, both: Shared, depth_n: Floats | None
) -> tuple[dict[str, Source], dict[str, str]]:
    """What the prediction must beat, and what each is in words."""
    n = truth_nf.shape[0]
    mean_f = np.asarray(truth_nf.mean(axis=0), dtype=np.float32).ravel()
    words = {"mean": MEASURED_MEAN}
    if training is not None:
        its = match(training.space.names, both.alignment.space)
        _, learned_nf = _scored(training, its, np.arange(len(training)), both.scored)
        mean_f = np.asarray(learned_nf.mean(axis=0), dtype=np.float32).ravel()
        words = {"mean": NULL_WORDS["mean"]}
    nulls: dict[str, Source] = {"mean": RankOne(mean_f, np.ones(n, dtype=np.float32))}
    if depth_n is not None:
        line = fit_target(truth_nf, depth_n)
        nulls["depth"] = RankOne(mean_f, TargetNull(mean_f, line.intercept, line.slope).level(depth_n))
        words["depth"] = (
            "that average times each cell's depth, told by the depth of what it was predicted from (a line fitted to "
            "these cells)"
        )
    return nulls, words


def _by_order(scores: Scores) -> Scores:
    """Without what only probabilities have, also where other numbers happen to lie between 0 and 1."""
    scores.features.pop("brier_skill", None)
    kept = {name: score for name, score in scores.scores.items() if name != "brier_skill"}
    return replace(scores, scores=kept, calibration=None, brier_n=None)


def _unequal(table: Table, target: Modality, scale: Scale, chosen: Source, truth_nf: sp.csr_matrix) -> list[str]:
    """Takes the squared error away where two scales differ, and says so."""
    if target is not Modality.RNA:
        return []
    if scale is Scale.OWN:
        table.pop("mse_skill", None)
        return []
    n = min(truth_nf.shape[0], LOOKED_AT)
    mine, true = (
        float(np.median(np.expm1(np.asarray(x, dtype=np.float64)).sum(axis=1)))
        for x in (chosen.rows(0, n), truth_nf[:n].toarray())
    )
    if true <= 0 or 1 / OFF <= mine / true <= OFF:
        return []
    table.pop("mse_skill", None)
    return [
        f"The predicted values add up to about {mine:,.0f} a cell and the measured ones to {true:,.0f}: they were "
        "normalised to different totals. Correlations stand; squared error is left out."
    ]
