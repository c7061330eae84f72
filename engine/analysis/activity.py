"""Gene activity: what the open peaks around each gene say of it, cell by cell, and whether expression agrees.

The weights are MAESTRO's enhanced model (`engine.genome.activity`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from engine.analysis.nearby import nearby
from engine.analysis.profiles import HELD, Profile
from engine.analysis.result import Analysis
from engine.analysis.sample import drawn
from engine.genome.activity import activity_matrix
from engine.genome.genes import GeneModels
from engine.genome.peaks import parse_peaks
from engine.metrics.correlation import pearson_values, rank_values
from engine.metrics.ranks import Doubles, Integers
from engine.metrics.sources import blocks
from engine.types import Floats, Names

SHARE = 0.01  # genes seen in fewer cells are not correlated, as everywhere

CIRCULAR = (
    "Where a model sees a cell's expression when it imputes its peaks, activity of imputed peaks agrees with "
    "expression in part because of that; activity of raw peaks does not."
)


@dataclass(frozen=True, eq=False)
class Activity:
    """Weights from peaks to genes. genes: names of those that have a gene model and a peak, shape (g,).

    weight_pg: CSR, shape (p, g). position_g: of the genes in the RNA profile.
    """

    genes: Names
    position_g: Integers
    weight_pg: sp.csr_matrix

    @classmethod
    def of(cls, genes: Names, peaks: Names, models: GeneModels) -> Activity:
        """Raises BadInput where no gene has a model, or the peaks cannot be read."""
        placed = np.flatnonzero(nearby(genes, peaks, models, reach=0).placed_g)
        whole = activity_matrix(parse_peaks([str(name) for name in peaks]), models)
        model_g = np.array([models.index[str(genes[g])] for g in placed], dtype=np.int64)
        weight_pg = sp.csr_matrix(whole[:, model_g])
        reached = np.flatnonzero(np.diff(sp.csc_matrix(weight_pg).indptr))
        return cls(genes[placed[reached]], placed[reached], sp.csr_matrix(weight_pg[:, reached]))

    def scores(self, profile: Profile) -> Floats:
        """Activity of every gene in every cell, per 10,000 and as log1p, shape (n, g)."""
        out = np.empty((len(profile), len(self.genes)), dtype=np.float32)
        for start, stop, rows in profile.row_blocks():
            part = rows @ self.weight_pg
            out[start:stop] = np.log1p(1e4 * part / np.maximum(part.sum(axis=1, keepdims=True), 1e-12))
        return out

    @property
    def peaks_g(self) -> Integers:
        """How many peaks each gene has."""
        return np.diff(sp.csc_matrix(self.weight_pg).indptr).astype(np.int64)


Keep = Callable[[str, Floats, Activity], None]


def activity(
    atac: Mapping[str, Profile],
    rna: Profile,
    models: GeneModels,
    *,
    share: float = SHARE,
    seed: int = 0,
    keep: Keep | None = None,
) -> tuple[Analysis, Mapping[str, Floats], Activity]:
    """Activity of each profile beside expression; also the scores themselves, by profile, and what they are of.

    rna: expression to compare with, usually raw. keep: is given the scores of each profile in turn, which are then let
    go: of many cells one profile's are gigabytes. Table genes: profile, gene, peaks, pearson and spearman over cells,
    of very many over some drawn by the seed. Table cells: each cell's correlation over genes, a column a profile. Genes
    seen in few cells are left out.
    """
    weights = Activity.of(rna.names, next(iter(atac.values())).names, models)
    shares = [(values > 0).mean(axis=0) for _, _, values in rna.column_blocks(weights.position_g)]
    scored = np.flatnonzero(np.concatenate(shares) >= share)
    over = drawn(len(rna), seed)
    held, tables, cells = {}, [], {}
    for name, profile in atac.items():
        scores = weights.scores(profile)
        over_cells = _over_cells(scores, rna, weights.position_g, scored, over)
        cells[name] = _over_genes(scores, rna, weights.position_g, scored)
        frame = {"gene": weights.genes[scored], "peaks": weights.peaks_g[scored], **over_cells}
        tables.append(pd.DataFrame(frame).assign(profile=name))
        if keep is None:
            held[name] = scores
        else:
            keep(name, scores, weights)
        del scores  # before the next are made
    table = pd.concat(tables, ignore_index=True)[["profile", "gene", "peaks", "pearson", "spearman"]]
    means = table.groupby("profile", sort=False)[["pearson", "spearman"]].mean()
    cautions = (CIRCULAR,) if any(profile.imputed for profile in atac.values()) else ()
    if len(over) < len(rna):
        some = f"Genes were correlated over {len(over):,} of the {len(rna):,} cells, drawn by chance."
        cautions = (*cautions, some)
    found = Analysis(
        "activity",
        {"genes": table, "cells": pd.DataFrame({f"{name} pearson": r for name, r in cells.items()})},
        figures={
            "over_cells": {str(k): dict(row) for k, row in means.iterrows()},
            "over_genes": {name: float(r.mean()) for name, r in cells.items()},
        },
        settings={
            "genes": len(weights.genes), "compared": len(scored), "share": share, "genome": models.genome,
            "cells_compared": len(over),
        },
        cautions=cautions,
    )  # fmt: skip
    return found, held, weights


def _over_cells(
    scores_ng: Floats, rna: Profile, position_g: Integers, scored: Integers, over: Integers
) -> dict[str, Doubles]:
    """Correlations over cells, by gene; 0 where a row is constant."""
    found: dict[str, list[Doubles]] = {"pearson": [np.zeros(0)], "spearman": [np.zeros(0)]}
    for start, stop in blocks(len(scored), len(rna), block=4096, elements=HELD):
        genes = scored[start:stop]
        x = scores_ng[:, genes][over].T.astype(np.float64)
        y = rna.columns(position_g[genes])[over].T.astype(np.float64)
        found["pearson"].append(np.nan_to_num(pearson_values(x, y)))
        found["spearman"].append(np.nan_to_num(pearson_values(rank_values(x), rank_values(y))))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _over_genes(scores_ng: Floats, rna: Profile, position_g: Integers, scored: Integers) -> Doubles:
    """Correlations over genes, by cell; 0 where a row is constant."""
    out = np.zeros(len(rna))
    if not len(scored):
        return out
    for start, stop, rows in rna.row_blocks():
        x, y = scores_ng[start:stop][:, scored].astype(np.float64), rows[:, position_g[scored]].astype(np.float64)
        out[start:stop] = np.nan_to_num(pearson_values(x, y))
    return out
