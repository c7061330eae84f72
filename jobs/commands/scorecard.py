"""A report as text: each score a dot with its interval, on one axis with its nulls, and the verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 40  # characters of the axis
TITLES = {"rna-to-atac": "RNA → ATAC", "atac-to-rna": "ATAC → RNA"}
SHOWN: Mapping[str, Mapping[str, str]] = {
    "rna-to-atac": {
        "peak_auroc_depth_adjusted": "per-peak AUROC, depth-adjusted",
        "peak_auroc": "per-peak AUROC",
        "cell_auroc": "per-cell AUROC",
        "flat_auroc": "AUROC of all entries",
    },
    "atac-to-rna": {
        "gene_pearson": "per-gene Pearson correlation",
        "gene_spearman": "per-gene Spearman correlation",
        "cell_pearson": "per-cell Pearson correlation",
    },
}
MARKS = {"mean": "○", "depth": "◇"}
DEPTH_TOO = "  ◇ average profile × depth"
LEGEND = f"● score  ├─┤ 95 % interval over cells  ○ average profile{DEPTH_TOO}"


def scorecard(report: Mapping[str, Any]) -> list[str]:
    """The lines of report.json, direction by direction."""
    lines: list[str] = []
    for name, direction in report["directions"].items():
        lines += [*_direction(name, direction), ""]
    scored = [each for each in report["directions"].values() if each["scores"]]
    if not scored:
        return lines[:-1]
    depth = any("depth" in score["nulls"] for each in scored for score in each["scores"].values())
    return [*lines, LEGEND if depth else LEGEND.removesuffix(DEPTH_TOO)]


def _direction(name: str, report: Mapping[str, Any]) -> list[str]:
    head = f"{TITLES[name]} · {report['n_cells']:,} cells"
    notes = [f"  note: {note}" for note in report.get("notes", ())]
    if not report["scores"]:
        return [head, "  Not scored: the other modality of these cells was not given.", *notes]
    shown = {title: report["scores"][key] for key, title in SHOWN[name].items() if key in report["scores"]}
    verdict = (report.get("verdict") or {}).get("sentences", ())
    low, high = _axis([score for score in shown.values() if score["value"] is not None])
    label = max(map(len, shown), default=0)
    scale = f"  {'':<{label}}  {low:<{WIDTH // 2}.2f}{high:>{WIDTH // 2}.2f}"
    said = (f"  {sentence}" for sentence in verdict)
    return [head, *said, *notes, scale, *_rows(shown, low, high, label)]


def _rows(shown: Mapping[str, Mapping[str, Any]], low: float, high: float, label: int) -> list[str]:
    rows = []
    for title, score in shown.items():
        if score["value"] is None:
            rows.append(f"  {title:<{label}}  {'not defined for these cells':<{WIDTH}}")
            continue
        nulls = "  ".join(f"{MARKS.get(n, '·')} {v:.3f}" for n, v in score["nulls"].items() if v is not None)
        numbers = f"{score['value']:.3f} [{_number(score['interval'][0])}, {_number(score['interval'][1])}]"
        rows.append(f"  {title:<{label}}  {_line(score, low, high)}  {numbers}  {nulls}  n = {score['n']:,}")
    return rows


def _axis(scores: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    values = [
        v for s in scores for v in (s["value"], *s["interval"], s["chance"], *s["nulls"].values()) if v is not None
    ]
    if not values:
        return 0.0, 1.0
    margin = 0.05 * (max(values) - min(values)) or 0.05
    return min(values) - margin, max(values) + margin


def _line(score: Mapping[str, Any], low: float, high: float) -> str:
    """The dot last: it is never hidden by what lies under it."""

    def place(value: float) -> int:
        return max(0, min(WIDTH - 1, round((value - low) / (high - low) * (WIDTH - 1))))

    cells = [" "] * WIDTH
    start, stop = score["interval"]
    if start is not None and stop is not None:
        for i in range(place(start), place(stop) + 1):
            cells[i] = "─"
        cells[place(start)], cells[place(stop)] = "├", "┤"
    for name, value in score["nulls"].items():
        if value is not None:
            cells[place(value)] = MARKS.get(name, "·")
    cells[place(score["value"])] = "●"
    return "".join(cells)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
