"""AUROC and average precision of many rows, with what each observation pulls on them.

AUROC's pulls are the placement values of DeLong, DeLong & Clarke-Pearson (Biometrics 1988), with their k / (k − 1).
Ties count half.
Average precision is that of scikit-learn: precision at every distinct threshold, weighted by the recall gained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.metrics.correlation import Pulled
from engine.metrics.ranks import Doubles, Flags, Integers, Sorted, padded_sums, sort_rows, take_rows
from engine.types import Floats


class PeakScores(NamedTuple):
    """What is known about a block of m peaks over n cells.

    chance_errors: standard errors of the two AUROCs where scores and truth have nothing to do with each other, (m,).
    """

    auroc: Pulled
    adjusted: Pulled
    average_precision: Pulled
    chance_errors: tuple[Doubles, Doubles]


class Wins(NamedTuple):
    """How often a positive beats a negative, by row; ties half.

    won: shape (m,). pairs: shape (m,). by_cell: pairs won in which the cell takes part, shape (m, n).
    partners: number of pairs the cell takes part in, shape (m, n).
    """

    won: Doubles
    pairs: Doubles
    by_cell: Doubles
    partners: Doubles


def wins(order: Sorted, positive_mn: Flags) -> Wins:
    """Pairs won within the row."""
    n = positive_mn.shape[1]
    hit = order.arranged(positive_mn)
    k = positive_mn.sum(1, keepdims=True).astype(np.float64)
    positives_below = order.below(hit.astype(np.float64))
    by_cell = np.where(hit, order.middle() - positives_below, k - positives_below)
    won = np.where(hit, by_cell, 0.0).sum(1)
    return Wins(won, (k * (n - k))[:, 0], order.put_back(by_cell), np.where(positive_mn, n - k, k))


def auroc(order: Sorted, positive_mn: Flags) -> Pulled:
    """AUROC of each row; NaN where there are only positives or only negatives."""
    value, pull = _pulled(wins(order, positive_mn))
    k = positive_mn.sum(1, keepdims=True)
    own = np.where(positive_mn, k, positive_mn.shape[1] - k).astype(np.float64)
    return Pulled(value, pull * np.sqrt(own / np.maximum(own - 1, 1)))


def stratified_auroc(scores_mn: Floats, positive_mn: Flags, members: Sequence[Integers]) -> Pulled:
    """AUROC of each row over pairs of the same stratum, pooled; NaN where no stratum has a pair."""
    m, n = positive_mn.shape
    total = Wins(np.zeros(m), np.zeros(m), np.zeros((m, n)), np.zeros((m, n)))
    for member in members:
        if len(member) == 0:  # fewer cells than strata
            continue
        part = wins(sort_rows(scores_mn[:, member]), positive_mn[:, member])
        total.by_cell[:, member] = part.by_cell
        total.partners[:, member] = part.partners
        total = total._replace(won=total.won + part.won, pairs=total.pairs + part.pairs)
    return _pulled(total)


def _pulled(counted: Wins) -> Pulled:
    defined = counted.pairs > 0
    pairs = np.where(defined, counted.pairs, 1.0)
    value = np.where(defined, counted.won / pairs, np.nan)
    expected = np.where(defined, counted.won / pairs, 0.0)[:, None] * counted.partners
    return Pulled(value, (counted.by_cell - expected) / pairs[:, None])


def average_precision(order: Sorted, positive_mn: Flags) -> Pulled:
    """Average precision of each row; NaN where there is no positive."""
    n = positive_mn.shape[1]
    hit = order.arranged(positive_mn)
    k = positive_mn.sum(1, keepdims=True).astype(np.float64)
    called = (n - order.first).astype(np.float64)  # entries at least as large
    found = k - take_rows(padded_sums(hit.astype(np.float64)), order.first)
    precision = np.where(hit, found / called, 0.0)
    some = np.maximum(k, 1.0)
    value = precision.sum(1, keepdims=True) / some
    # One more entry at score s is called by every threshold at or below s, and lowers or lifts precision there.
    lifts = take_rows(padded_sums(np.where(hit, 1.0 / called, 0.0)), order.end)
    costs = take_rows(padded_sums(precision / called), order.end)
    pull = (np.where(hit, precision - value + lifts, 0.0) - costs) / some
    return Pulled(np.where(k > 0, value, np.nan)[:, 0], order.put_back(np.where(k > 0, pull, 0.0)))


def random_average_precision(positives: Integers, total: int) -> Doubles:
    """Average precision expected of random scores without ties; well above the base rate where positives are few."""
    harmonic = float((1 / np.arange(1, total + 1)).sum())
    slope = (positives - 1) / max(total - 1, 1)
    expected: Doubles = (slope * (total - harmonic) + harmonic) / total
    return expected


def score_peaks(scores_mn: Floats, positive_mn: Flags, members: Sequence[Integers]) -> PeakScores:
    """All three scores of a block of peaks from one sort, and one sort a stratum."""
    order = sort_rows(scores_mn)
    whole = [np.arange(positive_mn.shape[1])]
    return PeakScores(
        auroc(order, positive_mn),
        stratified_auroc(scores_mn, positive_mn, members),
        average_precision(order, positive_mn),
        (chance_error(positive_mn, whole), chance_error(positive_mn, members)),
    )


def chance_error(positive_mn: Flags, members: Sequence[Integers]) -> Doubles:
    """Standard error of the (stratified) AUROC under no association, shape (m,): Mann & Whitney 1947, without ties."""
    variance, pairs = np.zeros(len(positive_mn)), np.zeros(len(positive_mn))
    for member in members:
        k, n = positive_mn[:, member].sum(1).astype(np.float64), len(member)
        pairs += k * (n - k)
        variance += k * (n - k) * (n + 1) / 12
    error: Doubles = np.sqrt(variance) / np.maximum(pairs, 1)
    return error
