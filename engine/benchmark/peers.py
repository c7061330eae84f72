"""Ours against scores of the peers' own code on the same cells, features and split.

    peers           {"note": what SD means, "lines": [{label, model, passed, rows: [{direction, score, ours, released,
                    difference, sd, sd_cells, sd_seeds, margin (ours − (released − 2 SD)), enough, above,
                    must_be_above}], released_run {train_s, peak_mb …}}], "missing": [models scored there and not here]}

Released predictions are not at hand, so nothing can be paired by cell: SD here is of our own score, the bootstrap over
held-out cells of the mean over seeds and the standard deviation over seeds, added in squares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.benchmark.compare import Compared
from engine.types import Direction

if TYPE_CHECKING:
    from engine.benchmark.entry import EntryResult

SECTIONS = {"rna": Direction.ATAC_TO_RNA, "atac": Direction.RNA_TO_ATAC}
SCORES = {
    "rna": ("gene_pearson", "gene_spearman", "cell_pearson", "cell_spearman", "flat_pearson"),
    "atac": ("peak_auroc", "peak_auroc_depth_adjusted", "cell_auroc", "flat_auroc", "flat_auprc"),
}
ROUNDING = 1e-5  # released scores are written to five digits
MUST_BE_ABOVE = {"crossmp": frozenset({"flat_auroc", "gene_pearson"})}
NOTE = (
    "At least the released code's score minus two SD is asked for. Its predictions are not at hand, so this is no "
    "paired comparison: SD is that of our score alone, over held-out cells (bootstrap of the mean over seeds) and over "
    "seeds (their standard deviation), added in squares."
)


def against_released(grouped: Mapping[str, Sequence[EntryResult]], peers: Mapping[str, Any]) -> dict[str, Any]:
    """Every line whose model has released scores. peers: by model {"rna": {…}, "atac": {…}, "run": {…}}."""
    from engine.benchmark.report import lines_of

    lines = []
    for label, entries in grouped.items():
        model = str(entries[0].document["contender"]["model"])
        if model not in peers:
            continue
        rows = []
        for section, direction in SECTIONS.items():
            for name in SCORES[section]:
                released = peers[model].get(section, {}).get(name)
                found = Compared.of(lines_of({label: list(entries)}, direction.value, "scores", name))
                if released is not None and label in found.lines:
                    rows.append(_row(found, label, model, direction, name, float(released)))
        lines.append(
            {
                "label": label,
                "model": model,
                "passed": bool(rows)
                and all(row["enough"] and (row["above"] or not row["must_be_above"]) for row in rows),
                "rows": rows,
                "released_run": peers[model].get("run", {}),
            }
        )
    here = {line["model"] for line in lines}
    return {"note": NOTE, "lines": lines, "missing": sorted(set(peers) - here)}


def _row(found: Compared, label: str, model: str, direction: Direction, name: str, released: float) -> dict[str, Any]:
    line = found.lines[label]
    cells, seeds = found.spread(label) or 0.0, line.sd or 0.0
    sd = math.hypot(cells, seeds)
    return {
        "direction": direction.value,
        "score": name,
        "ours": line.mean,
        "released": released,
        "difference": line.mean - released,
        "sd": sd,
        "sd_cells": cells,
        "sd_seeds": seeds,
        "margin": line.mean - (released - 2 * sd),
        "enough": line.mean >= released - 2 * sd - ROUNDING,
        "above": line.mean > released + ROUNDING,
        "must_be_above": name in MUST_BE_ABOVE.get(model, frozenset()),
    }
