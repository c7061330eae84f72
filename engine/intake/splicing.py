"""Spliced and unspliced counts beside an upload's own: found, judged like them, and kept for RNA velocity."""

from __future__ import annotations

from typing import Any

from engine.errors import CorruptMatrix
from engine.intake.counts import Matrix, glance, matrix_at
from engine.intake.look import Layout
from engine.types import LAYERS, Modality

LOOM_HINT = "A loom file keeps every matrix as genes × cells of one shape: write it again with velocyto or loompy."


def find_splicing(file: Any, layout: Layout, counts: Matrix, modality: Modality) -> tuple[dict[str, Matrix], list[str]]:
    """Both layers, or neither: one alone says nothing of velocity. And a note where something was there.

    Normalised values are left out and said: the file is good without them.
    Raises CorruptMatrix where a layer contradicts itself or the tables, as for the counts.
    """
    present = [name for name in LAYERS if layout.get(f"layers/{name}") is not None]
    if not present or modality is not Modality.RNA or layout.values:
        return {}, []
    if len(present) < len(LAYERS):
        return {}, [f"The {present[0]} layer was left out: RNA velocity needs spliced and unspliced counts."]
    if counts.features != "var":
        return {}, ["Spliced and unspliced counts were left out: they are not of the genes that raw.X counts."]
    found = {}
    for name in LAYERS:
        at = f"layers/{name}"
        matrix = transposed_at(layout, at) if counts.storage == "transposed" else matrix_at(layout, at, "var")
        seen = glance(file, layout, matrix)
        if seen.corrupt:
            raise CorruptMatrix(f"{matrix.origin} {seen.corrupt}.", hint=matrix.again)
        if seen.normalised:
            return {}, [f"Spliced and unspliced counts were left out: {matrix.origin} holds {seen.normalised}."]
        found[name] = matrix
    return found, ["Spliced and unspliced counts were kept: a model can rank genes by RNA velocity."]


def transposed_at(layout: Layout, path: str) -> Matrix:
    """A dense features × cells matrix of a loom file, checked against its main one. Raises CorruptMatrix."""
    main, entry = layout.get("matrix"), layout.get(path)
    assert main is not None
    if entry is None or entry.is_group or len(entry.shape) != 2 or entry.type not in ("int", "float", "bool"):
        raise CorruptMatrix(f"{path} is not a table of numbers.", hint=LOOM_HINT)
    if entry.shape != main.shape:
        raise CorruptMatrix(
            f"{path} is {entry.shape[0]:,} × {entry.shape[1]:,}, but matrix is "
            f"{' × '.join(f'{size:,}' for size in main.shape)}.",
            hint=LOOM_HINT,
        )
    genes, cells = entry.shape
    return Matrix(path, "transposed", (cells, genes), "var", genes * cells)
