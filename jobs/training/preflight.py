"""What a training or a benchmark would do: cells paired, parted, checked for leaks and filtered, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadSetting, CrossViewError
from engine.types import Cells, Modality, empty_csr
from jobs.spec import BenchmarkSpec, Contender, TrainSpec
from jobs.training.pairs import filters_of, part_by, split_seed
from jobs.views import IssueView, PreflightView

if TYPE_CHECKING:
    from engine.fitting import Parted
    from engine.intake.canonical import CanonicalCells
    from engine.translators.base import Recipe

Asked = TrainSpec | BenchmarkSpec
READ_WHOLE = 60_000_000  # counts in both files up to which they are read for this look; above, names alone  # ours
FEW_TEST = 100  # cells that judge below which scores are wide  # ours
START_S = (4.0, 20.0)  # until the first cell is read, and writing the model  # ours
COUNTS_A_SECOND = (2e6, 5e7)  # read, paired, filtered and decomposed: slow and busy, fast and idle  # ours
VALUES_A_SECOND = (4e7, 2e9)  # cells × features of one epoch, or of scoring: a busy processor, an idle GPU  # ours
EARLIEST = 0.1  # share of the epochs after which early stopping may end it  # ours


@dataclass(frozen=True)
class Size:
    """How large a pair is. counts: stored in both files; features: genes and peaks together."""

    cells: int
    counts: int
    features: int


def look(spec: Asked, paths: Mapping[Modality, Path]) -> PreflightView:
    """paths: canonical copies. Every problem is an issue of the result; nothing is raised for them."""
    issues = list(_recipe_issues(spec))
    found: dict[str, Any] = {}
    size = _size(paths)
    try:
        found = _looked(spec, paths, size)
    except CrossViewError as problem:
        issues.append(IssueView(level="problem", code=problem.code, message=problem.message, hint=problem.hint))
    issues += _notes(found)
    seconds, memory = cost(spec, size)
    return PreflightView(
        verdict=_verdict(issues),
        issues=tuple(dict.fromkeys(issues)),
        cells=found.get("cells", 0) or size.cells,
        paired_cells=found.get("cells"),
        seconds=seconds,
        memory_mb=memory / 2**20,
        notes=tuple(_said(found)),
        pair=found,
    )


def _verdict(issues: list[IssueView]) -> Any:
    if any(issue.level == "problem" for issue in issues):
        return "refused"
    return "ready with notes" if issues else "ready"


def _recipe_issues(spec: Asked) -> Iterator[IssueView]:
    names = [each.label or each.model for each in contenders(spec)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        message = f"Two of what is compared are called {twice[:80]!r}."
        yield IssueView(level="problem", code=BadSetting.code, message=message, hint="Give each a label of its own.")
    for contender in contenders(spec):
        try:
            made(contender)
        except CrossViewError as problem:
            yield IssueView(level="problem", code=problem.code, message=problem.message, hint=problem.hint)


def contenders(spec: Asked) -> tuple[Contender, ...]:
    """What will be fitted, each once."""
    if isinstance(spec, BenchmarkSpec):
        return spec.contenders
    return (Contender(model=spec.model, settings=spec.settings),)


def made(contender: Contender) -> Recipe:
    """Raises UnknownModel, BadSetting, MissingExtra."""
    from engine.translators.registry import recipe

    return recipe(contender.model, contender.settings)


def _size(paths: Mapping[Modality, Path]) -> Size:
    from engine.intake.canonical import CanonicalCells

    cells, counts, features = [], 0, 0
    for path in paths.values():
        with CanonicalCells.open(path) as opened:
            cells.append(opened.n_cells)
            counts += opened.summary.nnz
            features += opened.summary.features
    return Size(min(cells), counts, features)


def _looked(spec: Asked, paths: Mapping[Modality, Path], size: Size) -> dict[str, Any]:
    """Raises what pairing, parting, the leak check, the judge of a benchmark or the filters refuse."""
    from engine.benchmark.judge import Judge
    from engine.fitting import part_pair
    from engine.preprocess.filters import filter_pair

    filters = filters_of(spec)
    whole = size.counts <= READ_WHOLE
    rna, atac = (_read(paths[modality], spec.genome, whole=whole) for modality in Modality)
    parted = part_pair(rna, atac, part=part_by(spec.split, seed=split_seed(spec)), by=spec.split.by)
    found = _of(parted)
    if isinstance(spec, BenchmarkSpec):
        Judge(parted.pair, parted.split, batch_column=spec.batch_column)  # refuses a column that is not there
    if whole:
        filtered = filter_pair(parted.pair, parted.split, filters)
        sides = {side: len(getattr(filtered.split, side)) for side in ("train", "valid", "test")}
        found |= {"split": sides, "kept": filtered.kept}
    return found


def _of(parted: Parted) -> dict[str, Any]:
    return {
        "cells": len(parted.pair),
        "split": {side: len(getattr(parted.split, side)) for side in ("train", "valid", "test")},
        "pairing": parted.matching.note,
        "told": parted.matching.told,
        "leaks": parted.leaks.as_dict(),
    }


def _read(path: Path, genome: str | None, *, whole: bool) -> Cells:
    from engine.fitting import with_genome
    from engine.intake.canonical import CanonicalCells

    with CanonicalCells.open(path) as opened:
        return with_genome(opened.all() if whole else _names_alone(opened), genome)


def _names_alone(opened: CanonicalCells) -> Cells:
    nothing = empty_csr(opened.n_cells, opened.summary.features)
    return Cells(opened.space, nothing, opened.barcodes, opened.obs)


def _notes(found: Mapping[str, Any]) -> Iterator[IssueView]:
    from engine.preprocess.filters import lost_cells

    if found.get("told"):
        hint = "Only cells in both files train and judge."
        yield IssueView(level="note", code="cells-differ", message=found["pairing"], hint=hint)
    for note in found.get("leaks", {}).get("notes", ()):
        hint = "Hold out whole batches to know how it does on a new one."
        yield IssueView(level="note", code="same-batch", message=note, hint=hint)
    if lost := lost_cells(found.get("kept", {})):
        hint = "Set min_genes or filters among the settings of the model."
        yield IssueView(level="note", code="cells-filtered", message=lost, hint=hint)
    judging = found.get("split", {}).get("test", FEW_TEST)
    if judging < FEW_TEST:
        message = f"Only {judging:,} cells judge the model: its scores will have wide intervals."
        yield IssueView(level="note", code="few-test-cells", message=message, hint="Hold out more cells.")


def _said(found: Mapping[str, Any]) -> Iterator[str]:
    if split := found.get("split"):
        yield f"{split['train']:,} cells train, {split['valid']:,} choose, {split['test']:,} judge."
    kept = found.get("kept", {})
    parts = [f"{kept[name][0]:,} of {kept[name][1]:,} {name}" for name in ("genes", "peaks") if name in kept]
    if parts:
        yield f"The filters keep {' and '.join(parts)}."
    for checked in found.get("leaks", {}).get("checked", ()):
        yield f"Leak check: {checked}."


def cost(spec: Asked, size: Size) -> tuple[tuple[float, float], int]:
    """Seconds, low and high, and bytes of one worker: by a simple model of reading, epochs and scoring.

    It knows nothing of the machine, hence the width; finished trainings of the same model replace the seconds.
    """
    from engine.checks import BASE_BYTES

    seeds = len(spec.seeds) if isinstance(spec, BenchmarkSpec) else 1
    values = float(size.cells) * size.features
    low, high = START_S
    for contender in contenders(spec):
        epochs = _epochs(contender)
        low += seeds * (size.counts / COUNTS_A_SECOND[1] + (EARLIEST * epochs + 1) * values / VALUES_A_SECOND[1])
        high += seeds * (size.counts / COUNTS_A_SECOND[0] + (epochs + 4) * values / VALUES_A_SECOND[0])
    return (low, high), BASE_BYTES + 6 * 8 * size.counts + 16 * 64 * size.features


def _epochs(contender: Contender) -> int:
    try:
        return int(getattr(made(contender), "epochs", 0))
    except CrossViewError:
        return 0
