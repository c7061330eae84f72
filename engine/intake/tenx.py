"""10x Genomics HDF5 matrices, as Cell Ranger and Cell Ranger ARC write them: both modalities of a cell in one file.

`matrix` is features × barcodes, compressed by barcode: read as cells × features it is CSR as it lies. Genes and peaks
are told apart by `features/feature_type`; other types (antibodies, guides) are left out. In an aggregated file the
number after a barcode (AAAC-2) is its GEM well, kept as the label `gem_well`: wells are what can be held out.
Source: 10x Genomics, "HDF5 Feature-Barcode Matrix Format" (Cell Ranger ARC documentation).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, CorruptMatrix, NoCells, NotCounts, WrongModality
from engine.intake.counts import Found, Matrix, glance, no_layer
from engine.intake.frames import Labels, text_column
from engine.intake.limits import Limits, Problems
from engine.intake.look import Layout
from engine.intake.plan import Plan, check_size, features_of, require_unique
from engine.types import Modality, Names, as_names

TYPES = {"Gene Expression": Modality.RNA, "Peaks": Modality.ATAC}
AGAIN = "Copy it again if it broke off; give filtered_feature_bc_matrix.h5 as Cell Ranger wrote it."
WELL = re.compile(r"-(\d{1,3})$")


def plan_tenx(file: Any, layout: Layout, limits: Limits, wanted: Modality | None, source: str) -> Plan:
    """What `plan_for` decides, for a 10x matrix. wanted: needed where the file holds both genes and peaks.

    Raises any BadInput of intake.
    """
    matrix = _matrix(file, layout)
    cells, features = matrix.shape
    if layout.layer not in ("", "X", "matrix"):
        raise no_layer(layout.layer, ["matrix"])
    if 0 in (cells, features):
        raise NoCells(f"The matrix has {cells:,} barcodes and {features:,} features.", hint="Check what wrote it.")
    check_size(cells, features, limits)
    problems = Problems()
    notes = [f"Read as a 10x Genomics matrix of {features:,} features × {cells:,} barcodes."]
    found = space = columns = None
    try:
        found = _counts(file, layout, matrix)
        notes.append(found.note)
    except BadInput as problem:
        problems.add(problem)
    barcodes = _texts(file, layout, "matrix/barcodes", expected=cells)
    try:
        require_unique(barcodes)
    except BadInput as problem:
        problems.add(problem)
    try:
        names = _texts(file, layout, "matrix/features/name", expected=features)
        modality, columns = _columns(file, layout, features, wanted)
        notes.append(f"{len(columns):,} of {features:,} features are {modality.value.upper()} and were kept.")
        space, odd, said = features_of(_filled(file, layout, names)[columns], modality)
        columns = columns if odd is None else columns[odd]
        notes += said
    except BadInput as problem:
        problems.add(problem)
    problems.raise_any()
    assert found is not None
    assert space is not None
    return Plan(layout, found, barcodes, space, columns, _wells(barcodes), source, tuple(notes))


def _matrix(file: Any, layout: Layout) -> Matrix:
    """Its parts checked against each other. Raises CorruptMatrix."""
    parts = {name: layout.get(f"matrix/{name}") for name in ("data", "indices", "indptr", "shape")}
    for name, part in parts.items():
        if part is None or part.is_group or len(part.shape) != 1 or part.type not in ("int", "float"):
            raise CorruptMatrix(f"The 10x matrix has no {name}, or not as one row of numbers.", hint=AGAIN)
    data, indices, indptr, shape = (parts[name] for name in ("data", "indices", "indptr", "shape"))
    assert data is not None
    assert indices is not None
    assert indptr is not None
    assert shape is not None
    if shape.shape != (2,) or "float" in (indices.type, indptr.type, shape.type):
        raise CorruptMatrix("The 10x matrix has indices or a shape that are no whole numbers.", hint=AGAIN)
    features, cells = (int(v) for v in np.asarray(file[shape.path][:]).astype(np.int64))
    if min(features, cells) < 0 or indptr.shape[0] != cells + 1 or data.shape != indices.shape:
        raise CorruptMatrix(
            f"The 10x matrix says {features:,} features × {cells:,} barcodes, but has {indptr.shape[0]:,} barcode "
            f"ends, {data.shape[0]:,} values and {indices.shape[0]:,} indices.",
            hint=AGAIN,
        )
    return Matrix("matrix", "csr", (cells, features), "var", data.shape[0])


def _counts(file: Any, layout: Layout, matrix: Matrix) -> Found:
    seen = glance(file, layout, matrix)
    if seen.corrupt:
        raise CorruptMatrix(f"The 10x matrix {seen.corrupt}.", hint=AGAIN)
    if seen.normalised:
        raise NotCounts(
            f"The 10x matrix holds {seen.normalised}; raw counts are needed.",
            hint="Give filtered_feature_bc_matrix.h5 as Cell Ranger wrote it.",
        )
    return Found(matrix, "Counts were read from matrix.")


def _texts(file: Any, layout: Layout, path: str, *, expected: int) -> Names:
    found = text_column(file, layout, path)
    if found is None or len(found) != expected:
        have = "none" if found is None else f"{len(found):,}"
        raise CorruptMatrix(f"{path} should hold {expected:,} names; there are {have}.", hint=AGAIN)
    return found


def _columns(file: Any, layout: Layout, features: int, wanted: Modality | None) -> tuple[Modality, NDArray[np.int64]]:
    """The wanted modality's features by type, or those of the only one there is. Raises WrongModality."""
    kinds = text_column(file, layout, "matrix/features/feature_type")
    if kinds is None:  # Cell Ranger before multiome wrote genes alone
        kinds = as_names(["Gene Expression"] * features)
    if len(kinds) != features:
        raise CorruptMatrix(f"{len(kinds):,} feature types for {features:,} features.", hint=AGAIN)
    there = {modality: np.flatnonzero(kinds == name).astype(np.int64) for name, modality in TYPES.items()}
    there = {modality: columns for modality, columns in there.items() if len(columns)}
    if wanted is None and len(there) == 2:
        raise WrongModality(
            f"The file holds both genes ({len(there[Modality.RNA]):,}) and peaks ({len(there[Modality.ATAC]):,}).",
            hint="Say which to use: the same file can be given once as RNA and once as ATAC.",
        )
    chosen = wanted or next(iter(there), None)
    if chosen is None or chosen not in there:
        kinds_there = ", ".join(sorted(set(kinds))[:5]) or "nothing"
        raise WrongModality(
            f"The 10x matrix holds {kinds_there}; "
            f"{'genes or peaks' if chosen is None else 'genes' if chosen is Modality.RNA else 'peaks'} are needed.",
            hint="Multiome files of Cell Ranger ARC hold both Gene Expression and Peaks.",
        )
    return chosen, there[chosen]


def _filled(file: Any, layout: Layout, names: Names) -> Names:
    """Ids where a name is empty."""
    ids = None if all(names) else text_column(file, layout, "matrix/features/id")
    if ids is None or len(ids) != len(names):
        return names
    return as_names(name or other for name, other in zip(names, ids, strict=True))


def _wells(barcodes: Names) -> dict[str, Labels]:
    """GEM wells as a label, where there are several."""
    ends = [WELL.search(name) for name in barcodes]
    wells = [end.group(1) if end else "" for end in ends]
    kinds = sorted(set(wells), key=lambda well: int(well or 0))
    if len(kinds) < 2 or "" in kinds:
        return {}
    place = {well: i for i, well in enumerate(kinds)}
    return {"gem_well": Labels(as_names(kinds), np.array([place[well] for well in wells], dtype=np.int32))}
