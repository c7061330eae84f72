"""The field's terms, states and stages in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jobs.names import Direction, Modality
from jobs.stages import words
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


def stage(name: str, kind: str = "translate") -> str:
    if not name:
        return "Waiting to start"
    return words(name, kind)


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
