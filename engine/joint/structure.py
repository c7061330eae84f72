"""Groups of cells in the joint view and in either modality alone, and how each agrees with a label.

Each view is clustered by k-means with one number of clusters and by Leiden with one resolution. Agreement with the
label is the adjusted Rand index and normalised mutual information, with a 95 % interval over cells (the clusters held
fixed) and the same of shuffled labels; gains over one modality alone are paired by cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.analysis.clusters import kmeans, leiden
from engine.analysis.embeddings import atac_only, rna_only
from engine.analysis.profiles import coded
from engine.errors import BadSetting
from engine.joint.partition import SCORES, Combinations, ari, interval
from engine.metrics.ranks import Doubles, Integers
from engine.metrics.scores import plain
from engine.types import Floats, Names, PairedCells, as_names

JOINT, RNA, ATAC = "joint", "rna", "atac"
METHODS = ("kmeans", "leiden")
SHUFFLES = 20  # ours: mean of as many


@dataclass(frozen=True)
class Grouping:
    """clusters: of k-means; 0: as many as the label has values, else as many as Leiden finds. resolution: of Leiden."""

    clusters: int = 0
    resolution: float = 1.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Structure:
    """views: coordinates by view, shape (n, k) each. groups: cluster of each cell, by view and method, shape (n,)."""

    views: Mapping[str, Floats]
    groups: Mapping[tuple[str, str], Integers]
    clusters: int
    notes: tuple[str, ...] = field(default=())

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            **{f"view.{name}": z_nk for name, z_nk in self.views.items()},
            **{f"group.{view}.{method}": found for (view, method), found in self.groups.items()},
            "clusters": np.array(self.clusters),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Without its notes: those travel in the report."""
        views = {name.removeprefix("view."): z_nk for name, z_nk in arrays.items() if name.startswith("view.")}
        groups = {(view, method): arrays[f"group.{view}.{method}"] for view in views for method in METHODS}
        return cls(views, groups, int(arrays["clusters"]))

    def names(self, method: str, view: str = JOINT) -> Names:
        """The cluster of each cell as text, numbered from 1, the largest first."""
        groups_n = self.groups[view, method]
        width = len(str(int(groups_n.max()) + 1))
        return as_names(f"{group + 1:0{width}d}" for group in groups_n)


def find(z_nk: Floats, pair: PairedCells, labels_n: Names | None, asked: Grouping) -> Structure:
    """z_nk: the joint embedding, shape (n, k), of the cells of `pair`. labels_n: "" where a cell has none."""
    rna, atac = rna_only(pair, k=_width(pair), seed=asked.seed), atac_only(pair, k=_width(pair), seed=asked.seed)
    views = {JOINT: np.asarray(z_nk, dtype=np.float32), RNA: rna.z_nk, ATAC: atac.z_nk}
    groups = {
        (name, "leiden"): _largest_first(leiden(view, resolution=asked.resolution, seed=asked.seed))
        for name, view in views.items()
    }
    kinds = 0 if labels_n is None else len(coded(labels_n)[0])
    wanted = asked.clusters or kinds or len(np.unique(groups[JOINT, "leiden"]))
    if wanted > len(pair):
        raise BadSetting(f"{wanted:,} clusters were asked for, of {len(pair):,} cells.", hint="Ask for fewer clusters.")
    for name, view in views.items():
        groups[name, "kmeans"] = _largest_first(kmeans(view, wanted, seed=asked.seed))
    notes = [f"RNA alone: {' '.join(rna.notes)}", f"ATAC alone: {' '.join(atac.notes)}"]
    return Structure(views, groups, wanted, tuple(notes))


def _largest_first(groups_n: Integers) -> Integers:
    """The same groups, numbered from 0 by falling size."""
    _, codes_n, sizes = np.unique(groups_n, return_inverse=True, return_counts=True)
    place = np.empty(len(sizes), dtype=np.int64)
    place[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return place[codes_n]


def _width(pair: PairedCells) -> int:
    """Components of each modality alone: scanpy's and Signac's 30, fewer of few cells or features."""
    return max(2, min(30, len(pair) - 2, len(pair.rna.space) - 1, len(pair.atac.space) - 2))


def agreement(found: Structure, labels_n: Names | None, *, seed: int = 0) -> dict[str, Any]:
    """What a report says of the groups, in JSON's own types; scores only where at least two labels are there.

    views: by view and method: clusters, sizes, ari, nmi. gains: of the joint view over each modality alone.
    likeness: ARI between the joint clusters and those of each modality alone.
    """
    kinds, codes_n = coded(labels_n) if labels_n is not None else ((), np.full(len(found.views[JOINT]), -1))
    told: dict[str, Any] = {
        "clusters": found.clusters,
        "labels": list(kinds),
        "labelled": int((codes_n >= 0).sum()),
        "views": {view: {method: _sizes(found.groups[view, method]) for method in METHODS} for view in found.views},
        "gains": {},
        "likeness": {
            other: {method: _likeness(found, other, method) for method in METHODS} for other in found.views
            if other != JOINT
        },
        "notes": list(found.notes),
    }  # fmt: skip
    if len(kinds) > 1:
        for method in METHODS:
            _score(told, found, method, codes_n, np.random.default_rng(seed))
    out: dict[str, Any] = plain(told)
    return out


def _sizes(groups_n: Integers) -> dict[str, Any]:
    return {"clusters": len(np.unique(groups_n)), "sizes": np.bincount(groups_n).tolist()}


def _likeness(found: Structure, other: str, method: str) -> float:
    both = np.stack([found.groups[JOINT, method], found.groups[other, method]])
    return float(ari(Combinations.of(both, np.random.default_rng(0), resamples=0).tables(0, 1))[0])


def _score(told: dict[str, Any], found: Structure, method: str, codes_n: Integers, rng: np.random.Generator) -> None:
    """Adds each view's scores by this method, and the gains of the joint view, which share their draws."""
    views, known = list(found.views), codes_n >= 0
    codes_cn = np.stack([codes_n[known], *(found.groups[view, method][known] for view in views)])
    drawn = Combinations.of(codes_cn, rng)
    shuffled = np.stack([rng.permutation(codes_cn[0]) for _ in range(SHUFFLES)])
    for name, score in SCORES.items():
        values = {view: score(drawn.tables(0, i)) for i, view in enumerate(views, start=1)}
        for i, view in enumerate(views, start=1):
            told["views"][view][method][name] = {
                "value": values[view][0],
                "interval": interval(values[view][0], values[view][1:]),
                "n": int(known.sum()),
                "nulls": {"shuffled": _chance(score, shuffled, codes_cn[i])},
            }
        for other in views[1:]:
            gap = values[JOINT] - values[other]
            entry = {"value": gap[0], "interval": interval(gap[0], gap[1:], bounds=(-2.0, 2.0))}
            told["gains"].setdefault(other, {})[f"{method}_{name}"] = entry


def _chance(score: Callable[[Doubles], Doubles], shuffled_sn: Integers, groups_n: Integers) -> float:
    """What the same groups score against labels dealt at random."""
    tables = [Combinations.of(np.stack([dealt, groups_n]), np.random.default_rng(0), resamples=0).tables(0, 1)
              for dealt in shuffled_sn]  # fmt: skip
    return float(np.mean([score(table)[0] for table in tables]))
