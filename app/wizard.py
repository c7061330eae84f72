"""The wizard's kinds and steps as words, and what its address says of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.names import Direction, Modality
from jobs.spec import TranslateSpec
from jobs.views import DatasetView, ModelView


@dataclass(frozen=True)
class Kind:
    """word: on its button. what: in one sentence. act: on the button that submits. paired: needs both measurements."""

    word: str
    icon: str
    what: str
    act: str
    ready: str
    paired: bool = True


KINDS: Mapping[str, Kind] = {
    "translate": Kind(
        "Translate", ":material/swap_horiz:",
        "Predict accessibility from expression, or expression from accessibility; one file or many.",
        "Translate", "Ready to translate", paired=False,
    ),
    "evaluate": Kind(
        "Judge a model", ":material/fact_check:",
        "On cells of yours measured both ways: each is predicted from the other, and scored against it.",
        "Judge it", "Ready to judge",
    ),
    "score": Kind(
        "Score a prediction", ":material/grading:",
        "Of any model or tool, your own too: its .h5ad against what was measured of these cells, beside the average.",
        "Score it", "Ready to score",
    ),
    "joint": Kind(
        "Joint view", ":material/hub:",
        "See cells measured both ways in one map, with groups, and the gaps of either measurement filled in.",
        "Make the joint view", "Ready to go",
    ),
    "train": Kind(
        "Train", ":material/model_training:",
        "Teach a model your own tissue from cells measured both ways, and see on others how far to trust it.",
        "Train this model", "Ready to train",
    ),
    "benchmark": Kind(
        "Compare models", ":material/leaderboard:",
        "Train several models on the same cells and judge them on the same others: which is better, and is it chance?",
        "Compare them", "Ready to compare",
    ),
}  # fmt: skip
SCORED = ("prediction", "truth", "source", "training")  # what an address of this kind names
STEPS = ("Data", "Check", "Model", "Review")
OF_JOBS: Mapping[str, str] = {"evaluate": "translate", "score": "evaluate"}  # kinds of jobs that are called otherwise


NAMED = ("rna", "atac", "cells", "other", "truth", "source")  # what an address calls measured cells


def kind_of(text: str) -> str:
    return text if text in KINDS else "translate"


def step_of(text: str) -> int:
    """1 to 4."""
    return int(text) if text in ("1", "2", "3", "4") else 1


def turned(query: Mapping[str, Sequence[str]], to: str, known: Sequence[DatasetView]) -> dict[str, str | list[str]]:
    """The address of the same cells for another kind of job. known: the datasets it names."""
    by_id = {data.id: data for data in known}
    named = [id for name in NAMED for id in query.get(name, ()) if id in by_id]
    chosen: dict[Modality, str] = {}
    for id in named:
        if (modality := by_id[id].modality) is not None:
            chosen.setdefault(Modality(modality), id)
    asked: dict[str, str | list[str]] = {"kind": to}
    if to == "score":
        return {**asked, **{name: ids[0] for name in SCORED if (ids := [*query.get(name, ())])}}
    if KINDS[to].paired:
        return {**asked, **{modality.value: id for modality, id in chosen.items()}}
    return {**asked, **dict(zip(("cells", "other"), [chosen[m] for m in Modality if m in chosen], strict=False))}


def batch_specs(
    model: ModelView, files: Sequence[DatasetView], *, export: bool, umap: bool, seed: int
) -> list[TranslateSpec]:
    """One translation a file, in the direction its measurement allows."""
    return [
        TranslateSpec.model_validate(
            {
                "model": model.id,
                Modality(data.modality).value: data.id,
                "directions": [d for d in Direction if d.source == data.modality and d in model.directions],
                "export": export,
                "umap": umap,
                "seed": seed,
            }
        )
        for data in files
        if data.modality is not None
    ]
