"""Clusters of abnormal cells: little RNA and much ATAC, where both should rise and fall together.

scMVP found such a cluster among Paired-seq cells that had passed the usual filters. A cluster is called abnormal when
its median cell lies at least one robust standard deviation below the other cells in log RNA counts and one above in
log ATAC counts, and both by more than chance (Mann & Whitney, one-sided, Benjamini & Hochberg over clusters).
Types of cell differ in both depths too: with labels, depths are taken relative to the label's median cell.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from engine.analysis.profiles import coded
from engine.analysis.result import Analysis
from engine.metrics.ranks import Doubles, Integers
from engine.types import Names, PairedCells

TO_DEVIATION = 1.4826  # of a normal distribution, over its median absolute deviation


@dataclass(frozen=True)
class AbnormalSettings:
    """away: robust standard deviations in each modality. level: of the false discovery rate. least: cells."""

    away: float = 1.0  # ours
    level: float = 0.01  # ours
    least: int = 10  # ours


def abnormal(
    pair: PairedCells,
    clusters_n: Integers,
    *,
    labels_n: Names | None = None,
    settings: AbnormalSettings = AbnormalSettings(),
) -> Analysis:
    """Which clusters hold little RNA and much ATAC.

    Table clusters: cluster, cells, rna_depth and atac_depth (median counts), rna_z, atac_z (robust, against the cells
    of other clusters), rna_q, atac_q, abnormal. Table cells: cluster, rna_z, atac_z, abnormal, in the cells' order.
    """
    depth = [np.asarray(cells.counts.sum(axis=1), dtype=np.float64).ravel() for cells in (pair.rna, pair.atac)]
    log_n2 = _relative(np.log10(1 + np.stack(depth, axis=1)), labels_n)
    rows = []
    for cluster in np.unique(clusters_n):
        inside = clusters_n == cluster
        z, p = _against(log_n2[inside], log_n2[~inside])
        rows.append((int(cluster), int(inside.sum()), *(float(np.median(d[inside])) for d in depth), *z, *p))
    names = ["cluster", "cells", "rna_depth", "atac_depth", "rna_z", "atac_z", "rna_q", "atac_q"]
    table = pd.DataFrame(rows, columns=names)
    table[["rna_q", "atac_q"]] = _adjusted(table[["rna_q", "atac_q"]].to_numpy(dtype=np.float64))
    table["abnormal"] = (
        (table["rna_z"] <= -settings.away)
        & (table["atac_z"] >= settings.away)
        & (table[["rna_q", "atac_q"]].max(axis=1) < settings.level)
        & (table["cells"] >= settings.least)
    )
    called = np.isin(clusters_n, table.loc[table["abnormal"], "cluster"])
    z_n2 = (log_n2 - np.median(log_n2, axis=0)) / _spread(log_n2)
    cells = pd.DataFrame({"cluster": clusters_n, "rna_z": z_n2[:, 0], "atac_z": z_n2[:, 1], "abnormal": called})
    return Analysis(
        "abnormal",
        {"clusters": table, "cells": cells},
        figures={"abnormal_clusters": int(table["abnormal"].sum()), "abnormal_cells": int(called.sum())},
        settings={**asdict(settings), "relative_to_label": labels_n is not None},
        cautions=()
        if labels_n is not None
        else ("Types of cell differ in depth: without labels, a type with little RNA and much ATAC is called too.",),
    )


def _relative(log_n2: Doubles, labels_n: Names | None) -> Doubles:
    """Log depths minus those of the label's median cell; cells without a label keep theirs."""
    if labels_n is None:
        return log_n2
    kinds, codes_n = coded(labels_n)
    out = log_n2 - np.median(log_n2, axis=0)
    for code in range(len(kinds)):
        member = codes_n == code
        out[member] = log_n2[member] - np.median(log_n2[member], axis=0)
    return out


def _against(inside_m2: Doubles, outside_m2: Doubles) -> tuple[list[float], list[float]]:
    """Robust z of the median cell and one-sided p: less RNA, more ATAC."""
    from scipy.stats import mannwhitneyu

    if not len(outside_m2):
        return [0.0, 0.0], [1.0, 1.0]
    z = (np.median(inside_m2, axis=0) - np.median(outside_m2, axis=0)) / _spread(outside_m2)
    less = mannwhitneyu(inside_m2[:, 0], outside_m2[:, 0], alternative="less")
    more = mannwhitneyu(inside_m2[:, 1], outside_m2[:, 1], alternative="greater")
    return z.tolist(), [float(less.pvalue), float(more.pvalue)]


def _spread(log_m2: Doubles) -> Doubles:
    away = np.abs(log_m2 - np.median(log_m2, axis=0))
    return np.maximum(TO_DEVIATION * np.median(away, axis=0), 1e-6)


def _adjusted(p_c2: Doubles) -> Doubles:
    from scipy.stats import false_discovery_control

    return np.stack([false_discovery_control(column) for column in p_c2.T], axis=1)
