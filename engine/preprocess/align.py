"""From an input's columns to a model's features: genes by name, peaks by name or overlap, or a reasoned refusal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadInput, CellsDoNotMatch
from engine.genome.intervals import overlaps
from engine.genome.peaks import parse_known
from engine.preprocess.coverage import MIN_COVERAGE, Coverage, problem_of
from engine.types import FeatureSpace, Modality, Names

__all__ = ["MIN_COVERAGE", "Alignment", "Coverage", "align", "coverage_problem", "match"]

_VERSIONED = re.compile(r"(ENS[A-Z]*G[0-9]{11})\.[0-9]+")
_EXAMPLES = 5


@dataclass(frozen=True, eq=False)
class Alignment:
    """Which input columns lead to which model features. lead_if: 0/1 CSR, shape (input columns, len(space))."""

    space: FeatureSpace
    coverage: Coverage
    lead_if: sp.csr_matrix

    def apply(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """Counts in the model's features: columns that lead to one feature are added up, missing ones are 0.

        counts: shape (n, input columns). Returns CSR float32 with sorted indices, shape (n, len(space)).
        Raises CellsDoNotMatch when the number of columns is another one than was aligned.
        """
        if counts.shape[1] != self.lead_if.shape[0]:
            raise CellsDoNotMatch(
                f"The matrix has {counts.shape[1]:,} columns; {self.lead_if.shape[0]:,} names were aligned.",
                hint="Align the names of this very matrix.",
            )
        led = sp.csr_matrix(sp.csr_matrix(counts, dtype=np.float32) @ self.lead_if)
        led.sort_indices()
        return led


def align(
    names: Sequence[str] | Names,
    space: FeatureSpace,
    *,
    min_coverage: float = MIN_COVERAGE,
    gene_ids: Sequence[str] | Names | None = None,
) -> Alignment:
    """The way from input columns to a model's features; the order of the columns does not matter.

    A model feature whose exact name is in the input takes that column alone. Of the others, genes are matched with the
    version of Ensembl ids left out (never across upper and lower case: Gapdh is a mouse gene, GAPDH a human one), and
    peaks take the sum of all input peaks that overlap them.
    gene_ids: a second name of each column; whichever of the two finds more genes is used.
    min_coverage: the share of the model's genes to be found; half of it is asked of peaks (`required_share`).
    Raises WrongModality, WrongGenome or FeatureMismatch, with the reason as far as it can be told.
    """
    found = match(names, space, gene_ids=gene_ids)
    if problem := problem_of(names, space, found.coverage, min_coverage=min_coverage):
        raise problem
    return found


def coverage_problem(
    names: Sequence[str] | Names,
    space: FeatureSpace,
    *,
    min_coverage: float = MIN_COVERAGE,
    gene_ids: Sequence[str] | Names | None = None,
) -> BadInput | None:
    """What `align` would raise, as a value for lists of issues; None when it would not."""
    return problem_of(names, space, match(names, space, gene_ids=gene_ids).coverage, min_coverage=min_coverage)


def match(
    names: Sequence[str] | Names, space: FeatureSpace, *, gene_ids: Sequence[str] | Names | None = None
) -> Alignment:
    """`align` without a judgement on the coverage."""
    if space.modality is Modality.ATAC:
        return _peaks(names, space)
    best = _genes(names, space)
    if gene_ids is not None and best.coverage.found < len(space):
        return max(best, _genes(gene_ids, space), key=lambda one: one.coverage.found)
    return best


@dataclass(frozen=True, eq=False)
class _Leads:
    """Pairs of an input column and a model feature, and how they were found."""

    column: NDArray[np.int64]
    feature: NDArray[np.int64]
    how: str

    @classmethod
    def by_name(cls, names: Iterable[str], features: Iterable[str], how: str) -> _Leads:
        index = {name: j for j, name in enumerate(features)}
        pairs = [(i, index[name]) for i, name in enumerate(names) if name in index]
        flat = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return cls(flat[:, 0], flat[:, 1], how)

    def without(self, features: NDArray[np.int64]) -> _Leads:
        """Only to model features that were not found before."""
        new = ~np.isin(self.feature, features)
        return _Leads(self.column[new], self.feature[new], self.how)


def _genes(names: Sequence[str] | Names, space: FeatureSpace) -> Alignment:
    exact = _Leads.by_name(names, space.names, "name")
    if len(np.unique(exact.feature)) == len(space):
        return _alignment([exact], len(names), space)
    stripped = _Leads.by_name(map(_unversioned, names), map(_unversioned, space.names), "name without version")
    return _alignment([exact, stripped.without(exact.feature)], len(names), space)


def _unversioned(name: str) -> str:
    versioned = _VERSIONED.fullmatch(name)
    return versioned[1] if versioned else name


def _peaks(names: Sequence[str] | Names, space: FeatureSpace) -> Alignment:
    exact = _Leads.by_name(names, space.names, "name")
    if len(np.unique(exact.feature)) == len(space):
        return _alignment([exact], len(names), space)
    given, given_f = parse_known(names)
    wanted, wanted_f = parse_known(space.names)
    column, feature = np.flatnonzero(given_f), np.flatnonzero(wanted_f)
    spelt = _Leads.by_name(given.names, wanted.names, "name")  # chr1_1_2 is chr1:1-2
    exact = _Leads(column[spelt.column], feature[spelt.feature], "name")
    pairs = overlaps(given, wanted).tocoo()
    overlap = _Leads(column[pairs.row], feature[pairs.col], "overlap")
    return _alignment([exact, overlap.without(exact.feature)], len(names), space)


def _alignment(leads: Sequence[_Leads], given: int, space: FeatureSpace) -> Alignment:
    column = np.concatenate([lead.column for lead in leads])
    feature = np.concatenate([lead.feature for lead in leads])
    lead_if = sp.csr_matrix((np.ones(len(column), np.float32), (column, feature)), shape=(given, len(space)))
    found_f = np.zeros(len(space), dtype=bool)
    found_f[feature] = True
    coverage = Coverage(
        modality=space.modality,
        found=int(found_f.sum()),
        of=len(space),
        how=", ".join(lead.how for lead in leads if lead.column.size) or "nothing",
        by_name=len(np.unique(leads[0].feature)),
        used=len(np.unique(column)),
        given=given,
        unmatched_examples=tuple(space.names[~found_f][:_EXAMPLES]),
    )
    return Alignment(space, coverage, lead_if)
