"""What an upload turned out to be, in numbers and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.types import Modality

QUANTILES = (0, 5, 25, 50, 75, 95, 100)


@dataclass(frozen=True)
class Summary:
    """What an upload turned out to be; plain numbers and text, fit for JSON.

    counts_from: where in the file the counts were (X, layers["counts"], raw.X).
    depth: counts a cell at the percentiles in `QUANTILES`; detected: features seen a cell, likewise.
    labels: cells a category, by label column. genome: build guessed from names, or None.
    mends: what was changed on the way in, as its owner asked: each with `what` and its figures.
    values: whether they are predicted values and not counts.
    """

    source: str
    cells: int
    features: int
    modality: Modality
    counts_from: str
    nnz: int
    density: float
    largest: float
    empty_cells: int
    depth: Mapping[int, float]
    detected: Mapping[int, float]
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    genome: str | None = None
    notes: tuple[str, ...] = ()
    mends: tuple[Mapping[str, Any], ...] = ()
    values: bool = False

    @property
    def binary(self) -> bool:
        """Whether nothing was counted more than once, as in binarised ATAC."""
        return self.largest <= 1

    def to_json(self) -> dict[str, Any]:
        document = {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "modality": self.modality.value,
            "depth": {str(q): value for q, value in self.depth.items()},
            "detected": {str(q): value for q, value in self.detected.items()},
            "labels": {name: dict(counts) for name, counts in self.labels.items()},
            "notes": list(self.notes),
            "mends": [dict(mend) for mend in self.mends],
        }
        if not self.mends:  # a copy of cells that needed none keeps the digest it always had
            del document["mends"]
        if not self.values:
            del document["values"]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Summary:
        fields = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        fields["modality"] = Modality(fields["modality"])
        fields["notes"] = tuple(fields.get("notes", ()))
        fields["mends"] = tuple(fields.get("mends", ()))
        for name in ("depth", "detected"):
            fields[name] = {int(q): float(value) for q, value in fields[name].items()}
        return cls(**fields)
