"""How the finished heads did on validation cells, and what caution learns from that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.metrics.correlation import pearson_values
from engine.metrics.ranking import auroc
from engine.metrics.ranks import sort_rows
from engine.translators.crossview.caution import Caution
from engine.translators.crossview.genes import GeneHead
from engine.translators.crossview.inputs import Reader
from engine.translators.crossview.peaks import PeakHead
from engine.translators.crossview.setting import Run
from engine.types import Modality

ENTRIES = 1 << 21  # cells × features whose scores say what to expect of a cell  # ours


def fit_caution(run: Run, readers: dict[Modality, Reader], genes: GeneHead, peaks: PeakHead) -> dict[Modality, Caution]:
    """By source. What is unusual, and what score is expected, is learned on validation cells."""
    found = {}
    for source, reader in readers.items():
        score_n = _of_peaks(run, reader, genes, peaks) if source is Modality.RNA else _of_genes(run, reader, genes)
        seen, held = (reader.sighting(cells.of(source).counts) for cells in (run.cells, run.held))
        found[source] = Caution.fit(seen, held, score_n, rng=run.rng)
    return found


def _of_peaks(run: Run, reader: Reader, genes: GeneHead, peaks: PeakHead) -> NDArray[np.float64]:
    """AUROC over (some) peaks of each validation cell, shape (n,)."""
    positions = run.some(len(run.held.atac.space), ENTRIES)
    predicted = peaks.decode(peaks.encode(reader, genes.basis, run.held.rna.counts), positions)
    return auroc(sort_rows(predicted), run.held.atac.counts[:, positions].toarray() > 0).value


def _of_genes(run: Run, reader: Reader, genes: GeneHead) -> NDArray[np.float64]:
    """Pearson correlation over (some) genes of each validation cell, shape (n,)."""
    positions = run.some(len(run.held.rna.space), ENTRIES)
    predicted = genes.decode(genes.encode(reader, run.held.atac.counts), positions)
    truth = genes.basis.scale.log_normalised(run.held.rna.counts)[:, positions].toarray()
    return pearson_values(predicted.astype(np.float64), truth.astype(np.float64))
