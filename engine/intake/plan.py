"""Everything decided about an upload before its first block is copied: matrix, names, labels, notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, DuplicateNames, NoCells, TooLarge
from engine.genome.detect import detect
from engine.intake.counts import Found, Matrix, find_counts
from engine.intake.frames import Labels, index_names, label_columns, length, text_column
from engine.intake.limits import Limits, Problems
from engine.intake.look import Layout
from engine.intake.names import ENSEMBL, choose_columns, make_unique, tidy_peaks
from engine.intake.splicing import find_splicing
from engine.types import FeatureSpace, Modality, Names, as_names, duplicated

SYMBOLS = ("gene_symbols", "gene_symbol", "feature_name", "gene_name", "gene_names", "symbol")


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything decided before the first block is copied. layers: spliced and unspliced counts, or nothing.

    mends: records of what was changed on the way, as its owner asked.
    """

    layout: Layout
    found: Found
    barcodes: Names
    space: FeatureSpace
    columns: NDArray[np.int64] | None
    labels: Mapping[str, Labels]
    source: str
    notes: tuple[str, ...]
    layers: Mapping[str, Matrix] = field(default_factory=dict)
    mends: tuple[Mapping[str, Any], ...] = ()


def plan_for(file: Any, layout: Layout, limits: Limits, wanted: Modality | None, source: str) -> Plan:
    """Names, labels and the matrix to use; problems of all of them are told together."""
    problems = Problems()
    notes: list[str] = []
    check_size(length(layout, "obs"), length(layout, "var"), limits)
    found = barcodes = space = columns = None
    try:
        found = find_counts(file, layout)
        notes.append(found.note)
    except NoCells:
        raise
    except BadInput as problem:
        problems.add(problem)
    try:
        barcodes = index_names(file, layout, "obs")
        require_unique(barcodes)
    except BadInput as problem:
        problems.add(problem)
    try:
        frame = found.matrix.features if found else "var"
        names = index_names(file, layout, frame)
        space, columns, said = features_of(names, wanted, symbols=lambda names: _symbols(file, layout, frame, names))
        notes += said
    except BadInput as problem:
        problems.add(problem)
    problems.raise_any()
    assert found is not None
    assert barcodes is not None
    assert space is not None
    layers, kept = find_splicing(file, layout, found.matrix, space.modality)
    labels, said = label_columns(file, layout, cells=len(barcodes))
    return Plan(layout, found, barcodes, space, columns, labels, source, (*notes, *kept, *said), layers)


def check_size(cells: int, features: int, limits: Limits) -> None:
    """Raises TooLarge above the limits."""
    if cells > limits.cells or features > limits.features:
        raise TooLarge(
            f"The file has {cells:,} cells and {features:,} features; "
            f"{limits.cells:,} and {limits.features:,} are allowed.",
            hint="Keep only barcodes called as cells, or split the file by sample.",
        )


def require_unique(barcodes: Names) -> None:
    """Raises DuplicateNames, naming a cell that occurs twice."""
    if twice := duplicated(barcodes):
        raise DuplicateNames(
            f"{len(twice):,} cell names occur more than once, such as {twice[0]!r}.",
            hint="Make them unique, for example adata.obs_names = adata.obs['sample'] + '#' + adata.obs_names.",
        )


def features_of(
    names: Names, wanted: Modality | None, *, symbols: Callable[[Names], tuple[Names, list[str]]] | None = None
) -> tuple[FeatureSpace, NDArray[np.int64] | None, list[str]]:
    """Feature names as the engine writes them, the columns kept (None: all), and what was changed.

    symbols: gives genes better names than those they came with, and says so.
    """
    notes: list[str] = []
    if not len(names):
        raise NoCells("The file has no features.", hint="Check the filter that wrote it.")
    modality, columns, kept = choose_columns(names, wanted)
    if kept:
        notes.append(kept)
    if modality is Modality.RNA and symbols is not None:
        names, said = symbols(names)
        notes += said
    if columns is not None:
        names = names[columns]
    if modality is Modality.ATAC:
        written, names = names, tidy_peaks(names)
        if bool((written != names).any()):
            notes.append(f"Peak names were rewritten as chromosome:start-end, such as {written[0]} to {names[0]}.")
        if twice := duplicated(names):
            # Numbering a repeated interval would make a name that is no interval any more.
            raise DuplicateNames(
                f"{len(twice):,} peaks occur more than once, such as {twice[0]}.",
                hint="Add up the repeated columns, or keep one of each.",
            )
    else:
        # Numbered, not added up: two loci can share a symbol, and AnnData's own var_names_make_unique does the same.
        names, repeated = make_unique(names)
        if repeated:
            notes.append(
                f"{len(repeated):,} gene names occurred more than once (such as {repeated[0]}); "
                f"the repeats were numbered {repeated[0]}-1 and so on."
            )
    return FeatureSpace(modality, names, detect(names, modality).genome), columns, notes


def _symbols(file: Any, layout: Layout, frame: str, names: Names) -> tuple[Names, list[str]]:
    """Symbols instead of Ensembl ids where the table has them; ids stay where a symbol is missing."""
    ids = sum(ENSEMBL.match(name) is not None for name in names)
    if ids < 0.5 * len(names):
        return names, []
    for column in SYMBOLS:
        texts = text_column(file, layout, f"{frame}/{column}")
        if texts is not None and len(texts) == len(names):
            merged = [symbol or name for symbol, name in zip(texts, names, strict=True)]
            return as_names(merged), [f"Genes are named by {frame}[{column!r}] instead of Ensembl ids."]
    return names, []
