"""What each analysis takes of many cells: peak memory and CPU seconds of the command, one thread, one after another.

    python -m tests.benchmarks.analysis.large cells FOLDER OUT [--cells 100000]
    python -m tests.benchmarks.analysis.large run OUT MODEL [STEP …]

cells: the cells of FOLDER (rna.h5ad, atac.h5ad; hg38, with cell_type) are laid over each other within each label, to as
many cells of 8,000 genes and 23,000 peaks, and written to OUT with cell_type and a batch drawn by chance. run: every
analysis of them; what it took goes to results/large.json. One that takes more than MOST_GB or MOST_S is stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import scipy.sparse as sp

from tests.benchmarks.scmvp.memory import GENES, PEAKS, SEEN

RESULTS = Path(__file__).parent / "results" / "large.json"
MOST_GB, MOST_S = 12.0, 1_800.0  # of memory, of CPU
LABEL = ("--label", "cell_type")
STEPS: Mapping[str, Sequence[str]] = {
    "abnormal": ("abnormal", *LABEL),
    "mixing": ("mixing", *LABEL, "--batch", "batch"),
    "cluster": ("cluster", *LABEL, "--components", "4", "--no-umap"),
    "imputation": ("imputation", *LABEL),
    "trajectory": ("trajectory", *LABEL, "--root", "H1"),
    "de": ("de", *LABEL),
    "cre": ("cre", *LABEL),
    "coaccess": ("coaccess", *LABEL),
    "activity": ("activity",),
    "cluster with maps": ("cluster", *LABEL, "--components", "4", "--compare", "rna,atac"),
}


def cells(folder: Path, out: Path, count: int) -> None:
    import anndata as ad
    import pandas as pd

    from engine.types import PairedCells
    from tests.benchmarks.claims.pair import read_pair
    from tests.benchmarks.scmvp.cells import most_seen, resampled

    real, rng = read_pair(folder, "hg38"), np.random.default_rng(0)
    real = PairedCells(most_seen(real.rna, GENES), most_seen(real.atac, PEAKS))
    kinds = real.rna.obs["cell_type"].astype(str)
    each = -(-count // len(set(kinds)))
    parts = [
        resampled(real.named(list(real.barcodes[kinds == kind])), each, seen=SEEN, rng=rng)
        for kind in sorted(set(kinds))
    ]
    obs = pd.DataFrame(
        {"cell_type": np.repeat(sorted(set(kinds)), each), "batch": rng.integers(0, 5, each * len(parts)).astype(str)},
        index=[f"CELL{i:06d}" for i in range(each * len(parts))],
    )
    order = rng.permutation(len(obs))[:count]
    out.mkdir(parents=True, exist_ok=True)
    for which in ("rna", "atac"):
        made = [getattr(part, which) for part in parts]
        counts = sp.vstack([one.counts for one in made], format="csr")[order].astype(np.float32)
        var = pd.DataFrame(index=made[0].space.names.astype(str))
        ad.AnnData(counts, obs=obs.iloc[order], var=var).write_h5ad(out / f"{which}.h5ad", compression="lzf")


def taken(words: Sequence[str]) -> dict[str, Any]:
    """Peak memory (GB) and CPU seconds of a command and its children together."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    started, peak, seconds = time.monotonic(), 0, 0.0
    over = ""
    process = psutil.Popen([sys.executable, "-m", "jobs.cli", *words], stdout=subprocess.DEVNULL, env=environ)
    while process.poll() is None:
        time.sleep(0.5)
        try:
            family = [process, *process.children(recursive=True)]
            peak = max(peak, sum(one.memory_info().rss for one in family))
            times = process.cpu_times()
            seconds = times.user + times.system + times.children_user + times.children_system
        except psutil.Error:
            continue
        if peak > MOST_GB * 1e9 or seconds > MOST_S:
            over = "memory" if peak > MOST_GB * 1e9 else "seconds"
            process.kill()
    found: dict[str, Any] = {"peak_gb": round(peak / 1e9, 2), "cpu_seconds": round(seconds)}
    found |= {"wall_seconds": round(time.monotonic() - started), "ended": process.returncode}
    return {**found, "stopped_for": over} if over else found


def run(out: Path, model: str, steps: Sequence[str]) -> None:
    for step in steps or STEPS:
        files = ("--rna", f"{out}/rna.h5ad", "--atac", f"{out}/atac.h5ad", "--model", model)
        into = out / "found" / step.replace(" ", "-")
        found = taken(["analyse", *STEPS[step][:1], *files, *STEPS[step][1:], "--out", str(into)])
        known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        RESULTS.write_text(json.dumps({**known, step: found}, indent=1) + "\n")
        print(step, json.dumps(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cells", "run"))
    parser.add_argument("given", nargs="+")
    parser.add_argument("--cells", type=int, default=100_000)
    asked = parser.parse_args()
    first, second, *steps = asked.given
    if asked.what == "cells":
        cells(Path(first), Path(second), asked.cells)
    else:
        run(Path(first), second, steps)


if __name__ == "__main__":
    main()
