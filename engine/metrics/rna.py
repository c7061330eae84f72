"""Scores of predicted expression, on log1p of counts scaled to the median depth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from engine.metrics.bootstrap import standard_error
from engine.metrics.correlation import pearson, pearson_values, rank_values, spearman
from engine.metrics.flat import FlatMoments
from engine.metrics.ranks import Doubles, Integers
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
from engine.types import Modality, Names

MIN_SHARE = 0.01  # genes expressed in at least this share of the scored cells
RESAMPLES = 2000  # ours: draws are linear, so many are cheap


@dataclass(frozen=True, eq=False)
class _Measured:
    figures: dict[str, Figure]
    genes: Table = field(default_factory=dict)
    cells: Table = field(default_factory=dict)
    nonfinite: int = 0
    error_g: Doubles = field(default_factory=lambda: np.empty(0))  # mean squared, of the kept genes


def score_rna(
    prediction: Source,
    truth_ng: sp.csr_matrix,
    *,
    names: Sequence[str] | Names,
    nulls: Mapping[str, Source],
    rng: np.random.Generator,
    cells: Sequence[str] | Names | None = None,
    block: int = 512,
    resamples: int = RESAMPLES,
    progress: ProgressHook | None = None,
) -> Scores:
    """Scores of a prediction of expression with intervals over cells, nulls beside them, and tables.

    truth_ng: log-normalised (`log_normalised`), shape (n, g), CSR. names: of the genes, shape (g,).
    block: cells or genes worked on at once at most. Raises BadInput when prediction and truth differ in shape.
    """
    truth = sp.csr_matrix(truth_ng)
    n, g = truth.shape
    share_g = np.asarray((truth > 0).mean(0)).ravel()
    kept = np.nonzero(share_g >= MIN_SHARE)[0].astype(np.int64)
    steps = Steps((n + len(kept)) * (1 + len(nulls)), progress)
    mine = _measure(prediction, truth, kept, block=block, steps=steps)
    theirs = {name: _measure(null, truth, kept, block=block, steps=steps) for name, null in nulls.items()}
    scores = with_intervals(mine.figures, {name: m.figures for name, m in theirs.items()}, rng=rng, resamples=resamples)
    mean_g = np.asarray(truth.mean(0)).ravel()
    features: Table = {
        "name": np.asarray(names, dtype=object)[kept],
        "position": kept,
        "truth_mean": mean_g[kept].astype(np.float64),
        "share_expressed": share_g[kept],
        **mine.genes,
    }
    for name, m in theirs.items():
        features |= {f"{column}_null_{name}": m.genes[column] for column in ("pearson", "spearman")}
    features |= over_nulls(mine.genes, {name: m.genes for name, m in theirs.items()}, ("pearson",), chance=0.0)
    if "mean" in theirs:
        features["mse_skill"] = skill(mine.error_g, theirs["mean"].error_g)
    by_cell: Table = {"truth_total": np.asarray(truth.sum(1), dtype=np.float64).ravel(), **mine.cells}
    if cells is not None:
        by_cell = {"name": np.asarray(cells, dtype=object), **by_cell}
    r, r_nulls = mine.genes["pearson"], {name: m.genes["pearson"] for name, m in theirs.items()}
    return Scores(
        modality=Modality.RNA,
        n_cells=n,
        n_features=g,
        scores=scores,
        counts={
            "genes_scored": len(kept),
            "genes_undefined": int(np.isnan(r).sum()),
            "nonfinite": mine.nonfinite,
        },
        histograms={"gene_pearson": histogram(r, r_nulls, low=-1.0, high=1.0)},
        spread=spread(mine.genes),
        notes=_notes(len(kept), g, n),
        features=features,
        cells=by_cell,
        pulls={name: figure.pull for name, figure in mine.figures.items()},
    )


def spread(table: Table) -> float:
    """Mean over features of predicted over true variance between cells; NaN where nothing was scored."""
    true = table["truth_variance"]
    used = true > 0
    return float((table["predicted_variance"][used] / true[used]).mean()) if used.any() else math.nan


def _measure(source: Source, truth: sp.csr_matrix, kept: Integers, *, block: int, steps: Steps) -> _Measured:
    n, g = truth.shape
    asked = Finite(source, n, g)
    cell_p, cell_s, flat = _by_cell(asked, truth, block=block, steps=steps)
    genes, gene_pulls, error_g = _by_gene(asked, truth, kept, block=block, steps=steps)
    flat_value, flat_pull = flat.pearson()
    figures = {
        "gene_pearson": averaged(genes["pearson"], gene_pulls[0], chance=0.0),
        "gene_spearman": averaged(genes["spearman"], gene_pulls[1], chance=0.0),
        "cell_pearson": over_cells(cell_p, chance=0.0),
        "cell_spearman": over_cells(cell_s, chance=0.0),
        "flat_pearson": Figure(flat_value, flat_pull, n * g),
    }
    return _Measured(figures, genes, {"pearson": cell_p, "spearman": cell_s}, asked.nonfinite, error_g)


def _by_cell(source: Finite, truth: sp.csr_matrix, *, block: int, steps: Steps) -> tuple[Doubles, Doubles, FlatMoments]:
    n, g = truth.shape
    cell_p, cell_s, flat = np.empty(n), np.empty(n), FlatMoments(n, g)
    for start, stop in blocks(n, g, block=block):
        x = source.rows(start, stop).astype(np.float64)
        y = truth[start:stop].toarray().astype(np.float64)
        cell_p[start:stop] = pearson_values(x, y)
        cell_s[start:stop] = pearson_values(rank_values(x), rank_values(y))
        flat.add(start, x, y)
        steps.advance(stop - start)
    return cell_p, cell_s, flat


def _by_gene(
    source: Finite, truth: sp.csr_matrix, kept: Integers, *, block: int, steps: Steps
) -> tuple[Table, Doubles, Doubles]:
    """Table of the kept genes, the sums of their pulls, shape (2, n), and their mean squared errors, shape (g,)."""
    n = truth.shape[0]
    columns = ("pearson", "spearman", "pearson_se", "spearman_se", "truth_variance", "predicted_variance")
    table: Table = {column: np.empty(len(kept)) for column in columns}
    pulls, error_g, by_gene = np.zeros((2, n)), np.empty(len(kept)), sp.csc_matrix(truth)
    chance_error = 1 / math.sqrt(max(n - 1, 1))  # of r under no association, exact over permutations (Pitman 1937)
    for first, last in blocks(len(kept), n, block=len(kept), elements=COLUMN_ELEMENTS):
        predicted = source.columns(kept[first:last])
        for a, b in blocks(last - first, n, block=block):
            x = np.ascontiguousarray(predicted[:, a:b].T, dtype=np.float64)
            y = by_gene[:, kept[first + a : first + b]].toarray().T.astype(np.float64)
            p, s = pearson(x, y), spearman(x, y)
            errors = (np.maximum(standard_error(q.pull), chance_error) for q in (p, s))
            values = (p.value, s.value, *errors, y.var(1), x.var(1))
            for column, value in zip(columns, values, strict=True):
                table[column][first + a : first + b] = value
            pulls += np.stack([p.pull.sum(0), s.pull.sum(0)])
            error_g[first + a : first + b] = squared_error(x, y)
            steps.advance(b - a)
    return table, pulls, error_g


def _notes(kept: int, genes: int, cells: int) -> tuple[str, ...]:
    if kept:
        return ()
    return (f"None of {genes:,} genes is expressed in 1 % of {cells:,} cells: there is no per-gene score.",)
