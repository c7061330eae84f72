"""What scMVP's joint view is worth beside RNA alone, ATAC alone and WNN, on labelled cells.

    python -m tests.benchmarks.scmvp.embedding FOLDER GENOME OUT.json --seeds 0,1,2 [--compare rna,atac,wnn]

FOLDER holds rna.h5ad and atac.h5ad. Every cell is embedded; nine tenths of them train, the others choose the epoch.
Labels only score: k-means and Leiden find as many clusters as there are labels (Leiden's resolution is searched).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.clusters import agreement, kmeans, leiden_of, purity
from engine.analysis.embeddings import embedding
from engine.analysis.neighbours import graph_of
from engine.benchmark.meter import Meter
from engine.translators.base import Hooks, embedding_of
from engine.translators.registry import recipe
from engine.types import CellBatch, Modality, Names, PairedCells, Split
from tests.benchmarks.claims.pair import read_pair

RESOLUTIONS = 14  # halvings of the range that is searched
HELD = 10  # one cell in so many chooses the epoch


def main() -> int:
    asked = _asked()
    pair = read_pair(asked.folder, asked.genome)
    labels_n = np.array([str(v) for v in pair.rna.obs[asked.label]], dtype=object)
    settings = dict(part.split("=", 1) for part in asked.set)
    found: dict[str, Any] = {"cells": len(pair), "labels": len(set(labels_n)), "settings": settings, "runs": []}
    for seed in asked.seeds:
        for name in asked.compare:
            one = embedding(name, pair, seed=seed)
            found["runs"].append({"embedding": name, "seed": seed, **scored(one.z_nk, labels_n, seed, one.graph)})
            _tell(asked.out, found)
        if asked.only_compare:
            continue
        meter = Meter()
        with meter.part("fit"):
            model = recipe("scmvp", settings).fit(pair, _parted(pair), Hooks(seed=seed, threads=1))
        views = {"joint": CellBatch(rna=pair.rna.counts, atac=pair.atac.counts)}
        if not asked.joint_alone:
            views |= {f"its {m.value} encoder": CellBatch(**{m.value: pair.of(m).counts}) for m in Modality}
        for name, batch in views.items():
            z_nk = embedding_of(model, model.encode(batch))
            said = {"embedding": name, "seed": seed, **scored(z_nk, labels_n, seed)}
            found["runs"].append({**said, "cpu_seconds": round(meter.cpu_seconds["fit"], 1)})
            _tell(asked.out, found)
    return 0


def _parted(pair: PairedCells) -> Split:
    order = np.random.default_rng(0).permutation(len(pair))
    cut = len(order) // HELD
    return Split(tuple(pair.barcodes[np.sort(order[cut:])]), tuple(pair.barcodes[np.sort(order[:cut])]))


def scored(z_nk: Any, labels_n: Names, seed: int, graph: Any = None) -> dict[str, Any]:
    """ARI, NMI and the purity of the least pure label, by either method."""
    wanted = len(set(labels_n))
    graph = graph or graph_of(z_nk)
    clusters = {"k-means": kmeans(z_nk, wanted, seed=seed), "leiden": _leiden(graph, wanted, seed)}
    said: dict[str, Any] = {}
    for method, found in clusters.items():
        ari, nmi = agreement(found, labels_n)
        pure = purity(found, labels_n)
        said[method] = {
            "clusters": len(np.unique(found)), "ari": round(ari, 4), "nmi": round(nmi, 4),
            "least_pure": round(float(pure["purity"].min()), 4), "least_found": round(float(pure["found"].min()), 4),
        }  # fmt: skip
    return said


def _leiden(graph: Any, wanted: int, seed: int) -> Any:
    """The resolution is halved towards one that finds so many clusters; the nearest that was met."""
    low, high, best = 0.01, 10.0, None
    for _ in range(RESOLUTIONS):
        middle = float(np.sqrt(low * high))
        found = leiden_of(graph, resolution=middle, seed=seed)
        count = len(np.unique(found))
        if best is None or abs(count - wanted) < abs(len(np.unique(best)) - wanted):
            best = found
        if count == wanted:
            break
        low, high = (middle, high) if count < wanted else (low, middle)
    return best


def _tell(out: Path, found: dict[str, Any]) -> None:
    print(json.dumps(found["runs"][-1]), flush=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("genome")
    parser.add_argument("out", type=Path)
    parser.add_argument("--label", default="cell_type")
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0])
    parser.add_argument("--compare", type=lambda text: [n for n in text.split(",") if n], default=[])
    parser.add_argument("--only-compare", action="store_true", help="train nothing")
    parser.add_argument("--joint-alone", action="store_true", help="do not score the encoders of one modality")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
