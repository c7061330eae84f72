"""The parts of a job of each kind, in their order, and the words for them: on pages, and in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A part of a job. words: while it goes on; short: in the row of all parts; weight: its share of the bar."""

    words: str
    short: str
    weight: float


STAGES: Mapping[str, Mapping[str, Stage]] = {
    "translate": {
        "prepare": Stage("Reading the cells and the model", "Read", 0.1),
        "translate": Stage("Translating cells", "Translate", 0.4),
        "score": Stage("Scoring against the measured cells", "Score", 0.3),
        "map": Stage("Laying out the maps", "Map", 0.15),
        "publish": Stage("Writing the results", "Write", 0.05),
    },
    "joint": {
        "prepare": Stage("Reading both files and matching their cells", "Read", 0.05),
        "embed": Stage("Seeing each cell both ways", "Embed", 0.25),
        "group": Stage("Grouping the cells", "Group", 0.15),
        "score": Stage("Judging what is imputed", "Judge", 0.3),
        "map": Stage("Laying out the maps", "Map", 0.2),
        "publish": Stage("Writing the results", "Write", 0.05),
    },
    "analysis": {
        "prepare": Stage("Reading both files and matching their cells", "Read", 0.05),
        "analyse": Stage("Analysing the cells", "Analyse", 0.9),
        "publish": Stage("Writing the results", "Write", 0.05),
    },
    "evaluate": {
        "prepare": Stage("Reading the prediction and matching its cells", "Read", 0.1),
        "score": Stage("Scoring against the measured cells", "Score", 0.6),
        "map": Stage("Laying out the maps", "Map", 0.25),
        "publish": Stage("Writing the results", "Write", 0.05),
    },
    "train": {
        "prepare": Stage("Reading both files and matching their cells", "Read", 0.05),
        "train": Stage("Training", "Train", 0.75),
        "score": Stage("Scoring on the cells held out", "Score", 0.15),
        "publish": Stage("Writing the model and its card", "Write", 0.05),
    },
    "benchmark": {
        "prepare": Stage("Reading both files and matching their cells", "Read", 0.05),
        "measure": Stage("Training and scoring the models", "Train and score", 0.9),
        "publish": Stage("Comparing the models, cell by cell", "Compare", 0.05),
    },
}


def stages(kind: str) -> Mapping[str, Stage]:
    """The parts of a job of this kind, in their order."""
    return STAGES.get(kind, STAGES["translate"])


def words(name: str, kind: str) -> str:
    """What goes on in a part; of one that is not known, its name."""
    known = stages(kind).get(name)
    return known.words if known else name.replace("-", " ").capitalize()
