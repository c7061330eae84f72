"""Scores of pseudobulks: the prediction of a label's cells averaged, against their true profiles averaged.

Averages are taken on the scored scale (log-normalised expression, share of cells open), so they are linear in the
cells. Labels with fewer than `MIN_CELLS` scored cells are left out. What a cell pulls on a score follows by the chain
rule through its label's average, so intervals and paired differences come from the same bootstrap as everywhere;
Spearman's ranks have no such derivative, and no interval here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.metrics.correlation import TINY, pearson_values, rank_values
from engine.metrics.ranks import Doubles, Integers
from engine.metrics.scores import Figure
from engine.metrics.sources import Finite, Source, blocks
from engine.types import Names

MIN_CELLS = 10  # ours
MIN_LABELS = 3  # ours: a correlation across two labels is ±1 or nothing


@dataclass(frozen=True, eq=False)
class Bulks:
    """Average profiles by label.

    labels: those scored, each of so many cells. predicted_lf, true_lf: shape (l, f). figures: scores by name.
    left_out: labels too small.
    """

    labels: tuple[str, ...]
    cells: tuple[int, ...]
    left_out: tuple[str, ...]
    predicted_lf: Doubles = field(repr=False)
    true_lf: Doubles = field(repr=False)
    figures: Mapping[str, Figure] = field(default_factory=dict)


def score_bulks(prediction: Source, truth_nf: sp.csr_matrix, labels_n: Names, *, kept: Integers) -> Bulks:
    """Correlations of label averages on the kept features.

    truth_nf: on the scored scale, shape (n, f), CSR. labels_n: shape (n,); "" is no label.
    label_*: across features within a label, averaged over labels. label_specific_pearson: the same after taking the
    average over labels from both, so that the average profile scores 0. across_*: across labels, averaged over features
    (constant ones count as 0). Each is there from one label, or from three where labels are compared.
    """
    n, f = truth_nf.shape
    names, codes, left_out = _labels(labels_n)
    source = Finite(prediction, n, f)
    chosen = sp.csr_matrix(truth_nf[:, kept])
    p_lf, t_lf = _averages(source, chosen, codes, len(names), kept, n)
    gradients, spearman = _scores(p_lf, t_lf)
    figures = {
        name: Figure(value, pull, averaged, undefined)
        for (name, (value, _, _, averaged, undefined)), pull in zip(
            gradients.items(), _pulls(source, chosen, codes, kept, p_lf, t_lf, gradients), strict=True
        )
    }
    nothing = np.zeros(n)
    figures |= {name: Figure(value, nothing, averaged) for name, (value, averaged) in spearman.items()}
    sizes = tuple(int((codes == i).sum()) for i in range(len(names)))
    return Bulks(names, sizes, left_out, p_lf, t_lf, figures)


def _labels(labels_n: Names) -> tuple[tuple[str, ...], Integers, tuple[str, ...]]:
    """Names of the labels that are scored, the code of each cell (−1: none), and those with too few cells."""
    text = [str(label) for label in labels_n]
    counts: dict[str, int] = {}
    for label in text:
        counts[label] = counts.get(label, 0) + 1
    counts.pop("", None)
    names = tuple(sorted(label for label, count in counts.items() if count >= MIN_CELLS))
    place = {label: i for i, label in enumerate(names)}
    return names, np.array([place.get(label, -1) for label in text], dtype=np.int64), tuple(
        sorted(set(counts) - set(names))
    )  # fmt: skip


def _averages(
    source: Finite, truth: sp.csr_matrix, codes: Integers, labels: int, kept: Integers, n: int
) -> tuple[Doubles, Doubles]:
    one_ln = sp.csr_matrix(
        (np.ones(int((codes >= 0).sum())), (codes[codes >= 0], np.flatnonzero(codes >= 0))), shape=(labels, n)
    )
    size_l = np.maximum(np.asarray(one_ln.sum(1)).ravel(), 1)
    p_lf = np.zeros((labels, len(kept)))
    for start, stop in blocks(n, source.features, block=512):
        p_lf += one_ln[:, start:stop] @ source.rows(start, stop)[:, kept].astype(np.float64)
    t_lf = np.asarray((one_ln @ truth.astype(np.float64)).todense())
    return p_lf / size_l[:, None], t_lf / size_l[:, None]


_Scored = tuple[float, Doubles, Doubles, int, int]  # value, d/d predicted_lf, d/d true_lf, averaged, undefined


def _scores(p_lf: Doubles, t_lf: Doubles) -> tuple[dict[str, _Scored], dict[str, tuple[float, int]]]:
    labels, features = p_lf.shape
    scored: dict[str, _Scored] = {}
    ranked: dict[str, tuple[float, int]] = {}
    if labels and features:
        scored["label_pearson"] = _rows(p_lf, t_lf)
        ranked["label_spearman"] = _ranked(p_lf, t_lf)
    if labels >= MIN_LABELS and features:
        value, d_p, d_t, averaged, undefined = _rows(p_lf - p_lf.mean(0), t_lf - t_lf.mean(0))
        scored["label_specific_pearson"] = (value, d_p - d_p.mean(0), d_t - d_t.mean(0), averaged, undefined)
        value, d_p, d_t, averaged, undefined = _rows(p_lf.T, t_lf.T)
        scored["across_pearson"] = (value, d_p.T, d_t.T, averaged, undefined)
        ranked["across_spearman"] = _ranked(p_lf.T, t_lf.T)
    return scored, ranked


def _rows(x_mn: Doubles, y_mn: Doubles) -> _Scored:
    """Mean Pearson's r over rows and its derivatives by every entry; an undefined row counts as 0, pulling nothing."""
    x, y = x_mn - x_mn.mean(1, keepdims=True), y_mn - y_mn.mean(1, keepdims=True)
    a, b = np.sqrt((x * x).sum(1, keepdims=True)), np.sqrt((y * y).sum(1, keepdims=True))
    good = (a * b > TINY).ravel()
    u = np.divide(x, a, out=np.zeros_like(x), where=good[:, None])
    v = np.divide(y, b, out=np.zeros_like(y), where=good[:, None])
    r = (u * v).sum(1, keepdims=True)
    m = len(x_mn)
    d_x = np.divide(v - r * u, a * m, out=np.zeros_like(x), where=good[:, None])
    d_y = np.divide(u - r * v, b * m, out=np.zeros_like(y), where=good[:, None])
    return float(r.mean()), d_x, d_y, m, int((~good).sum())


def _ranked(x_mn: Doubles, y_mn: Doubles) -> tuple[float, int]:
    return float(np.nan_to_num(pearson_values(rank_values(x_mn), rank_values(y_mn))).mean()), len(x_mn)


def _pulls(
    source: Finite,
    truth: sp.csr_matrix,
    codes: Integers,
    kept: Integers,
    p_lf: Doubles,
    t_lf: Doubles,
    scored: Mapping[str, _Scored],
) -> NDArray[np.float64]:
    """What each cell pulls on each score, shape (q, n): its distance from its label's average along the derivative."""
    n, labels = len(codes), len(p_lf)
    pulls = np.zeros((len(scored), n))
    if not scored:
        return pulls
    size_l = np.maximum(np.bincount(codes[codes >= 0], minlength=labels), 1)
    d_p = np.stack([d for _, d, _, _, _ in scored.values()])  # (q, l, f)
    d_t = np.stack([d for _, _, d, _, _ in scored.values()])
    base_ql = np.einsum("qlf,lf->ql", d_p, p_lf) + np.einsum("qlf,lf->ql", d_t, t_lf)
    truth_by_q = [np.asarray(truth @ d.T) for d in d_t]  # each (n, l)
    for start, stop in blocks(n, source.features, block=512):
        rows = source.rows(start, stop)[:, kept].astype(np.float64)
        here = codes[start:stop]
        used = np.flatnonzero(here >= 0)
        for q in range(len(scored)):
            along = np.einsum("bf,bf->b", rows[used], d_p[q][here[used]])
            along += truth_by_q[q][start + used, here[used]] - base_ql[q][here[used]]
            pulls[q, start + used] = along / size_l[here[used]]
    return pulls
