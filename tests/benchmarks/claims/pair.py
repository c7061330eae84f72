"""A pair and its split from files, and what one model scores on held-out cells, with what each cell pulls on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anndata as ad
import numpy as np
import scipy.sparse as sp

from engine.metrics.atac import score_atac
from engine.metrics.normalise import log_normalised
from engine.metrics.ranks import Doubles
from engine.metrics.rna import score_rna
from engine.metrics.sources import ArraySource
from engine.preprocess.steps import binarised
from engine.translators.base import Translator
from engine.types import CellBatch, Cells, FeatureSpace, Modality, PairedCells, Split, as_names

SCORES = (
    "gene_pearson", "gene_spearman", "cell_pearson", "peak_auroc", "peak_auroc_depth_adjusted", "cell_auroc",
    "flat_auroc", "flat_auprc",
)  # fmt: skip


def read_pair(folder: Path, genome: str) -> PairedCells:
    """rna.h5ad and atac.h5ad of the same cells in the same order."""

    def cells(name: str, modality: Modality) -> Cells:
        found = ad.read_h5ad(folder / name)
        space = FeatureSpace(modality, as_names(found.var_names), genome)
        labels = {c: np.array(found.obs[c].astype(str), dtype=object) for c in found.obs}
        return Cells(space, sp.csr_matrix(found.X, dtype=np.float32), as_names(found.obs_names), labels)

    return PairedCells(cells("rna.h5ad", Modality.RNA), cells("atac.h5ad", Modality.ATAC))


def scored(model: Translator, pair: PairedCells, split: Split) -> Mapping[str, tuple[float, Doubles]]:
    """Each score of `SCORES` on the test cells: its value, and each cell's pull, shape (n,)."""
    held = pair.named(split.test)
    place = {name: i for i, name in enumerate(pair.barcodes)}
    rows = [place[name] for name in split.test]
    genes = model.decode(model.encode(CellBatch(atac=held.atac.counts)), Modality.RNA).values
    peaks = model.decode(model.encode(CellBatch(rna=held.rna.counts)), Modality.ATAC).values
    values = sp.csr_matrix(log_normalised(pair.rna.counts)[rows])
    found = {}
    for score, predicted, truth, names in (
        (score_rna, genes, values, pair.rna.space.names),
        (score_atac, peaks, binarised(held.atac.counts), pair.atac.space.names),
    ):
        each = score(ArraySource(predicted), truth, names=names, nulls={}, rng=np.random.default_rng(0), resamples=50)
        for name in SCORES:
            if name in each.scores:
                found[name] = (float(each.scores[name].value), np.asarray(each.pulls[name], dtype=np.float64))
    return found
