"""Loom files, as velocyto writes them: genes × cells, turned around block by block into the same clean copy.

`matrix` holds all counts of a gene, `layers/spliced` and `layers/unspliced` its share before and after splicing
(loom format 2 and 3; velocyto also writes `ambiguous`, which is in `matrix` and is not kept apart). Cells are named
`sample:BARCODEx` by velocyto; `engine.pairs` finds them again under the names of other files.
"""

from __future__ import annotations

from typing import Any

from engine.errors import BadInput, CorruptMatrix, NoCells, NotAnnData, NotCounts
from engine.intake.counts import NAMED_COUNTS, Found, Matrix, glance, no_layer
from engine.intake.frames import label_columns, text_column
from engine.intake.limits import Limits, Problems
from engine.intake.look import Layout
from engine.intake.plan import Plan, check_size, features_of, require_unique
from engine.intake.splicing import LOOM_HINT, find_splicing, transposed_at
from engine.types import Modality, Names, as_names

GENES = ("Gene", "gene_name", "GeneName", "gene_names", "var_names", "Accession", "gene_ids")
IDS = ("Accession", "gene_ids")  # for rows whose symbol is empty
CELLS = ("CellID", "cell_id", "obs_names", "cell_names", "barcode", "Barcode")


def plan_loom(file: Any, layout: Layout, limits: Limits, wanted: Modality | None, source: str) -> Plan:
    """What `plan_for` decides, for a loom file. Problems of matrix and names are told together.

    Raises any BadInput of intake.
    """
    problems = Problems()
    cells, genes = transposed_at(layout, "matrix").shape
    if 0 in (cells, genes):
        raise NoCells(f"The loom file has {cells:,} cells and {genes:,} genes.", hint="Check what wrote it.")
    check_size(cells, genes, limits)
    notes = [f"Read as a loom file of {genes:,} features × {cells:,} cells, and turned around."]
    found = barcodes = space = columns = None
    try:
        found = _find_counts(file, layout)
        notes.append(found.note)
    except BadInput as problem:
        problems.add(problem)
    try:
        barcodes = _names(file, layout, "col_attrs", CELLS, expected=cells)
        require_unique(barcodes)
    except BadInput as problem:
        problems.add(problem)
    try:
        names = _names(file, layout, "row_attrs", GENES, expected=genes)
        space, columns, said = features_of(_filled(file, layout, names), wanted)
        notes += said
    except BadInput as problem:
        problems.add(problem)
    problems.raise_any()
    assert found is not None
    assert barcodes is not None
    assert space is not None
    layers, kept = find_splicing(file, layout, found.matrix, space.modality)
    others = [name for name in layout.children("col_attrs") if name not in CELLS]
    labels, said = label_columns(file, layout, cells=cells, frame="col_attrs", columns=others)
    return Plan(layout, found, barcodes, space, columns, labels, source, (*notes, *kept, *said), layers)


def _find_counts(file: Any, layout: Layout) -> Found:
    """A layer named as counts, then `matrix`, then spliced + unspliced. Raises NotCounts, CorruptMatrix."""
    refused: list[str] = []
    for matrix in _candidates(layout):
        seen = glance(file, layout, matrix)
        if seen.corrupt:
            raise CorruptMatrix(f"{matrix.origin} {seen.corrupt}.", hint=matrix.again)
        if not seen.normalised:
            also = f"; not used: {'; '.join(refused)}" if refused else ""
            return Found(matrix, f"Counts were read from {matrix.origin}{also}.")
        refused.append(f"{matrix.origin}: {seen.normalised}")
    raise NotCounts(
        f"Only normalised values were found where raw counts are needed ({'; '.join(refused)}).",
        hint="Give the file as velocyto wrote it, with counts in its matrix or in its spliced and unspliced layers.",
    )


def _candidates(layout: Layout) -> list[Matrix]:
    layers = {name.lower(): name for name in layout.children("layers")}
    if layout.layer:
        if layout.layer in ("X", "matrix"):
            return [transposed_at(layout, "matrix")]
        if layout.layer not in layers.values():
            raise no_layer(layout.layer, ["matrix", *layers.values()])
        return [transposed_at(layout, f"layers/{layout.layer}")]
    named = [transposed_at(layout, f"layers/{layers[name]}") for name in NAMED_COUNTS if name in layers]
    found = [*named, transposed_at(layout, "matrix")]
    if {"spliced", "unspliced"} <= set(layout.children("layers")):
        transposed_at(layout, "layers/unspliced")  # of the same shape, or refused
        spliced = transposed_at(layout, "layers/spliced")
        found.append(Matrix(spliced.path, "transposed", spliced.shape, "var", spliced.stored, "layers/unspliced"))
    return found


def _names(file: Any, layout: Layout, frame: str, columns: tuple[str, ...], *, expected: int) -> Names:
    """The first column of names there is. Raises NotAnnData when there is none, CorruptMatrix on another length."""
    what = "cells" if frame == "col_attrs" else "genes"
    for column in columns:
        names = text_column(file, layout, f"{frame}/{column}")
        if names is None:
            continue
        if len(names) != expected:
            raise CorruptMatrix(
                f"{frame}/{column} names {len(names):,} {what}, but matrix has {expected:,}.", hint=LOOM_HINT
            )
        return names
    raise NotAnnData(
        f"This loom file does not name its {what}: there is no {frame}/{columns[0]}, nor another column known for it.",
        hint="Write it with velocyto or loompy, or convert it: anndata.io.read_loom(path).write_h5ad('file.h5ad').",
    )


def _filled(file: Any, layout: Layout, names: Names) -> Names:
    """Ids where a symbol is empty."""
    if all(names):
        return names
    for column in IDS:
        ids = text_column(file, layout, f"row_attrs/{column}")
        if ids is not None and len(ids) == len(names):
            return as_names(name or other for name, other in zip(names, ids, strict=True))
    return names
