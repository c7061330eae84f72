"""Which genes, peaks and cells a model is trained on: the published filters as settings, fitted on training cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadSetting, NoCells
from engine.types import Cells, FeatureSpace, Modality, PairedCells, Split

SEX_CHROMOSOMES = frozenset({"chrX", "chrY"})
WORTH_TELLING = 0.9  # of the training cells; where fewer are left, it is said  # ours


@dataclass(frozen=True)
class FilterSettings:
    """The filters of CrossMP §2.1; `none()` keeps every gene and peak of the given feature space.

    min_genes, max_genes: detected genes a training cell must have. min_cells: training cells a peak must be open in.
    max_share: share of training cells a peak may be open in.
    """

    drop_sex_chromosomes: bool = True  # CrossMP §2.1
    min_genes: int = 200  # CrossMP §2.1
    max_genes: int = 7000  # CrossMP §2.1
    min_cells: int = 5  # CrossMP §2.1
    max_share: float = 0.10  # CrossMP §2.1
    all_cells: bool = False  # count on held-out cells too, as the released script does: only to compare with it

    def __post_init__(self) -> None:
        if not 0 <= self.min_genes < self.max_genes:
            raise BadSetting(f"min_genes is {self.min_genes} and max_genes {self.max_genes}: nothing lies between.")
        if not 0 < self.max_share <= 1:
            raise BadSetting(f"max_share is {self.max_share}; it must lie in (0, 1].")

    @classmethod
    def none(cls) -> FilterSettings:
        return cls(drop_sex_chromosomes=False, min_genes=0, max_genes=10**9, min_cells=0, max_share=1.0)


@dataclass(frozen=True, eq=False)
class Filtered:
    """The pair a model is fitted on, with what was left out. kept: counts by name, for the report."""

    pair: PairedCells
    split: Split
    kept: dict[str, Any]


def filter_pair(pair: PairedCells, split: Split, settings: FilterSettings) -> Filtered:
    """Drop features by what the training cells show, and training cells by their detected genes.

    Held-out cells are never dropped: leaving out the hard ones would flatter every score.
    Raises NoCells when nothing is left, naming the filter.
    """
    train = pair.named(split.train)
    detected_n = np.diff(sp.csr_matrix(train.rna.counts).indptr)
    good_n = (detected_n >= settings.min_genes) & (detected_n <= settings.max_genes)
    if not good_n.any():
        raise NoCells(
            f"None of the {len(train):,} training cells has {settings.min_genes:,}–{settings.max_genes:,} genes.",
            hint=f"The median is {int(np.median(detected_n)):,}: lower it with `--set min_genes=…`.",
        )
    split = Split(tuple(train.barcodes[good_n]), split.valid, split.test)
    genes_g = _on_kept_chromosomes(pair.rna.space, settings)
    peaks_p = _on_kept_chromosomes(pair.atac.space, settings)
    counted = sp.csr_matrix(pair.atac.counts if settings.all_cells else train.atac.counts[good_n])
    open_p = np.asarray((counted > 0).sum(axis=0)).ravel()
    peaks_p &= (open_p >= settings.min_cells) & (open_p <= settings.max_share * counted.shape[0])
    for what, mask in (("gene", genes_g), ("peak", peaks_p)):
        if not mask.any():
            raise NoCells(
                f"No {what} passes the filters on {int(good_n.sum()):,} training cells.",
                hint="Loosen them: `--set min_cells=1 --set max_share=1`.",
            )
    kept = {
        "settings": asdict(settings),
        "training_cells": [int(good_n.sum()), len(train)],
        "genes": [int(genes_g.sum()), len(genes_g)],
        "peaks": [int(peaks_p.sum()), len(peaks_p)],
    }
    return Filtered(PairedCells(_columns(pair.rna, genes_g), _columns(pair.atac, peaks_p)), split, kept)


def lost_cells(kept: Mapping[str, Any]) -> str:
    """What to tell where the filters left out more than a tenth of the training cells; empty otherwise."""
    left, of = kept.get("training_cells", (1, 1))
    if left >= WORTH_TELLING * of:
        return ""
    settings = kept["settings"]
    return (
        f"The filters leave {left:,} of {of:,} training cells: the others have fewer than {settings['min_genes']:,} "
        f"or more than {settings['max_genes']:,} genes. Lower min_genes, or keep all with filters=none."
    )


def _columns(cells: Cells, mask: NDArray[np.bool_]) -> Cells:
    if mask.all():
        return cells
    space = FeatureSpace(cells.space.modality, cells.space.names[mask], cells.space.genome)
    where = np.flatnonzero(mask)
    layers = {name: sp.csr_matrix(layer[:, where]) for name, layer in cells.layers.items()}
    return Cells(space, sp.csr_matrix(cells.counts[:, where]), cells.barcodes, cells.obs, layers)


def _on_kept_chromosomes(space: FeatureSpace, settings: FilterSettings) -> NDArray[np.bool_]:
    if not settings.drop_sex_chromosomes:
        return np.ones(len(space), dtype=bool)
    return np.array([c not in SEX_CHROMOSOMES for c in chromosomes_of(space)], dtype=bool)


def chromosomes_of(space: FeatureSpace) -> NDArray[np.object_]:
    """Chromosome of each gene or peak, "" where unknown; shape (f,)."""
    if space.modality is Modality.ATAC:
        from engine.genome.peaks import parse_peaks

        peaks = parse_peaks(space.names)
        return np.array(peaks.chroms, dtype=object)[peaks.chrom]
    if space.genome is None:
        return np.full(len(space), "", dtype=object)
    from engine.genome.genes import TABLES, GeneModels

    if space.genome not in TABLES:
        return np.full(len(space), "", dtype=object)
    models = GeneModels.load(space.genome)
    chroms = np.array(models.chroms, dtype=object)[models.chrom]
    where = models.index
    return np.array([chroms[where[name]] if name in where else "" for name in space.names], dtype=object)
