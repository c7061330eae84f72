"""How good imputed values are: from half of each cell's counts, against the half that was kept back.

An imputation scored against the very counts it was made from flatters itself: handing those back would score 1. So
every count is shown or kept back by a coin (`reading.Coins`), and what the model says after the shown half is compared
with the kept half, beside what needs no model: the average profile, that scaled by the cell's depth, and the shown
counts themselves, which are the raw data's own answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from engine.analysis.profiles import Measured, imputed
from engine.analysis.sample import drawn
from engine.bundle import Bundle
from engine.joint.reading import Coins, Rows
from engine.metrics.atac import score_atac
from engine.metrics.normalise import log_normalised
from engine.metrics.rna import score_rna
from engine.metrics.scores import Scores, Table, plain
from engine.metrics.sources import Source
from engine.nulls import RankOne
from engine.preprocess.align import Alignment
from engine.preprocess.steps import binarised, depth_of
from engine.translate import DecodedSource, Encoded
from engine.types import Latent, Modality, Names

NULL_WORDS: Mapping[str, str] = {
    "mean": "the average training cell",
    "depth": "the average training cell times the depth of the shown counts",
    "raw": "the shown counts themselves, without any model",
}
# Scores that mean something between halves: levels differ by half, so no squared errors and no calibration.
KEPT: Mapping[Modality, tuple[str, ...]] = {
    Modality.RNA: ("cell_pearson", "cell_spearman", "gene_pearson", "gene_spearman"),
    Modality.ATAC: ("cell_auroc", "cell_auprc", "peak_auroc_depth_adjusted", "peak_auroc"),
}
_LEVELS = ("mse_skill", "brier_skill", "truth_variance", "predicted_variance")
BINARY = (
    "Peaks were given as 0 or 1: an opening that was shown cannot be found again among those kept back. These scores "
    "lie a little too low, and the shown openings themselves are no yardstick."
)
ENDS = "Peaks were counted by both ends of each fragment: the two ends were shown or kept back together."


@dataclass(frozen=True, eq=False)
class Imputation:
    """One modality judged. scores: with intervals and nulls. rows_m: the cells scored, among those given."""

    modality: Modality
    scores: Scores
    rows_m: Rows
    notes: tuple[str, ...] = field(default=())

    @property
    def features(self) -> Table:
        """A row a scored gene or peak, without columns that compare levels."""
        return {name: values for name, values in self.scores.features.items() if name not in _LEVELS}

    @property
    def cells(self) -> Table:
        """A row a scored cell: its own correlation (RNA) or AUROC (ATAC)."""
        column = "pearson" if self.modality is Modality.RNA else "auroc"
        return {column: self.scores.cells[column]}

    def as_dict(self) -> dict[str, Any]:
        """As reports have it, in JSON's own types."""
        told = self.scores.as_dict()
        return {
            "n_cells": self.scores.n_cells,
            "scores": {name: told["scores"][name] for name in KEPT[self.modality] if name in told["scores"]},
            "counts": plain(self.scores.counts),
            "nulls": dict(NULL_WORDS),
            "notes": list(self.notes),
        }


def judge(
    bundle: Bundle,
    modality: Modality,
    half: Latent,
    counts_nf: sp.csr_matrix,
    alignment: Alignment,
    *,
    rows: Rows,
    barcodes: Names,
    coins: Coins,
) -> Imputation:
    """Score what the model imputes of this modality from half of the counts.

    half: latents of the shown counts, shape (n, k). counts_nf: all counts in the file's features; rows: where the cells
    stand in it. Of very many cells a sample is scored.
    """
    chosen = drawn(len(half), coins.seed)
    shown, kept = coins.split(sp.csr_matrix(counts_nf[chosen]), modality, rows[chosen])
    scored = np.flatnonzero(np.diff(sp.csc_matrix(alignment.lead_if).indptr)).astype(np.int64)
    encoded = Encoded(half.rows(chosen), depth_of(shown), barcodes[chosen])
    source = imputed(
        DecodedSource(bundle, encoded, modality, scored),
        modality=modality,
        scale=bundle.translator.scale(modality),
        names=bundle.space(modality).names[scored],
        cells=len(chosen),
    ).source
    truth, raw = (_on_scale(part, modality, alignment, scored) for part in (kept, shown))
    binary = modality is Modality.ATAC and float(counts_nf.data.max(initial=0)) <= 1
    score = score_rna if modality is Modality.RNA else score_atac
    scores = score(
        source,
        truth if modality is Modality.RNA else binarised(truth),
        names=bundle.space(modality).names[scored],
        nulls=_nulls(bundle, modality, scored, depth_of(shown), None if binary else raw),
        rng=np.random.default_rng(coins.seed),
        cells=encoded.barcodes,
    )
    notes = [f"{len(chosen):,} of {len(half):,} cells, drawn by chance, were scored."] * (len(chosen) < len(half))
    notes += [BINARY] * binary + [ENDS] * (coins.ends and modality is Modality.ATAC)
    return Imputation(modality, scores, chosen, tuple(notes))


def _on_scale(counts: sp.csr_matrix, modality: Modality, alignment: Alignment, scored: Rows) -> sp.csr_matrix:
    """In the scored features: log-normalised genes, peaks as counts."""
    values = log_normalised(counts) if modality is Modality.RNA else counts
    return sp.csr_matrix(alignment.apply(values)[:, scored])


def _nulls(
    bundle: Bundle, modality: Modality, scored: Rows, depth_n: Any, raw: sp.csr_matrix | None
) -> dict[str, Source]:
    mean_f = bundle.nulls.of(modality).mean_f[scored]
    level_n = (depth_n / max(float(depth_n.mean()), 1e-9)).astype(np.float32)
    nulls: dict[str, Source] = {"mean": RankOne(mean_f, np.ones_like(level_n)), "depth": RankOne(mean_f, level_n)}
    return nulls if raw is None else {**nulls, "raw": Measured(raw)}
