"""The field's terms, states and stages in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jobs.names import Direction, Modality
from jobs.state import ACTIVE, JobState

Colour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]


def modality(which: Modality) -> str:
    return "RNA" if which is Modality.RNA else "ATAC"


def measured(which: Modality) -> str:
    """What is measured: expression or accessibility."""
    return "expression" if which is Modality.RNA else "accessibility"


def row(which: Modality) -> str:
    """What one column of the matrix is called: gene or peak."""
    return "gene" if which is Modality.RNA else "peak"


def direction(which: Direction) -> str:
    return f"{modality(which.source)} → {modality(which.target)}"


def in_order(which: Sequence[Direction]) -> list[Direction]:
    """RNA → ATAC first, wherever both are shown."""
    return [d for d in (Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA) if d in which]


def directions(which: Sequence[Direction]) -> str:
    return "RNA ⇄ ATAC" if len(set(which)) == 2 else " · ".join(direction(d) for d in which) or "–"


def explained(which: Direction) -> str:
    """One direction in a sentence a biologist would say."""
    return f"predicts {measured(which.target)} from measured {measured(which.source)}"


def genome(name: str | None) -> str:
    species = {"hg38": "human", "hg19": "human", "mm10": "mouse", "mm39": "mouse"}.get(name or "")
    return f"{species} ({name})" if species else name or "genome not stated"


@dataclass(frozen=True)
class Tag:
    """A state as a badge: word, colour by meaning, icon, and whether it can still change."""

    word: str
    colour: Colour
    icon: str
    live: bool


_TAGS: dict[JobState, tuple[str, Colour, str]] = {
    JobState.QUEUED: ("Waiting", "gray", ":material/schedule:"),
    JobState.SUBMITTED: ("Starting", "blue", ":material/rocket_launch:"),
    JobState.RUNNING: ("Running", "blue", ":material/autorenew:"),
    JobState.CANCELLING: ("Cancelling", "orange", ":material/block:"),
    JobState.SUCCEEDED: ("Succeeded", "green", ":material/check_circle:"),
    JobState.FAILED: ("Failed", "red", ":material/error:"),
    JobState.LOST: ("Interrupted", "orange", ":material/cloud_off:"),
    JobState.CANCELLED: ("Cancelled", "gray", ":material/block:"),
}


def tag(state: JobState) -> Tag:
    word, colour, icon = _TAGS[state]
    return Tag(word, colour, icon, state in ACTIVE)


@dataclass(frozen=True)
class Stage:
    """A part of a job. words: while it goes on; short: in the row of all parts; weight: its share of the bar."""

    words: str
    short: str
    weight: float


_STAGES: Mapping[str, Mapping[str, Stage]] = {
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
    return _STAGES.get(kind, _STAGES["translate"])


def stage(name: str, kind: str = "translate") -> str:
    if not name:
        return "Waiting to start"
    known = stages(kind).get(name)
    return known.words if known else name.replace("-", " ").capitalize()


def plain(text: str) -> str:
    """Text from a file or an error, safe inside markdown: a label is text, never markup."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:])", r"\\\1", text)


def slug(text: str) -> str:
    """A name as part of a key or a file's name: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "x"


@dataclass(frozen=True)
class Step:
    """One line of live progress. share: of the whole job, 0 to 1."""

    label: str
    share: float
    detail: str
