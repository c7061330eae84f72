"""The data sets of CrossMP's paper and the scores its text prints, to be named beside ours and never taken for them.

Source: Lyu, Dahal, Zeng, Wang, Xu & Joshi 2024, "CrossMP: Enabling Cross-Modality Translation between Single-Cell
RNA-Seq and Single-Cell ATAC-Seq through Web-Based Portal", §2.1 (what the sets are) and §3.1 (scores). Only numbers
that stand in its running text are here; the rest of its Tables 2 and 3 is to be read there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.errors import BadSetting

TENX_PAGE = "https://www.10xgenomics.com/datasets"
NOT_STATED = "not stated in the paper: see the page the file comes from"
COMPARABLE = (
    "As printed in the paper. Not comparable as they stand: the authors' released script fits size factors, scaling, "
    "clipping and peak filters on all cells before the split, the test cells stopped the training, the split has no "
    "seed, and the paper does not say over what Pearson, Spearman and AUROC are taken. Ours are fitted on training "
    "cells only; the flattened scores stand nearest to theirs."
)


@dataclass(frozen=True)
class PaperSet:
    """One data set of the paper's Table 1.

    cells: as the paper's text gives them, None where it gives none. where: what is known of where to get it.
    printed: scores in the running text, by "DIRECTION/score".
    """

    name: str
    organism: str
    what: str
    where: str = f"10x Genomics Multiome; its page is to be found from {TENX_PAGE}"
    licence: str = NOT_STATED
    cells: int | None = None
    printed: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


SETS: Mapping[str, PaperSet] = {
    found.name: found
    for found in (
        PaperSet(
            "colo320dm-hsr",
            "human",
            "COLO320DM and COLO320HSR, colorectal adenocarcinoma cell lines",
            printed={"atac-to-rna/pearson": 0.680, "atac-to-rna/spearman": 0.616},
        ),
        PaperSet("kidney-cancer", "human", "kidney nuclei from frozen tumour tissue"),
        PaperSet(
            "lymphoma",
            "human",
            "flash-frozen intra-abdominal lymph node tumour, diffuse small lymphocytic lymphoma",
            printed={"rna-to-atac/auroc": 0.861},
        ),
        PaperSet("pbmc-1", "human", "PBMC I: peripheral blood mononuclear cells, healthy male donors aged 30–35"),
        PaperSet("pbmc-2", "human", "PBMC II: cryopreserved peripheral blood mononuclear cells, healthy female, 25"),
        PaperSet(
            "mouse-cortex",
            "mouse",
            "cortex nuclei, 5,081 neonatal and 10,309 adult",
            where="SNARE-seq (not 10x), GEO GSE126074: give it as two .h5ad files with --rna and --atac",
            cells=15_390,
            printed={"rna-to-atac/auroc": 0.890},
        ),
        PaperSet("mouse-brain", "mouse", "nuclei of frozen brain tissue"),
        PaperSet(
            "mouse-kidney",
            "mouse",
            "nuclei of frozen kidney tissue",
            printed={"atac-to-rna/pearson": 0.530, "atac-to-rna/spearman": 0.404},
        ),
        PaperSet("mouse-alzheimer", "mouse", "brain of a mouse model of Alzheimer's disease"),
    )
}


def paper_set(name: str) -> PaperSet:
    """Raises BadSetting naming the sets there are."""
    if name not in SETS:
        raise BadSetting(f"The paper has no data set {name!r} here.", hint=f"Known: {', '.join(SETS)}.")
    return SETS[name]


def beside_printed(document: Mapping[str, Any], known: PaperSet, *, model: str = "crossmp") -> list[dict[str, Any]]:
    """Rows {direction, what, printed, score, label, ours, sd} of every line of that model and the scores nearest."""
    near = {"pearson": ("flat_pearson", "cell_pearson", "gene_pearson"), "auroc": ("flat_auroc", "peak_auroc"),
            "spearman": ("cell_spearman", "gene_spearman")}  # fmt: skip
    labels = [c["label"] for c in document["contenders"] if c["model"] == model]
    rows = []
    for key, printed in known.printed.items():
        direction, _, what = key.partition("/")
        for label in labels:
            scores = document["directions"].get(direction, {}).get("contenders", {}).get(label, {})
            for score in near[what]:
                if score in scores:
                    rows.append(
                        {"direction": direction, "what": what, "printed": printed, "score": score, "label": label,
                         "ours": scores[score]["value"], "sd": scores[score]["sd"]}
                    )  # fmt: skip
    return rows
