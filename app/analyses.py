"""The nine analyses in plain words: what each asks of the cells, what it can be told, and how a page's address says it.

Pure functions; what their results say is in `findings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.present import plain, plural
from jobs.spec import AnalysisSpec

Query = dict[str, str | list[str]]
NO_MODEL, NO_LABEL = "none", "none"  # in the address: asked for without one
MOST_IN_ADDRESS = 1_500  # characters of a list of names; browsers and proxies cut longer addresses  # ours


@dataclass(frozen=True)
class Question:
    """One analysis as a card. asks: what it answers. without: what is lost without a model. label: what it is for.

    needs: choices it cannot do without. options: fields of AnalysisSpec beside cells, model and label it looks at.
    """

    title: str
    asks: str
    icon: str
    group: Literal["Cells", "Values", "Genome and order"]
    without: str
    label: str
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


_RAW_ONLY = "only measured values are used; imputed ones come from a model"
_NO_VIEW = "the model's own view of the cells is left out; RNA alone takes its place"
QUESTIONS: Mapping[str, Question] = {
    "cluster": Question(
        "Groups of cells",
        "Do groups found without labels match the labels, and which view of the cells finds them best?",
        ":material/bubble_chart:", "Cells", _NO_VIEW, "what the groups are compared with",
        options=("embedding", "compare", "components", "resolution", "seeds", "umap"),
    ),
    "mixing": Question(
        "Mixing of batches",
        "Do cells of different batches or donors lie among each other, or does each batch keep to itself?",
        ":material/shuffle:", "Cells", _NO_VIEW, "so that mixing is also asked within each kind of cell",
        needs=("batch",), options=("batch", "embedding", "compare"),
    ),
    "abnormal": Question(
        "Suspicious cells",
        "Is there a group of cells with little RNA but much ATAC, as damaged cells would be?",
        ":material/report:", "Cells", _NO_VIEW, "so that depth is judged within each kind of cell",
        options=("groups", "embedding", "components", "resolution"),
    ),
    "imputation": Question(
        "Worth of imputation",
        "Do cells with their gaps filled in look more like their kind than cells as measured?",
        ":material/auto_fix_high:", "Values", "there is nothing imputed to judge: only measured cells are scored",
        "the kinds that cells should look like", needs=("label",), options=("on", "only"),
    ),
    "de": Question(
        "Marker genes and peaks",
        "Which genes and peaks set each group of cells apart, measured and imputed?",
        ":material/compare_arrows:", "Values", _RAW_ONLY, "the groups that are told apart",
        options=("on", "only", "groups", "method", "reference", "top", "embedding", "components", "resolution"),
    ),
    "activity": Question(
        "Gene activity",
        "Do the open peaks around a gene say how much it is expressed, from cell to cell and from gene to gene?",
        ":material/bolt:", "Values", _RAW_ONLY, "", options=("on",),
    ),
    "cre": Question(
        "Peaks that explain a gene",
        "Which peaks near a gene go with its expression? Drawn as arcs on the genome.",
        ":material/conversion_path:", "Genome and order", _RAW_ONLY, "the rows of the genome track",
        options=("on", "genes", "reach", "alpha", "metacells", "embedding"),
    ),
    "coaccess": Question(
        "Peaks that open together",
        "Which peaks are open in the same cells, and which genes may they serve? Drawn as arcs on the genome.",
        ":material/link:", "Genome and order", _RAW_ONLY, "the rows of the genome track",
        options=("on", "reach", "metacells", "embedding"),
    ),
    "trajectory": Question(
        "Order along a path",
        "In which order do cells pass from one state to another, and which genes rise or fall on the way?",
        ":material/timeline:", "Genome and order", _NO_VIEW, "the states along the path",
        needs=("root",), options=("root", "root_at", "among", "genes", "on", "embedding", "neighbours"),
    ),
}  # fmt: skip
EMBEDDINGS: Mapping[str, str] = {
    "joint": "the model's view",
    "rna": "RNA alone",
    "atac": "ATAC alone",
    "wnn": "weighted neighbours (WNN)",
    "multivi": "MultiVI",
    "scvi": "scVI (RNA)",
    "mofa": "MOFA+",
}
PROFILES: Mapping[str, str] = {"raw": "measured", "imputed": "imputed"}
METHODS: Mapping[str, str] = {
    "t-test_overestim_var": "t-test, guarded (usual)",
    "t-test": "t-test",
    "wilcoxon": "Wilcoxon rank sum",
}
USUAL_METACELLS: Mapping[str, int] = {"cre": 0, "coaccess": 50}


def question(what: str) -> Question:
    return QUESTIONS.get(what, QUESTIONS["cluster"])


def embedding(name: str) -> str:
    return EMBEDDINGS.get(name, name)


def names_of(text: str) -> tuple[str, ...]:
    """Names separated by commas, spaces or lines, each once."""
    return tuple(dict.fromkeys(name for name in text.replace(",", " ").split() if name))


def lines_of(text: str) -> tuple[str, ...]:
    """One entry a line, such as NAME or GROUP,NAME; empty lines are left out."""
    return tuple(line for line in (raw.strip().replace("\t", ",") for raw in text.splitlines()) if line)


def missing(spec: AnalysisSpec, labels: bool) -> str:
    """What must still be chosen before anything can be checked, in a sentence; empty where nothing is.

    labels: whether the cells carry any.
    """
    if spec.what == "imputation" and not spec.label:
        said = "Choose the labels the cells should look like"
        return f"{said}." if labels else f"{said}: these files carry none, so this question cannot be asked of them."
    if spec.what == "mixing" and not spec.batch:
        return "Choose the column that names the batches."
    if spec.what == "trajectory" and not spec.root:
        return "Choose where the path begins: a kind of cell, or one cell by its barcode."
    if spec.what == "cluster" and not spec.label and not spec.components:
        return "Choose labels to compare with, or say how many groups there shall be."
    if not spec.model and "imputed" in spec.on and "on" in question(spec.what).options:
        return "Imputed values come from a model: choose one, or only measured values."
    return ""


def facts(spec: AnalysisSpec, cells: int | None) -> list[str]:
    """What a line under the job's title says of it."""
    said = [question(spec.what).title]
    said += [plural(cells, "cell")] if cells else []
    said.append(f"model {plain(spec.model)}" if spec.model else "no model: measured values")
    if spec.label:
        said.append(f"labels {plain(spec.label)}")
    return said


def title(what: str, cells: str) -> str:
    """What a job is called."""
    return f"{question(what).title}: {cells}"[:200]


def query(spec: AnalysisSpec) -> Query:
    """The address of a page that starts from what was asked; what is usual is left out of it."""
    asked: Query = {"what": spec.what, "rna": spec.rna, "atac": spec.atac, "model": spec.model or NO_MODEL}
    asked["label"] = spec.label or NO_LABEL
    usual = AnalysisSpec(what=spec.what, rna=spec.rna, atac=spec.atac)
    for name in (*question(spec.what).options, "held_out", "genome", "seed"):
        value = getattr(spec, name)
        if value != getattr(usual, name):
            text = _text(name, value)
            if len(str(text)) <= MOST_IN_ADDRESS:
                asked[name] = text
    if "compare" in question(spec.what).options:
        asked["compare"] = list(spec.compare) or ["none"]
    if spec.embedding == "joint" or "embedding" not in question(spec.what).options:
        asked.pop("embedding", None)
    elif not spec.model and spec.embedding == "rna":  # what stands there without a model
        asked.pop("embedding")
    if not spec.model:  # imputed values cannot be asked for
        asked.pop("on", None)
    return asked


def _text(name: str, value: Any) -> str | list[str]:
    """A value as the page reads it back."""
    if name in ("compare", "among", "on"):
        return [str(each) for each in value]
    if name == "seeds":
        return ",".join(map(str, value))
    if name == "genes":
        return " ".join(value)
    if name == "reference":
        return "\n".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value or "")


_TABLES: Mapping[str, str] = {
    "cluster.agreement": "Agreement of groups with the labels",
    "cluster.purity": "Each label and its groups",
    "cluster.cells": "Every cell with its groups",
    "correlation.rna.correlation": "Expression: cells against their kind",
    "correlation.rna.cells": "Expression: every cell",
    "correlation.atac.correlation": "Accessibility: cells against their kind",
    "correlation.atac.cells": "Accessibility: every cell",
    "recovery.recovery": "Open peaks found",
    "recovery.curve": "Open peaks found, the curve",
    "recovery.peaks": "Open peaks of each kind",
    "recovery.cells": "Open peaks found, every cell",
    "mixing.mixing": "Mixing, over all and within each kind",
    "mixing.cells": "Mixing around every cell",
    "abnormal.clusters": "Depth of each group",
    "abnormal.cells": "Depth of every cell",
    "markers.rna.markers": "Genes of each group",
    "markers.rna.overlap": "Genes shared with your list",
    "markers.atac.markers": "Peaks of each group",
    "markers.atac.overlap": "Peaks shared with your list",
    "lasso.links": "Peaks and genes near them",
    "lasso.genes": "Each gene and its links",
    "coaccess.pairs": "Pairs of peaks",
    "coaccess.links": "Peaks and the genes they may serve",
    "trajectory.cells": "Every cell on the path",
    "trajectory.labels": "Where each kind lies on the path",
    "trends.curve": "Trends, the curves",
    "trends.summary": "Trends of each gene",
    "activity.genes": "Activity against expression, each gene",
    "activity.cells": "Activity against expression, every cell",
}
_COLUMNS: Mapping[str, str] = {
    "ari": "ARI",
    "nmi": "NMI",
    "embedding": "view of the cells",
    "low": "from (95 %)",
    "high": "to (95 %)",
    "ilisi": "batches around a cell (iLISI)",
    "scaled": "share of chance",
    "expected": "by chance",
    "rna_depth": "RNA counts, median",
    "atac_depth": "ATAC counts, median",
    "rna_z": "RNA, deviations",
    "atac_z": "ATAC, deviations",
    "rna_q": "RNA, false discovery rate",
    "atac_q": "ATAC, false discovery rate",
    "q": "false discovery rate",
    "p_valid": "p is valid",
    "log2_fold": "log₂ fold",
    "mean_rest": "mean elsewhere",
    "feature": "gene or peak",
    "r2": "variance explained",
    "distance": "distance (bases)",
    "peak_1": "peak",
    "peak_2": "other peak",
    "found": "share found",
    "peak_at": "highest at",
    "q25": "first quarter",
    "q75": "third quarter",
}


def table_words(name: str) -> str:
    """What a table WHAT.TABLE is called."""
    return _TABLES.get(name, name)


def column_words(name: str) -> str:
    """What a column of a table is called."""
    return _COLUMNS.get(name, name.replace("_", " "))
