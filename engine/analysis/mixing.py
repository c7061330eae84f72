"""How well batches mix in an embedding: the local inverse Simpson's index, over all cells and within labels.

iLISI as defined by Korsunsky et al. 2019 (Nature Methods 16:1289, Harmony): a cell's neighbours are weighed by a
Gaussian kernel of perplexity 30 over its 90 nearest cells; the index is 1 / Σ_b p_b² of the weighted shares of batches,
the effective number of batches around the cell. (The authors' code weighs by distances, not by their squares; the
perplexity being fixed, it makes little difference.) Neighbours are exact, by scikit-learn. Written here because the
permissively licensed library of it, scib-metrics, brings jax (385 MB); the two are compared in the tests.
What chance would give depends on the batches' sizes, so it is measured too: the same with batches shuffled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.analysis.profiles import coded
from engine.analysis.result import Analysis
from engine.errors import BadSetting
from engine.metrics.bootstrap import deviations, interval
from engine.metrics.ranks import Doubles, Integers
from engine.types import Floats, Names

PERPLEXITY = 30.0  # Korsunsky et al. 2019
STEPS = 60  # halvings of the kernel's width: more than a double can tell apart
SHUFFLES = 5  # ours
LEAST = 30  # ours: a label with fewer cells of two batches is not asked
RESAMPLES = 500


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """The nearest other cells of each cell. distance_nj, index_nj: shape (n, j), nearest first."""

    distance_nj: Doubles
    index_nj: Integers

    @classmethod
    def of(cls, z_nk: Floats, *, perplexity: float = PERPLEXITY) -> Neighbourhood:
        """Three times the perplexity, as the paper has it; fewer where cells are few."""
        from sklearn.neighbors import NearestNeighbors

        count = min(int(3 * perplexity), len(z_nk) - 1)
        found = NearestNeighbors(n_neighbors=count).fit(np.asarray(z_nk, dtype=np.float64)).kneighbors()
        return cls(np.asarray(found[0]), np.asarray(found[1], dtype=np.int64))

    def weights(self, *, perplexity: float = PERPLEXITY) -> Doubles:
        """Kernel weights that sum to 1 and have this perplexity (of the squared distances), shape (n, j)."""
        square = self.distance_nj**2
        square = square - square[:, :1]  # the nearest has weight 1 before scaling; nothing underflows
        target = np.log(min(perplexity, square.shape[1] / 1.0 - 1e-6))
        unit = np.maximum(square.mean(axis=1, keepdims=True), 1e-300)
        low, high = np.full(len(square), -40.0), np.full(len(square), 40.0)  # of log precision in units of the mean
        for _ in range(STEPS):
            middle = (low + high) / 2
            wide = _entropy(_kernel(square / unit, middle)) > target
            low, high = np.where(wide, middle, low), np.where(wide, high, middle)
        return _kernel(square / unit, (low + high) / 2)


def _kernel(square_nj: Doubles, log_precision_n: Doubles) -> Doubles:
    weight = np.exp(-square_nj * np.exp(log_precision_n)[:, None])
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _entropy(weight_nj: Doubles) -> Doubles:
    return np.asarray(-(weight_nj * np.log(np.maximum(weight_nj, 1e-300))).sum(axis=1))


def lisi(near: Neighbourhood, codes_n: Integers, *, perplexity: float = PERPLEXITY) -> Doubles:
    """The effective number of kinds around each cell, between 1 and the number of kinds, shape (n,)."""
    return _index(near.weights(perplexity=perplexity), near.index_nj, codes_n)


def _index(weight_nj: Doubles, index_nj: Integers, codes_n: Integers) -> Doubles:
    around = codes_n[index_nj]
    simpson = np.zeros(len(codes_n))
    for code in np.unique(codes_n):
        simpson += (weight_nj * (around == code)).sum(axis=1) ** 2
    return np.asarray(1 / simpson)


def mixing(
    embeddings: Mapping[str, Floats],
    batches_n: Names,
    labels_n: Names | None = None,
    *,
    perplexity: float = PERPLEXITY,
    seed: int = 0,
) -> Analysis:
    """iLISI of every embedding, over all cells and within each label.

    Table mixing: embedding, within ("" for all cells), cells, batches, ilisi (mean over cells, with a 95 % interval),
    expected (batches shuffled), scaled = (ilisi − 1) / (expected − 1): 0 where batches lie apart, 1 where they mix as
    chance would. Table cells: each cell's index in each embedding. Raises BadSetting with fewer than two batches.
    """
    kinds, codes_n = coded(batches_n)
    if len(kinds) < 2:
        raise BadSetting("There is one batch only, and nothing to mix.", hint="Choose another column for --batch.")
    if (codes_n < 0).any():
        raise BadSetting(f"{int((codes_n < 0).sum()):,} cells have no batch.", hint="Name the batch of every cell.")
    rows, cells = [], {}
    for name, z_nk in embeddings.items():
        rng = np.random.default_rng(seed)
        all_n = np.arange(len(codes_n))
        row, cells[name] = _mixed(z_nk, codes_n, all_n, perplexity, rng)
        rows.append((name, "", *row))
        for label, member in _members(labels_n, codes_n).items():
            rows.append((name, label, *_mixed(z_nk, codes_n, member, perplexity, rng)[0]))
    columns = ["embedding", "within", "cells", "batches", "ilisi", "low", "high", "expected", "scaled"]
    table = pd.DataFrame(rows, columns=columns)
    return Analysis(
        "mixing",
        {"mixing": table, "cells": pd.DataFrame(cells)},
        figures={"batches": len(kinds), "scaled": _summary(table)},
        settings={"perplexity": perplexity, "neighbours": int(3 * perplexity), "seed": seed},
    )


def _mixed(
    z_nk: Floats, codes_n: Integers, member: Integers, perplexity: float, rng: np.random.Generator
) -> tuple[tuple[float, ...], Doubles]:
    near = Neighbourhood.of(z_nk[member], perplexity=perplexity)
    weights = near.weights(perplexity=perplexity)
    own = codes_n[member]
    index_n = _index(weights, near.index_nj, own)
    expected = float(np.mean([_index(weights, near.index_nj, rng.permutation(own)).mean() for _ in range(SHUFFLES)]))
    value = float(index_n.mean())
    draws = deviations((index_n[:, None] - value) / len(index_n), rng=rng, resamples=RESAMPLES)[:, 0]
    batches = len(np.unique(own))
    low, high = interval(value, draws, bounds=(1.0, float(batches)))
    scaled = (value - 1) / (expected - 1) if expected > 1 else float("nan")
    return (len(own), batches, value, low, high, expected, scaled), index_n


def _members(labels_n: Names | None, codes_n: Integers) -> dict[str, Integers]:
    """The cells of each label that has enough of them in two batches or more."""
    if labels_n is None:
        return {}
    kinds, label_n = coded(labels_n)
    found = {kind: np.flatnonzero(label_n == i) for i, kind in enumerate(kinds)}
    return {k: m for k, m in found.items() if len(m) >= LEAST and len(np.unique(codes_n[m])) > 1}


def _summary(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By embedding: over all cells, and the mean within labels, each label weighed by its cells."""
    out = {}
    for name, part in table.groupby("embedding", sort=False):
        within = part[part["within"] != ""]
        mean = float(np.average(within["scaled"], weights=within["cells"])) if len(within) else float("nan")
        out[str(name)] = {"all": float(part["scaled"].iloc[0]), "within_labels": mean}
    return out
