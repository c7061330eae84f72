"""A translation against what was really measured: aligned, scored beside its nulls, and judged in words."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.errors import BadInput, FeatureMismatch, WrongModality
from engine.metrics.atac import score_atac
from engine.metrics.ceiling import noise_ceiling
from engine.metrics.normalise import log_normalised, median_depth
from engine.metrics.rna import score_rna
from engine.metrics.scores import Scores
from engine.metrics.sources import ChosenSource, H5Source, Source
from engine.metrics.verdict import verdict
from engine.nulls import NULLS
from engine.pairs import match_barcodes
from engine.preprocess.align import align
from engine.preprocess.coverage import Coverage
from engine.preprocess.steps import binarised
from engine.report import Report
from engine.translate import DecodedSource, Encoded, require_direction
from engine.types import Cells, Direction, Floats, Modality, Names

Positions = NDArray[np.int64]
NULL_WORDS: Mapping[str, str] = {
    "mean": "the average training cell",
    "depth": "the average training cell times the depth predicted from the source's depth",
}
PACKAGES = ("torch", "numpy", "scipy", "anndata", "scikit-learn", "umap-learn")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of one direction and how truth and prediction were brought together.

    scored: positions of the scored features in the model's target space. matching: what was done to cell names.
    """

    report: Report
    scores: Scores
    scored: Positions
    matching: str


@dataclass(frozen=True, eq=False)
class Predicted:
    """A prediction to be scored, wherever it lives. source: (cells, features of the target space) → Source."""

    barcodes: Names
    source_depth_n: Floats
    source: Callable[[Positions, Positions], Source]

    @classmethod
    def decoded(cls, bundle: Bundle, direction: Direction, encoded: Encoded) -> Predicted:
        def source(cells: Positions, features: Positions) -> Source:
            return DecodedSource(bundle, encoded.rows(cells), direction.target, features)

        return cls(encoded.barcodes, encoded.source_depth_n, source)


def evaluate(
    *,
    bundle: Bundle,
    direction: Direction,
    predicted: Predicted | Encoded,
    truth: Cells,
    coverage: Coverage | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score what was predicted of the cells that truth holds too, on the features both have.

    truth: raw counts of the target modality, all cells of its file: RNA is scaled to their median depth, which defines
    the scored scale. Raises CellsDoNotMatch, FeatureMismatch, WrongModality, WrongDirection.
    """
    require_direction(bundle, direction)
    target = direction.target
    if truth.modality is not target:
        raise WrongModality(
            f"The truth holds {truth.modality.value} cells; {direction.value} is judged by {target.value}.",
            hint="Give the file of the other modality.",
        )
    if isinstance(predicted, Encoded):
        predicted = Predicted.decoded(bundle, direction, predicted)
    matching = match_barcodes(predicted.barcodes, truth.barcodes, what=("predicted", "true"))
    truth_nf, counts_nf, scored = _truth(bundle, truth, matching.index_b)
    depth_n = predicted.source_depth_n[matching.index_a]
    nulls: dict[str, Source] = {name: bundle.nulls.source(name, direction, depth_n, scored) for name in NULLS}
    score = score_rna if target is Modality.RNA else score_atac
    scores = score(
        predicted.source(matching.index_a, scored),
        truth_nf,
        names=bundle.space(target).names[scored],
        nulls=nulls,
        rng=np.random.default_rng(seed),
        cells=predicted.barcodes[matching.index_a],
        progress=progress,
    )
    ceiling = noise_ceiling(
        counts_nf,
        target,
        rng=np.random.default_rng(seed),
        scale_to=median_depth(truth.counts) if target is Modality.RNA else None,
    )
    leaked = trained_on(bundle, predicted.barcodes[matching.index_a])
    notes = [matching.note] if matching.told else []
    if leaked:
        notes.append(
            f"{leaked:,} of the {len(depth_n):,} scored cells trained this model: the scores flatter it. "
            "Score cells it has never seen."
        )
    report = Report(
        direction=direction,
        n_cells=len(depth_n),
        bundle=bundle.digest,
        scale=bundle.translator.scale(target),
        split={"training_cells": bundle.manifest.training_cells, "scored_in_training": leaked},
        seeds=(seed,),
        coverage=coverage.as_dict() if coverage else {},
        scores=scores,
        verdict=verdict(scores),
        ceilings={scores.main: ceiling},
        nulls=dict(NULL_WORDS),
        filters=bundle.manifest.filters,
        versions=versions(),
        notes=tuple(notes),
    )
    return Evaluation(report, scores, scored, matching.note)


def unscored(bundle: Bundle, direction: Direction, *, n_cells: int, coverage: Coverage, seed: int = 0) -> Report:
    """What can be said of a translation without truth."""
    return Report(
        direction=direction,
        n_cells=n_cells,
        bundle=bundle.digest,
        scale=bundle.translator.scale(direction.target),
        split={"training_cells": bundle.manifest.training_cells},
        seeds=(seed,),
        coverage=coverage.as_dict(),
        nulls=dict(NULL_WORDS),
        filters=bundle.manifest.filters,
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Of Python, and of the packages whose arithmetic is in the numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def predicted_file(path: Path, bundle: Bundle, direction: Direction) -> tuple[Predicted, H5Source]:
    """A prediction written by `crossview translate`, as something to score. Close the source when done.

    Raises BadInput when the file lacks what a prediction of ours holds.
    """
    import anndata as ad

    try:
        adata = ad.read_h5ad(path, backed="r")
    except (OSError, ValueError) as problem:
        raise BadInput(f"{path.name} cannot be read as .h5ad: {problem}.") from problem
    try:
        if "source_depth" not in adata.obs:
            raise BadInput(
                f"{path.name} has no obs['source_depth'], which the depth null needs.",
                hint="Score a file written by `crossview translate`.",
            )
        barcodes = np.array([str(v) for v in adata.obs_names], dtype=object)
        depth_n = adata.obs["source_depth"].to_numpy(dtype=np.float32)
        column = {str(name): j for j, name in enumerate(adata.var_names)}
    finally:
        adata.file.close()
    names = bundle.space(direction.target).names
    inner = H5Source(path)

    def source(cells: Positions, features: Positions) -> Source:
        lost = [names[j] for j in features if names[j] not in column]
        if lost:
            raise FeatureMismatch(
                f"{path.name} lacks {len(lost):,} of the {len(features):,} features to be scored, such as {lost[0]}.",
                hint="Translate without `--features`, or give a truth file of those features only.",
            )
        return ChosenSource(inner, cells, np.array([column[names[j]] for j in features], dtype=np.int64))

    return Predicted(barcodes, depth_n, source), inner


def _truth(bundle: Bundle, truth: Cells, rows: Positions) -> tuple[sp.csr_matrix, sp.csr_matrix, Positions]:
    """Truth on the scored scale and raw, rows and features that are scored, and where those lie in the space."""
    space = bundle.space(truth.modality)
    alignment = align(truth.space.names, space, min_coverage=0.0)
    scored = np.flatnonzero(np.diff(sp.csc_matrix(alignment.lead_if).indptr)).astype(np.int64)
    if scored.size == 0:
        raise FeatureMismatch(
            f"None of the {len(truth.space):,} true features is predicted by {bundle.manifest.id}.",
            hint="Check genome build and names: `crossview inspect TRUTH --model ID`.",
        )
    counts_nf = sp.csr_matrix(alignment.apply(truth.counts[rows])[:, scored])
    if truth.modality is Modality.ATAC:
        return binarised(counts_nf), counts_nf, scored
    whole = log_normalised(truth.counts)[rows]
    return sp.csr_matrix(alignment.apply(whole)[:, scored]), counts_nf, scored


def trained_on(bundle: Bundle, barcodes: Names) -> int:
    """How many of these cells trained the model, by name, where it says which did."""
    path = bundle.folder / "split.json" if bundle.folder else None
    if path is None or not path.is_file():
        return 0
    known = json.loads(path.read_text(encoding="utf-8"))
    trained = set(known.get("train", [])) | set(known.get("valid", []))
    return sum(str(name) in trained for name in barcodes)


def as_json(evaluation: Evaluation, **also: Any) -> dict[str, Any]:
    """The report with its scores by direction, as `crossview evaluate` prints it."""
    document = evaluation.report.as_dict()
    return {**also, "directions": {evaluation.report.direction.value: document}}
