"""Intervals over cells: the weighted bootstrap of a score, by what each cell pulls on it.

Drawing cells with replacement and scoring the copies again is biased for these scores: a rare gene or peak loses its
few positives in a third of the draws, and copies of one cell agree with each other. So the weights are drawn as usual
(multinomial) and the score follows them to first order, value + Σ (weight − 1) · pull: the interval lies around the
value itself, costs one matrix product, and the same weights for prediction and null make gains paired.
What small samples do to a score itself is not removed: average precision of few positives lies too high for every
prediction (so its chance level is that of random scores), and Pearson's r too, where counts have very long tails.
Small samples are widened from normal to Student's t. Features are held fixed: the interval is over cells only.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, t

from engine.metrics.ranks import Doubles

LEVEL = 0.95
BUNDLES = 20_000  # ours: beyond this many cells, random bundles of cells are drawn instead; the variance is the same
CHUNK = 64


def deviations(pulls_nq: Doubles, *, rng: np.random.Generator, resamples: int) -> Doubles:
    """Draws of (score − value) for q scores that share their weights, shape (resamples, q)."""
    n, q = pulls_nq.shape
    if n < 2:
        return np.zeros((resamples, q))
    units = _bundled(pulls_nq - pulls_nq.mean(0), rng)
    share = np.full(len(units), 1.0 / len(units))
    draws = [
        rng.multinomial(len(units), share, size=min(CHUNK, resamples - start)).astype(np.float64) @ units
        for start in range(0, resamples, CHUNK)
    ]
    tail = 0.5 + LEVEL / 2
    widen = np.sqrt(n / (n - 1)) * t.ppf(tail, n - 1) / norm.ppf(tail)
    return np.asarray(np.concatenate(draws) * widen)


def interval(value: float, draws: Doubles, *, bounds: tuple[float, float]) -> tuple[float, float]:
    """95 % interval around the value from its draws, within the bounds a score can take."""
    if not np.isfinite(value):
        return (float("nan"), float("nan"))
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, 0.5 + LEVEL / 2])
    return (float(np.clip(value + low, *bounds)), float(np.clip(value + high, *bounds)))


def standard_error(pull_mn: Doubles) -> Doubles:
    """Standard error of each row's score over cells, shape (m,).

    Too small where a row has a handful of positives: take the larger of this and the error under no association.
    """
    n = pull_mn.shape[1]
    error: Doubles = np.sqrt((pull_mn**2).sum(1) * (n / max(n - 1, 1)))
    return error


def _bundled(pulls_nq: Doubles, rng: np.random.Generator) -> Doubles:
    """Sums over random bundles of cells, where there are very many."""
    n = len(pulls_nq)
    if n <= BUNDLES:
        return pulls_nq
    edges = np.linspace(0, n, BUNDLES + 1).astype(np.int64)[:-1]
    return np.add.reduceat(pulls_nq[rng.permutation(n)], edges, axis=0)
