"""A report to readings: scores with what stands beside them, and a verdict in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from app.present import Tag, count, number, percent, plural, row
from jobs.names import Direction, Modality
from jobs.views import PredictabilityView

Level = Literal["good", "mixed", "poor", "unknown"]


@dataclass(frozen=True)
class Meaning:
    """How a score is spoken of: its name on a page, one sentence of help, what chance would score, and its family."""

    label: str
    help: str
    neutral: float
    family: Literal["correlation", "AUROC", "AUPRC"]


MEANINGS: Mapping[str, Meaning] = {
    "peak_auroc_depth_adjusted": Meaning(
        "per-peak AUROC, depth-adjusted",
        "For one peak: how often a cell where it is open is ranked above one where it is closed, among cells "
        "sequenced about as deeply. The most demanding score; chance is 0.5.",
        0.5,
        "AUROC",
    ),
    "peak_auroc": Meaning(
        "per-peak AUROC",
        "For one peak: how often a cell where it is open is ranked above one where it is closed. "
        "Part of it is sequencing depth; compare it with “depth alone”.",
        0.5,
        "AUROC",
    ),
    "cell_auroc": Meaning(
        "per-cell AUROC",
        "For one cell: how often an open peak is ranked above a closed one. "
        "Mostly set by which peaks are open everywhere; compare it with the average profile.",
        0.5,
        "AUROC",
    ),
    "flat_auroc": Meaning(
        "flattened AUROC",
        "All cells and peaks in one list. Shown because papers print it; it mostly measures the average profile.",
        0.5,
        "AUROC",
    ),
    "peak_auprc": Meaning("per-peak AUPRC", "For one peak: precision against recall over cells.", 0.0, "AUPRC"),
    "cell_auprc": Meaning("per-cell AUPRC", "For one cell: precision against recall over peaks.", 0.0, "AUPRC"),
    "brier_skill": Meaning(
        "Brier skill",
        "How much closer the predicted probabilities are than the average profile's; 0 is no closer.",
        0.0,
        "correlation",
    ),
    "flat_auprc": Meaning(
        "flattened AUPRC",
        "All cells and peaks in one list, precision against recall. Chance is the share of open entries.",
        0.0,
        "AUPRC",
    ),
    "gene_pearson": Meaning(
        "per-gene correlation (Pearson)",
        "For one gene: do cells that express more of it also get a higher prediction? "
        "The most demanding score; 0 is chance, and single-cell noise keeps the best possible well below 1.",
        0.0,
        "correlation",
    ),
    "gene_spearman": Meaning(
        "per-gene correlation (Spearman)", "As Pearson, on ranks: not moved by a few extreme cells.", 0.0, "correlation"
    ),
    "cell_pearson": Meaning(
        "per-cell correlation (Pearson)",
        "For one cell: does its predicted profile follow the measured one across genes? "
        "Mostly set by which genes are high everywhere; compare it with the average profile.",
        0.0,
        "correlation",
    ),
    "cell_spearman": Meaning("per-cell correlation (Spearman)", "As Pearson, on ranks.", 0.0, "correlation"),
    "flat_pearson": Meaning(
        "flattened correlation (Pearson)",
        "All cells and genes in one list. Shown because papers print it; it mostly measures the average profile.",
        0.0,
        "correlation",
    ),
}
HEADLINES: Mapping[Direction, tuple[str, ...]] = {
    Direction.RNA_TO_ATAC: ("peak_auroc_depth_adjusted", "peak_auroc", "cell_auroc"),
    Direction.ATAC_TO_RNA: ("gene_pearson", "gene_spearman", "cell_pearson"),
}
MAIN: Mapping[Direction, str] = {which: names[0] for which, names in HEADLINES.items()}
# Columns of the table of genes or peaks that hold a score of their own, the most demanding first.
COLUMNS: Mapping[Direction, Mapping[str, str]] = {
    Direction.RNA_TO_ATAC: {"auroc_depth_adjusted": "peak_auroc_depth_adjusted", "auroc": "peak_auroc"},
    Direction.ATAC_TO_RNA: {"pearson": "gene_pearson", "spearman": "gene_spearman"},
}
SEEN = 0.05  # share of training cells among the scored above which no score is believed  # ours
SMOOTH = 0.25  # share of the measured variance below which a prediction is called smooth  # ours
NULLS: Mapping[str, str] = {"mean": "average profile", "depth": "depth alone", "raw": "the cell's own counts"}
# Columns of the same table that say how far a prediction lies above what needs no model.
SKILLS = ("pearson_gain", "auroc_depth_adjusted_gain", "mse_skill", "brier_skill")


@dataclass(frozen=True)
class Reading:
    """One score with its 95 % interval, the nulls' scores, and a ceiling where one was measured."""

    name: str
    value: float
    low: float | None
    high: float | None
    n: int
    nulls: Mapping[str, float]
    ceiling: float | None = None

    @property
    def meaning(self) -> Meaning:
        return MEANINGS.get(self.name) or Meaning(self.name.replace("_", " "), "", 0.0, "correlation")

    @property
    def label(self) -> str:
        """per-peak AUROC: 0.591 (0.572–0.610); short enough to stand over its dots on a phone."""
        low, high = number(self.low, digits=3), number(self.high, digits=3)
        interval = f" ({low}–{high})" if self.low is not None else ""
        return f"{self.meaning.label}: {number(self.value, digits=3)}{interval}"

    @property
    def sentence(self) -> str:
        """per-peak AUROC: 0.591 (0.572 to 0.610); average 0.500."""
        interval = f" ({number(self.low, digits=3)} to {number(self.high, digits=3)})" if self.low is not None else ""
        beside = f"; average {number(self.nulls['mean'], digits=3)}" if "mean" in self.nulls else ""
        return f"{self.meaning.label}: {number(self.value, digits=3)}{interval}{beside}"


def readings(report: Mapping[str, Any]) -> dict[str, Reading]:
    """The scores of one direction's report, by name; undefined ones are left out."""
    found: dict[str, Reading] = {}
    for name, entry in (report.get("scores") or {}).items():
        if not isinstance(entry, Mapping) or not _finite(entry.get("value")):
            continue
        low, high = (entry.get("interval") or (None, None))[:2]
        found[name] = Reading(
            name,
            float(entry["value"]),
            float(low) if _finite(low) else None,
            float(high) if _finite(high) else None,
            int(entry.get("n") or 0),
            {key: float(v) for key, v in (entry.get("nulls") or {}).items() if _finite(v)},
            _ceiling(report, name),
        )
    return found


def _ceiling(report: Mapping[str, Any], name: str) -> float | None:
    given = (report.get("ceilings") or {}).get(name) or {}
    return float(given["ceiling"]) if _finite(given.get("ceiling")) else None


def _finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def marks(chosen: Sequence[Reading], *, what: str = "this translation") -> list[dict[str, Any]]:
    """The rows of the score chart: each score's own mark (what: its name there), then its nulls and ceiling."""
    rows: list[dict[str, Any]] = []
    for reading in chosen:
        label = reading.label
        rows.append(_mark(label, what, reading.value, reading.low, reading.high))
        rows += [_mark(label, NULLS[k], v) for k, v in reading.nulls.items() if k in NULLS]
        if reading.ceiling is not None:
            rows.append(_mark(label, "noise ceiling", reading.ceiling))
    return rows


def _mark(label: str, what: str, value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"label": label, "what": what, "value": value, "low": low, "high": high}


def score_table(found: Mapping[str, Reading]) -> list[dict[str, Any]]:
    """All scores as a table to read and download."""
    return [
        {
            "score": r.meaning.label,
            "value": r.value,
            "from (95 %)": r.low,
            "to (95 %)": r.high,
            "average profile": r.nulls.get("mean"),
            "depth alone": r.nulls.get("depth"),
            "noise ceiling": r.ceiling,
            "n": r.n,
        }
        for r in found.values()
    ]


@dataclass(frozen=True)
class Verdict:
    """What to think of a translation: a level, one sentence, and why."""

    level: Level
    sentence: str
    because: str = ""


_LEVELS: Mapping[str, tuple[Level, str]] = {
    "better": ("good", "Yes: it says more about these cells than the average profile and than sequencing depth."),
    "unclear": ("mixed", "Perhaps: it scores above the average profile, but these cells are too few to be sure."),
    "no-better": ("poor", "No: on these cells it is no better than an average profile. Do not read biology into it."),
}
BADGES: Mapping[Level, Tag] = {
    "good": Tag("Better than average", "green", ":material/verified:", False),
    "mixed": Tag("Not certain", "orange", ":material/help:", False),
    "poor": Tag("No better than average", "red", ":material/do_not_disturb_on:", False),
    "unknown": Tag("Not scored", "gray", ":material/visibility_off:", False),
}
_UNSCORED = Verdict("unknown", "These cells could not be scored: they were measured one way only.")


def verdict(report: Mapping[str, Any]) -> Verdict:
    """The report's own judgement, as a level, an answer to "can I trust it?" and the numbers behind it."""
    given = report.get("verdict") or {}
    level, sentence = _LEVELS.get(given.get("level", ""), ("unknown", ""))
    if level == "unknown":
        return Verdict("unknown", given["headline"]) if given.get("headline") else _UNSCORED
    unasked = "" if "depth" in report.get("nulls", "depth") else " and than sequencing depth"
    return _not_for_seen_cells(report) or Verdict(level, sentence.replace(unasked, ""), str(given.get("headline", "")))


def _not_for_seen_cells(report: Mapping[str, Any]) -> Verdict | None:
    """A score on the cells a model was trained on answers nothing, however high."""
    seen, of = (report.get("split") or {}).get("scored_in_training") or 0, report.get("n_cells") or 0
    if not of or seen / of < SEEN:
        return None
    return Verdict(
        "mixed",
        f"These scores cannot tell: {seen:,} of the {of:,} scored cells trained this model, which flatters it.",
        "Score cells it has never seen.",
    )


def of_direction(report: Mapping[str, Any], which: Direction) -> Mapping[str, Any]:
    """One direction's part of a report of several."""
    found = (report.get("directions") or {}).get(Direction(which).value)
    return found if isinstance(found, Mapping) else {}


BEST_NULLS: Mapping[str, str] = {
    "mean": "the average profile",
    "depth": "the average profile scaled by depth, the better of two nulls,",
}


def predicts(found: PredictabilityView) -> str:
    """Beats the average profile on 812 of 1,045 genes tested (78 %): what its held-out cells say of a model."""
    thing = row(found.direction.target)
    if not found.tested:
        return f"No {thing} was measured in enough held-out cells to be tested."
    share = f" ({percent(found.better / found.tested)})" if found.better else ""
    said = (
        f"Beats {BEST_NULLS.get(found.best_null, 'the best null')} on "
        f"**{count(found.better)} of {plural(found.tested, thing)} tested**{share}, "
        f"clearly so on {count(found.clearly)}."
    )
    if found.skilled:
        said += f" In squared error it is closer than the average profile on {count(found.skilled)}."
    if found.cells is not None:
        side = "that chose it (none were held out)" if found.part == "valid" else "held out of its training"
        said += f" Scored on {plural(found.cells, 'cell')} {side}."
    return said


def cautions(report: Mapping[str, Any]) -> list[str]:
    """What a reader should know before quoting a number: over-smoothing, and the report's own notes."""
    detail = report.get("detail") or {}
    spread = detail.get("spread")
    said = []
    # Of an open-or-closed measurement nearly all variance is chance, so only expression is judged by it.
    if detail.get("modality") == Modality.RNA and _finite(spread) and spread < SMOOTH:
        said.append(
            f"Predictions differ between cells much less than measurements do ({percent(spread)} of the variance): "
            "expect smooth profiles."
        )
    return [*said, *report.get("notes", ()), *detail.get("notes", ())]


NOVELTY, EXPECTED, OUTSIDE = "novelty", "expected_score", "out_of_domain"
UNLIKE, LIKE = "unlike the training cells", "like the training cells"
USUAL = 0.01  # share of cells called unlike the training cells that are as like them as any
# What a cell's own score is, by direction: its column, and its name inside a sentence.
CELL_SCORES: Mapping[Direction, tuple[str, str]] = {
    Direction.RNA_TO_ATAC: ("auroc", "AUROC per cell"),
    Direction.ATAC_TO_RNA: ("pearson", "correlation per cell"),
}


_COLUMN_WORDS = {
    "name": "name",
    "pearson": "correlation (Pearson)",
    "spearman": "correlation (Spearman)",
    "auroc": "AUROC",
    "auroc_depth_adjusted": "AUROC, depth-adjusted",
    "auprc": "AUPRC",
    "truth_mean": "mean measured",
    "truth_total": "depth of the measurement",
    "source_depth": "depth of the source",
    "rna_depth": "depth of RNA",
    "atac_depth": "depth of ATAC",
    "cluster": "group (Leiden)",
    "cluster_kmeans": "group (k-means)",
    "rna_imputed_pearson": "correlation of imputed RNA",
    "atac_imputed_auroc": "AUROC of imputed ATAC",
    "share_expressed": "share of cells expressing it",
    "base_rate": "share of cells where open",
    "positives": "cells where open",
    "mse_skill": "squared-error skill over the average profile",
    "brier_skill": "Brier skill over the average profile",
    "truth_variance": "variance measured",
    "predicted_variance": "variance predicted",
    OUTSIDE: UNLIKE,
    NOVELTY: "how unlike the training cells",
    EXPECTED: "expected score",
    "kept": "kept",
}


def column_words(name: str) -> str:
    """A column of the features or cells table as a person would call it."""
    for null, words in {**NULLS, "best": "the best null"}.items():
        if name.endswith(f"_null_{null}"):
            return f"{column_words(name.removesuffix(f'_null_{null}'))} of {words}"
    if name.endswith("_se"):
        return f"{column_words(name.removesuffix('_se'))}, standard error"
    if name.endswith("_gain"):
        return f"{column_words(name.removesuffix('_gain'))}, above the best null"
    return _COLUMN_WORDS.get(name, name.replace("_", " "))


def scale_words(scale: str, which: Modality) -> str:
    """The unit of an axis: what the number means."""
    if which is Modality.ATAC:
        return {"probability": "probability open", "rate": "expected fragments"}.get(scale, "accessibility")
    return {"log-normalised": "expression (log)", "rate": "expected counts"}.get(scale, "expression")
