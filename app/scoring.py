"""A prediction that is to be scored, as an address names it: its files, what stands in the way, the spec. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.asked import Draft, genome_of
from jobs.names import Modality
from jobs.spec import EvaluateSpec
from jobs.views import DatasetView

PARAMS = ("prediction", "truth", "source", "training")  # of the address; a spec names truth and source by modality
LOOKS = ""  # as the values look
SCALES: Mapping[Modality, Mapping[str, str]] = {
    Modality.RNA: {
        LOOKS: "As they look",
        "log-normalised": "Log-normalised expression",
        "rate": "Counts, or expected counts",
        "own": "A scale of their own, such as z-scores",
    },
    Modality.ATAC: {
        LOOKS: "As they look",
        "probability": "Probabilities of being open",
        "rate": "Counts, or expected counts",
        "own": "A scale of their own, such as log odds",
    },
}


@dataclass(frozen=True)
class Files:
    """Ready sets of cells. source: what it was predicted from; training: what its model learned from."""

    prediction: DatasetView
    truth: DatasetView
    source: DatasetView | None = None
    training: DatasetView | None = None

    @property
    def target(self) -> Modality:
        return Modality(self.prediction.modality or Modality.RNA)

    @property
    def inputs(self) -> dict[Modality, DatasetView]:
        """The measured cells."""
        found = {self.target: self.truth}
        return {**found, self.target.other: self.source} if self.source is not None else found


def wrong(files: Files) -> str:
    """Why these cannot go together, in a sentence; empty where they can."""
    kinds = {Modality.RNA: "genes (RNA)", Modality.ATAC: "peaks (ATAC)"}
    target, other = kinds[files.target], kinds[files.target.other]
    if files.truth.modality != files.target:
        return f"The prediction is of {target}: the measured cells must be of {target} too, and these are not."
    if files.source is not None and files.source.modality != files.target.other:
        return f"A prediction of {target} comes from {other}: what it was predicted from must hold these."
    if files.training is not None and files.training.modality != files.target:
        return f"The training cells must be of {target}, as the prediction is."
    return ""


def spec(draft: Draft, files: Files) -> EvaluateSpec:
    """Raises pydantic.ValidationError for what does not go together."""
    return EvaluateSpec.model_validate(
        {
            "target": files.target,
            "prediction": files.prediction.id,
            "training": files.training.id if files.training is not None else None,
            **{modality.value: data.id for modality, data in files.inputs.items()},
            "method": draft.one("method").strip()[:200],
            "scale": draft.pick("scale", list(SCALES[files.target])),
            "umap": draft.flag("umap", True),
            "genome": None if genome_of(files.inputs) else draft.one("genome") or None,
            "seed": draft.whole("seed", 0),
        }
    )
