"""The report of a joint view as words and rows: groups beside either modality alone, and what imputation is worth.

Pure functions, as `readings` for translations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import readings
from app.present import Tag, modality, number, plain, plural
from app.readings import Level, Verdict
from jobs.names import Direction, Modality
from jobs.views import ModelView

VIEWS: Mapping[str, str] = {"joint": "joint view", "rna": "RNA alone", "atac": "ATAC alone"}
METHODS: Mapping[str, str] = {"kmeans": "k-means", "leiden": "Leiden"}
MEASURES: Mapping[str, str] = {"ari": "ARI", "nmi": "NMI"}
HELP = (
    "How well groups found without labels agree with the labels: 1 is perfect, 0 what labels dealt at random give. "
    "ARI counts pairs of cells; NMI shared information, which lies a little above 0 by chance."
)
CLOSE = 0.02  # of ARI: below this two views are called as good as each other  # ours
BADGES: Mapping[Level, Tag] = {
    "good": Tag("Better than either alone", "green", ":material/verified:", False),
    "mixed": Tag("No clear gain", "orange", ":material/help:", False),
    "poor": Tag("One modality does better", "red", ":material/do_not_disturb_on:", False),
    "unknown": Tag("Cannot be told", "gray", ":material/visibility_off:", False),
}
# What stands on the axis of imputation scores, the most telling first.
HEADLINES: Mapping[Modality, tuple[str, ...]] = {
    Modality.RNA: ("cell_pearson", "gene_pearson"),
    Modality.ATAC: ("cell_auroc", "peak_auroc_depth_adjusted"),
}


def verdict(report: Mapping[str, Any], label: str) -> Verdict:
    """Whether seeing both modalities together tells the labels apart better than one of them; in words."""
    structure = report.get("structure") or {}
    values = {view: _value(structure, view, "kmeans", "ari") for view in VIEWS}
    joint, others = values["joint"], {v: values[v] for v in ("rna", "atac") if values[v] is not None}
    if joint is None or not others:
        return Verdict("unknown", "No label was given to compare the groups with: only their sizes can be said.")
    best = max(others, key=lambda view: others[view] or 0.0)
    said = ", ".join(f"{VIEWS[view]} {number(value)}" for view, value in values.items())
    numbers = f"Agreement of k-means groups with {plain(label)} (ARI): {said}; 0 by chance."
    if source := _only_source(report):
        return Verdict("unknown", f"This is a view of {modality(source)} alone, as the model sees it.", numbers)
    gap = joint - (others[best] or 0.0)
    low = _gain_low(structure, best)
    if gap > CLOSE and low > 0:
        return Verdict("good", "Yes: together they tell the labels apart better than either alone.", numbers)
    if gap < -CLOSE:
        return Verdict("poor", f"No: {VIEWS[best]} tells the labels apart better than this joint view.", numbers)
    return Verdict("mixed", f"The joint view tells the labels apart about as well as {VIEWS[best]}.", numbers)


def _value(structure: Mapping[str, Any], view: str, method: str, measure: str) -> float | None:
    found = (((structure.get("views") or {}).get(view) or {}).get(method) or {}).get(measure) or {}
    value = found.get("value")
    return float(value) if isinstance(value, int | float) else None


def _gain_low(structure: Mapping[str, Any], other: str) -> float:
    gain = ((structure.get("gains") or {}).get(other) or {}).get("kmeans_ari") or {}
    return float((gain.get("interval") or (0.0, 0.0))[0] or 0.0)


def best_words(report: Mapping[str, Any], label: str) -> str:
    """Groups of RNA alone agree best with cell_type (k-means), 148 cells seen both ways."""
    structure = report.get("structure") or {}
    values = {view: _value(structure, view, "kmeans", "ari") for view in VIEWS}
    known = {view: value for view, value in values.items() if value is not None}
    best = max(known, key=lambda view: known[view]) if known else "joint"
    return (
        f"Groups of {'the ' if best == 'joint' else ''}{VIEWS[best]} agree best with {label} ({_cells_words(report)})"
    )


def score_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the chart of scores: each score of the joint view with its interval, the others' beside it."""
    structure, rows = report.get("structure") or {}, []
    for method, method_words in METHODS.items():
        for measure, words in MEASURES.items():
            joint = _value(structure, "joint", method, measure)
            if joint is None:
                continue
            entry = structure["views"]["joint"][method][measure]
            low, high = entry["interval"]
            label = f"{method_words}, {words}: {number(joint)} ({number(low)}–{number(high)})"
            rows.append(_row(label, VIEWS["joint"], joint, low, high))
            for view in ("rna", "atac"):
                if (value := _value(structure, view, method, measure)) is not None:
                    rows.append(_row(label, VIEWS[view], value))
    return rows


def _row(label: str, what: str, value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"label": label, "what": what, "value": value, "low": low, "high": high}


def score_table(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every score of every view as a table to read and download."""
    structure, rows = report.get("structure") or {}, []
    for view, view_words in VIEWS.items():
        for method, method_words in METHODS.items():
            entry = ((structure.get("views") or {}).get(view) or {}).get(method) or {}
            row: dict[str, Any] = {"view": view_words, "groups by": method_words, "groups": entry.get("clusters")}
            for measure, words in MEASURES.items():
                score = entry.get(measure)
                if score:
                    row |= {words: score["value"], f"{words} from (95 %)": score["interval"][0]}
                    row |= {
                        f"{words} to (95 %)": score["interval"][1],
                        f"{words} by chance": score["nulls"]["shuffled"],
                    }
            rows.append(row)
    return rows


def likeness(report: Mapping[str, Any]) -> str:
    """How like the joint groups are to those of one modality alone, in a sentence; empty where nothing is known."""
    found = (report.get("structure") or {}).get("likeness") or {}
    parts = [
        f"{number((found.get(view) or {}).get('kmeans'))} with those of {VIEWS[view]}"
        for view in ("rna", "atac")
        if (found.get(view) or {}).get("kmeans") is not None
    ]
    return f"The joint k-means groups agree {' and '.join(parts)} (ARI; 1 would be the same groups)." if parts else ""


def imputed(report: Mapping[str, Any], which: Modality) -> Mapping[str, Any]:
    """One modality's part of the report, as `readings.readings` takes it."""
    found = (report.get("imputation") or {}).get(Modality(which).value)
    return found if isinstance(found, Mapping) else {}


def imputation_words(report: Mapping[str, Any], which: Modality) -> str:
    """What the scores of one modality amount to, in a sentence."""
    found = readings.readings(imputed(report, which))
    main = found.get(HEADLINES[which][0])
    if main is None:
        return f"What is imputed of {modality(which)} could not be judged."
    beaten = [NULLS[name] for name, value in main.nulls.items() if main.value > value and name in NULLS]
    not_beaten = [NULLS[name] for name, value in main.nulls.items() if main.value <= value and name in NULLS]
    said = f"Imputed {modality(which)}: {main.meaning.label} {number(main.value)}"
    if not beaten:
        return f"{said}: no better than {_listed(not_beaten)}."
    tail = f", not above {_listed(not_beaten)}" if not_beaten else ""
    return f"{said}, above {_listed(beaten)}{tail}."


NULLS: Mapping[str, str] = {
    "mean": "the average profile",
    "depth": "the average profile scaled by depth",
    "raw": "the cell's own shown counts",
}


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def one_modality(report: Mapping[str, Any]) -> str:
    """A warning where the model read one modality only; otherwise nothing."""
    source = _only_source(report)
    if source is None:
        return ""
    return (
        f"This model takes one modality at a time, {modality(source)} here. Train a model that reads both for a view "
        "of both."
    )


def _only_source(report: Mapping[str, Any]) -> Modality | None:
    """The one modality a view is made of; None where it is made of both."""
    source = list((report.get("embedding") or {}).get("source") or [])
    return Modality(source[0]) if len(source) == 1 else None


def sizes(report: Mapping[str, Any], view: str = "joint") -> str:
    """4 groups by k-means, 6 by Leiden."""
    entry = ((report.get("structure") or {}).get("views") or {}).get(view) or {}
    found = {words: (entry.get(method) or {}).get("clusters") for method, words in METHODS.items()}
    return ", ".join(f"{plural(int(n), 'group')} by {words}" for words, n in found.items() if n)


def direction(which: Modality) -> Direction:
    """The direction that ends in this modality: under it, pages find the words of its scores."""
    return Direction.to(which)


# Models -----------------------------------------------------------------------------------------------------------


def ranked(models: Sequence[ModelView], *, genome: str | None, datasets: Sequence[str]) -> list[ModelView]:
    """Models fit for a joint view: those that read both first, then of the cells' genome, then trained on them."""

    def order(model: ModelView) -> tuple[bool, bool, bool, str]:
        return (
            not model.joint, genome is not None and model.genome != genome, not _trained_on(model, datasets),
            model.title,
        )  # fmt: skip

    return sorted(models, key=order)


def _trained_on(model: ModelView, datasets: Sequence[str]) -> bool:
    return bool(datasets) and set(datasets) <= set(model.datasets)


def reason(model: ModelView, *, genome: str | None, datasets: Sequence[str]) -> str:
    """Why this model, or what speaks against it, in a sentence or two."""
    if not model.joint:
        return (
            "It takes one modality at a time: a view by it is made of RNA alone. A model that reads both, trained on "
            "these cells, shows more."
        )
    if genome is not None and model.genome and model.genome != genome:
        return f"It reads both modalities, but knows {model.genome} and these cells look like {genome}."
    if _trained_on(model, datasets):
        return "Recommended: it reads both modalities at once and was trained on these very cells."
    return (
        "Recommended of those there are: it reads both modalities at once. It fits cells like those it knows, below; "
        "for others train one."
    )


def _cells_words(report: Mapping[str, Any]) -> str:
    n = report.get("cells")
    return f"k-means, {plural(int(n), 'cell')}" if isinstance(n, int) else "k-means"
