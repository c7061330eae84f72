"""Finding genes by name, and peaks by region, by name, or by nearness to a gene."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.types import FeatureSpace, Modality
from jobs.views import FeatureHit

if TYPE_CHECKING:
    from engine.genome.genes import GeneModels
    from engine.genome.peaks import Peaks

REACH = 100_000  # bases from a gene's TSS within which a peak is near  # ours
_REGION = re.compile(r"(?:chr)?(?P<chrom>[0-9]{1,2}|X|Y|M|MT)(?:[:_\-](?P<start>[0-9,]+)[-_](?P<end>[0-9,]+))?", re.I)


def find_genes(space: FeatureSpace, query: str, *, limit: int) -> list[FeatureHit]:
    """The gene itself, then names that begin so, then names that hold it; letter case does not matter."""
    wanted = query.strip().casefold()
    if not wanted:
        return []
    ranked = sorted((rank, name) for name in space.names if (rank := _rank(str(name).casefold(), wanted)) is not None)
    return [FeatureHit(name=name, modality=Modality.RNA) for _, name in ranked[:limit]]


def find_peaks(space: FeatureSpace, query: str, *, limit: int) -> list[FeatureHit]:
    """Peaks of the region, the peak of this name, or those near the TSS of the gene."""
    wanted = query.strip()
    if not wanted:
        return []
    if wanted in space.index:
        return [FeatureHit(name=wanted, modality=Modality.ATAC)]
    region = _REGION.fullmatch(wanted)
    hits = _in_region(space, region) if region else _near_gene(space, wanted)
    return [hit for hit, _ in zip(hits, range(limit), strict=False)]


def _rank(name: str, wanted: str) -> tuple[int, int] | None:
    if name == wanted:
        return (0, 0)
    if name.startswith(wanted):
        return (1, len(name))
    return (2, len(name)) if wanted in name else None


def _in_region(space: FeatureSpace, region: re.Match[str]) -> Iterator[FeatureHit]:
    peaks, known = parsed(space)
    chrom = "chr" + (region["chrom"].upper().replace("MT", "M"))
    start = int(region["start"].replace(",", "")) if region["start"] else 0
    end = int(region["end"].replace(",", "")) if region["end"] else 1 << 40
    on = peaks.on([chrom]) & (peaks.start < end) & (peaks.end > start)
    for i in np.flatnonzero(on)[np.argsort(peaks.start[on], kind="stable")]:
        yield FeatureHit(name=str(space.names[known[i]]), modality=Modality.ATAC)


def _near_gene(space: FeatureSpace, wanted: str) -> Iterator[FeatureHit]:
    models = _models(space.genome)
    gene = gene_of(models, wanted) if models is not None else None
    if models is None or gene is None:
        return
    peaks, known = parsed(space)
    tss, forward = int(models.tss[gene]), bool(models.forward[gene])
    middle = (peaks.start + peaks.end) // 2
    distance = np.where(
        (peaks.start <= tss) & (tss < peaks.end), 0, np.minimum(abs(peaks.start - tss), abs(peaks.end - 1 - tss))
    )
    near = np.flatnonzero(peaks.on([models.chroms[models.chrom[gene]]]) & (distance <= REACH))
    for i in near[np.argsort(distance[near], kind="stable")]:
        note = _where(int(distance[i]), (int(middle[i]) < tss) == forward, str(models.symbol[gene]))
        yield FeatureHit(name=str(space.names[known[i]]), modality=Modality.ATAC, note=note)


def _where(distance: int, upstream: bool, symbol: str) -> str:
    if distance == 0:
        return f"at the TSS of {symbol}"
    length = f"{distance / 1000:.1f} kb" if distance >= 1000 else f"{distance} bp"
    return f"{length} {'upstream' if upstream else 'downstream'} of the TSS of {symbol}"


def gene_of(models: GeneModels, wanted: str) -> int | None:
    """By the symbol as written, else by letters alone."""
    exact = models.index.get(wanted)
    return exact if exact is not None else _folded(models.genome).get(wanted.casefold())


@lru_cache(maxsize=2)
def _folded(genome: str) -> dict[str, int]:
    models = _models(genome)
    return {} if models is None else {str(symbol).casefold(): i for i, symbol in enumerate(models.symbol)}


def _models(genome: str | None) -> GeneModels | None:
    from engine.genome.genes import TABLES, GeneModels

    return GeneModels.load(genome) if genome in TABLES else None


@lru_cache(maxsize=4)
def parsed(space: FeatureSpace) -> tuple[Peaks, NDArray[np.int64]]:
    """The peaks of a space, and which of its names they are; a space is equal to itself alone, and kept by results."""
    from engine.genome.peaks import parse_known

    peaks, good_f = parse_known(space.names)
    return peaks, np.flatnonzero(good_f)
