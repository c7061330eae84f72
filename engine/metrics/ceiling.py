"""What could have been reached: how well a cell's own second measurement would predict it.

Counts are thinned in two halves by fair coins; of Poisson counts the halves are independent given the cell's true
rates, so what they share is signal and the rest is noise no model can predict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from engine.metrics.atac import MIN_POSITIVES, MIN_SHARE, depth_strata
from engine.metrics.correlation import pearson_values
from engine.metrics.normalise import log_normalised, median_depth
from engine.metrics.ranking import stratified_auroc
from engine.metrics.ranks import Doubles, Flags, Integers
from engine.metrics.scores import plain
from engine.metrics.sources import blocks
from engine.types import Modality

REPEATS = 4  # ours


@dataclass(frozen=True)
class Ceiling:
    """The achievable of one score.

    halves: one half of each cell's counts scored against the other, mean over features.
    ceiling: at most about what a perfect model could score against the full counts; None where it cannot be known.
    """

    score: str
    halves: float | None
    ceiling: float | None
    features: int
    n: int
    note: str

    def as_dict(self) -> dict[str, Any]:
        return {name: plain(value) for name, value in self.__dict__.items()}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Ceiling:
        return cls(**given)


def noise_ceiling(
    counts_nf: sp.csr_matrix,
    modality: Modality,
    *,
    rng: np.random.Generator,
    scale_to: float | None = None,
    repeats: int = REPEATS,
    block: int = 512,
) -> Ceiling:
    """Noise ceiling of gene_pearson or peak_auroc_depth_adjusted from split counts.

    counts_nf: raw counts of the scored cells, shape (n, f). scale_to: median depth the truth was scaled to.
    RNA: r of the halves is the reliability at half depth; Spearman–Brown takes it to full depth, and its root is what
    perfect rates correlate with the truth.
    ATAC: the halves' covariance within depth strata is the variance of the opening probability; its AUROC follows
    if it varies between cells as a gamma distribution does. Where the truth is 0 or 1 alone a count cannot be split,
    and there is no ceiling.
    Both are taken from the mean over features before a concave function, so they lie above the mean of ceilings.
    """
    counts = sp.csr_matrix(counts_nf)
    if modality is Modality.RNA:
        return _rna(counts, rng=rng, scale_to=scale_to, repeats=repeats, block=block)
    return _atac(counts, rng=rng, repeats=repeats, block=block)


def thinned(counts: sp.csr_matrix, rng: np.random.Generator) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Each count sent to one of two halves by a fair coin; the halves add up to the whole."""
    whole = counts.data.astype(np.int64)
    one = rng.binomial(whole, 0.5)
    halves = []
    for data in (one, whole - one):
        half = sp.csr_matrix((data.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape)
        half = half.copy()
        half.eliminate_zeros()
        halves.append(half)
    return halves[0], halves[1]


def _rna(
    counts: sp.csr_matrix, *, rng: np.random.Generator, scale_to: float | None, repeats: int, block: int
) -> Ceiling:
    n = counts.shape[0]
    kept = np.nonzero(np.asarray((counts > 0).mean(0)).ravel() >= MIN_SHARE)[0].astype(np.int64)
    if not _whole_numbers(counts) or len(kept) == 0 or n < 3:
        return Ceiling("gene_pearson", None, None, len(kept), n, "The truth holds no whole counts that can be split.")
    scale = median_depth(counts) if scale_to is None else scale_to
    r_sum = np.zeros(len(kept))
    for _ in range(repeats):
        x, y = (sp.csc_matrix(log_normalised(half, scale_to=scale)) for half in thinned(counts, rng))
        for a, b in blocks(len(kept), n, block=block):
            r = pearson_values(_columns(x, kept[a:b]), _columns(y, kept[a:b]))
            r_sum[a:b] += np.nan_to_num(r)
    halves = float((r_sum / repeats).mean())
    reached = math.sqrt(2 * halves / (1 + halves)) if halves > 0 else 0.0
    note = "From counts split in two: at most about what perfect rates would score against these counts."
    return Ceiling("gene_pearson", halves, reached, len(kept), n, note)


def _atac(counts: sp.csr_matrix, *, rng: np.random.Generator, repeats: int, block: int) -> Ceiling:
    name, n = "peak_auroc_depth_adjusted", counts.shape[0]
    positives = np.asarray((counts > 0).sum(0)).ravel()
    kept = np.nonzero((positives >= max(MIN_POSITIVES, math.ceil(MIN_SHARE * n))) & (positives < n))[0].astype(np.int64)
    if not _whole_numbers(counts) or counts.nnz == 0 or counts.data.max() <= 1:
        note = "The truth is open or closed, without counts: it cannot be split in two, so no ceiling can be known."
        return Ceiling(name, None, None, len(kept), n, note)
    members = [m for m in depth_strata(np.diff(counts.indptr).astype(np.int64)) if len(m) > 1]
    if len(kept) == 0 or not members:
        return Ceiling(name, None, None, len(kept), n, "Too few cells or open peaks.")
    scored, ratio = np.zeros(len(kept)), np.zeros(len(kept))
    for _ in range(repeats):
        x, y = (sp.csc_matrix(half) for half in thinned(counts, rng))
        for a, b in blocks(len(kept), n, block=block):
            one, other = _columns(x, kept[a:b]), _columns(y, kept[a:b])
            value = stratified_auroc(one.astype(np.float32), other > 0, members).value
            scored[a:b] += np.where(np.isnan(value), 0.5, value)
            ratio[a:b] += _variation(one > 0, other > 0, members)
    halves = float(scored.mean() / repeats)
    closed = float((1 - positives[kept] / n).mean())
    reached = min(1.0, 0.5 + _gini_of_gamma(float(ratio.mean() / repeats)) / (2 * closed))
    note = (
        "From counts split in two, within depth tenths: at most about what perfect probabilities would score. "
        "Too high where both ends of one fragment were counted."
    )
    return Ceiling(name, halves, reached, len(kept), n, note)


def _variation(one_mn: Flags, other_mn: Flags, members: list[Integers]) -> Doubles:
    """Squared coefficient of variation of the opening probability within strata, shape (m,)."""
    shared, opened = np.zeros(len(one_mn)), np.zeros(len(one_mn))
    for member in members:
        x, y = one_mn[:, member].astype(np.float64), other_mn[:, member].astype(np.float64)
        size = len(member)
        covariance = ((x - x.mean(1, keepdims=True)) * (y - y.mean(1, keepdims=True))).sum(1) / (size - 1)
        shared += size * covariance
        opened += size * x.mean(1) * y.mean(1)
    return np.asarray(shared / np.maximum(opened, 1e-12))


def _gini_of_gamma(variation: float) -> float:
    """Gini coefficient of a gamma distribution by its squared coefficient of variation.

    Probabilities p of mean m score an AUROC of ½ + E|p − p′| / 4m(1 − m) = ½ + Gini / 2(1 − m).
    """
    if variation <= 0:
        return 0.0
    shape = 1 / variation
    return math.exp(math.lgamma(shape + 0.5) - math.lgamma(shape + 1)) / math.sqrt(math.pi)


def _columns(matrix: sp.csc_matrix, positions: Integers) -> Doubles:
    return np.asarray(matrix[:, positions].toarray().T, dtype=np.float64)


def _whole_numbers(counts: sp.csr_matrix) -> bool:
    return bool((counts.data >= 0).all() and (counts.data == np.rint(counts.data)).all())
