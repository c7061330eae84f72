"""The nouns of the engine, and the letters its arrays are named by.

Axis letters, used as suffixes of array names everywhere:
n cells · g genes · p peaks · f features of either kind · k latent · c chromosomes · b a batch of cells.
`x_ng` is cells × genes, `a_np` cells × peaks, `z_nk` cells × latent, `w_pg` peaks × genes, `mask_n` one flag a cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadSetting, CellsDoNotMatch, DuplicateNames, LeakedCells, NoCells

Floats = NDArray[np.float32]
Names = NDArray[np.object_]
LAYERS = ("spliced", "unspliced")  # the only ones kept beside the counts: RNA velocity needs both


class Modality(StrEnum):
    """What was measured."""

    RNA = "rna"
    ATAC = "atac"

    @property
    def other(self) -> Modality:
        return Modality.ATAC if self is Modality.RNA else Modality.RNA


class Direction(StrEnum):
    """What is translated into what."""

    RNA_TO_ATAC = "rna-to-atac"
    ATAC_TO_RNA = "atac-to-rna"

    @property
    def source(self) -> Modality:
        return Modality.RNA if self is Direction.RNA_TO_ATAC else Modality.ATAC

    @property
    def target(self) -> Modality:
        return self.source.other

    @classmethod
    def to(cls, target: Modality) -> Direction:
        return cls.RNA_TO_ATAC if target is Modality.ATAC else cls.ATAC_TO_RNA


class Scale(StrEnum):
    """What a predicted number means; two scales are never compared without conversion."""

    LOG_NORMALISED = "log-normalised"  # log1p of counts scaled to the training median depth
    RATE = "rate"  # expected counts
    PROBABILITY = "probability"  # of a peak being open, in [0, 1]
    OWN = "own"  # of a prediction from elsewhere: z-scores, log odds; only its order tells


def as_names(names: Iterable[str]) -> Names:
    """Names as an object array of plain `str`, shape (f,)."""
    return np.array([str(name) for name in names], dtype=object)


def duplicated(names: Sequence[str] | Names) -> list[str]:
    """Names that occur more than once, in order of first repetition."""
    seen: set[str] = set()
    again: dict[str, None] = {}
    for name in names:
        if name in seen:
            again[name] = None
        seen.add(name)
    return list(again)


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """An ordered list of genes or peaks, and the genome they live on.

    names: gene symbols, or peaks written `chr1:100-600` (0-based start, end not included), shape (f,).
    genome: "hg38", "mm10" … or None where unknown.
    Raises DuplicateNames when a name occurs twice.
    """

    modality: Modality
    names: Names
    genome: str | None = None

    def __post_init__(self) -> None:
        if twice := duplicated(self.names):
            raise DuplicateNames(
                f"{len(twice)} {'genes' if self.modality is Modality.RNA else 'peaks'} are named twice, "
                f"such as {twice[0]}.",
                hint="Make the names unique (AnnData: var_names_make_unique) or add up the repeated columns.",
            )

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def index(self) -> dict[str, int]:
        """Position by name."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def digest(self) -> str:
        text = "\n".join([self.modality.value, self.genome or "", *self.names])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one modality as raw counts.

    counts: shape (n, f), CSR, float32, finite and non-negative.
    barcodes: cell names, shape (n,), unique. obs: label columns by name, each of shape (n,).
    layers: spliced and unspliced counts where the file had them and they were asked for, in the form of `counts`.
    """

    space: FeatureSpace
    counts: sp.csr_matrix
    barcodes: Names
    obs: Mapping[str, Names] = field(default_factory=dict)
    layers: Mapping[str, sp.csr_matrix] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, f = self.counts.shape
        if n == 0 or f == 0:
            raise NoCells(f"The matrix is {n} cells × {f} features.", hint="Check the filter that wrote this file.")
        if len(self.barcodes) != n or len(self.space) != f:
            raise CellsDoNotMatch(
                f"{n} rows but {len(self.barcodes)} cell names; {f} columns but {len(self.space)} feature names.",
                hint="Write the file again from a consistent AnnData object.",
            )
        if twice := duplicated(self.barcodes):
            raise DuplicateNames(
                f"{len(twice)} cell names occur twice, such as {twice[0]}.",
                hint="Make the names unique, for example by prefixing each sample's barcodes.",
            )
        for name, layer in self.layers.items():
            if name not in LAYERS:
                raise BadSetting(f"There is no place for a layer {name!r}.", hint=f"Layers kept: {', '.join(LAYERS)}.")
            if layer.shape != (n, f):
                raise CellsDoNotMatch(
                    f"The {name} layer is {layer.shape[0]:,} × {layer.shape[1]:,} beside counts of {n:,} × {f:,}.",
                    hint="Write the file again from a consistent AnnData object.",
                )

    @property
    def modality(self) -> Modality:
        return self.space.modality

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def rows(self, which: Sequence[int] | NDArray[Any] | slice) -> Cells:
        """The chosen cells, in the order asked for."""
        return Cells(
            self.space,
            sp.csr_matrix(self.counts[which]),
            self.barcodes[which],
            {name: column[which] for name, column in self.obs.items()},
            {name: sp.csr_matrix(layer[which]) for name, layer in self.layers.items()},
        )

    def named(self, barcodes: Iterable[str]) -> Cells:
        """The cells of these names, in the order asked for. Raises CellsDoNotMatch on an unknown one."""
        position = {name: i for i, name in enumerate(self.barcodes)}
        wanted = list(barcodes)
        lost = [name for name in wanted if name not in position]
        if lost:
            raise CellsDoNotMatch(
                f"{len(lost)} of {len(wanted)} named cells are not in the file, such as {lost[0]}.",
                hint="Check that the split was made for this file.",
            )
        return self.rows(np.array([position[name] for name in wanted], dtype=np.int64))


@dataclass(frozen=True, eq=False)
class PairedCells:
    """The same cells measured both ways, in one order. Barcodes are compared here and nowhere else."""

    rna: Cells
    atac: Cells

    def __post_init__(self) -> None:
        if len(self.rna) != len(self.atac) or bool((self.rna.barcodes != self.atac.barcodes).any()):
            raise CellsDoNotMatch(
                "The RNA and ATAC cells are not the same cells in the same order.",
                hint="Pair them first: engine.pairs.pair reconciles barcodes.",
            )

    def __len__(self) -> int:
        return len(self.rna)

    @property
    def barcodes(self) -> Names:
        return self.rna.barcodes

    def of(self, modality: Modality) -> Cells:
        return self.rna if modality is Modality.RNA else self.atac

    def named(self, barcodes: Iterable[str]) -> PairedCells:
        wanted = list(barcodes)
        return PairedCells(self.rna.named(wanted), self.atac.named(wanted))


@dataclass(frozen=True)
class Split:
    """Which cells train, which choose, which judge. Raises LeakedCells when a cell is on two sides."""

    train: tuple[str, ...]
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
            shared = sorted(set(getattr(self, one)) & set(getattr(self, other)))
            if shared:
                raise LeakedCells(
                    f"{len(shared)} cells are in both {one} and {other}, such as {shared[0]}.",
                    hint="Every barcode may stand on one side of the split only.",
                )


@dataclass(frozen=True, eq=False)
class CellBatch:
    """Raw counts of some cells, already in a model's feature spaces; one modality or both.

    rna: shape (b, g) CSR float32 or None. atac: shape (b, p) CSR float32 or None.
    """

    rna: sp.csr_matrix | None = None
    atac: sp.csr_matrix | None = None

    def __post_init__(self) -> None:
        if self.rna is None and self.atac is None:
            raise NoCells("A batch needs at least one modality.")

    def __len__(self) -> int:
        present = self.rna if self.rna is not None else self.atac
        assert present is not None
        return int(present.shape[0])

    def of(self, modality: Modality) -> sp.csr_matrix | None:
        return self.rna if modality is Modality.RNA else self.atac


@dataclass(frozen=True, eq=False)
class Latent:
    """What a job stores: everything a decoder needs, and nothing as wide as the genome.

    values: shape (n, k), float32, k ≤ 128. source: the modalities it was encoded from.
    """

    values: Floats
    source: frozenset[Modality]

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def rows(self, which: Sequence[int] | NDArray[Any] | slice) -> Latent:
        return Latent(self.values[which], self.source)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted values of some features. values: shape (n, f), float32, on `scale`; names: shape (f,)."""

    values: Floats
    modality: Modality
    scale: Scale
    names: Names


Features = slice | Sequence[int] | NDArray[np.int64] | None


def empty_csr(rows: int, columns: int) -> sp.csr_matrix:
    """A matrix of that shape with nothing in it, float32."""
    nothing = (np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int32), np.zeros(rows + 1, dtype=np.int32))
    return sp.csr_matrix(nothing, shape=(rows, columns))
