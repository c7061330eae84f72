"""A training's epochs to tables and words: what is drawn while it runs and afterwards. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import pandas as pd

from app import present
from jobs.views import EpochView, TrainingView

MAIN = "total"
TRAIN, VALID = "training cells", "cells held back to choose"
_WORDS = {
    "total": "all parts together",
    "kl": "agreement of both latents (KL)",
    "rna": "expression",
    "atac": "accessibility",
    "rna_rna": "RNA → RNA",
    "atac_rna": "ATAC → RNA",
    "rna_atac": "RNA → ATAC",
    "atac_atac": "ATAC → ATAC",
}


def part_words(name: str) -> str:
    return _WORDS.get(name, name.replace("_", " "))


def parts(view: TrainingView) -> list[str]:
    """Names of the loss and its parts, the whole first."""
    found = dict.fromkeys(name for epoch in view.epochs for side in (epoch.valid, epoch.train) for name in side)
    return sorted(found, key=lambda name: name != MAIN)


def stages(view: TrainingView) -> list[str]:
    return list(dict.fromkeys(epoch.stage for epoch in view.epochs))


def of_stage(view: TrainingView, stage: str) -> list[EpochView]:
    """The epochs of one stage, each once: an attempt that went on from a checkpoint may have repeated some."""
    return [*{e.number: e for e in view.epochs if e.stage == stage}.values()]


def points(view: TrainingView, stage: str, part: str) -> pd.DataFrame:
    """Columns epoch, what, value; a row an epoch and side that has the part."""
    rows = [
        {"epoch": epoch.number, "what": what, "value": float(side[part])}
        for epoch in of_stage(view, stage)
        for what, side in ((TRAIN, epoch.train), (VALID, epoch.valid))
        if part in side
    ]
    return pd.DataFrame(rows, columns=["epoch", "what", "value"])


def kept(view: TrainingView, stage: str) -> int | None:
    """The epoch whose weights are kept."""
    found = view.kept(stage)
    return found.number if found else None


def right_end(view: TrainingView, stage: str) -> int:
    """Where a live curve's axis ends: ahead of the last epoch, and moved rarely, so that nothing jumps."""
    last = of_stage(view, stage)[-1]
    ahead = next((end for end in _ENDS if end >= last.number * 1.05), last.of)
    return max(min(ahead, last.of), last.number)


_ENDS = (10, 25, 50, 100, 150, 200, 300, 500, 1000, 2000)


def resumed(view: TrainingView, stage: str) -> list[int]:
    """Epochs after which another attempt went on, of this stage's own count."""
    if len(stages(view)) > 1 and stage != stages(view)[-1]:
        return []
    last = max((e.number for e in of_stage(view, stage)), default=0)
    return sorted({number for number in view.resumed if 0 < number <= last})


@dataclass(frozen=True)
class Standing:
    """Where a training is. most_left_s: seconds until its last epoch; early stopping may come sooner."""

    stage: str
    epoch: int
    of: int
    second_an_epoch: float
    most_left_s: float

    @property
    def share(self) -> float:
        return min(self.epoch / self.of, 1.0) if self.of else 0.0


def standing(view: TrainingView) -> Standing | None:
    if not view.epochs:
        return None
    last = view.epochs[-1]
    took = [e.seconds for e in view.epochs[-20:] if e.stage == last.stage and e.seconds > 0]
    each = median(took) if took else 0.0
    return Standing(last.stage, last.number, last.of, each, each * max(last.of - last.number, 0))


def standing_words(view: TrainingView) -> str:
    """Epoch 34 of 300 · 1.2 s an epoch · at most 5 min left of this stage."""
    here = standing(view)
    if here is None:
        return "No epoch is finished yet"
    words = [f"{stage_words(here.stage)}, epoch" if here.stage else "Epoch"]
    said = [f"{words[0]} {present.count(here.epoch)} of at most {present.count(here.of)}"]
    if here.second_an_epoch:
        said.append(f"{_seconds(here.second_an_epoch)} an epoch")
    if here.most_left_s >= 1:
        said.append(f"at most {present.duration(here.most_left_s)} left{' of this stage' if here.stage else ''}")
    return " · ".join(said)


def _seconds(value: float) -> str:
    return f"{value:.2g} s" if value < 10 else present.duration(value)


def stage_words(stage: str) -> str:
    return stage.replace("-", " ").replace("_", " ").capitalize()


def title(view: TrainingView, stage: str) -> str:
    """The finding of a curve: where it was best, and how long it went on without gain."""
    epochs, at = of_stage(view, stage), kept(view, stage)
    if not epochs or at is None:
        said = "No epoch is finished yet"
    elif epochs[-1].last:
        said = f"The last of {present.plural(epochs[-1].of, 'epoch')} is kept"
    elif (after := epochs[-1].number - at) == 0:
        said = f"Best at epoch {present.count(at)}, the last"
    else:
        said = f"Best at epoch {present.count(at)}; {present.plural(after, 'epoch')} since without gain"
    return f"{stage_words(stage)}: {said[0].lower()}{said[1:]}" if stage else said
