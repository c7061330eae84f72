"""A prediction from elsewhere by its names, and what its numbers are: told by some of them, or as was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.errors import BadSetting
from engine.metrics.sources import Source
from engine.types import FeatureSpace, Modality, Names, Scale

LOOKED_AT = 512  # cells whose values tell the scale  # ours
UNDERSHOOT = 0.25  # share below zero up to which it is a regression that undershoots, not centred values  # ours
TOP_OF_LOG = 20.0  # above log1p of any count of molecules in a cell, below many a count  # ours
SCALES: Mapping[Modality, tuple[Scale, ...]] = {
    Modality.RNA: (Scale.LOG_NORMALISED, Scale.RATE, Scale.OWN),
    Modality.ATAC: (Scale.PROBABILITY, Scale.RATE, Scale.OWN),
}
ASSUMED: Mapping[tuple[Modality, Scale], str] = {
    (Modality.RNA, Scale.LOG_NORMALISED): "The values are taken as log-normalised expression, as they are.",
    (Modality.RNA, Scale.RATE): "The values are taken as counts: each cell is scaled to the median depth, then log1p.",
    (Modality.RNA, Scale.OWN): "The values are on a scale of their own, such as z-scores: correlations of each gene "
    "are sound, those of each cell are not to be read, and squared error is left out.",
    (Modality.ATAC, Scale.PROBABILITY): "The values are taken as probabilities of being open.",
    (Modality.ATAC, Scale.RATE): "The values are taken as counts: only their order is used, calibration is left out.",
    (Modality.ATAC, Scale.OWN): "The values are on a scale of their own, such as log odds: only their order is used, "
    "calibration is left out.",
}


@dataclass(frozen=True, eq=False)
class Foreign:
    """A prediction by its names. source: all its cells and features, shape (n, f) of `barcodes` and `space`."""

    space: FeatureSpace
    barcodes: Names
    source: Source


def scale_of(prediction: Foreign, *, asked: str = "") -> Scale:
    """What the numbers are, from some cells at the beginning, middle and end; or as asked. Raises BadSetting."""
    n, modality = len(prediction.barcodes), prediction.space.modality
    if asked:
        known = [scale.value for scale in SCALES[modality]]
        if asked not in known:
            raise BadSetting(
                f"A prediction of {modality.value.upper()} cannot be {asked!r}.",
                hint=f"It is one of {', '.join(known)}.",
            )
        return Scale(asked)
    part = max(1, LOOKED_AT // 3)
    starts = sorted({0, max(0, (n - part) // 2), max(0, n - part)})
    seen = [prediction.source.rows(start, min(n, start + part)) for start in starts]
    low, high = min(float(x.min()) for x in seen), max(float(x.max()) for x in seen)
    whole = all(bool((x == np.rint(x)).all()) for x in seen)
    below, beyond = (sum(float(np.maximum(sign * x, 0).sum(dtype=np.float64)) for x in seen) for sign in (-1, 1))
    return _guessed(modality, low=low, high=high, whole=whole, below=below / max(below + beyond, 1e-12))


def _guessed(modality: Modality, *, low: float, high: float, whole: bool, below: float) -> Scale:
    """below: share of what the values add up to, signs aside, that lies below zero; about half of centred ones."""
    undershoots = modality is Modality.RNA and below <= UNDERSHOOT and high <= TOP_OF_LOG
    if low < 0 and not undershoots:
        return Scale.OWN
    if modality is Modality.ATAC:
        return Scale.PROBABILITY if high <= 1 else Scale.RATE
    return Scale.RATE if low >= 0 and (whole or high > TOP_OF_LOG) else Scale.LOG_NORMALISED


def scored_scale(target: Modality, given: Scale) -> Scale:
    """What values of this scale are scored on: predicted counts of genes are brought to log1p, others stay."""
    return Scale.LOG_NORMALISED if target is Modality.RNA and given is Scale.RATE else given
