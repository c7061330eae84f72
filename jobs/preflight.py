"""What will happen if these cells are submitted: the engine's checks on the canonical copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.types import Direction, Modality
from jobs.views import IssueView, PreflightView

if TYPE_CHECKING:
    from engine.bundle import Manifest
    from engine.checks import Given, Preflight


def look(
    *,
    folder: Path,
    manifest: Manifest,
    paths: Mapping[Modality, Path],
    wanted: Sequence[Direction] = (),
    min_coverage: float | None = None,
) -> PreflightView:
    """folder: of the bundle. paths: canonical copies. wanted: all that can run when empty."""
    from engine import checks
    from engine.bundle import read_space
    from engine.preprocess.align import MIN_COVERAGE

    found = checks.preflight(
        [given(path) for path in paths.values()],
        spaces={modality: read_space(folder, modality) for modality in Modality},
        directions=[Direction(direction) for direction in manifest.directions],
        wanted=wanted,
        min_coverage=MIN_COVERAGE if min_coverage is None else min_coverage,
        latent=manifest.latent,
    )
    return view(found)


def given(path: Path) -> Given:
    from engine.checks import Given
    from engine.intake.canonical import CanonicalCells

    with CanonicalCells.open(path) as cells:
        return Given(cells.summary, cells.names, cells.barcodes)


def view(found: Preflight) -> PreflightView:
    return PreflightView(
        verdict=found.verdict,
        issues=tuple(
            IssueView(level=issue.level, code=issue.code, message=issue.message, hint=issue.hint)
            for issue in found.issues
        ),
        directions=found.directions,
        truth=found.truth,
        coverage={modality.value: coverage.as_dict() for modality, coverage in found.coverage.items()},
        cells=found.cells,
        paired_cells=found.paired_cells,
        seconds=found.cost.seconds if found.cost else None,
        memory_mb=found.cost.memory_bytes / 2**20 if found.cost else None,
        notes=found.notes,
    )
