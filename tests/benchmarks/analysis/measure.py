"""Run `crossview analyse` on a real set with a model and keep the figures.

    python -m tests.benchmarks.analysis.measure SET FOLDER MODEL OUT [STEP …]

SET: cell-lines or mouse-cortex; FOLDER holds rna.h5ad and atac.h5ad; OUT gets every table, and RESULTS below gets
SET.MODEL.json with the figures alone. A step that is named again replaces its figures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from jobs.cli import _parser
from jobs.commands.analyse_run import analyse

RESULTS = Path(__file__).parent / "results"
LINEAGE = "OPC,OliI,OliM"  # precursors, immature and mature oligodendrocytes
STEPS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "cell-lines": {
        "cluster": ("cluster", "--label", "cell_type", "--components", "4", "--seeds", "0,1,2,3,4", "--compare",
                    "rna,atac", "--no-umap"),
        "imputation": ("imputation", "--label", "cell_type"),
        "imputation, held-out cells": ("imputation", "--label", "cell_type", "--held-out"),
        "activity": ("activity",),
        "abnormal": ("abnormal", "--label", "cell_type"),
    },
    "mouse-cortex": {
        "cluster": ("cluster", "--label", "cell_type", "--components", "15", "--seeds", "0,1,2", "--compare",
                    "rna,atac", "--no-umap"),
        "mixing": ("mixing", "--batch", "batch", "--label", "cell_type", "--compare", "rna,atac"),
        "trajectory": ("trajectory", "--label", "cluster_fine", "--among", LINEAGE, "--root", "OPC", "--on", "raw"),
        "trajectory, RNA alone": ("trajectory", "--label", "cluster_fine", "--among", LINEAGE, "--root", "OPC", "--on",
                                  "raw", "--embedding", "rna"),
        "imputation, held-out cells": ("imputation", "--label", "cell_type", "--held-out"),
        "activity": ("activity",),
    },
}  # fmt: skip


def kept_of(document: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """The figures, and the tables that are short enough to be read."""
    found: dict[str, Any] = {"cells": document["cells"], "trained_on": document["trained_on"]}
    found |= {"seconds": document["seconds"], "bundle": document["bundle"]}
    for result in document["results"]:
        found[result["what"]] = result["figures"]
    for name in ("correlation.rna.correlation", "correlation.atac.correlation", "recovery.recovery"):
        if (out / f"{name}.parquet").is_file():
            table = pd.read_parquet(out / f"{name}.parquet").query("profile == 'imputed'").round(4)
            found[name] = json.loads(table.to_json(orient="records"))
    short = ("recovery.peaks", "cluster.purity", "mixing.mixing", "trajectory.labels", "abnormal.clusters")
    for name in short:
        if (out / f"{name}.parquet").is_file():
            table = pd.read_parquet(out / f"{name}.parquet")
            rounded = (table[table["seed"] == table["seed"].min()] if "seed" in table else table).round(4)
            found[name] = json.loads(rounded.to_json(orient="records"))
    return found


def main(argv: Sequence[str]) -> None:
    which, folder, model, out, *steps = argv
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{which}.{Path(model).name}.json"
    figures = json.loads(path.read_text()) if path.is_file() else {}
    for step in steps or STEPS[which]:
        into = Path(out) / step.replace(", ", "-").replace(" ", "-")
        files = ["--rna", f"{folder}/rna.h5ad", "--atac", f"{folder}/atac.h5ad", "--out", str(into), "--model", model]
        kind, *more = STEPS[which][step]
        figures[step] = kept_of(analyse(_parser().parse_args(["analyse", kind, *files, *more])), into)
        path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
