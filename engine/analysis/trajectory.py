"""Order of cells along a development: diffusion map and pseudotime of an embedding, by scanpy.

Diffusion pseudotime (Haghverdi et al. 2016) from a root: a cell, or a label. A label's root is its medoid, or its tip:
the middle cell of the tenth of its cells that lie farthest from all other cells by a first pseudotime.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.neighbours import graph_of, scanpy
from engine.analysis.profiles import coded
from engine.analysis.result import Analysis
from engine.errors import BadSetting, CellsDoNotMatch, NoCells
from engine.metrics.ranks import Doubles, Integers
from engine.types import Floats, Names

TIP, MEDOID = "tip", "medoid"
FARTHEST = 0.1  # ours: share of the label's cells the tip is the middle of
SHOWN = 10  # diffusion components in the table
LEAST = 20  # cells


@dataclass(frozen=True)
class TrajectorySettings:
    """neighbours: of the graph. components: of the diffusion map that pseudotime is made of. root: tip or medoid."""

    neighbours: int = 30  # ours: twice scanpy's, for few cells in thin stretches
    components: int = 15  # scanpy's
    root: str = MEDOID  # ours: a tip may be an outlier

    def __post_init__(self) -> None:
        if self.root not in (TIP, MEDOID):
            raise BadSetting(f"There is no root {self.root!r}.", hint=f"Known: {TIP}, {MEDOID}.")


def trajectory(
    z_nk: Floats,
    barcodes: Names,
    *,
    root: str,
    labels_n: Names | None = None,
    among: Sequence[str] = (),
    settings: TrajectorySettings = TrajectorySettings(),
) -> Analysis:
    """Pseudotime from a root.

    root: a barcode or a label. among: only cells of these labels; the others get NaN.
    Table cells: barcode, label, used, pseudotime (0 … 1; NaN where the root does not reach), dc1 … dc10.
    Table labels: label, cells, the quartiles of its pseudotime, in the order of medians.
    Raises BadSetting for an unknown root or label, NoCells where too few are left.
    """
    used = _used(labels_n, among, len(z_nk))
    graph = _mapped(z_nk[used], settings)
    start = root_cell(graph, z_nk[used], barcodes[used], None if labels_n is None else labels_n[used], root, settings)
    time_n = np.full(len(z_nk), np.nan)
    time_n[used] = pseudotime(graph, start)
    cells = _table(graph, used, time_n, barcodes, labels_n)
    tables = {"cells": cells}
    if labels_n is not None:
        tables["labels"] = _by_label(cells[cells["used"]])
    lost = int((~np.isfinite(time_n[used])).sum())
    return Analysis(
        "trajectory",
        tables,
        figures={"root": str(barcodes[used][start]), "cells": len(used), "not_reached": lost},
        settings={**asdict(settings), "from": root, "among": list(among)},
        cautions=(f"{lost:,} cells lie in another component of the graph than the root.",) if lost else (),
    )


def _used(labels_n: Names | None, among: Sequence[str], n: int) -> Integers:
    if not among:
        used = np.arange(n)
    elif labels_n is None:
        raise BadSetting("Labels were named, and no column of labels.", hint="Name the column with --label.")
    else:
        kinds = set(coded(labels_n)[0])
        if lost := [name for name in among if name not in kinds]:
            raise BadSetting(f"No cell is labelled {lost[0]!r}.", hint=f"Labels: {', '.join(sorted(kinds))}.")
        used = np.flatnonzero(np.isin(labels_n.astype(str), list(among)))
    if len(used) < LEAST:
        raise NoCells(f"{len(used)} cells are too few to order.", hint=f"At least {LEAST} are needed.")
    return used


def _mapped(z_nk: Floats, settings: TrajectorySettings) -> Any:
    """The cells' graph with its diffusion map."""
    graph = graph_of(z_nk, neighbours=settings.neighbours, method="gauss")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy().tl.diffmap(graph, n_comps=min(settings.components, len(z_nk) - 2), random_state=0)
    return graph


def pseudotime(graph: Any, root: int) -> Doubles:
    """Diffusion pseudotime from a cell, 0 … 1, NaN where it does not reach, shape (n,)."""
    graph.uns["iroot"] = root
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy().tl.dpt(graph, n_dcs=min(10, graph.obsm["X_diffmap"].shape[1]))
    found = graph.obs["dpt_pseudotime"].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def root_cell(
    graph: Any, z_nk: Floats, barcodes: Names, labels_n: Names | None, root: str, settings: TrajectorySettings
) -> int:
    """Which cell a root means. Raises BadSetting where it is neither a barcode nor a label."""
    place = np.flatnonzero(barcodes.astype(str) == root)
    if len(place):
        return int(place[0])
    if labels_n is None or not (labels_n.astype(str) == root).any():
        raise BadSetting(
            f"The root {root!r} is neither a cell nor a label.",
            hint="Give a barcode, or a label of the column named with --label.",
        )
    own = np.flatnonzero(labels_n.astype(str) == root)
    others = np.setdiff1d(np.arange(len(z_nk)), own)
    if settings.root == MEDOID or not len(others):
        return medoid(z_nk, own)
    away = pseudotime(graph, medoid(z_nk, others))[own]
    if not np.isfinite(away).any():
        return medoid(z_nk, own)
    last = np.argsort(-np.nan_to_num(away, nan=-1.0), kind="stable")[: max(1, int(FARTHEST * len(own)))]
    return medoid(z_nk, own[last])


def medoid(z_nk: Floats, member: Integers) -> int:
    """The cell of these that is nearest to their mean."""
    z = z_nk[member].astype(np.float64)
    return int(member[np.linalg.norm(z - z.mean(axis=0), axis=1).argmin()])


def _table(graph: Any, used: Integers, time_n: Doubles, barcodes: Names, labels_n: Names | None) -> pd.DataFrame:
    n = len(time_n)
    if len(barcodes) != n:
        raise CellsDoNotMatch(f"{len(barcodes):,} names of {n:,} cells.")
    labels = np.full(n, "", dtype=object) if labels_n is None else labels_n
    flags = np.isin(np.arange(n), used)
    table = {"barcode": barcodes, "label": labels, "used": flags, "pseudotime": time_n}
    for k in range(1, min(SHOWN + 1, graph.obsm["X_diffmap"].shape[1])):
        component = np.full(n, np.nan)
        component[used] = graph.obsm["X_diffmap"][:, k]
        table[f"dc{k}"] = component
    return pd.DataFrame(table)


def _by_label(cells: pd.DataFrame) -> pd.DataFrame:
    grouped = cells.groupby("label")["pseudotime"]
    table = grouped.quantile(np.array([0.25, 0.5, 0.75])).unstack().set_axis(["q25", "median", "q75"], axis=1)
    table.insert(0, "cells", grouped.size())
    return table.sort_values("median").reset_index()
