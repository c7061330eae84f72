"""Links of peaks against signal measured in other cells: bigWigs made of real counts, for `crossview analyse --track`.

    python -m tests.benchmarks.analysis.tracks halves FOLDER LABEL OUT
    python -m tests.benchmarks.analysis.tracks cuts FRAGMENTS CELLS.h5ad OUT.bw

halves: rna.h5ad and atac.h5ad of FOLDER are split by chance within each label. OUT/asked holds one half as two files;
OUT/all.bw and OUT/<label>.bw the other half's counts of each peak, per base and million, of all cells and of a label's.
cuts: both ends of the fragments of the cells named in CELLS.h5ad, per base and million, in steps of 10 bases.
Both need the extra `tracks`.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import anndata as ad
import numpy as np
from numpy.typing import NDArray

from engine.genome.peaks import parse_peaks

STEP = 10  # bases
Runs = Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]  # starts, ends, values


def write(path: Path, runs: Runs) -> None:
    """A bigWig of runs that do not overlap, in order; each chromosome ends where its last run does."""
    import pyBigWig

    with pyBigWig.open(str(path), "w") as track:
        names = sorted(runs)
        track.addHeader([(name, int(runs[name][1][-1]) + STEP) for name in names])
        for name in names:
            start, end, value = runs[name]
            track.addEntries([name] * len(start), start.tolist(), ends=end.tolist(), values=value.tolist())


def in_peaks(names: Sequence[str], sums_p: NDArray[np.float64]) -> Runs:
    """Counts of peaks as counts per base and million. Where peaks overlap, the first has the bases."""
    peaks = parse_peaks(list(names))
    value_p = 1e6 * sums_p / sums_p.sum() / (peaks.end - peaks.start)
    found: dict[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = {}
    for code in np.unique(peaks.chrom):
        own = np.flatnonzero(peaks.chrom == code)
        own = own[np.argsort(peaks.start[own], kind="stable")]
        start, end = peaks.start[own].copy(), peaks.end[own]
        start[1:] = np.maximum(start[1:], np.maximum.accumulate(end)[:-1])
        kept = start < end
        found[peaks.chroms[code]] = (start[kept], end[kept], value_p[own][kept])
    return found


def of_ends(path: Path, cells: set[str]) -> Runs:
    """Both ends of every fragment of these cells, in steps."""
    counts: dict[str, dict[int, int]] = {}
    total = 0
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            chrom, start, end, barcode = line.split("\t")[:4]
            if barcode.strip() not in cells:
                continue
            own = counts.setdefault(chrom, {})
            for place in (int(start), int(end) - 1):
                own[place // STEP] = own.get(place // STEP, 0) + 1
                total += 1
    found = {}
    for chrom, own in counts.items():
        bins = np.array(sorted(own), dtype=np.int64)
        value = np.array([own[b] for b in bins.tolist()], dtype=np.float64) * 1e6 / total / STEP
        found[chrom] = (bins * STEP, (bins + 1) * STEP, value)
    return found


def halves(folder: Path, label: str, out: Path, seed: int = 0) -> None:
    rna, atac = (ad.read_h5ad(folder / f"{which}.h5ad") for which in ("rna", "atac"))
    kind = atac.obs[label].astype(str).to_numpy()
    rng, asked = np.random.default_rng(seed), np.zeros(len(kind), dtype=bool)
    for one in np.unique(kind):
        own = rng.permutation(np.flatnonzero(kind == one))
        asked[own[: len(own) // 2]] = True
    (out / "asked").mkdir(parents=True, exist_ok=True)
    for name, data in (("rna", rna), ("atac", atac)):
        data[data.obs_names.isin(atac.obs_names[asked])].copy().write_h5ad(out / "asked" / f"{name}.h5ad")
    for name in ("all", *np.unique(kind)):
        other = ~asked & ((kind == name) | (name == "all"))
        sums_p = np.asarray(atac.X[other].sum(axis=0), dtype=np.float64).ravel()
        write(out / f"{name}.bw", in_peaks(list(atac.var_names), sums_p))


def main(argv: Sequence[str]) -> None:
    which, *rest = argv
    if which == "halves":
        folder, label, out = rest
        halves(Path(folder), label, Path(out))
    else:
        fragments, cells, out = rest
        write(Path(out), of_ends(Path(fragments), set(ad.read_h5ad(cells).obs_names)))


if __name__ == "__main__":
    main(sys.argv[1:])
