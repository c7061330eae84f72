"""What is said about one translation: how it was made, how good it is, and how far to trust it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.metrics.ceiling import Ceiling
from engine.metrics.scores import Scores, plain
from engine.metrics.verdict import Verdict
from engine.types import Direction, Scale

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Report:
    """One direction of one translation. Everything in it travels as JSON; two equal runs give equal reports.

    split: what was scored and how it was held out, such as {"by": "cell", "part": "test", "train": 686}.
    bundle: digest of the model. coverage: what of the model's source features the input held.
    scores, verdict: None where there was no truth. nulls: what each null is, in words, by name.
    ceilings: by score. filters: published filters as used. versions: of the packages that computed it.
    doubt: what the model says of its own limits (cells out of domain, score expected); empty where it says nothing.
    """

    direction: Direction
    n_cells: int
    bundle: str
    scale: Scale
    split: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    coverage: Mapping[str, Any] = field(default_factory=dict)
    scores: Scores | None = None
    verdict: Verdict | None = None
    ceilings: Mapping[str, Ceiling] = field(default_factory=dict)
    nulls: Mapping[str, str] = field(default_factory=dict)
    filters: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    doubt: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The report in JSON's own types; `scores` holds the scores by name, what stands behind them is `detail`."""
        detail = self.scores.as_dict() if self.scores else None
        return {
            "schema": SCHEMA,
            "direction": self.direction.value,
            "n_cells": self.n_cells,
            "bundle": self.bundle,
            "scale": self.scale.value,
            "split": plain(self.split),
            "seeds": list(self.seeds),
            "coverage": plain(self.coverage),
            "scores": detail.pop("scores") if detail else {},
            "detail": detail,
            "verdict": self.verdict.as_dict() if self.verdict else None,
            "ceilings": {name: ceiling.as_dict() for name, ceiling in self.ceilings.items()},
            "nulls": dict(self.nulls),
            "filters": plain(self.filters),
            "versions": dict(self.versions),
            "notes": list(self.notes),
            "doubt": plain(self.doubt),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Report:
        """The report written by `as_dict`, without the per-feature tables. Raises BadInput on another schema."""
        if given.get("schema") != SCHEMA:
            raise BadInput(
                f"This report has schema {given.get('schema')!r}; this version reads {SCHEMA}.",
                hint="Score the prediction again with this version.",
            )
        detail = given["detail"]
        return cls(
            direction=Direction(given["direction"]),
            n_cells=int(given["n_cells"]),
            bundle=given["bundle"],
            scale=Scale(given["scale"]),
            split=given["split"],
            seeds=tuple(given["seeds"]),
            coverage=given["coverage"],
            scores=Scores.from_dict({**detail, "scores": given["scores"]}) if detail else None,
            verdict=Verdict.from_dict(given["verdict"]) if given["verdict"] else None,
            ceilings={name: Ceiling.from_dict(ceiling) for name, ceiling in given["ceilings"].items()},
            nulls=given["nulls"],
            filters=given["filters"],
            versions=given["versions"],
            notes=tuple(given["notes"]),
            doubt=given.get("doubt", {}),  # reports of earlier versions have none
        )

    def write(self, path: Path) -> None:
        """Write report.json: sorted keys, no NaN, so that equal reports are equal bytes."""
        text = json.dumps(self.as_dict(), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Report:
        """The report at `path`. Raises BadInput when it is not one."""
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise BadInput(f"{path.name} is not JSON: {error}.", hint="Choose a report.json.") from error
        return cls.from_dict(given)
