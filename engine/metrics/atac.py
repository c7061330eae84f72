"""Scores of predicted accessibility, on binarised truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from scipy.stats import rankdata

from engine.metrics.bootstrap import standard_error
from engine.metrics.calibration import ProbabilityCounter
from engine.metrics.flat import FlatCounter, FlatRanking
from engine.metrics.ranking import random_average_precision, score_peaks
from engine.metrics.ranks import Doubles, Integers
from engine.metrics.rna import RESAMPLES, spread
from engine.metrics.scores import (
    Figure,
    ProgressHook,
    Scores,
    Steps,
    Table,
    averaged,
    histogram,
    over_cells,
    with_intervals,
)
from engine.metrics.skill import over_nulls, skill, squared_error
from engine.metrics.sources import COLUMN_ELEMENTS, Finite, Source, blocks
from engine.types import Floats, Modality, Names

MIN_SHARE = 0.01  # peaks open in at least this share of the scored cells …
MIN_POSITIVES = 5  # … and in at least this many
DEPTH_STRATA = 10  # cells are compared within tenths of observed depth
ROW_ELEMENTS = 2**21  # ours: entries of a row block (16 MB an int64 copy)


@dataclass(frozen=True, eq=False)
class _Measured:
    figures: dict[str, Figure]
    peaks: Table
    cells: Table
    flat: FlatRanking
    probabilities: ProbabilityCounter
    constant: int
    brier_p: Doubles  # of the kept peaks
    nonfinite: int = 0


@dataclass(frozen=True, eq=False)
class _Truth:
    """Binary truth and what follows from it alone. members: cells of each depth stratum."""

    open_np: sp.csr_matrix
    kept: Integers
    count: Integers
    depth_n: Integers
    members: list[Integers] = field(default_factory=list)

    @classmethod
    def of(cls, truth_np: sp.csr_matrix) -> _Truth:
        open_np = sp.csr_matrix(truth_np > 0, dtype=np.float32)
        open_np.sum_duplicates()
        n = open_np.shape[0]
        count = np.asarray(open_np.getnnz(axis=0), dtype=np.int64)
        kept = np.nonzero((count >= max(MIN_POSITIVES, math.ceil(MIN_SHARE * n))) & (count < n))[0].astype(np.int64)
        depth_n = np.diff(open_np.indptr).astype(np.int64)
        return cls(open_np, kept, count, depth_n, depth_strata(depth_n))


def depth_strata(depth_n: Integers) -> list[Integers]:
    """Cells by tenths of their depth, in order of the file where depths are equal."""
    rank = rankdata(depth_n, method="ordinal").astype(np.int64) - 1
    stratum = rank * DEPTH_STRATA // max(len(depth_n), 1)
    return [np.nonzero(stratum == s)[0] for s in range(DEPTH_STRATA)]


def score_atac(
    prediction: Source,
    truth_np: sp.csr_matrix,
    *,
    names: Sequence[str] | Names,
    nulls: Mapping[str, Source],
    rng: np.random.Generator,
    cells: Sequence[str] | Names | None = None,
    block: int = 512,
    resamples: int = RESAMPLES,
    progress: ProgressHook | None = None,
) -> Scores:
    """Scores of a prediction of accessibility with intervals over cells, nulls beside them, and tables.

    truth_np: counts or 0/1, binarised here, shape (n, p), CSR. names: of the peaks, shape (p,).
    block: cells or peaks worked on at once at most. Raises BadInput when prediction and truth differ in shape.
    """
    truth = _Truth.of(sp.csr_matrix(truth_np))
    n, p = truth.open_np.shape
    steps = Steps((2 * n + len(truth.kept)) * (1 + len(nulls)), progress)
    mine = _measure(prediction, truth, block=block, steps=steps)
    theirs = {name: _measure(null, truth, block=block, steps=steps) for name, null in nulls.items()}
    figures, null_figures = dict(mine.figures), {name: dict(m.figures) for name, m in theirs.items()}
    if "mean" in theirs and mine.probabilities.within:
        base = theirs["mean"].probabilities.brier_n
        figures["brier_skill"] = brier_skill(mine.probabilities.brier_n, base)
        for name, m in theirs.items():
            null_figures[name]["brier_skill"] = brier_skill(m.probabilities.brier_n, base)
    scores = with_intervals(figures, null_figures, rng=rng, resamples=resamples)
    features: Table = {
        "name": np.asarray(names, dtype=object)[truth.kept],
        "position": truth.kept,
        "positives": truth.count[truth.kept],
        "base_rate": truth.count[truth.kept] / n,
        **mine.peaks,
    }
    for name, m in theirs.items():
        for column in ("auroc", "auroc_depth_adjusted", "auprc"):
            features[f"{column}_null_{name}"] = m.peaks[column]
    bars = {name: m.peaks for name, m in theirs.items()}
    features |= over_nulls(mine.peaks, bars, ("auroc_depth_adjusted", "auroc"), chance=0.5)
    if "brier_skill" in figures:  # both are probabilities
        features["brier_skill"] = skill(mine.brier_p, theirs["mean"].brier_p)
    by_cell: Table = {"truth_total": truth.depth_n, **mine.cells}
    if cells is not None:
        by_cell = {"name": np.asarray(cells, dtype=object), **by_cell}
    main = "auroc_depth_adjusted"
    calibration = mine.probabilities.result(p)
    return Scores(
        modality=Modality.ATAC,
        n_cells=n,
        n_features=p,
        scores=scores,
        counts={
            "base_rate": float(truth.depth_n.sum() / max(n * p, 1)),
            "peak_base_rate": _mean(features["base_rate"]),
            "peaks_scored": len(truth.kept),
            "peaks_undefined": mine.constant,
            "nonfinite": mine.nonfinite,
        },
        histograms={
            "peak_auroc_depth_adjusted": histogram(
                mine.peaks[main], {name: m.peaks[main] for name, m in theirs.items()}, low=0.0, high=1.0
            )
        },
        curve=mine.flat.curve,
        calibration=calibration,
        spread=spread(mine.peaks),
        notes=_notes(truth, calibrated=calibration is not None),
        features=features,
        cells=by_cell,
        pulls={name: figure.pull for name, figure in figures.items()},
        brier_n=mine.probabilities.brier_n if mine.probabilities.within else None,
    )


def _measure(source: Source, truth: _Truth, *, block: int, steps: Steps) -> _Measured:
    n, p = truth.open_np.shape
    asked = Finite(source, n, p)
    scores_of_open, probabilities = _scores_of_open(asked, truth.open_np, block=block, steps=steps)
    cells, flat = _by_cell(asked, truth.open_np, scores_of_open, block=block, steps=steps)
    peaks, pulls, constant, brier_p = _by_peak(asked, truth, block=block, steps=steps)
    base = float(truth.depth_n.sum() / max(n * p, 1))
    by_peak = random_average_precision(truth.count[truth.kept], n)
    by_cell = random_average_precision(truth.depth_n[truth.depth_n > 0], p)
    figures = {
        "peak_auroc": averaged(peaks["auroc"], pulls[0], chance=0.5),
        "peak_auroc_depth_adjusted": averaged(peaks["auroc_depth_adjusted"], pulls[1], chance=0.5),
        "peak_auprc": averaged(peaks["auprc"], pulls[2], chance=_mean(by_peak)),
        "cell_auroc": over_cells(cells["auroc"], chance=0.5, skip_undefined=True),
        "cell_auprc": over_cells(cells["auprc"], chance=_mean(by_cell), skip_undefined=True),
        "flat_auroc": Figure(flat.auroc, flat.auroc_pull, n * p, chance=0.5),
        "flat_auprc": Figure(flat.auprc, flat.auprc_pull, n * p, chance=base),
    }
    return _Measured(figures, peaks, cells, flat, probabilities, constant, brier_p, asked.nonfinite)


def _scores_of_open(
    source: Finite, open_np: sp.csr_matrix, *, block: int, steps: Steps
) -> tuple[Floats, ProbabilityCounter]:
    """What was predicted where the truth is open, in the truth's order; and the probabilities counted."""
    n, p = open_np.shape
    indptr = open_np.indptr.astype(np.int64)
    out = np.empty(open_np.nnz, dtype=np.float32)
    counter = ProbabilityCounter(n)
    for start, stop in blocks(n, p, block=block, elements=ROW_ELEMENTS):
        values = source.rows(start, stop)
        low, high = int(indptr[start]), int(indptr[stop])
        row = np.repeat(np.arange(stop - start), np.diff(indptr[start : stop + 1]))
        out[low:high] = values[row, open_np.indices[low:high]]
        counter.add(start, values, out[low:high], indptr[start : stop + 1] - low)
        steps.advance(stop - start)
    return out, counter


def _by_cell(
    source: Finite, open_np: sp.csr_matrix, scores_of_open: Floats, *, block: int, steps: Steps
) -> tuple[Table, FlatRanking]:
    n, p = open_np.shape
    indptr = open_np.indptr.astype(np.int64)
    flat = FlatCounter(scores_of_open, indptr, p)
    table: Table = {"auroc": np.full(n, np.nan), "auprc": np.full(n, np.nan)}
    for start, stop in blocks(n, p, block=block, elements=ROW_ELEMENTS):
        ascending = np.sort(source.rows(start, stop), axis=1)
        flat.add(start, ascending)
        for i in range(start, stop):
            table["auroc"][i], table["auprc"][i] = _one_cell(
                ascending[i - start], scores_of_open[indptr[i] : indptr[i + 1]]
            )
        steps.advance(stop - start)
    return table, flat.result()


def _one_cell(ascending_p: Floats, positive_scores: Floats) -> tuple[float, float]:
    """AUROC and average precision of one cell's peaks; NaN where there are only positives or only negatives."""
    k, p = len(positive_scores), len(ascending_p)
    if k in (0, p):
        return math.nan, math.nan
    hits = np.sort(positive_scores)
    smaller = np.searchsorted(ascending_p, hits, side="left")
    not_larger = np.searchsorted(ascending_p, hits, side="right")
    rank_sum = 0.5 * float((smaller + not_larger + 1).sum())
    found = k - np.searchsorted(hits, hits, side="left")
    return (rank_sum - k * (k + 1) / 2) / (k * (p - k)), float((found / (p - smaller)).mean())


def _by_peak(source: Finite, truth: _Truth, *, block: int, steps: Steps) -> tuple[Table, Doubles, int, Doubles]:
    """Table of the kept peaks, the sums of their pulls, shape (3, n), how many were predicted constant, and their Brier
    scores, shape (p,).
    """
    n, kept = truth.open_np.shape[0], truth.kept
    names = ("auroc", "auroc_depth_adjusted", "auprc")
    columns = (*names, *(f"{name}_se" for name in names), "truth_variance", "predicted_variance")
    table: Table = {column: np.empty(len(kept)) for column in columns}
    pulls, constant, by_peak = np.zeros((3, n)), 0, sp.csc_matrix(truth.open_np)
    brier_p = np.empty(len(kept))
    for first, last in blocks(len(kept), n, block=len(kept), elements=COLUMN_ELEMENTS):
        predicted = source.columns(kept[first:last])
        for a, b in blocks(last - first, n, block=block):
            x = np.ascontiguousarray(predicted[:, a:b].T)
            y = by_peak[:, kept[first + a : first + b]].toarray().T > 0
            scored = score_peaks(x, y, truth.members)
            pulled = (scored.auroc, scored.adjusted, scored.average_precision)
            values = [s.value for s in pulled] + [standard_error(s.pull) for s in pulled]
            values[3:5] = [np.maximum(e, c) for e, c in zip(values[3:5], scored.chance_errors, strict=True)]
            values += [y.var(1), x.var(1, dtype=np.float64)]
            for column, value in zip(columns, values, strict=True):
                table[column][first + a : first + b] = value
            pulls += np.stack([s.pull.sum(0) for s in pulled])
            constant += int((x.max(1) == x.min(1)).sum())
            brier_p[first + a : first + b] = squared_error(x, y)
            steps.advance(b - a)
    return table, pulls, constant, brier_p


def _mean(values: Doubles) -> float:
    return float(values.mean()) if len(values) else math.nan


def brier_skill(brier_n: Doubles, base_n: Doubles) -> Figure:
    """1 − Brier over the mean null's Brier, with each cell's pull."""
    mine, base = float(brier_n.sum()), float(base_n.sum())
    if base <= 0:
        return Figure(math.nan, np.zeros(len(brier_n)), len(brier_n))
    return Figure(1 - mine / base, (mine / base * base_n - brier_n) / base, len(brier_n))


def _notes(truth: _Truth, *, calibrated: bool) -> tuple[str, ...]:
    n, p = truth.open_np.shape
    notes = ["Flattened scores mostly measure the average profile."]
    if len(truth.kept) == 0:
        notes.append(
            f"None of {p:,} peaks is open in at least {MIN_POSITIVES} and 1 % of {n:,} cells: "
            "there is no per-peak score."
        )
    if not calibrated:
        notes.append("Values lie outside 0–1, or nothing is open: calibration does not apply.")
    return tuple(notes)
