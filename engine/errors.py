"""Everything a user can get wrong, one class and one stable code a situation."""

from __future__ import annotations

from typing import ClassVar


class CrossViewError(Exception):
    """A problem a person can mend: what happened in `message`, what to do in `hint`.

    `code` is stable: pages, REST problems and exit codes are keyed on it.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadInput(CrossViewError):
    """The input cannot be used as it is; exit code 2."""

    code = "bad-input"


class NotHDF5(BadInput):
    """The file is not an HDF5 file at all."""

    code = "not-hdf5"


class NotAnnData(BadInput):
    """HDF5, but without the elements of an AnnData file."""

    code = "not-anndata"


class UnsafeFile(BadInput):
    """The file points outside itself or uses a feature that is never needed: links, virtual data sets."""

    code = "unsafe-file"


class TooLarge(BadInput):
    """The file declares more than the limit."""

    code = "too-large"


class CorruptMatrix(BadInput):
    """The matrix contradicts itself: indices out of range, indptr not monotone, non-finite or negative values."""

    code = "corrupt-matrix"


class NoCells(BadInput):
    """The file has no cells or no features."""

    code = "no-cells"


class NotCounts(BadInput):
    """Only normalised values were found where raw counts are needed."""

    code = "not-counts"


class NeedsPeaks(BadInput):
    """Fragments were given without a model on whose peaks they are counted."""

    code = "needs-peaks"


class WrongModality(BadInput):
    """Genes where peaks were expected, or the reverse."""

    code = "wrong-modality"


class FeatureMismatch(BadInput):
    """Too few of the model's genes or peaks were found in the input."""

    code = "feature-mismatch"


class WrongGenome(FeatureMismatch):
    """The input looks like another genome build or organism than the model's."""

    code = "wrong-genome"


class CellsDoNotMatch(BadInput):
    """Two files that should hold the same cells do not."""

    code = "cells-do-not-match"


class DuplicateNames(BadInput):
    """Cells or features are named twice."""

    code = "duplicate-names"


class LeakedCells(BadInput):
    """The same cell stands on both sides of a split."""

    code = "leaked-cells"


class WrongDirection(BadInput):
    """The model does not translate this way, or the source modality is not given."""

    code = "wrong-direction"


class UnknownFeature(BadInput):
    """A gene or peak the model does not predict was asked for."""

    code = "unknown-feature"


class UnknownModel(BadInput):
    """No bundle of this name or path."""

    code = "unknown-model"


class BadBundle(BadInput):
    """The bundle's files contradict each other or its digest."""

    code = "bad-bundle"


class BadSetting(BadInput):
    """A setting has no such name or an impossible value."""

    code = "bad-setting"


class MissingExtra(BadInput):
    """An optional package that this model or option needs is not installed."""

    code = "missing-extra"


class Diverged(BadSetting):
    """A training whose loss is no number: its settings do not suit its cells."""

    code = "diverged"
