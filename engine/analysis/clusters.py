"""Groups of cells in an embedding: k-means and Leiden, and how well they agree with a label.

Agreement is the adjusted Rand index (Hubert & Arabie 1985), scMVP's own measure, and normalised mutual information.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.neighbours import NEIGHBOURS, graph_of, scanpy
from engine.analysis.profiles import coded
from engine.analysis.result import Analysis
from engine.errors import BadSetting
from engine.metrics.ranks import Integers
from engine.types import Floats, Names

PURITY = ["label", "cells", "clusters", "purity", "found"]
STARTS = 10  # of k-means; scikit-learn's long-time default


@dataclass(frozen=True)
class ClusterSettings:
    """components: clusters of k-means (default: as many as labels). resolution: of Leiden. seeds: one run each."""

    components: int = 0
    resolution: float = 1.0
    neighbours: int = NEIGHBOURS
    seeds: tuple[int, ...] = (0,)


def kmeans(z_nk: Floats, clusters: int, *, seed: int = 0) -> Integers:
    """The cluster of each cell, shape (n,). Raises BadSetting for fewer than one or more clusters than cells."""
    from sklearn.cluster import KMeans

    if not 1 <= clusters <= len(z_nk):
        raise BadSetting(f"{clusters} clusters of {len(z_nk):,} cells.", hint="Choose between 1 and the cells.")
    found = KMeans(clusters, n_init=STARTS, random_state=seed).fit_predict(np.asarray(z_nk, dtype=np.float64))
    return np.asarray(found, dtype=np.int64)


def leiden(z_nk: Floats, *, resolution: float = 1.0, neighbours: int = NEIGHBOURS, seed: int = 0) -> Integers:
    """Leiden communities (Traag et al. 2019; scanpy on igraph) of the neighbour graph, largest first, shape (n,)."""
    return leiden_of(graph_of(z_nk, neighbours=neighbours), resolution=resolution, seed=seed)


def leiden_of(graph: Any, *, resolution: float = 1.0, seed: int = 0) -> Integers:
    """The same of a graph that is there already, such as WNN's."""
    sc = scanpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.tl.leiden(
            graph, resolution=resolution, random_state=seed, flavor="igraph", n_iterations=2, directed=False,
            key_added="leiden",
        )  # fmt: skip
    return np.asarray(graph.obs["leiden"].astype(int), dtype=np.int64)


def agreement(clusters_n: Integers, labels_n: Names) -> tuple[float, float]:
    """ARI and NMI over the labelled cells; NaN where fewer than two labels are there."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    kinds, codes_n = coded(labels_n)
    known = codes_n >= 0
    if len(kinds) < 2:
        return float("nan"), float("nan")
    true, found = codes_n[known], clusters_n[known]
    return float(adjusted_rand_score(true, found)), float(normalized_mutual_info_score(true, found))


def purity(clusters_n: Integers, labels_n: Names) -> pd.DataFrame:
    """Each label against the clusters it is the majority of.

    purity: share of those clusters' labelled cells that carry the label; found: share of the label's cells in them.
    A label that has no cluster of its own has purity 0; without labels there are no rows.
    """
    kinds, codes_n = coded(labels_n)
    if not kinds:
        return pd.DataFrame(columns=PURITY)
    known = codes_n >= 0
    _, place = np.unique(clusters_n[known], return_inverse=True)
    table_cl = np.zeros((int(place.max(initial=-1)) + 1, len(kinds)), dtype=np.int64)
    np.add.at(table_cl, (place, codes_n[known]), 1)
    majority_c = table_cl.argmax(axis=1)
    rows = []
    for i, kind in enumerate(kinds):
        own = table_cl[majority_c == i]
        hit, size = int(own[:, i].sum()), int(own.sum())
        cells = int(table_cl[:, i].sum())
        rows.append((kind, cells, len(own), hit / size if size else 0.0, hit / cells))
    return pd.DataFrame(rows, columns=PURITY)


def cluster(
    embeddings: Mapping[str, Floats],
    labels_n: Names | None,
    *,
    settings: ClusterSettings = ClusterSettings(),
    graphs: Mapping[str, Any] | None = None,
) -> Analysis:
    """k-means and Leiden of each embedding, one run a seed, scored against the labels where there are any.

    embeddings: coordinates by name, shape (n, k) each. graphs: neighbour graphs of embeddings that are more than
    coordinates; of the others they are computed. Tables: agreement, purity, and cells with the first seed's clusters.
    """
    labels_n = np.full(len(next(iter(embeddings.values()))), "", dtype=object) if labels_n is None else labels_n
    kinds = len(coded(labels_n)[0])
    wanted = settings.components or kinds
    if not wanted:
        raise BadSetting("How many clusters?", hint="Give the number of clusters, or a column of labels.")
    scored, pure = [], []
    cells: dict[str, Integers] = {}
    for name, z_nk in embeddings.items():
        graph = (graphs or {}).get(name) or graph_of(z_nk, neighbours=settings.neighbours)
        for seed in settings.seeds:
            runs = {
                "k-means": kmeans(z_nk, wanted, seed=seed),
                "leiden": leiden_of(graph, resolution=settings.resolution, seed=seed),
            }
            for method, found in runs.items():
                ari, nmi = agreement(found, labels_n)
                scored.append((name, method, seed, len(np.unique(found)), ari, nmi))
                pure.append(purity(found, labels_n).assign(embedding=name, method=method, seed=seed))
                cells.setdefault(f"{name} {method}", found)
    table = pd.DataFrame(scored, columns=["embedding", "method", "seed", "clusters", "ari", "nmi"])
    return Analysis(
        "cluster",
        {"agreement": table, "purity": pd.concat(pure, ignore_index=True), "cells": pd.DataFrame(cells)},
        figures={"median": _medians(table), "labels": kinds, "cells": len(labels_n)},
        settings={"components": wanted, **_told(settings)},
    )


def _medians(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Median over seeds of each embedding and method."""
    found = table.groupby(["embedding", "method"], sort=False)[["ari", "nmi"]].median().reset_index()
    return [{str(k): v for k, v in row.items()} for row in found.to_dict(orient="records")]


def _told(settings: ClusterSettings) -> dict[str, Any]:
    seeds: Sequence[int] = settings.seeds
    return {"resolution": settings.resolution, "neighbours": settings.neighbours, "seeds": list(seeds)}
