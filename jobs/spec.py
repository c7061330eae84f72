"""What was asked: frozen, complete, and hashable into a cache key."""

from __future__ import annotations

import hashlib
import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.types import Direction, Modality


class Spec(BaseModel):
    """Common to all kinds of jobs: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON: the same request has the same digest on every machine."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class TranslateSpec(Spec):
    """Translate cells, and score the translation wherever the other modality was given too.

    rna, atac: ids of ready datasets (the SHA-256 of the canonical copy).
    Each direction's source must be given; where its target is given as well, it is the held-out truth.
    """

    kind: Literal["translate"] = "translate"
    model: str  # id in the catalog
    bundle: str = ""  # digest of the bundle; filled in by the service when submitting
    rna: str | None = None
    atac: str | None = None
    directions: tuple[Direction, ...] = Field(min_length=1)
    chunk_cells: int = Field(default=512, ge=1, le=65_536)
    export: bool = False  # also write the dense prediction
    umap: bool = True
    min_coverage: float = Field(default=0.5, ge=0.0, le=1.0)
    seed: int = 0

    @model_validator(mode="after")
    def _every_source_is_given(self) -> Self:
        if len(set(self.directions)) != len(self.directions):
            raise ValueError("Each direction may be asked for once.")
        for direction in self.directions:
            if self.dataset(direction.source) is None:
                raise ValueError(f"{direction.value} needs {direction.source.value} cells; none were given.")
        return self

    def dataset(self, modality: Modality) -> str | None:
        return self.rna if modality is Modality.RNA else self.atac

    def has_truth(self, direction: Direction) -> bool:
        return self.dataset(direction.target) is not None


AnySpec = TranslateSpec  # TrainSpec, EvaluateSpec and BenchmarkSpec join this union when they exist


def parse_spec(document: str) -> AnySpec:
    """The spec a job row holds, from its JSON."""
    return TranslateSpec.model_validate_json(document)
