"""What analyses look at: the measured profile of some cells, the one a model imputes, or both side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.metrics.normalise import log_normalised
from engine.metrics.ranks import Doubles, Integers
from engine.metrics.sources import Source, blocks
from engine.preprocess.steps import binarised
from engine.types import Cells, Floats, Modality, Names, Scale

RAW, IMPUTED = "raw", "imputed"
HELD = 2**24  # ours: values asked of a profile at once (64 MB)


@dataclass(frozen=True, eq=False)
class Profile:
    """One modality of n cells by f features, read by rows or by columns and never held whole.

    name: how it is called in tables. names: shape (f,). imputed: values of a model, not of a measurement.
    Genes are log1p of counts scaled to the median cell; peaks are 0 or 1, or how open a model holds them.
    """

    name: str
    modality: Modality
    names: Names
    cells: int
    source: Source
    imputed: bool = False

    def __len__(self) -> int:
        return self.cells

    def rows(self, start: int, stop: int) -> Floats:
        """shape (stop − start, f)"""
        return self.source.rows(start, stop)

    def columns(self, positions: Integers) -> Floats:
        """shape (n, len(positions))"""
        return self.source.columns(positions)

    def row_blocks(self) -> Iterator[tuple[int, int, Floats]]:
        """(start, stop, values of those rows)"""
        for start, stop in blocks(self.cells, len(self.names), block=512, elements=HELD):
            yield start, stop, self.rows(start, stop)

    def column_blocks(self, positions: Integers) -> Iterator[tuple[int, int, Floats]]:
        """(start, stop, values of the features positions[start:stop])"""
        for start, stop in blocks(len(positions), self.cells, block=4096, elements=HELD):
            yield start, stop, self.columns(positions[start:stop])


class Measured:
    """A sparse matrix as a source of dense rows and of dense columns."""

    def __init__(self, values_nf: sp.csr_matrix) -> None:
        self._by_row, self._by_column = sp.csr_matrix(values_nf), sp.csc_matrix(values_nf)

    def rows(self, start: int, stop: int) -> Floats:
        return np.asarray(self._by_row[start:stop].toarray(), dtype=np.float32)

    def columns(self, positions: NDArray[np.int64]) -> Floats:
        return np.asarray(self._by_column[:, positions].toarray(), dtype=np.float32)


class LogRates:
    """Expected counts as log1p of what they would be in a cell of the median total, as measured counts are."""

    def __init__(self, rates: Source, *, cells: int, features: int) -> None:
        self._rates = rates
        total_n = np.concatenate(
            [rates.rows(*span).sum(axis=1, dtype=np.float64) for span in blocks(cells, features, block=512)]
        )
        self._factor_n1 = (np.median(total_n) / np.maximum(total_n, 1e-12)).astype(np.float32)[:, None]

    def rows(self, start: int, stop: int) -> Floats:
        return np.asarray(np.log1p(self._rates.rows(start, stop) * self._factor_n1[start:stop]), dtype=np.float32)

    def columns(self, positions: NDArray[np.int64]) -> Floats:
        return np.asarray(np.log1p(self._rates.columns(positions) * self._factor_n1), dtype=np.float32)


def measured(cells: Cells, *, name: str = RAW) -> Profile:
    """What was counted: log-normalised genes, or peaks as 0 and 1."""
    values_nf = log_normalised(cells.counts) if cells.modality is Modality.RNA else binarised(cells.counts)
    return Profile(name, cells.modality, cells.space.names, len(cells), Measured(values_nf))


def imputed(
    source: Source, *, modality: Modality, scale: Scale, names: Names, cells: int, name: str = IMPUTED
) -> Profile:
    """What a model gives instead, brought to the measured profile's scale."""
    if scale is Scale.RATE and modality is Modality.RNA:
        source = LogRates(source, cells=cells, features=len(names))
    return Profile(name, modality, names, cells, source, imputed=True)


def group_means(profile: Profile, codes_n: Integers, groups: int) -> Doubles:
    """Mean profile of each group, shape (groups, f). codes_n: the group of each cell, negative for none."""
    sums = np.zeros((groups, len(profile.names)))
    for start, stop, rows in profile.row_blocks():
        here = codes_n[start:stop]
        used = np.flatnonzero(here >= 0)
        member = sp.csr_matrix((np.ones(len(used)), (here[used], used)), shape=(groups, stop - start))
        sums += member @ rows
    size = np.bincount(codes_n[codes_n >= 0], minlength=groups)
    return np.asarray(sums / np.maximum(size, 1)[:, None])


def coded(labels_n: Names) -> tuple[tuple[str, ...], Integers]:
    """The distinct labels, sorted, and each cell's place among them; −1 for a cell without one ("")."""
    kinds = tuple(sorted({str(label) for label in labels_n} - {""}))
    place = {kind: i for i, kind in enumerate(kinds)}
    return kinds, np.array([place.get(str(label), -1) for label in labels_n], dtype=np.int64)
