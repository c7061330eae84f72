"""What the baselines share: spaces, scales, source coordinates and target matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import WrongDirection
from engine.preprocess.steps import (
    Arrays,
    DepthScale,
    Projection,
    TfIdf,
    binarised,
    depth_of,
    prefixed,
    unprefixed,
)
from engine.translators.base import require_source, require_widths
from engine.types import CellBatch, Cells, Direction, FeatureSpace, Floats, Latent, Modality, Scale

BOTH = frozenset(Direction)
PROBABILITY_FLOOR = 1e-4  # ours


class Spaces:
    """The two feature spaces and scales of a model that translates both ways."""

    directions = BOTH

    def __init__(self, rna: FeatureSpace, atac: FeatureSpace) -> None:
        self._spaces = {Modality.RNA: rna, Modality.ATAC: atac}

    def space(self, modality: Modality) -> FeatureSpace:
        return self._spaces[modality]

    def scale(self, target: Modality) -> Scale:
        return Scale.LOG_NORMALISED if target is Modality.RNA else Scale.PROBABILITY

    def require(self, batch: CellBatch) -> None:
        """Raises WrongDirection without a source to start from, FeatureMismatch for counts of other features."""
        require_source(batch, self.directions)
        require_widths(batch, self._spaces)


class Viewed(Spaces):
    """A model whose latent is the cell's coordinates in its own modality's view."""

    def __init__(self, views: dict[Modality, SourceView], rna: FeatureSpace, atac: FeatureSpace) -> None:
        super().__init__(rna, atac)
        self._views = views

    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, k + 1); with both modalities present, RNA is used"""
        self.require(batch)
        source = Modality.RNA if batch.rna is not None else Modality.ATAC
        counts = batch.of(source)
        assert counts is not None
        return Latent(self._views[source].coordinates(counts), frozenset({source}))


def as_probability(values: Floats) -> Floats:
    """Linear predictions as probabilities, monotone everywhere, so that no rank is lost to clipping.

    Below the floor ε the line continues as ε·exp((x − ε)/ε), above 1 − ε mirrored.
    """
    e = PROBABILITY_FLOOR
    low = e * np.exp(np.clip((values - e) / e, -80.0, 0.0))
    high = 1 - e * np.exp(np.clip((1 - e - values) / e, -80.0, 0.0))
    return np.where(values < e, low, np.where(values > 1 - e, high, values)).astype(np.float32)


def source_of(batch: CellBatch) -> tuple[Modality, sp.csr_matrix]:
    """The modality a batch is translated from, and its counts; with both present, RNA."""
    require_source(batch, BOTH)
    source = Modality.RNA if batch.rna is not None else Modality.ATAC
    counts = batch.of(source)
    assert counts is not None
    return source, counts


def across(latent: Latent, target: Modality) -> Direction:
    """The direction a latent is decoded in. Raises WrongDirection when it was encoded from the target itself."""
    direction = Direction.to(target)
    if latent.source != {direction.source}:
        found = ", ".join(sorted(latent.source))
        raise WrongDirection(
            f"These cells were encoded from {found}; {target.value} is predicted from {direction.source.value} only.",
            hint=f"Encode the cells from their {direction.source.value} counts.",
        )
    return direction


def target_matrix(cells: Cells, scale: DepthScale) -> sp.csr_matrix:
    """The target on its declared scale, shape (n, f): log-normalised genes, or peaks as 0 and 1."""
    return scale.log_normalised(cells.counts) if cells.modality is Modality.RNA else binarised(cells.counts)


@dataclass(frozen=True, eq=False)
class SourceView:
    """Source cells as standardised SVD coordinates and log depth: what the simple models see.

    Genes: log-normalised counts; peaks: TF-IDF. Both centred, projected on k components, divided by the first
    component's spread, with the standardised log depth as a last column.
    """

    modality: Modality
    scale: DepthScale
    tfidf: TfIdf | None
    projection: Projection
    unit: float
    log_depth: tuple[float, float]

    @classmethod
    def fit(cls, cells: Cells, *, k: int, rng: np.random.Generator, quick: bool = False) -> Self:
        scale = DepthScale.fit(cells.counts)
        tfidf = TfIdf.fit(cells.counts) if cells.modality is Modality.ATAC else None
        x_nf = tfidf.transform(cells.counts) if tfidf else scale.log_normalised(cells.counts)
        projection = Projection.fit(x_nf, k=k, rng=rng, power=2 if quick else 4, quick=quick)
        z_nk = projection.transform(x_nf)
        log_n = np.log1p(depth_of(cells.counts))
        spread = float(log_n.std()) or 1.0
        return cls(
            cells.modality, scale, tfidf, projection, float(z_nk[:, 0].std()) or 1.0, (float(log_n.mean()), spread)
        )

    def coordinates(self, counts_nf: sp.csr_matrix) -> Floats:
        """shape (n, k + 1), the last column the standardised log depth"""
        x_nf = self.tfidf.transform(counts_nf) if self.tfidf else self.scale.log_normalised(counts_nf)
        mean, spread = self.log_depth
        log_n = (np.log1p(depth_of(counts_nf)) - mean) / spread
        return np.column_stack([self.projection.transform(x_nf) / self.unit, log_n]).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        out = {
            **prefixed("scale", self.scale.arrays()),
            **prefixed("projection", self.projection.arrays()),
            "unit": np.array(self.unit, dtype=np.float64),
            "log_depth": np.array(self.log_depth, dtype=np.float64),
        }
        return out | (prefixed("tfidf", self.tfidf.arrays()) if self.tfidf else {})

    @classmethod
    def from_arrays(cls, modality: Modality, arrays: Arrays) -> Self:
        return cls(
            modality,
            DepthScale.from_arrays(unprefixed("scale", arrays)),
            TfIdf.from_arrays(unprefixed("tfidf", arrays)) if modality is Modality.ATAC else None,
            Projection.from_arrays(unprefixed("projection", arrays)),
            float(arrays["unit"]),
            (float(arrays["log_depth"][0]), float(arrays["log_depth"][1])),
        )


@dataclass(frozen=True, eq=False)
class TargetView:
    """Target cells as SVD coordinates in units of the first component's spread, and the way back to features."""

    modality: Modality
    scale: DepthScale
    basis: Projection
    unit: float

    @classmethod
    def fit(cls, cells: Cells, *, k: int, rng: np.random.Generator, centred: bool = True) -> Self:
        scale = DepthScale.fit(cells.counts)
        y_nf = target_matrix(cells, scale)
        basis = Projection.fit(y_nf, k=k, rng=rng, centred=centred)
        return cls(cells.modality, scale, basis, float(basis.transform(y_nf)[:, 0].std()) or 1.0)

    def coordinates(self, cells: Cells) -> Floats:
        """shape (n, k)"""
        return (self.basis.transform(target_matrix(cells, self.scale)) / np.float32(self.unit)).astype(np.float32)

    def values(self, y_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        """Chosen features on the declared scale, shape (n, len(positions)); peaks as probabilities."""
        linear = y_nk @ (self.basis.v_fk[positions].T * np.float32(self.unit)) + self.basis.mean_f[None, positions]
        return as_probability(linear) if self.modality is Modality.ATAC else linear.astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            **prefixed("scale", self.scale.arrays()),
            **prefixed("basis", self.basis.arrays()),
            "unit": np.array(self.unit, dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, modality: Modality, arrays: Arrays) -> Self:
        scale = DepthScale.from_arrays(unprefixed("scale", arrays))
        basis = Projection.from_arrays(unprefixed("basis", arrays))
        return cls(modality, scale, basis, float(arrays["unit"]))
