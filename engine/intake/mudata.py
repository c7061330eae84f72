"""MuData files (.h5mu), as muon writes them: RNA and ATAC of the same cells, an AnnData file each, under `mod`.

Each modality is read as the AnnData file it is. Labels that are kept once for all modalities, in the outer `obs`, are
carried over by cell name. Source: the MuData specification, muon (Bredikhin, Kats & Stegle 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from engine.errors import BadInput, NotAnnData, WrongModality
from engine.intake.frames import Labels, index_names, label_columns, length
from engine.intake.limits import Limits
from engine.intake.look import Layout
from engine.intake.plan import Plan, plan_for
from engine.types import Modality, Names, as_names

CALLED = {Modality.RNA: ("rna", "gex"), Modality.ATAC: ("atac", "peaks")}
AGAIN = "Write it again with mudata: MuData({'rna': rna, 'atac': atac}).write('file.h5mu'), raw counts in each."


def plan_mudata(file: Any, layout: Layout, limits: Limits, wanted: Modality | None, source: str) -> Plan:
    """What `plan_for` decides, for one modality of a MuData file. wanted: needed where the file holds both.

    Raises any BadInput of intake.
    """
    chosen, name = _chosen(_modalities(layout), layout.children("mod"), wanted)
    inner = _inner(layout, name)
    plan = plan_for(file, inner, limits, chosen, source)
    shared, said = _shared_labels(file, layout, plan.barcodes)
    return replace(
        plan,
        labels={**plan.labels, **{name: labels for name, labels in shared.items() if name not in plan.labels}},
        notes=(f"Read from mod/{name} of a MuData file.", *plan.notes, *said),
    )


def _modalities(layout: Layout) -> dict[Modality, str]:
    """What the file calls RNA and ATAC, of those it has."""
    there = {name.lower(): name for name in layout.children("mod")}
    found = {modality: [there[name] for name in names if name in there] for modality, names in CALLED.items()}
    return {modality: names[0] for modality, names in found.items() if names}


def _chosen(found: Mapping[Modality, str], there: list[str], wanted: Modality | None) -> tuple[Modality, str]:
    """The modality to read and its name in the file. Raises WrongModality saying what is there and what is missing."""
    if wanted is None and len(found) == 2:
        raise WrongModality(
            f"The file holds both RNA (mod/{found[Modality.RNA]}) and ATAC (mod/{found[Modality.ATAC]}).",
            hint="Say which to use, or bring both in at once as one pair.",
        )
    chosen = wanted or next(iter(found), None)
    if chosen is not None and chosen in found:
        return chosen, found[chosen]
    missing = "mod/rna or mod/atac" if chosen is None else f"mod/{chosen.value}"
    have = ", ".join(f"mod/{name}" for name in there[:6]) or "no modality"
    raise WrongModality(
        f"This MuData file has no {missing}; it holds {have}.",
        hint="Name the modalities rna and atac before writing, or give the missing one as a file of its own.",
    )


def _inner(layout: Layout, name: str) -> Layout:
    """The modality as an AnnData file. Raises NotAnnData naming what it lacks."""
    inner = layout.within(f"mod/{name}")
    if inner is None:
        raise NotAnnData(f"mod/{name} of this MuData file is no group of cells and features.", hint=AGAIN)
    lacks = [part for part in ("obs", "var") if inner.get(part) is None]
    if not any(inner.get(part) is not None for part in ("X", "layers", "raw")):
        lacks.append("X")
    if lacks:
        raise NotAnnData(f"mod/{name} of this MuData file lacks {', '.join(lacks)}.", hint=AGAIN)
    return inner


def _shared_labels(file: Any, layout: Layout, barcodes: Names) -> tuple[dict[str, Labels], list[str]]:
    """Labels of the outer table for these cells; none where it does not name every one of them, once."""
    try:
        names = index_names(file, layout, "obs")
    except BadInput:  # a table that cannot be read costs its labels alone
        return {}, []
    row = {name: i for i, name in enumerate(names)}
    if len(row) < len(names) or any(name not in row for name in barcodes):
        return {}, []
    rows_n = np.array([row[name] for name in barcodes], dtype=np.int64)
    found, said = label_columns(file, layout, cells=length(layout, "obs"))
    own = tuple(f"{name}:" for name in layout.children("mod"))  # copies of what each modality keeps itself
    return {name: _of(labels, rows_n) for name, labels in found.items() if not name.startswith(own)}, said


def _of(labels: Labels, rows_n: Any) -> Labels:
    """Of some rows, without the values that none of them has."""
    used, codes = np.unique(labels.codes[rows_n], return_inverse=True)
    return Labels(as_names(labels.categories[used]), codes.astype(np.int32))
