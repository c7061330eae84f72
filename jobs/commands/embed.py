"""`crossview embed`: the joint view of a pair on this machine, as a job gives it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadSetting
from engine.intake.canonical import CanonicalCells
from engine.types import Cells, Modality, Names, PairedCells
from jobs.commands.both import both_taken
from jobs.commands.offline import Say, to_stderr
from jobs.fetching import file_name
from jobs.version import code_version

if TYPE_CHECKING:
    from engine.bundle import Bundle
    from engine.joint.encode import Embedded
    from engine.joint.imputation import Imputation
    from engine.joint.reading import Coins
    from engine.preprocess.align import Alignment
    from jobs.commands.mends import Wishes

Opened = Mapping[Modality, CanonicalCells]


@dataclass(frozen=True)
class Asked:
    """As JointSpec has it."""

    model: str
    label: str = ""
    clusters: int = 0
    resolution: float = 1.0
    umap: bool = True
    chunk: int = 512
    min_coverage: float = 0.5
    seed: int = 0
    device: str = "auto"


def embed(
    asked: Asked, *, out: Path, rna: str | None = None, atac: str | None = None, pair: str | None = None,
    wishes: Wishes | None = None, say: Say = to_stderr,
) -> dict[str, Any]:  # fmt: skip
    """Write joint.h5ad; returns its report. Give rna and atac, or one file as pair.

    Raises what intake, pairing, alignment and the settings refuse.
    """
    from engine.bundle import load_bundle
    from engine.joint.encode import require_both
    from jobs.catalog import resolve
    from jobs.commands.offline import device_of

    bundle = load_bundle(resolve(asked.model), device=device_of(asked.device))
    require_both(bundle.manifest)
    given = both_taken(rna=rna, atac=atac, pair=pair, model=asked.model, wishes=wishes, say=say)
    with given as found, ExitStack() as stack:
        cells = {m: stack.enter_context(CanonicalCells.open(each.path)) for m, each in found.items()}
        return _embed(bundle, cells, asked, out, _sources(rna, atac, pair), say)


def _sources(rna: str | None, atac: str | None, pair: str | None) -> dict[str, str]:
    given = {"rna": pair or rna or "", "atac": pair or atac or ""}
    return {name: file_name(source) for name, source in given.items()}


def _embed(
    bundle: Bundle, cells: Opened, asked: Asked, out: Path, sources: Mapping[str, str], say: Say
) -> dict[str, Any]:
    from engine.doubt import doubt_of
    from engine.joint.reading import Coins, counts_ends
    from engine.joint.structure import Grouping, agreement, find
    from engine.pairs import same_cells
    from engine.preprocess.align import align
    from engine.translators.base import embedding_of
    from jobs.joint import files

    matching = same_cells(cells[Modality.RNA].barcodes, cells[Modality.ATAC].barcodes)
    rows = {Modality.RNA: matching.index_a, Modality.ATAC: matching.index_b}
    alignments = {m: align(cells[m].names, bundle.space(m), min_coverage=asked.min_coverage) for m in Modality}
    coins = Coins(asked.seed, counts_ends(cells[Modality.ATAC]))
    labels = _labels(cells, rows)
    label = _label(labels, asked.label)
    embedded = _chunks(bundle, cells, rows, alignments, coins, asked.chunk, say)
    say("Grouping the cells")
    joint = embedding_of(bundle.translator, embedded.whole.joint)
    found = find(joint, _pair(cells, rows), label, Grouping(asked.clusters, asked.resolution, asked.seed))
    judged = {}
    for modality in Modality:
        say(f"Judging imputed {modality.value.upper()}")
        judged[modality] = _judge(bundle, cells[modality], modality, embedded, alignments[modality], rows, coins)
    maps, notes = _maps(found.views, asked.seed, say) if asked.umap else ({}, [])
    view = files.View(
        embedded=embedded,
        structure=found,
        labels=labels,
        maps=maps,
        scores={m: {"rows": each.rows_m, **each.cells} for m, each in judged.items()},
        doubt=doubt_of(bundle, embedded.encoded(Modality.ATAC)),
        provenance=_provenance(bundle, asked, sources),
    )
    document = files.document(
        view,
        bundle=bundle,
        matching=matching,
        coverage={m.value: alignments[m].coverage.as_dict() for m in Modality},
        grouped=agreement(found, label, seed=asked.seed),
        judged={m.value: each.as_dict() for m, each in judged.items()},
        notes=notes,
    )
    _write(out, view)
    from jobs.assemble import plain

    told: dict[str, Any] = plain({**document, "label": asked.label, "out": str(out)})
    return told


def _labels(cells: Opened, rows: Mapping[Modality, NDArray[np.int64]]) -> dict[str, Names]:
    found: dict[str, Names] = {}
    for modality in (Modality.ATAC, Modality.RNA):  # where both files have one, the RNA file's
        found |= {name: column[rows[modality]] for name, column in cells[modality].obs.items()}
    return found


def _label(labels: Mapping[str, Names], name: str) -> Names | None:
    if name and name not in labels:
        known = ", ".join(labels) or "none"
        raise BadSetting(f"There is no label {name[:80]!r} in these files.", hint=f"Labels: {known}.")
    return labels[name] if name else None


def _pair(cells: Opened, rows: Mapping[Modality, NDArray[np.int64]]) -> PairedCells:
    rna, atac = (cells[m].all().rows(rows[m]) for m in Modality)
    return PairedCells(rna, Cells(atac.space, atac.counts, rna.barcodes, atac.obs))


def _chunks(
    bundle: Bundle, cells: Opened, rows: Mapping[Modality, NDArray[np.int64]], alignments: Mapping[Modality, Alignment],
    coins: Coins, size: int, say: Say,
) -> Embedded:  # fmt: skip
    from engine.joint.encode import Embedded, embed
    from engine.joint.reading import counts_at

    n, parts = len(rows[Modality.RNA]), []
    for start in range(0, n, size):
        here = {m: rows[m][start : start + size] for m in Modality}
        counts = {m: counts_at(cells[m], here[m]) for m in Modality}
        barcodes = cells[Modality.RNA].barcodes[here[Modality.RNA]]
        parts.append(embed(bundle, counts, alignments, rows=here, barcodes=barcodes, coins=coins))
        say(f"Embedded {min(start + size, n):,} of {n:,} cells")
    return Embedded.concat(parts)


def _judge(
    bundle: Bundle, cells: CanonicalCells, modality: Modality, embedded: Embedded, alignment: Alignment,
    rows: Mapping[Modality, NDArray[np.int64]], coins: Coins,
) -> Imputation:  # fmt: skip
    from engine.joint.imputation import judge
    from engine.joint.reading import counts_at

    return judge(
        bundle, modality, embedded.half.of(modality), counts_at(cells, rows[modality]), alignment,
        rows=rows[modality], barcodes=embedded.barcodes, coins=coins,
    )  # fmt: skip


def _maps(views: Mapping[str, Any], seed: int, say: Say) -> tuple[dict[str, NDArray[Any]], list[str]]:
    from engine.maps import map_of_coordinates

    say("Drawing maps of the cells")
    drawn = {name: map_of_coordinates(z_nk, seed=seed) for name, z_nk in views.items()}
    return {name: each.xy_n2 for name, each in drawn.items()}, sorted({each.note for each in drawn.values()} - {""})


def _provenance(bundle: Bundle, asked: Asked, sources: Mapping[str, str]) -> dict[str, Any]:
    return {
        "model": bundle.manifest.id,
        "bundle": bundle.digest,
        "translator": bundle.manifest.translator,
        "genome": bundle.manifest.genome or "",
        "rna_name": sources["rna"],
        "atac_name": sources["atac"],
        "code_version": code_version(),
        "label": asked.label,
        "resolution": asked.resolution,
        "chunk_cells": asked.chunk,
        "min_coverage": asked.min_coverage,
        "seed": asked.seed,
        "licence": bundle.manifest.licence,
    }


def _write(out: Path, view: Any) -> None:
    """Whole or not at all."""
    from jobs.joint.files import write_joint

    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    try:
        write_joint(partial, view)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)


def lines(document: Mapping[str, Any], out: Path) -> list[str]:
    """The report in a few words."""
    structure = document["structure"]
    joint = structure["views"]["joint"]
    said = [
        f"Wrote {out}: {document['cells']:,} cells in {document['embedding']['dimensions']} dimensions, "
        f"{joint['leiden']['clusters']} Leiden clusters, {structure['clusters']} by k-means",
    ]
    if structure["labels"]:
        parts = [f"{words} {structure['views'][view]['kmeans']['ari']['value']:.2f}" for view, words in VIEWS.items()]
        said.append(f"  agreement of k-means with {document['label']} (ARI): {', '.join(parts)}; by chance 0")
    for name, score, words in IMPUTED:
        found = document["imputation"][name]["scores"][score]
        beside = ", ".join(f"{NULLS[null]} {value:.2f}" for null, value in found["nulls"].items())
        said.append(f"  imputed {name.upper()}, {words}: {found['value']:.2f} ({beside})")
    return [*said, *(f"  note: {note}" for note in document["notes"])]


VIEWS = {"joint": "joint", "rna": "RNA alone", "atac": "ATAC alone"}
IMPUTED = (
    ("rna", "cell_pearson", "correlation with counts kept back, per cell"),
    ("atac", "cell_auroc", "AUROC of openings kept back, per cell"),
)
NULLS = {"mean": "average profile", "depth": "scaled by depth", "raw": "the cell's own counts"}
