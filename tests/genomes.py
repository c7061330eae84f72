"""Built peaks on real genomes, and the same peaks as another build would place them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from engine.genome.genes import GeneModels, chromosome_sizes
from engine.genome.peaks import Peaks

# Far-apart moves of stretches of a chromosome, as between two builds of one genome.
MOVES = np.array([0, 48_000, 580_000, -330_000, 1_350_000, -74_000, 222_000])


def promoter_like(genome: str, *, count: int = 6_000) -> Peaks:
    """Built peaks of a genome: a third near promoters, the others anywhere on the same chromosomes."""
    rng = np.random.default_rng(0)
    genes, sizes = GeneModels.load(genome), chromosome_sizes(genome)
    near = rng.choice(len(genes), count // 3, replace=False)
    chrom = np.concatenate([genes.chrom[near], rng.integers(0, len(genes.chroms), count - len(near))])
    ends = np.array([sizes[name] for name in genes.chroms])[chrom]
    start = (rng.random(count) * (ends - 3_000_000)).astype(np.int64) + 1_500_000
    start[: len(near)] = np.maximum(genes.tss[near] + rng.integers(-800, 400, len(near)), 0)
    return Peaks(genes.chroms, chrom.astype(np.int32), start, start + 400)


def moved_as_between_builds(peaks: Peaks, ends: str) -> Peaks:
    """The peaks with every 20 Mb stretch moved on its own, those that would leave the other build's ends left out."""
    by = MOVES[1 + (peaks.start // 20_000_000 + peaks.chrom) % (len(MOVES) - 1)]
    size = np.array([chromosome_sizes(ends).get(name, 0) for name in peaks.chroms])[peaks.chrom]
    kept = (peaks.start + by >= 0) & (peaks.end + by <= size)
    return Peaks(peaks.chroms, peaks.chrom[kept], (peaks.start + by)[kept], (peaks.end + by)[kept])


def feature_names(path: Path) -> list[str]:
    """The names of an .h5ad file's columns."""
    with h5py.File(path) as file:
        return [str(name) for name in file["var"][file["var"].attrs["_index"]].asstr()[()]]
