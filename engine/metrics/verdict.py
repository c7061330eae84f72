"""The scorecard in words a biologist can repeat: better than the average profile, or not, and on how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from engine.metrics.scores import Score, Scores
from engine.types import Modality

FEATURE_COLUMN = {Modality.RNA: "pearson", Modality.ATAC: "auroc_depth_adjusted"}
FEATURE_WORD = {Modality.RNA: "genes", Modality.ATAC: "peaks"}
SCORE_WORD = {
    Modality.RNA: "Correlation per gene",
    Modality.ATAC: "AUROC per peak among cells of like depth",
}
NULL_WORD = {
    "mean": "the average profile",
    "depth": "the average profile scaled by depth",
    "celltype-mean": "the average of the cell's type",
}
Z = 1.96


class Level(StrEnum):
    """What the main score says against its nulls."""

    BETTER = "better"  # its lower bound clears chance and every null
    UNCLEAR = "unclear"  # above, but an interval reaches a null
    NO_BETTER = "no-better"
    NOT_SCORED = "not-scored"


@dataclass(frozen=True)
class Verdict:
    """The judgement, as sentences and as the numbers in them.

    better: features whose score is above that of `null`; clearly: of these, those whose own 95 % lower bound is
    (of features that carry nothing, half are better and 1 to 3 % clearly so). clears: by score, whether its intervals
    clear chance and every null.
    """

    level: Level
    headline: str
    sentences: tuple[str, ...]
    null: str
    better: int
    clearly: int
    tested: int
    clears: Mapping[str, bool]

    @property
    def share(self) -> float:
        """Part of the tested features that are better than the null."""
        return self.better / self.tested if self.tested else 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {
            "level": self.level.value,
            "sentences": list(self.sentences),
            "clears": dict(self.clears),
            "share": round(self.share, 4),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Verdict:
        known = {name: given[name] for name in cls.__dataclass_fields__}
        return cls(**(known | {"level": Level(given["level"]), "sentences": tuple(given["sentences"])}))


def verdict(scores: Scores) -> Verdict:
    """What the scorecard amounts to. Reads the per-feature table, so call it before the table is dropped."""
    word, main = FEATURE_WORD[scores.modality], scores.scores[scores.main]
    null, better, clearly, tested = _counts(scores, main)
    level = _level(main)
    clears = {name: score.clears_nulls for name, score in scores.scores.items()}
    if level is Level.NOT_SCORED:
        return Verdict(level, f"No {word} could be tested.", tuple(scores.notes), null, 0, 0, 0, clears)
    headline = (
        f"Better than {NULL_WORD.get(null, null)} on {better:,} of {tested:,} {word} tested "
        f"({_percent(better, tested)}), clearly so on {clearly:,}."
    )
    return Verdict(
        level, headline, (headline, _main_sentence(scores.modality, main, level)), null, better, clearly, tested, clears
    )


def _counts(scores: Scores, main: Score) -> tuple[str, int, int, int]:
    """The null compared with, and how many features are better, clearly better, tested."""
    column = FEATURE_COLUMN[scores.modality]
    null = "mean" if "mean" in main.nulls else next(iter(main.nulls), "chance")
    if column not in scores.features:
        return null, 0, 0, main.averaged
    value = _filled(scores.features[column], main.chance)
    base = _filled(scores.features.get(f"{column}_null_{null}", np.full(len(value), main.chance)), main.chance)
    error = np.nan_to_num(scores.features[f"{column}_se"])
    better = value > base
    return null, int(better.sum()), int((better & (value - Z * error > base)).sum()), len(value)


def _filled(values: np.ndarray[Any, Any], chance: float) -> np.ndarray[Any, Any]:
    return np.where(np.isnan(values), chance, values)


def _level(main: Score) -> Level:
    if main.averaged == 0 or not np.isfinite(main.value):
        return Level.NOT_SCORED
    if main.clears_nulls:
        return Level.BETTER
    above = main.value > max([main.chance, *main.nulls.values()])
    return Level.UNCLEAR if above else Level.NO_BETTER


def _main_sentence(modality: Modality, main: Score, level: Level) -> str:
    name, best = max(main.nulls.items(), key=lambda item: item[1], default=("chance", main.chance))
    low, high = main.interval
    said = f"{SCORE_WORD[modality]} is {main.value:.3f} (95 % interval {low:.3f} to {high:.3f} over {main.n:,} cells)"
    against = f"the best null, {NULL_WORD.get(name, name)}, scores {best:.3f}"
    tail = {
        Level.BETTER: "the interval lies above every null",
        Level.UNCLEAR: "it is above, but these cells are too few to be sure",
        Level.NO_BETTER: "the prediction does not beat it",
    }[level]
    return f"{said}; {against}: {tail}."


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"
