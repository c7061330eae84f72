"""What predictions of held-out cells are judged by: truth, labels, batches, and the scores of one prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadSetting, NoCells
from engine.metrics.atac import MIN_POSITIVES, brier_skill, score_atac
from engine.metrics.atac import MIN_SHARE as OPEN_SHARE
from engine.metrics.bulk import score_bulks
from engine.metrics.ceiling import noise_ceiling
from engine.metrics.normalise import log_normalised, median_depth
from engine.metrics.rna import MIN_SHARE, score_rna
from engine.metrics.scores import Figure, Score, Scores, plain, with_intervals
from engine.metrics.sources import ChosenSource, Source
from engine.metrics.structure import Reference, SparseSource, score_structure
from engine.preprocess.steps import binarised
from engine.types import Direction, Modality, Names, PairedCells, Split

Part = Literal["test", "valid"]
LEAST_CELLS = 10  # ours: fewer say nothing
RESAMPLES = 1000  # ours
NO_LABEL = frozenset({"", "(none)", "nan", "NaN", "None", "NA"})
NO_INTERVAL = frozenset({"label_spearman", "across_spearman", "cluster_ari", "cluster_nmi"})

Pulls = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores of one prediction of one direction, ready for JSON, and what each cell pulls on each.

    pulls: by "scores/NAME", "bulk/NAME", "structure/NAME", "batch/VALUE/NAME"; shape (n,), (cells of the batch,).
    """

    document: dict[str, Any]
    pulls: Pulls


@dataclass(eq=False)
class Judge:
    """Held-out cells of a pair. part: the side of the split that judges.

    batches: values of `batch_column` among those cells, those of at least `LEAST_CELLS`. labels_n: "" where unknown.
    """

    pair: PairedCells
    split: Split
    part: Part = "test"
    batch_column: str = ""
    label_column: str = ""
    seed: int = 0
    _truth: dict[Modality, sp.csr_matrix] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        names = getattr(self.split, self.part)
        if len(names) < LEAST_CELLS:
            raise NoCells(
                f"The split's {self.part} side has {len(names)} cells; at least {LEAST_CELLS} are needed to judge.",
                hint="Give a split with more held-out cells.",
            )
        self.held = self.pair.named(names)
        place = {name: i for i, name in enumerate(self.pair.barcodes)}
        self.rows = np.array([place[name] for name in names], dtype=np.int64)
        self.train_rows = np.array([place[name] for name in self.split.train], dtype=np.int64)
        self.label_column = self.label_column or _likely_label(self.pair.named(self.split.train))
        self.labels_n = self._column(self.label_column)[self.rows]
        self.train_labels_n = self._column(self.label_column)[self.train_rows]
        self.batches = self._batches()

    def _column(self, name: str) -> Names:
        if not name:
            return np.full(len(self.pair), "", dtype=object)
        for cells in (self.pair.rna, self.pair.atac):
            if name in cells.obs:
                return np.array([v if v not in NO_LABEL else "" for v in map(str, cells.obs[name])], dtype=object)
        known = ", ".join(sorted({*self.pair.rna.obs, *self.pair.atac.obs})) or "none"
        raise BadSetting(f"The cells have no column {name!r}.", hint=f"Columns: {known}.")

    def _batches(self) -> dict[str, NDArray[np.int64]]:
        values = self._column(self.batch_column)[self.rows]
        found = {value: np.flatnonzero(values == value) for value in sorted(set(values) - {""})}
        return {value: rows for value, rows in found.items() if len(rows) >= LEAST_CELLS}

    def scored(self, target: Modality) -> sp.csr_matrix:
        """All cells of the pair on the scored scale: RNA is scaled to the median depth of them all, held out or not."""
        if target not in self._truth:
            counts = self.pair.of(target).counts
            self._truth[target] = log_normalised(counts) if target is Modality.RNA else binarised(counts)
        return self._truth[target]

    def truth(self, target: Modality) -> sp.csr_matrix:
        return sp.csr_matrix(self.scored(target)[self.rows])

    def reference(self, target: Modality) -> Reference | None:
        """Training cells whose labels can be carried over; None where fewer than two labels are known."""
        if len(set(self.train_labels_n) - {""}) < 2:
            return None
        train = sp.csr_matrix(self.scored(target)[self.train_rows])
        return Reference.fit(
            train, self.train_labels_n, target, kept=self.kept(target), rng=np.random.default_rng(self.seed)
        )

    def measured(self, direction: Direction, source: Source) -> Judged:
        """Every score of a prediction of the held-out cells, in their order."""
        target = direction.target
        truth = self.truth(target)
        found = self._by_cells(source, truth, target)
        document: dict[str, Any] = {
            "scores": {name: score.as_dict() for name, score in found.scores.items()},
            "counts": plain(found.counts),
            "spread": plain(found.spread),
            "calibration": found.calibration.as_dict() if found.calibration else None,
            "notes": list(found.notes),
        }
        pulls: Pulls = _named("scores", found.pulls)
        if found.brier_n is not None:
            figure = brier_skill(found.brier_n, self._brier_of_mean(truth))
            document["scores"] |= self._with_intervals({"brier_skill": figure})
            pulls |= _named("scores", {"brier_skill": figure.pull})
        groups = {"bulk": self._bulk(source, truth, target), "structure": self._structure(source, target)}
        for group, figures in groups.items():
            document[group] = self._with_intervals(figures)
            pulls |= _named(group, {name: f.pull for name, f in figures.items() if name not in NO_INTERVAL})
        document["batches"] = {}
        for value, rows in self.batches.items():
            features = np.arange(truth.shape[1], dtype=np.int64)
            part = self._by_cells(ChosenSource(source, rows, features), sp.csr_matrix(truth[rows]), target)
            document["batches"][value] = {
                "n": len(rows),
                "scores": {name: score.as_dict() for name, score in part.scores.items()},
                "counts": plain(part.counts),
                "spread": plain(part.spread),
            }
            pulls |= _named(f"batch/{value}", part.pulls)
        return Judged(document, pulls)

    def _by_cells(self, source: Source, truth: sp.csr_matrix, target: Modality) -> Scores:
        score = score_rna if target is Modality.RNA else score_atac
        names = self.pair.of(target).space.names
        rng = np.random.default_rng(self.seed)
        return score(source, truth, names=names, nulls={}, rng=rng, resamples=RESAMPLES)

    def _brier_of_mean(self, truth: sp.csr_matrix) -> NDArray[np.float64]:
        """Squared error of the average training cell for each held-out cell, without writing it out."""
        mean_f = np.asarray(self.scored(Modality.ATAC)[self.train_rows].mean(0), dtype=np.float64).ravel()
        depth_n = np.asarray(truth.sum(1), dtype=np.float64).ravel()
        return np.asarray((mean_f**2).sum() - 2 * (truth @ mean_f) + depth_n)

    def kept(self, target: Modality) -> NDArray[np.int64]:
        """Features that have a score of their own among the held-out cells."""
        truth = self.truth(target)
        n = truth.shape[0]
        count = np.asarray((truth > 0).sum(0)).ravel()
        if target is Modality.RNA:
            return np.flatnonzero(count / n >= MIN_SHARE).astype(np.int64)
        least = max(MIN_POSITIVES, int(np.ceil(OPEN_SHARE * n)))
        return np.flatnonzero((count >= least) & (count < n)).astype(np.int64)

    def _bulk(self, source: Source, truth: sp.csr_matrix, target: Modality) -> dict[str, Figure]:
        if not (self.labels_n != "").any():
            return {}
        return dict(score_bulks(source, truth, self.labels_n, kept=self.kept(target)).figures)

    def _structure(self, source: Source, target: Modality) -> dict[str, Figure]:
        if len(set(self.labels_n) - {""}) < 2:
            return {}
        return score_structure(
            source,
            self.labels_n,
            target,
            features=len(self.pair.of(target).space),
            kept=self.kept(target),
            reference=self.reference(target),
            rng=np.random.default_rng(self.seed),
        )

    def _with_intervals(self, figures: Mapping[str, Figure]) -> dict[str, Any]:
        found = with_intervals(figures, {}, rng=np.random.default_rng(self.seed), resamples=RESAMPLES)
        return {
            name: _without_interval(score) if name in NO_INTERVAL else score.as_dict() for name, score in found.items()
        }

    def standing(self) -> dict[str, Any]:
        """What is known of the held-out cells before any prediction: sizes, noise ceilings, structure of the truth."""
        directions: dict[str, Any] = {}
        for direction in Direction:
            target = direction.target
            counts = self.pair.of(target).counts
            ceiling = noise_ceiling(
                sp.csr_matrix(counts[self.rows]),
                target,
                rng=np.random.default_rng(self.seed),
                scale_to=median_depth(counts) if target is Modality.RNA else None,
            )
            directions[direction.value] = {
                "features": len(self.pair.of(target).space),
                "scored_features": len(self.kept(target)),
                "ceiling": ceiling.as_dict(),
                "truth_structure": self._with_intervals(self._structure(SparseSource(self.truth(target)), target)),
            }
        sizes = {side: len(getattr(self.split, side)) for side in ("train", "valid", "test")}
        labels, counted = np.unique(self.labels_n[self.labels_n != ""].astype(str), return_counts=True)
        return {
            "part": self.part,
            "cells": sizes,
            "genes": len(self.pair.rna.space),
            "peaks": len(self.pair.atac.space),
            "genome": self.pair.rna.space.genome or self.pair.atac.space.genome,
            "label_column": self.label_column,
            "labels": {str(name): int(count) for name, count in zip(labels, counted, strict=True)},
            "batch_column": self.batch_column,
            "batches": {value: len(rows) for value, rows in self.batches.items()},
            "directions": directions,
        }


def _likely_label(train: PairedCells) -> str:
    from engine.translators.baselines.celltype import label_column

    return label_column(train)


def _without_interval(score: Score) -> dict[str, Any]:
    return {**score.as_dict(), "interval": [None, None]}


def _named(group: str, pulls: Mapping[str, NDArray[Any]]) -> Pulls:
    return {f"{group}/{name}": np.asarray(pull, dtype=np.float32) for name, pull in pulls.items()}
