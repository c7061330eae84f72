"""What a model says of its own limits, as columns of cells and as part of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.metrics.abstention import abstention, certainty
from engine.metrics.ranks import Doubles
from engine.metrics.scores import Table, plain
from engine.report import Report
from engine.translate import Encoded
from engine.translators.base import OUTSIDE, Doubt, Doubting
from engine.types import Floats, Modality

NOVELTY, EXPECTED, OUT_OF_DOMAIN = "novelty", "expected_score", "out_of_domain"
CELL_SCORE = {Modality.RNA: "pearson", Modality.ATAC: "auroc"}  # what `Doubt.expected_n` expects, by target
BLOCK = 8192  # cells judged at once  # ours


def doubt_of(bundle: Bundle, encoded: Encoded) -> Doubt | None:
    """What the model says of each cell; None where it does not know its limits."""
    translator = bundle.translator
    if not isinstance(translator, Doubting) or len(encoded) == 0:
        return None
    starts = range(0, len(encoded), BLOCK)
    parts = [translator.doubt(encoded.latent.rows(slice(start, start + BLOCK))) for start in starts]
    doubt = Doubt(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("novelty_n", "expected_n")))
    return doubt if np.isfinite(doubt.novelty_n).any() or np.isfinite(doubt.expected_n).any() else None


def doubt_columns(doubt: Doubt | None) -> dict[str, NDArray[Any]]:
    """Columns of a table of cells, each of shape (n,); none where the model does not know its limits."""
    if doubt is None:
        return {}
    return {
        NOVELTY: np.asarray(doubt.novelty_n, dtype=np.float32),
        EXPECTED: np.asarray(doubt.expected_n, dtype=np.float32),
        OUT_OF_DOMAIN: np.asarray(doubt.outside_n, dtype=bool),
    }


def outside_note(doubt: Doubt | None) -> str:
    """One sentence where cells are out of domain, otherwise nothing."""
    outside = 0 if doubt is None else int(doubt.outside_n.sum())
    if doubt is None or outside == 0:
        return ""
    return (
        f"{outside:,} of {len(doubt.outside_n):,} cells {'is' if outside == 1 else 'are'} unlike the training cells "
        f"(column {OUT_OF_DOMAIN}; of cells like those, about 1 in {round(1 / (1 - OUTSIDE))} is called so): "
        "do not rely on their predictions."
    )


def with_doubt(
    report: Report,
    doubt: Doubt | None,
    *,
    cells: Table | None = None,
    rows_m: NDArray[np.int64] | None = None,
    depth_n: Floats | None = None,
) -> Report:
    """The report with what the model says of its limits; as it was where it says nothing.

    cells, rows_m, depth_n: of scored cells, their scores by column, their places among the cells judged by `doubt`,
    and the source depth of all of these. `doubt` of the report then says what leaving out cells would bring.
    """
    if doubt is None:
        return report
    said: dict[str, Any] = {
        "cells": len(doubt.outside_n),
        "outside": int(doubt.outside_n.sum()),
        "above": OUTSIDE,
        "expected": _mean(doubt.expected_n),
    }
    score = CELL_SCORE[report.direction.target]
    if cells is not None and rows_m is not None and depth_n is not None and score in cells:
        said["abstention"] = _abstention(
            cells[score], certainty(doubt.expected_n, doubt.novelty_n)[rows_m], depth_n[rows_m]
        )
    note = outside_note(doubt)
    return replace(report, doubt=plain(said), notes=(*report.notes, *([note] if note else [])))


def _abstention(score_m: NDArray[Any], certainty_m: Doubles, depth_m: Floats) -> Mapping[str, float]:
    """Mean heights of the curves of kept score: by the model's certainty, by source depth, and at random."""
    ours = abstention(score_m, certainty_m)
    return {"area": ours.area, "area_by_depth": abstention(score_m, depth_m).area, "area_at_random": ours.everything}


def _mean(values_n: Floats) -> float:
    finite = values_n[np.isfinite(values_n)]
    return float(finite.mean(dtype=np.float64)) if finite.size else float("nan")
