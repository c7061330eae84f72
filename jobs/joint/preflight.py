"""What a joint view would do: what the model knows of the cells, which cells are in both files, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadSetting, CrossViewError
from engine.types import Direction, Modality
from jobs.spec import JointSpec
from jobs.views import IssueView, PreflightView

if TYPE_CHECKING:
    from engine.bundle import Manifest
    from engine.checks import Given

START_S = (6.0, 30.0)  # until the first cell is encoded, and compiling what draws maps  # ours
GROUP_CELLS_A_SECOND = (150.0, 3_000.0)  # clusters, components and maps of three views: slow and busy, fast and idle
PASSES = 5  # over the predicted values: two latents, and a prediction with three nulls judged  # ours
FEW = 50  # cells below which groups say little  # ours


def look(spec: JointSpec, folder: Path, manifest: Manifest, paths: Mapping[Modality, Path]) -> PreflightView:
    """folder: of the bundle. paths: canonical copies. Every problem is an issue of the result."""
    from engine import checks
    from engine.bundle import read_space
    from jobs.preflight import given, view

    inputs = {modality: given(path) for modality, path in paths.items()}
    spaces = {modality: read_space(folder, modality) for modality in Modality}
    found = view(
        checks.preflight(
            list(inputs.values()),
            spaces=spaces,
            directions=list(Direction),
            min_coverage=spec.min_coverage,
            latent=manifest.latent,
        )
    )
    issues = [_reworded(issue) for issue in found.issues if issue.code != "large-export" or spec.export]
    issues += _issues(spec, manifest, inputs, found.paired_cells or 0)
    cells = found.paired_cells or 0
    verdict = "refused" if any(i.level == "problem" for i in issues) else "ready with notes" if issues else "ready"
    return found.model_copy(
        update={
            "verdict": verdict,
            "issues": tuple(dict.fromkeys(issues)),
            "directions": (),
            "truth": (),
            "cells": cells,
            "seconds": seconds(cells, sum(map(len, spaces.values()))),
            "memory_mb": memory(inputs, spaces_wide=sum(map(len, spaces.values()))) / 2**20,
        }
    )


def _reworded(issue: IssueView) -> IssueView:
    """What is said of scores in a translation is said of the view here."""
    return issue.model_copy(update={"hint": "Only cells in both files are in the view."}) if (
        issue.code == "cells-differ"
    ) else issue  # fmt: skip


def _issues(spec: JointSpec, manifest: Manifest, inputs: Mapping[Modality, Given], cells: int) -> Iterator[IssueView]:
    from engine.joint.encode import require_both
    from engine.pairs import same_cells
    from engine.translators.registry import JOINT, MODELS

    try:
        require_both(manifest)
    except CrossViewError as problem:
        yield _problem(problem)
        return
    if manifest.translator not in JOINT:
        yield IssueView(
            level="note",
            code="one-modality",
            message=f"{manifest.id} ({manifest.translator}) takes one modality at a time: its view is made of RNA "
            "alone, and what it says of a modality comes from one of them, not from both.",
            hint=f"Models that read both at once: {', '.join(sorted(JOINT & set(MODELS)))}. Train one on these cells.",
        )
    try:
        if cells:
            same_cells(*(inputs[m].barcodes for m in Modality))
    except CrossViewError as problem:
        yield _problem(problem)
    labels = {name for one in inputs.values() for name in one.summary.labels}
    if spec.label and spec.label not in labels:
        known = ", ".join(sorted(labels)) or "none"
        message = f"There is no label {spec.label[:80]!r} in these files."
        yield _problem(BadSetting(message, hint=f"Labels: {known}."))
    if cells and spec.clusters > cells:
        message = f"{spec.clusters:,} clusters were asked for, of {cells:,} cells."
        yield _problem(BadSetting(message, hint="Ask for fewer clusters."))
    if 0 < cells < FEW:
        message = f"Only {cells:,} cells are in both files: groups of so few say little."
        yield IssueView(level="note", code="few-cells", message=message, hint="Give more cells of the sample.")


def _problem(problem: CrossViewError) -> IssueView:
    return IssueView(level="problem", code=problem.code, message=problem.message, hint=problem.hint)


def seconds(cells: int, features: int) -> tuple[float, float]:
    """By a simple model: passes over all values, and groups and maps by the cell."""
    from engine.checks import VALUES_A_SECOND

    values = PASSES * float(cells) * features
    low, high = (values / rate for rate in reversed(VALUES_A_SECOND))
    slow, fast = GROUP_CELLS_A_SECOND
    return START_S[0] + low + cells / fast, START_S[1] + high + cells / slow


def memory(inputs: Mapping[Modality, Given], *, spaces_wide: int) -> int:
    """Bytes of one worker: its base, the model's wide layers, and both files' counts a few times over."""
    from engine.checks import BASE_BYTES

    counts = sum(one.summary.nnz for one in inputs.values())
    return BASE_BYTES + 4 * 64 * spaces_wide + 4 * 8 * counts
