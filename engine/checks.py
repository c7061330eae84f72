"""Before anything is submitted: what the input is, what a model makes of it, what it will cost. All issues at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from engine.errors import BadInput, NoCells, WrongDirection, WrongModality
from engine.intake.limits import GB, human
from engine.intake.summary import Summary
from engine.pairs import match_barcodes
from engine.preprocess.align import MIN_COVERAGE, Coverage, match
from engine.preprocess.coverage import problem_of
from engine.types import Direction, FeatureSpace, Modality, Names

Level = Literal["problem", "note"]
Verdict = Literal["ready", "ready with notes", "refused"]

BLOCK = 2_048  # cells decoded together
BASE_BYTES = 450_000_000  # Python, numpy, scipy, torch and h5py in one worker
START_S = (4.0, 20.0)  # from submission to the first cell, and writing the result
VALUES_A_SECOND = (2e7, 4e8)  # predicted values of one worker: slow and busy, fast and idle
FEW_GENES = 200  # a cell with fewer detected genes is shallow; CrossMP §2.1
FULL_COVERAGE = 0.9  # ours: below this the share found is worth a note
LARGE_EXPORT = 10 * GB  # ours


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing to know. level: a "problem" stops the job, a "note" does not. code: as of the errors."""

    level: Level
    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, problem: BadInput) -> Issue:
        return cls("problem", problem.code, problem.message, problem.hint)


@dataclass(frozen=True, eq=False)
class Given:
    """An input as far as it must be known here. names: shape (f,); barcodes: shape (n,)."""

    summary: Summary
    names: Names
    barcodes: Names

    @property
    def modality(self) -> Modality:
        return self.summary.modality


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job costs by a simple model, stated in `estimate`. memory_bytes: of one worker."""

    memory_bytes: int
    result_bytes: int
    dense_bytes: int
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Preflight:
    """What will happen if this is submitted.

    directions: those that can run. truth: those of them that can be scored, both modalities being given.
    coverage: how much of the model's features was found, by modality. paired_cells: cells in both inputs.
    """

    verdict: Verdict
    issues: tuple[Issue, ...]
    directions: tuple[Direction, ...]
    truth: tuple[Direction, ...]
    coverage: Mapping[Modality, Coverage]
    cells: int
    paired_cells: int | None = None
    cost: Estimate | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def problems(self) -> tuple[Issue, ...]:
        return tuple(issue for issue in self.issues if issue.level == "problem")

    def to_json(self) -> dict[str, Any]:
        """Plain values; enums as their text."""
        return {
            "verdict": self.verdict,
            "issues": [asdict(issue) for issue in self.issues],
            "directions": [direction.value for direction in self.directions],
            "truth": [direction.value for direction in self.truth],
            "coverage": {modality.value: found.as_dict() for modality, found in self.coverage.items()},
            "cells": self.cells,
            "paired_cells": self.paired_cells,
            "cost": asdict(self.cost) | {"seconds": list(self.cost.seconds)} if self.cost else None,
            "notes": list(self.notes),
        }


def preflight(
    inputs: Sequence[Given],
    *,
    spaces: Mapping[Modality, FeatureSpace],
    directions: Collection[Direction],
    wanted: Collection[Direction] = (),
    min_coverage: float = MIN_COVERAGE,
    latent: int = 64,
) -> Preflight:
    """What a model makes of one input, or of an RNA and an ATAC input of the same cells.

    spaces, directions: the model's. wanted: directions asked for; empty means all that can run.
    latent: numbers kept a cell. Raises nothing: every problem is an issue of the result.
    """
    given = {one.modality: one for one in inputs}
    issues = list(_inputs_issues(inputs))
    coverage: dict[Modality, Coverage] = {}
    blocked: set[Modality] = set()
    for modality, one in given.items():
        found, problem = _covered(one, spaces.get(modality), min_coverage)
        if found is not None:
            coverage[modality] = found
        if problem is not None:
            blocked.add(modality)
            issues.append(Issue.of(problem))
        issues += _notes_on(one, None if problem else found)  # what is refused for it needs no note of it
    paired, said = _paired(given, issues)
    runnable = [d for d in Direction if d in directions and d.source in given and d.source not in blocked]
    issues += _direction_issues(given, directions, wanted)
    chosen = tuple(d for d in runnable if not wanted or d in wanted)
    scored = tuple(d for d in chosen if paired and d.target in given and d.target not in blocked)
    cells = max(
        (given[d.source].summary.cells for d in chosen), default=max((g.summary.cells for g in inputs), default=0)
    )
    cost = estimate(cells=cells, directions=chosen, spaces=spaces, latent=latent) if chosen else None
    if cost is not None and cost.dense_bytes > LARGE_EXPORT:
        issues.append(
            Issue(
                "note",
                "large-export",
                f"Written out in full the prediction would be {human(cost.dense_bytes)}; "
                f"{human(cost.result_bytes)} are stored and any gene or peak is computed when asked for.",
                "Export chosen genes or peaks rather than all.",
            )
        )
    notes = tuple(note for one in inputs for note in one.summary.notes) + ((said,) if said else ())
    return Preflight(_verdict(issues), tuple(issues), chosen, scored, coverage, cells, paired, cost, notes)


def estimate(
    *, cells: int, directions: Collection[Direction], spaces: Mapping[Modality, FeatureSpace], latent: int
) -> Estimate:
    """Cost by a simple model, in bytes of float32 and seconds.

    memory: a worker's base, the wide layers of the model (64 units a feature), and three dense blocks of 2,048 cells
    of the wider modality. result: cells × latent. dense: cells × predicted features. time: a start, and the predicted
    values twice (once to encode and map, once to score) at 20 to 400 million a second.
    """
    widths = {modality: len(space) for modality, space in spaces.items()}
    widest = max(widths.values(), default=0)
    values = cells * sum(widths.get(direction.target, 0) for direction in directions)
    low, high = (2 * values / rate for rate in reversed(VALUES_A_SECOND))
    return Estimate(
        memory_bytes=BASE_BYTES + 4 * 64 * sum(widths.values()) + 3 * 4 * min(BLOCK, max(cells, 1)) * widest,
        result_bytes=4 * cells * latent * len(directions),
        dense_bytes=4 * values,
        seconds=(START_S[0] + low, START_S[1] + high),
    )


def _verdict(issues: Sequence[Issue]) -> Verdict:
    if any(issue.level == "problem" for issue in issues):
        return "refused"
    return "ready with notes" if issues else "ready"


def _inputs_issues(inputs: Sequence[Given]) -> Iterator[Issue]:
    if not inputs:
        yield Issue.of(NoCells("No cells were given.", hint="Give an RNA or an ATAC file."))
    modalities = [one.modality for one in inputs]
    for modality in dict.fromkeys(modalities):
        if modalities.count(modality) > 1:
            yield Issue.of(
                WrongModality(
                    f"{modalities.count(modality)} files hold {modality.value.upper()}.",
                    hint="Give one file of genes and, where it was measured, one of peaks.",
                )
            )


def _covered(one: Given, space: FeatureSpace | None, min_coverage: float) -> tuple[Coverage | None, BadInput | None]:
    if space is None:
        return None, WrongDirection(
            f"This model knows nothing of {one.modality.value.upper()}.", hint="Choose another model or another file."
        )
    found = match(one.names, space).coverage
    return found, problem_of(one.names, space, found, min_coverage=min_coverage)


def _notes_on(one: Given, found: Coverage | None) -> Iterator[Issue]:
    """What does not stop a job but bears on what it is worth."""
    summary, rna = one.summary, one.modality is Modality.RNA
    kind = "genes" if rna else "peaks"
    if found is not None and 0 < found.share < FULL_COVERAGE:
        yield Issue(
            "note",
            "partial-coverage",
            f"{found.found:,} of the model's {found.of:,} {kind} were found ({found.share:.0%}); "
            f"the others count as 0.",
            f"Missing are for example {', '.join(found.unmatched_examples[:3])}.",
        )
    if summary.empty_cells:
        yield Issue(
            "note",
            "empty-cells",
            f"{summary.empty_cells:,} of {summary.cells:,} cells have no {one.modality.value.upper()} counts; "
            "for them the prediction is the average profile.",
            "Filter them out before, or ignore their predictions.",
        )
    if rna and summary.detected[25] < FEW_GENES <= summary.features:
        yield Issue(
            "note",
            "shallow-cells",
            f"A quarter of the cells show fewer than {summary.detected[25] + 1:,.0f} genes "
            f"(half of them fewer than {summary.detected[50] + 1:,.0f}); predictions of shallow cells are uncertain.",
            f"Cells with fewer than {FEW_GENES} genes are often left out.",
        )
    if rna and summary.binary:
        yield Issue(
            "note",
            "binary-rna",
            "Every RNA count is 0 or 1: the matrix looks binarised.",
            "Give the counts themselves if you have them.",
        )


def _paired(given: Mapping[Modality, Given], issues: list[Issue]) -> tuple[int | None, str]:
    """Cells in both inputs and what was done to their names; a problem is added where there are none."""
    if len(given) < 2:
        return None, ""
    rna, atac = given[Modality.RNA], given[Modality.ATAC]
    try:
        matching = match_barcodes(rna.barcodes, atac.barcodes)
    except BadInput as problem:
        issues.append(Issue.of(problem))
        return 0, ""
    if matching.share < 1 or len(rna.barcodes) != len(atac.barcodes):
        issues.append(Issue("note", "cells-differ", matching.note, "Only shared cells can be scored."))
    return len(matching), matching.note


def _direction_issues(
    given: Mapping[Modality, Given], directions: Collection[Direction], wanted: Collection[Direction]
) -> Iterator[Issue]:
    known = ", ".join(sorted(direction.value for direction in directions))
    for direction in wanted:
        if direction not in directions:
            yield Issue.of(
                WrongDirection(
                    f"The model does not translate {direction.value}; it translates {known}.", hint="Choose another."
                )
            )
        elif direction.source not in given:
            yield Issue.of(
                WrongDirection(
                    f"{direction.value} needs {direction.source.value.upper()} cells, and none were given.",
                    hint=f"Add the {direction.source.value.upper()} file, or choose the other direction.",
                )
            )
    if given and not wanted and not any(direction.source in given for direction in directions):
        have = " and ".join(modality.value.upper() for modality in given)
        yield Issue.of(
            WrongDirection(f"The model translates {known}; only {have} was given.", hint="Choose another model.")
        )
