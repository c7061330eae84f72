"""`kernel-ridge`: RBF kernel ridge regression from row-scaled source SVD to target SVD. Holds training coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadSetting
from engine.preprocess.steps import Arrays, DepthScale, Projection, TfIdf, prefixed, unprefixed
from engine.translators.base import Hooks, feature_positions
from engine.translators.baselines.common import Spaces, TargetView, across, source_of
from engine.translators.state import State
from engine.types import (
    CellBatch,
    Cells,
    Direction,
    Features,
    FeatureSpace,
    Floats,
    Latent,
    Modality,
    PairedCells,
    Prediction,
    Split,
)

Doubles = NDArray[np.float64]
BLOCK = 2048  # rows of a kernel held at once where it is not needed whole
LARGEST_GRAM = 2000  # ours; rows of a Gram matrix that is decomposed whole
REPEATS = 5  # Guanlab-dengkw: halvings of the batches that are averaged
LENGTHS = (5.0, 10.0, 20.0, 40.0)  # ours; tried where length_scale=0
ALPHAS = (1.0, 10.0)  # ours; tried where alpha=0
CHOOSING_LANDMARKS = 1000  # ours
PUBLISHED_LENGTH, PUBLISHED_ALPHA = 10.0, 0.1


@dataclass(frozen=True, eq=False)
class RowScaledSvd:
    """Source cells as SVD coordinates, each cell's own scaled to mean 0 and standard deviation 1.

    Genes: log-normalised counts; peaks: TF-IDF.
    """

    modality: Modality
    scale: DepthScale
    tfidf: TfIdf | None
    projection: Projection

    @classmethod
    def fit(cls, cells: Cells, *, k: int, centred: bool, rng: np.random.Generator) -> Self:
        scale = DepthScale.fit(cells.counts)
        tfidf = TfIdf.fit(cells.counts) if cells.modality is Modality.ATAC else None
        x_nf = tfidf.transform(cells.counts) if tfidf else scale.log_normalised(cells.counts)
        return cls(cells.modality, scale, tfidf, wide_projection(x_nf, k=k, centred=centred, rng=rng))

    def coordinates(self, counts_nf: sp.csr_matrix) -> Floats:
        """shape (n, k)"""
        x_nf = self.tfidf.transform(counts_nf) if self.tfidf else self.scale.log_normalised(counts_nf)
        z_nk = self.projection.transform(x_nf).astype(np.float64)
        z_nk -= z_nk.mean(axis=1, keepdims=True)
        spread_n = z_nk.std(axis=1, keepdims=True)
        spread_n[spread_n < 1e-12] = 1.0
        return np.asarray(z_nk / spread_n, dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        out = {**prefixed("scale", self.scale.arrays()), **prefixed("projection", self.projection.arrays())}
        return out | (prefixed("tfidf", self.tfidf.arrays()) if self.tfidf else {})

    @classmethod
    def from_arrays(cls, modality: Modality, arrays: Arrays) -> Self:
        return cls(
            modality,
            DepthScale.from_arrays(unprefixed("scale", arrays)),
            TfIdf.from_arrays(unprefixed("tfidf", arrays)) if modality is Modality.ATAC else None,
            Projection.from_arrays(unprefixed("projection", arrays)),
        )


def wide_projection(x_nf: sp.csr_matrix, *, k: int, centred: bool, rng: np.random.Generator) -> Projection:
    """The SVD, through the smaller Gram matrix where that one is small: exact, and faster for many components."""
    n, f = x_nf.shape
    if min(n, f) > LARGEST_GRAM:
        return Projection.fit(x_nf, k=k, rng=rng, centred=centred)
    x = sp.csr_matrix(x_nf, dtype=np.float64)
    mean_f = np.asarray(x.mean(axis=0)).ravel() * float(centred)
    if n <= f:
        cross_n = x @ mean_f
        gram = (x @ x.T).toarray() - cross_n[:, None] - cross_n[None, :] + mean_f @ mean_f
    else:
        gram = (x.T @ x).toarray() - n * np.outer(mean_f, mean_f)
    square, vectors = np.linalg.eigh(gram)
    order = np.argsort(square)[::-1][: max(1, min(k, n - 1, f))]
    order = order[square[order] > 1e-9 * max(float(square[order[0]]), 1e-12)]  # no direction out of rounding errors
    s_k, vectors = np.sqrt(square[order]), vectors[:, order]
    v_fk = vectors if n > f else (x.T @ vectors - np.outer(mean_f, vectors.sum(axis=0))) / s_k
    # The sign of a singular vector is free: fix it, so that the same cells give the same bytes.
    v_fk = v_fk * np.sign(v_fk[np.abs(v_fk).argmax(axis=0), np.arange(v_fk.shape[1])])[None, :]
    return Projection(mean_f.astype(np.float32), v_fk.astype(np.float32), s_k.astype(np.float32))


def rbf(a_nk: NDArray[Any], b_mk: NDArray[Any], length_scale: float) -> Doubles:
    """exp(−|a − b|² / 2 l²), shape (n, m)"""
    a, b = a_nk.astype(np.float64), b_mk.astype(np.float64)
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
    np.maximum(square, 0.0, out=square)
    square /= -2.0 * length_scale**2
    return np.asarray(np.exp(square, out=square))


@dataclass(frozen=True, eq=False)
class KernelMachine:
    """Kernel weights of some cells' coordinates. anchors_mk: shape (m, k). dual_mj: shape (m, j)."""

    anchors_mk: Floats
    dual_mj: Doubles
    length_scale: float

    def __call__(self, z_nk: Floats) -> Floats:
        """Predicted target coordinates, shape (n, j)."""
        out = np.empty((len(z_nk), self.dual_mj.shape[1]), dtype=np.float32)
        for rows in _blocks(len(z_nk)):
            out[rows] = rbf(z_nk[rows], self.anchors_mk, self.length_scale) @ self.dual_mj
        return out


def fit_exact(
    z_nk: Floats, y_nj: Floats, *, length_scale: float, alpha: float, parts: list[NDArray[np.int64]]
) -> KernelMachine:
    """Average of the kernel ridge fits to each part of the cells; as the fits share a kernel, it is one machine."""
    kernel_nn = rbf(z_nk, z_nk, length_scale)
    dual_nj = np.zeros(y_nj.shape, dtype=np.float64)
    for rows in parts:
        inner = kernel_nn[np.ix_(rows, rows)] if len(rows) < len(z_nk) else kernel_nn.copy()
        inner[np.diag_indices(len(rows))] += alpha
        dual_nj[rows] += _solve(inner, y_nj[rows].astype(np.float64)) / len(parts)
    return KernelMachine(z_nk, dual_nj, length_scale)


def fit_landmarks(
    z_nk: Floats, y_nj: Floats, chosen_m: NDArray[np.int64], *, length_scale: float, alpha: float,
    parts: list[NDArray[np.int64]],
) -> KernelMachine:  # fmt: skip
    """The same with weights on some cells only (subset of regressors): memory n × block + m², never n × n."""
    anchors_mk = z_nk[chosen_m]
    inner_mm = rbf(anchors_mk, anchors_mk, length_scale)
    dual_mj = np.zeros((len(chosen_m), y_nj.shape[1]), dtype=np.float64)
    for rows in parts:
        gram_mm, right_mj = _normal(z_nk[rows], y_nj[rows], anchors_mk, length_scale)
        dual_mj += _solve(gram_mm + alpha * inner_mm, right_mj) / len(parts)
    return KernelMachine(anchors_mk, dual_mj, length_scale)


def _normal(z_nk: Floats, y_nj: Floats, anchors_mk: Floats, length_scale: float) -> tuple[Doubles, Doubles]:
    """Both sides of the normal equations of weights on the anchors, shape (m, m) and (m, j)."""
    m = len(anchors_mk)
    gram_mm = 1e-8 * m * np.eye(m)  # numerical: cells that are alike make it singular
    right_mj = np.zeros((m, y_nj.shape[1]), dtype=np.float64)
    for block in _blocks(len(z_nk)):
        k_bm = rbf(z_nk[block], anchors_mk, length_scale)
        gram_mm += k_bm.T @ k_bm
        right_mj += k_bm.T @ y_nj[block]
    return gram_mm, right_mj


def _solve(matrix: Doubles, right: Doubles) -> Doubles:
    factor = scipy.linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    return np.asarray(scipy.linalg.cho_solve(factor, right, check_finite=False))


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


class KernelRidgeTranslator(Spaces):
    """The latent is the predicted target coordinates; decoding them is linear."""

    key: ClassVar[str] = "kernel-ridge"

    def __init__(
        self,
        sources: dict[Modality, RowScaledSvd],
        targets: dict[Modality, TargetView],
        machines: dict[Direction, KernelMachine],
        chosen: dict[str, dict[str, float]],
        rna: FeatureSpace,
        atac: FeatureSpace,
    ) -> None:
        super().__init__(rna, atac)
        self._sources, self._targets, self._machines, self.chosen = sources, targets, machines, chosen

    @property
    def notes(self) -> tuple[str, ...]:
        """What its card must say of how it was made."""
        return tuple(
            f"{direction}: length scale {c['length_scale']:g}, alpha {c['alpha']:g}, weights on {c['cells']:,.0f} "
            f"cells, {c['fits']:.0f} fits averaged."
            for direction, c in self.chosen.items()
        )

    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, target components); with both modalities present, RNA is used"""
        self.require(batch)
        source, counts = source_of(batch)
        machine = self._machines[Direction.to(source.other)]
        y_nj = machine(self._sources[source].coordinates(counts))
        width = max(m.dual_mj.shape[1] for m in self._machines.values())
        padded = np.zeros((len(y_nj), width), dtype=np.float32)  # latents are as wide whatever the direction
        padded[:, : y_nj.shape[1]] = y_nj
        return Latent(padded, frozenset({source}))

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """Genes are cut off at zero, as published; peaks are mapped to probabilities, which keeps their order."""
        space = self.space(target)
        positions = feature_positions(space, features)
        width = self._machines[across(latent, target)].dual_mj.shape[1]
        values = self._targets[target].values(latent.values[:, :width], positions)
        return Prediction(np.maximum(values, 0.0), target, self.scale(target), space.names[positions])

    def save(self, into: Path) -> None:
        steps: dict[str, NDArray[Any]] = {}
        weights: dict[str, NDArray[Any]] = {}
        for m in Modality:
            steps.update(prefixed(f"{m.value}.source", self._sources[m].arrays()))
            steps.update(prefixed(f"{m.value}.target", self._targets[m].arrays()))
        for direction, machine in self._machines.items():
            weights[f"{direction.value}.anchors"] = machine.anchors_mk
            weights[f"{direction.value}.dual"] = machine.dual_mj
        State({"chosen": self.chosen}, steps, weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        state = State.read(source)
        chosen = dict(state.settings["chosen"])
        machines = {
            d: KernelMachine(
                state.weights[f"{d.value}.anchors"],
                state.weights[f"{d.value}.dual"],
                float(chosen[d.value]["length_scale"]),
            )
            for d in Direction
        }
        return cls(
            {m: RowScaledSvd.from_arrays(m, unprefixed(f"{m.value}.source", state.steps)) for m in Modality},
            {m: TargetView.from_arrays(m, unprefixed(f"{m.value}.target", state.steps)) for m in Modality},
            machines,
            chosen,
            rna,
            atac,
        )


@dataclass(frozen=True)
class KernelRidgeRecipe:
    """rna_components, atac_components: of the source's SVD. genes_as, peaks_as: components of the target's.

    length_scale, alpha: of the RBF kernel and of the penalty; 0: chosen on the validation cells.
    consensus: `batches` averages fits that each leave one batch out (one fit where there is one batch), `halves`
    fits to random halves of the batches, or of the cells where there is one batch; `none` is one fit.
    batch: column of the cells table. centred: centre both matrices before their SVD; published: not.
    landmarks: with more training cells than this, weights stand on this many random ones.
    """

    key: ClassVar[str] = "kernel-ridge"
    rna_components: int = 1000  # Guanlab-dengkw, RNA → ATAC
    atac_components: int = 100  # Guanlab-dengkw, ATAC → RNA
    peaks_as: int = 50  # Guanlab-dengkw
    genes_as: int = 70  # Guanlab-dengkw
    length_scale: float = PUBLISHED_LENGTH
    alpha: float = PUBLISHED_ALPHA
    consensus: str = "batches"
    batch: str = "batch"
    centred: bool = False
    landmarks: int = 10_000  # ours; 800 MB of kernel

    def __post_init__(self) -> None:
        if self.consensus not in {"batches", "halves", "none"}:
            raise BadSetting(f"consensus={self.consensus!r} is not known.", hint="One of batches, halves, none.")
        if max(self.peaks_as, self.genes_as) > 128 or min(self.peaks_as, self.genes_as, self.landmarks) < 1:
            raise BadSetting(
                f"peaks_as={self.peaks_as}, genes_as={self.genes_as}, landmarks={self.landmarks} cannot be used.",
                hint="Target components from 1 to 128 and at least one landmark.",
            )
        if self.length_scale < 0 or self.alpha < 0:
            raise BadSetting(
                f"length_scale={self.length_scale}, alpha={self.alpha}: below zero.", hint="0 chooses on validation."
            )

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> KernelRidgeTranslator:
        rng = np.random.default_rng(hooks.seed)
        train = pair.named(split.train)
        valid = pair.named(split.valid) if split.valid else None
        wide = {Modality.RNA: self.rna_components, Modality.ATAC: self.atac_components}
        narrow = {Modality.RNA: self.genes_as, Modality.ATAC: self.peaks_as}
        sources = {m: RowScaledSvd.fit(train.of(m), k=wide[m], centred=self.centred, rng=rng) for m in Modality}
        targets = {m: TargetView.fit(train.of(m), k=narrow[m], rng=rng, centred=self.centred) for m in Modality}
        parts = self._parts(train, rng)
        order = rng.permutation(len(train))
        landmarks, few = np.sort(order[: self.landmarks]), np.sort(order[:CHOOSING_LANDMARKS])
        machines: dict[Direction, KernelMachine] = {}
        chosen: dict[str, dict[str, float]] = {}
        for direction in Direction:
            source, target = sources[direction.source], targets[direction.target]
            seen = _coordinates(train, direction, source, target)
            held = _coordinates(valid, direction, source, target) if valid else None
            length, alpha = self._choose(seen, held, few)
            machines[direction] = _fit(seen, landmarks, length, alpha, parts)
            chosen[direction.value] = {
                "length_scale": length, "alpha": alpha, "cells": float(len(landmarks)), "fits": float(len(parts)),
            }  # fmt: skip
        return KernelRidgeTranslator(sources, targets, machines, chosen, pair.rna.space, pair.atac.space)

    def _parts(self, train: PairedCells, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """Rows of the training cells that each of the averaged fits sees."""
        everything = np.arange(len(train))
        obs = train.rna.obs if self.batch in train.rna.obs else train.atac.obs
        names = [str(v) for v in obs[self.batch]] if self.batch in obs else [""] * len(train)
        batches = sorted(set(names))
        if self.consensus == "none" or (self.consensus == "batches" and len(batches) < 2):
            return [everything]
        if self.consensus == "batches":
            return [np.array([i for i in everything if names[i] != left], dtype=np.int64) for left in batches]
        units = names if len(batches) > 1 else [str(i) for i in everything]
        found = []
        for _ in range(REPEATS):
            order = rng.permutation(sorted(set(units)))
            first = set(order[: len(order) // 2])
            inside = np.array([unit in first for unit in units])
            found += [np.flatnonzero(inside), np.flatnonzero(~inside)]
        return found

    def _choose(
        self, seen: tuple[Floats, Floats], held: tuple[Floats, Floats] | None, landmarks: NDArray[np.int64]
    ) -> tuple[float, float]:
        """The settings with the least squared error on the validation cells, judged by fits with few landmarks."""
        if held is None:
            return self.length_scale or PUBLISHED_LENGTH, self.alpha or PUBLISHED_ALPHA
        lengths = (self.length_scale,) if self.length_scale else LENGTHS
        alphas = (self.alpha,) if self.alpha else ALPHAS
        if len(lengths) == len(alphas) == 1:
            return lengths[0], alphas[0]
        anchors_mk = seen[0][landmarks]
        errors: dict[tuple[float, float], float] = {}
        for length in lengths:
            gram_mm, right_mj = _normal(*seen, anchors_mk, length)
            inner_mm, held_nm = rbf(anchors_mk, anchors_mk, length), rbf(held[0], anchors_mk, length)
            for alpha in alphas:
                predicted = held_nm @ _solve(gram_mm + alpha * inner_mm, right_mj)
                errors[length, alpha] = float(((predicted - held[1]) ** 2).mean())
        return min(errors, key=lambda tried: errors[tried])


def _coordinates(
    pair: PairedCells, direction: Direction, source: RowScaledSvd, target: TargetView
) -> tuple[Floats, Floats]:
    return source.coordinates(pair.of(direction.source).counts), target.coordinates(pair.of(direction.target))


def _fit(
    seen: tuple[Floats, Floats],
    landmarks: NDArray[np.int64],
    length_scale: float,
    alpha: float,
    parts: list[NDArray[np.int64]],
) -> KernelMachine:
    z_nk, y_nj = seen
    if len(landmarks) >= len(z_nk):
        return fit_exact(z_nk, y_nj, length_scale=length_scale, alpha=alpha, parts=parts)
    return fit_landmarks(z_nk, y_nj, landmarks, length_scale=length_scale, alpha=alpha, parts=parts)
