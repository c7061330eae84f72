"""A model's card: what it was fitted on, how well it does on cells it never saw, and where not to use it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.bundle import Manifest

WORDS = {
    "gene_pearson": "Pearson per gene",
    "gene_spearman": "Spearman per gene",
    "cell_pearson": "Pearson per cell",
    "cell_spearman": "Spearman per cell",
    "flat_pearson": "Pearson, flattened (mostly measures the average profile)",
    "peak_auroc": "AUROC per peak",
    "peak_auroc_depth_adjusted": "AUROC per peak, depth-adjusted",
    "peak_auprc": "AUPRC per peak",
    "cell_auroc": "AUROC per cell",
    "cell_auprc": "AUPRC per cell",
    "flat_auroc": "AUROC, flattened (mostly measures the average profile)",
    "flat_auprc": "AUPRC, flattened (mostly measures the average profile)",
    "brier_skill": "Brier skill over the average",
}
SIDES = {"train": "to train on", "valid": "to choose by", "test": "to judge by"}
ARROW = {"rna-to-atac": "RNA → ATAC", "atac-to-rna": "ATAC → RNA"}


def card(
    manifest: Manifest,
    report: Mapping[str, Any],
    *,
    about: str = "",
    limits: str = "",
    training: Sequence[str] = (),
) -> str:
    """CARD.md from the manifest and the report of held-out cells.

    about, limits: paragraphs written by a person. training: sentences on how the training went.
    """
    lines = [f"# {_plain(manifest.id)}", ""]
    if about:
        lines += [about, ""]
    lines += [
        f"- Model: `{manifest.translator}`, latent of {manifest.latent}; genome {manifest.genome or 'not stated'}",
        f"- Features: {manifest.spaces['rna']:,} genes, {manifest.spaces['atac']:,} peaks",
        f"- Trained on {manifest.training_cells:,} cells; seed {', '.join(map(str, manifest.seeds))}",
        f"- Licence: {_plain(manifest.licence) or 'not stated'}",
        f"- Digest: `{manifest.digest}`; made by CrossView {manifest.code_version}",
    ]
    lines += [f"- {_plain(note)}" for note in manifest.notes]
    if manifest.contains_cells:
        lines.append(
            "- **Holds training cells**: do not share it where the cells may not be shared, and delete it with them."
        )
    how = [*_cells(manifest, report), *(f"Training: {said}" for said in training)]
    if how:
        lines += ["", "## How it was made", "", *(f"- {said.rstrip('.')}." for said in how)]
    lines += ["", "## How well it does", ""]
    if not report.get("directions"):
        lines.append("No cells were held out, so nothing is known about cells it has not seen.")
    for direction, found in report.get("directions", {}).items():
        lines += _table(direction, found, report.get("part", "test"))
    lines += ["## Limits", "", limits or _limits(manifest), ""]
    return "\n".join(lines)


def _cells(manifest: Manifest, report: Mapping[str, Any]) -> Iterator[str]:
    """Where the cells came from, how they were parted, what the filters left, and the leak check."""
    split = report.get("split") or {}
    if split:
        sides = [f"{split[side]:,} {word}" for side, word in SIDES.items() if split.get(side)]
        yield f"Cells: {', '.join(sides)}"
        if split.get("pairing"):
            yield f"Pairing: {_plain(split['pairing'])}"
    if manifest.filters.get("settings"):
        yield f"Filters, on training cells alone: {_kept(manifest.filters)}"
    leaks = split.get("leaks") or {}
    if leaks.get("checked"):
        yield f"Leak check passed: {_plain('; '.join(leaks['checked']))}"
    for note in leaks.get("notes", ()):
        yield f"Mind: {_plain(note)}"


def _kept(filters: Mapping[str, Any]) -> str:
    said = [
        f"{filters[name][0]:,} of {filters[name][1]:,} {word}"
        for name, word in (("training_cells", "cells"), ("genes", "genes"), ("peaks", "peaks"))
        if name in filters
    ]
    return f"{', '.join(said)} kept"


def _table(direction: str, found: Mapping[str, Any], part: str) -> list[str]:
    lines = [f"### {ARROW.get(direction, direction)}, {found['n_cells']:,} {part} cells", ""]
    verdict = found.get("verdict") or {}
    if verdict.get("headline"):
        lines += [verdict["headline"], ""]
    lines += ["| score | value | 95 % interval | average profile | average × depth |", "|---|---|---|---|---|"]
    for name, score in found["scores"].items():
        low, high = score["interval"]
        nulls = score["nulls"]
        row = [WORDS.get(name, name), _three(score["value"]), f"{_three(low)} to {_three(high)}"]
        row += [_three(nulls.get("mean")), _three(nulls.get("depth"))]
        lines.append("| " + " | ".join(row) + " |")
    return [*lines, ""]


def _plain(text: str | None) -> str:
    """What a person or a file called something, as text: no link, picture or table of theirs in the card."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join((text or "").split()))


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _limits(manifest: Manifest) -> str:
    return (
        "It knows the kinds of cells it was trained on and no others. Other tissues, other protocols and diseased "
        "cells are outside what was tested. Train on a pair of your own where you can."
    )
