"""What scoring a prediction would do: cells and features both files know, what the values are taken for, the cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import CrossViewError, WrongModality
from engine.types import FeatureSpace, Modality
from jobs.preflight import given
from jobs.spec import EvaluateSpec
from jobs.views import IssueView, PreflightView

if TYPE_CHECKING:
    from engine.checks import Given
    from engine.foreign import Shared

START_S = (5.0, 25.0)  # until the first cell is read, and drawing the maps  # ours
PASSES = 4  # over the values: by cell, by feature, and both nulls  # ours
FEW_CELLS = 50  # below which intervals are wide  # ours
FULL = 0.9  # share of the smaller list below which the loss is worth a note  # ours


def look(spec: EvaluateSpec, paths: Mapping[str, Path]) -> PreflightView:
    """paths: canonical copies, by what they are to the job. Every problem is an issue of the result."""
    from engine.foreign import shared
    from engine.predicted import ASSUMED, scale_of
    from jobs.evaluation.reading import foreign

    inputs = {name: given(path) for name, path in paths.items()}
    prediction, truth = inputs["prediction"], inputs[spec.target]
    issues, notes = list(_wrong(spec, inputs)), []
    both: Shared | None = None
    if not issues:
        try:
            both = shared(
                space=_space(prediction), barcodes=prediction.barcodes,
                truth_space=_space(truth), truth_barcodes=truth.barcodes,
            )  # fmt: skip
            with foreign(paths["prediction"]) as values:
                notes.append(ASSUMED[spec.target, scale_of(values, asked=spec.scale)])
            issues += _notes(spec, inputs, both)
        except CrossViewError as problem:
            issues.append(IssueView(level="problem", code=problem.code, message=problem.message, hint=problem.hint))
    cells = both.cells if both is not None else 0
    values_in_all = float(cells) * (len(both.scored) if both is not None else 0)
    refused = any(issue.level == "problem" for issue in issues)
    return PreflightView(
        verdict="refused" if refused else "ready with notes" if issues else "ready",
        issues=tuple(issues),
        directions=spec.directions,
        truth=() if refused else spec.directions,
        cells=cells,
        paired_cells=cells,
        seconds=_seconds(values_in_all),
        memory_mb=_memory(inputs, spec.target, values_in_all) / 2**20,
        notes=(*(_found(prediction, both) if both is not None else ()), *notes),
    )


def _space(one: Given) -> FeatureSpace:
    return FeatureSpace(one.modality, one.names, one.summary.genome)


def _wrong(spec: EvaluateSpec, inputs: Mapping[str, Given]) -> Iterator[IssueView]:
    """Files of the other modality than they should be."""
    for name, what in (("prediction", "The prediction"), ("training", "The file of training cells")):
        one = inputs.get(name)
        if one is not None and one.modality is not spec.target:
            yield IssueView(
                level="problem",
                code=WrongModality.code,
                message=f"{what} holds {one.modality.value.upper()}, and {spec.target.value.upper()} is scored.",
                hint="Give genes to score genes and peaks to score peaks.",
            )


def _found(prediction: Given, both: Shared) -> Iterator[str]:
    kind = "genes" if prediction.modality is Modality.RNA else "peaks"
    yield f"{both.cells:,} of {len(prediction.barcodes):,} predicted cells were measured."
    by = "by overlap too" if "overlap" in both.alignment.coverage.how else "by name"
    yield f"{len(both.scored):,} of {len(prediction.names):,} predicted {kind} were measured ({by})."


def _notes(spec: EvaluateSpec, inputs: Mapping[str, Given], both: Shared) -> Iterator[IssueView]:
    from engine.foreign import rows_in

    prediction, truth = inputs["prediction"], inputs[spec.target]
    if both.matching.told:
        hint = "Only cells in both files are scored."
        yield IssueView(level="note", code="cells-differ", message=both.matching.note, hint=hint)
    if len(both.scored) < FULL * min(len(prediction.names), len(truth.names)):
        message = (
            f"{len(both.scored):,} of {len(prediction.names):,} predicted and {len(truth.names):,} measured match."
        )
        yield IssueView(level="note", code="low-coverage", message=message, hint="Only these are scored.")
    if both.cells < FEW_CELLS:
        message = f"Only {both.cells:,} cells are scored: the intervals will be wide."
        yield IssueView(level="note", code="few-cells", message=message, hint="Predict more of the measured cells.")
    if spec.training is None:
        yield IssueView(
            level="note",
            code="no-training-cells",
            message="No training cells were given: the average to beat is that of the measured cells themselves.",
            hint="Give the cells the model learned from, if you have them: the comparison is then the usual one.",
        )
    elif leaked := _leaked(inputs, both):
        message = f"{leaked:,} of the {both.cells:,} scored cells are among the training cells: the scores flatter it."
        yield IssueView(level="note", code="scored-in-training", message=message, hint="Score cells it never saw.")
    source = inputs.get(spec.target.other)
    if source is not None and rows_in(source.barcodes, prediction.barcodes[both.matching.index_a]) is None:
        yield IssueView(
            level="note",
            code="source-incomplete",
            message="Some scored cells are not in the file they were predicted from: the null by depth is left out.",
            hint="Give the file of all predicted cells, named alike.",
        )


def _scored(prediction: Given, both: Shared) -> list[str]:
    return [str(prediction.barcodes[i]) for i in both.matching.index_a]


def _leaked(inputs: Mapping[str, Given], both: Shared) -> int:
    return len(set(_scored(inputs["prediction"], both)) & set(map(str, inputs["training"].barcodes)))


def _seconds(values: float) -> tuple[float, float]:
    from engine.checks import VALUES_A_SECOND

    low, high = (PASSES * values / rate for rate in reversed(VALUES_A_SECOND))
    return START_S[0] + low, START_S[1] + high


def _memory(inputs: Mapping[str, Given], target: Modality, values: float) -> float:
    """Bytes of one worker: the truth a few times over, and blocks of the prediction."""
    from engine.checks import BASE_BYTES
    from engine.metrics.sources import COLUMN_ELEMENTS

    counts = sum(one.summary.nnz for name, one in inputs.items() if name in (target, "training"))
    return BASE_BYTES + 5 * 8 * counts + 10 * 4 * min(values, COLUMN_ELEMENTS)
