"""Whether a clean copy is one: what everybody who reads it relies on, checked value by value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp

from engine.intake.canonical import CanonicalCells
from engine.intake.corpus.kit import CANARY, CANARY_COUNT
from engine.intake.names import LONGEST, clean

ALLOWED = frozenset({"X", "obs", "var", "uns", "layers", "obsm", "varm", "obsp", "varp"})


def faults_of(path: Path) -> list[str]:
    """What is wrong with a canonical copy of few cells, in words; nothing for a good one."""
    found = list(_structure(path))
    with CanonicalCells.open(path) as cells:
        here = cells.all(layers=True)
        for name, counts in {"X": here.counts, **here.layers}.items():
            found += [f"{name} {what}" for what in _matrix(counts, (cells.n_cells, len(cells.names)))]
        labels = [text for column in cells.obs.values() for text in column]
        texts = [*cells.names, *cells.barcodes, *labels, *cells.obs, cells.summary.counts_from, *cells.summary.notes]
        if cells.summary.nnz != here.counts.nnz or len(set(cells.barcodes)) < cells.n_cells:
            found.append("the summary does not describe the counts, or barcodes repeat")
    return found + list(_texts(texts))


def _structure(path: Path) -> Iterator[str]:
    with h5py.File(path, "r") as file:
        if extra := set(file) - ALLOWED:
            yield f"it holds {', '.join(sorted(extra))}"
        links: list[str] = []
        file.visititems_links(lambda name, link: links.append(name) if not isinstance(link, h5py.HardLink) else None)
        if links:
            yield f"it holds links ({', '.join(links[:3])})"


def _matrix(x: sp.csr_matrix, shape: tuple[int, int]) -> Iterator[str]:
    if x.shape != shape or len(x.indptr) != shape[0] + 1 or x.indptr[0] != 0 or x.indptr[-1] != len(x.data):
        yield "has another shape than its names, or row ends that do not fit"
        return
    if (np.diff(x.indptr) < 0).any() or (x.nnz and (x.indices.min() < 0 or x.indices.max() >= shape[1])):
        yield "has indices out of range"
        return
    if not sp.csr_matrix((x.data, x.indices, x.indptr), shape=shape).has_canonical_format:  # looked at anew
        yield "has rows that are not sorted, or entries that repeat"
    if x.nnz and not (np.isfinite(x.data).all() and (x.data > 0).all() and (x.data == np.rint(x.data)).all()):
        yield "holds values that are no counts"
    if x.nnz and (x.data == CANARY_COUNT).any():
        yield "holds counts of a file outside the upload folder"


def _texts(texts: Iterable[str]) -> Iterator[str]:
    for text in map(str, texts):
        if CANARY in text:
            yield "it holds text of a file outside the upload folder"
        if clean(text, longest=10 * LONGEST) != text:
            yield f"{text!a:.60} is no clean text"
