"""The scores written a second time, one gene or peak at a time, in the plainest way: the fast ones must equal them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def pearson(x: Array, y: Array) -> float:
    """NaN where one of them is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x.astype(float), y.astype(float))[0, 1])


def ranks(x: Array) -> Array:
    """Ranks by counting: how many are smaller, and half of those alike."""
    return np.array([(x < v).sum() + 0.5 * (x == v).sum() for v in x])


def spearman(x: Array, y: Array) -> float:
    return pearson(ranks(x), ranks(y))


def pairs_won(scores: Array, truth: Array) -> tuple[float, int]:
    """Every positive against every negative, by hand."""
    up, down = scores[truth > 0], scores[truth == 0]
    won = sum(float((s > down).sum() + 0.5 * (s == down).sum()) for s in up)
    return won, len(up) * len(down)


def auroc(scores: Array, truth: Array) -> float:
    won, pairs = pairs_won(scores, truth)
    return won / pairs if pairs else float("nan")


def auprc(scores: Array, truth: Array) -> float:
    """Precision at each positive's own threshold, averaged."""
    up = scores[truth > 0]
    return float(np.mean([(up >= s).sum() / (scores >= s).sum() for s in up])) if len(up) else float("nan")


def strata(depth: Array, count: int = 10) -> list[Array]:
    order = np.argsort(depth, kind="stable")
    place = np.empty(len(depth), dtype=int)
    place[order] = np.arange(len(depth))
    return [np.nonzero(place * count // len(depth) == s)[0] for s in range(count)]


def adjusted_auroc(scores: Array, truth: Array, members: Iterable[Array]) -> float:
    won, pairs = zip(*(pairs_won(scores[m], truth[m]) for m in members), strict=True)
    return sum(won) / sum(pairs) if sum(pairs) else float("nan")


def filled(values: Iterable[float], chance: float) -> float:
    return float(np.mean([chance if np.isnan(v) else v for v in values]))


def rna(pred: Array, truth: Array) -> dict[str, float]:
    kept = [j for j in range(truth.shape[1]) if (truth[:, j] > 0).mean() >= 0.01]
    flat = pearson(pred.ravel(), truth.ravel())
    return {
        "gene_pearson": filled((pearson(pred[:, j], truth[:, j]) for j in kept), 0),
        "gene_spearman": filled((spearman(pred[:, j], truth[:, j]) for j in kept), 0),
        "cell_pearson": filled((pearson(p, t) for p, t in zip(pred, truth, strict=True)), 0),
        "cell_spearman": filled((spearman(p, t) for p, t in zip(pred, truth, strict=True)), 0),
        "flat_pearson": 0.0 if np.isnan(flat) else flat,
    }


def atac(pred: Array, truth: Array) -> dict[str, float]:
    n, truth = len(truth), (truth > 0).astype(int)
    count = truth.sum(0)
    kept = [j for j in range(truth.shape[1]) if max(5, 0.01 * n) <= count[j] < n]
    members = strata(truth.sum(1))
    cells = list(zip(pred, truth, strict=True))
    return {
        "peak_auroc": filled((auroc(pred[:, j], truth[:, j]) for j in kept), 0.5),
        "peak_auroc_depth_adjusted": filled((adjusted_auroc(pred[:, j], truth[:, j], members) for j in kept), 0.5),
        "peak_auprc": filled((auprc(pred[:, j], truth[:, j]) for j in kept), 0),
        "cell_auroc": float(np.nanmean([auroc(p, t) for p, t in cells])),
        "cell_auprc": float(np.nanmean([auprc(p, t) for p, t in cells])),
        "flat_auroc": auroc(pred.ravel(), truth.ravel()),
        "flat_auprc": auprc(pred.ravel(), truth.ravel()),
    }


def bulk(
    pred: Array, truth: Array, labels: list[str], names: Iterable[str], weight: Array | None = None
) -> dict[str, float]:
    """Correlations of weighted averages over the cells of each label."""
    w = np.ones(len(pred)) if weight is None else weight
    groups = [np.array([label == name for label in labels]) for name in names]
    p = np.stack([np.average(pred[g].astype(float), axis=0, weights=w[g]) for g in groups])
    t = np.stack([np.average(truth[g].astype(float), axis=0, weights=w[g]) for g in groups])
    genes = range(truth.shape[1])
    return {
        "label_pearson": filled((pearson(a, b) for a, b in zip(p, t, strict=True)), 0),
        "label_spearman": filled((spearman(a, b) for a, b in zip(p, t, strict=True)), 0),
        "label_specific_pearson": filled((pearson(a, b) for a, b in zip(p - p.mean(0), t - t.mean(0), strict=True)), 0),
        "across_pearson": filled((pearson(p[:, j], t[:, j]) for j in genes), 0),
        "across_spearman": filled((spearman(p[:, j], t[:, j]) for j in genes), 0),
    }
