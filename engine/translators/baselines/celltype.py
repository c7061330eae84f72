"""`celltype-mean`: the average cell of the label that a cell's own modality points to. A null for labelled data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadSetting
from engine.preprocess.steps import DepthScale, prefixed, unprefixed
from engine.translators.base import Hooks, feature_positions
from engine.translators.baselines.common import SourceView, Spaces, across, source_of, target_matrix
from engine.translators.state import State
from engine.types import (
    CellBatch,
    Features,
    FeatureSpace,
    Floats,
    Latent,
    Modality,
    Names,
    PairedCells,
    Prediction,
    Split,
    as_names,
)

MOST_LABELS = 128  # a latent is at most this wide
UNLABELLED = frozenset({"", "(none)", "nan", "NaN", "None"})
LIKELY = (
    *("cell_type", "celltype", "cell_types", "label", "labels", "annotation", "ident", "leiden", "louvain"),
    *("cluster", "clusters", "seurat_clusters"),
)
SHRINKAGES = (0.01, 0.03, 0.1, 0.3, 0.6)  # ours; of the pooled covariance towards its mean variance
DEFAULT_SHRINKAGE = 0.1  # ours; where no validation cell has a label


@dataclass(frozen=True, eq=False)
class Classifier:
    """Linear discriminant on source coordinates: no cell is kept, only one direction a label.

    weight_kc: shape (k, c). offset_c: shape (c,).
    """

    weight_kc: Floats
    offset_c: Floats

    @classmethod
    def fit(cls, z_nk: Floats, codes_n: NDArray[np.int64], *, labels: int, shrinkage: float) -> Self:
        """Pooled covariance within labels, shrunk towards a multiple of the identity (Friedman 1989)."""
        z = z_nk.astype(np.float64)
        one_nc = np.eye(labels)[codes_n]
        count_c = one_nc.sum(axis=0)
        centre_ck = one_nc.T @ z / count_c[:, None]
        within = z - centre_ck[codes_n]
        pooled_kk = within.T @ within / len(z)
        level = float(np.trace(pooled_kk)) / len(pooled_kk) or 1.0
        shrunk_kk = (1 - shrinkage) * pooled_kk + shrinkage * level * np.eye(len(pooled_kk))
        weight_kc = np.linalg.solve(shrunk_kk, centre_ck.T)
        offset_c = np.log(count_c / len(z)) - 0.5 * (centre_ck.T * weight_kc).sum(axis=0)
        return cls(weight_kc.astype(np.float32), offset_c.astype(np.float32))

    def probabilities(self, z_nk: Floats) -> Floats:
        """Of each label, shape (n, c)."""
        score_nc = z_nk.astype(np.float64) @ self.weight_kc + self.offset_c
        likely_nc = np.exp(score_nc - score_nc.max(axis=1, keepdims=True))
        return np.asarray(likely_nc / likely_nc.sum(axis=1, keepdims=True), dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"weight": self.weight_kc, "offset": self.offset_c}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["weight"].astype(np.float32), arrays["offset"].astype(np.float32))


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of the training cells as one source knows them. codes_n: −1 where a cell has none."""

    names: tuple[str, ...]
    codes_n: NDArray[np.int64]

    @classmethod
    def of(cls, values: Names) -> Self:
        names = sorted({str(v) for v in values} - UNLABELLED)
        position = {name: i for i, name in enumerate(names)}
        return cls(tuple(names), np.array([position.get(str(v), -1) for v in values], dtype=np.int64))


class CelltypeMeanTranslator(Spaces):
    """The latent is the probability of each label; what is decoded, their mix of average profiles."""

    key: ClassVar[str] = "celltype-mean"

    def __init__(
        self,
        views: dict[Modality, SourceView],
        classifiers: dict[Modality, Classifier],
        means: dict[Modality, Floats],
        *,
        labels: dict[str, tuple[str, ...]],
        hard: bool,
        said: str,
        rna: FeatureSpace,
        atac: FeatureSpace,
    ) -> None:
        """means: of each target, shape (labels, features). labels: names by source."""
        super().__init__(rna, atac)
        self._views, self._classifiers, self._means = views, classifiers, means
        self.labels, self._hard, self._said = labels, hard, said

    @property
    def notes(self) -> tuple[str, ...]:
        """What its card must say of how it was made."""
        return (self._said,)

    def encode(self, batch: CellBatch) -> Latent:
        """shape (b, labels); with both modalities present, RNA is used"""
        self.require(batch)
        source, counts = source_of(batch)
        z_nk = self._views[source].coordinates(counts)
        return Latent(self._classifiers[source].probabilities(z_nk), frozenset({source}))

    def decode(self, latent: Latent, target: Modality, features: Features = None) -> Prediction:
        """Average profiles weighted by the labels' probabilities, or that of the likeliest label."""
        across(latent, target)
        space = self.space(target)
        positions = feature_positions(space, features)
        p_nc = latent.values
        if self._hard:
            p_nc = np.eye(p_nc.shape[1], dtype=np.float32)[p_nc.argmax(axis=1)]
        values = (p_nc @ self._means[target][:, positions]).astype(np.float32)
        return Prediction(np.minimum(values, 1.0) if target is Modality.ATAC else values, target,
                          self.scale(target), space.names[positions])  # fmt: skip

    def save(self, into: Path) -> None:
        steps, weights = {}, {}
        for m in Modality:
            steps.update(prefixed(m.value, self._views[m].arrays()))
            weights.update(prefixed(f"{m.value}.classifier", self._classifiers[m].arrays()))
            weights[f"{m.value}.means"] = self._means[m]
        settings = {"labels": {k: list(v) for k, v in self.labels.items()}, "hard": self._hard, "said": self._said}
        State(settings, steps, weights).write(into)

    @classmethod
    def load(cls, source: Path, *, rna: FeatureSpace, atac: FeatureSpace, device: str = "cpu") -> Self:
        state = State.read(source)
        return cls(
            {m: SourceView.from_arrays(m, unprefixed(m.value, state.steps)) for m in Modality},
            {m: Classifier.from_arrays(unprefixed(f"{m.value}.classifier", state.weights)) for m in Modality},
            {m: state.weights[f"{m.value}.means"] for m in Modality},
            labels={k: tuple(v) for k, v in state.settings["labels"].items()},
            hard=bool(state.settings["hard"]),
            said=str(state.settings["said"]),
            rna=rna,
            atac=atac,
        )


@dataclass(frozen=True)
class CelltypeMeanRecipe:
    """label: column of the cells table; empty: a likely one, or clusters of the training cells where there is none.

    clusters: number of them where there are no labels; 0: a third of the square root of the number of cells.
    hard: the mean of the likeliest label instead of the mix. components: SVD components of the source.
    """

    key: ClassVar[str] = "celltype-mean"
    label: str = ""
    hard: bool = False
    components: int = 50  # ours
    clusters: int = 0

    def fit(self, pair: PairedCells, split: Split, hooks: Hooks) -> CelltypeMeanTranslator:
        rng = np.random.default_rng(hooks.seed)
        train = pair.named(split.train)
        valid = pair.named(split.valid) if split.valid else None
        column = label_column(train, self.label)
        views: dict[Modality, SourceView] = {}
        classifiers: dict[Modality, Classifier] = {}
        means: dict[Modality, Floats] = {}
        names: dict[str, tuple[str, ...]] = {}
        for source in Modality:
            views[source] = SourceView.fit(train.of(source), k=self.components, rng=rng)
            z_nk = views[source].coordinates(train.of(source).counts)
            labels = Labels.of(_values(train, column)) if column else self._clusters(z_nk, rng)
            held = (views[source].coordinates(valid.of(source).counts), _values(valid, column)) if (
                valid is not None and column and _has(valid, column)
            ) else None  # fmt: skip
            classifiers[source] = _chosen(z_nk, labels, held)
            means[source.other] = _means(train, source.other, labels)
            names[source.value] = labels.names
        return CelltypeMeanTranslator(
            views, classifiers, means, labels=names, hard=self.hard, said=_said(column, names, train),
            rna=pair.rna.space, atac=pair.atac.space,
        )  # fmt: skip

    def _clusters(self, z_nk: Floats, rng: np.random.Generator) -> Labels:
        """k-means of the SVD coordinates, without the depth in the last column."""
        from sklearn.cluster import KMeans

        wanted = self.clusters or round(len(z_nk) ** 0.5 / 3)
        if wanted > MOST_LABELS:
            raise BadSetting(f"clusters={wanted} is too many.", hint=f"At most {MOST_LABELS}.")
        k = max(1, min(max(2, wanted), len(z_nk)))
        seed = int(rng.integers(2**31))
        codes_n = KMeans(k, n_init=4, random_state=seed).fit_predict(z_nk[:, :-1].astype(np.float64))
        return Labels.of(as_names(f"cluster {code:03d}" for code in codes_n))


def label_column(pair: PairedCells, wanted: str = "") -> str:
    """The column to take labels from: the one asked for, else the likeliest; empty where there is none.

    Raises BadSetting when the one asked for is missing, or has fewer than one or more than 128 labels.
    """
    if wanted:
        if not _has(pair, wanted):
            known = ", ".join(sorted({*pair.rna.obs, *pair.atac.obs})) or "none"
            raise BadSetting(f"The cells have no column {wanted!r}.", hint=f"Columns: {known}.")
        found = len(Labels.of(_values(pair, wanted)).names)
        if not 1 <= found <= MOST_LABELS:
            raise BadSetting(f"The column {wanted!r} has {found} labels.", hint=f"From 1 to {MOST_LABELS} can be used.")
        return wanted
    columns = {name.lower(): name for name in [*pair.atac.obs, *pair.rna.obs]}
    ordered = [*(name for name in LIKELY if name in columns)]
    ordered += sorted(name for name in columns if name not in LIKELY and any(word in name for word in LIKELY))
    for name in ordered:
        count = len(Labels.of(_values(pair, columns[name])).names)
        if 2 <= count <= min(MOST_LABELS, len(pair) // 2):
            return columns[name]
    return ""


def _has(pair: PairedCells, column: str) -> bool:
    return column in pair.rna.obs or column in pair.atac.obs


def _values(pair: PairedCells, column: str) -> Names:
    return pair.rna.obs[column] if column in pair.rna.obs else pair.atac.obs[column]


def _means(train: PairedCells, target: Modality, labels: Labels) -> Floats:
    """Average profile of each label on the target's scale, shape (labels, f); sparse until it is a mean."""
    y_nf = target_matrix(train.of(target), DepthScale.fit(train.of(target).counts))
    known_n = np.flatnonzero(labels.codes_n >= 0)
    codes = labels.codes_n[known_n]
    one_cn = sp.csr_matrix((np.ones(len(known_n)), (codes, known_n)), shape=(len(labels.names), len(train)))
    count_c = np.bincount(codes, minlength=len(labels.names))
    return np.asarray((one_cn @ y_nf).toarray() / count_c[:, None], dtype=np.float32)


def _chosen(z_nk: Floats, labels: Labels, held: tuple[Floats, Names] | None) -> Classifier:
    """The shrinkage under which the labels of the validation cells are likeliest."""
    known_n = labels.codes_n >= 0
    z, codes = z_nk[known_n], labels.codes_n[known_n]
    count = len(labels.names)
    if held is not None:
        position = {name: i for i, name in enumerate(labels.names)}
        held_codes = np.array([position.get(str(v), -1) for v in held[1]], dtype=np.int64)
        z_held, held_codes = held[0][held_codes >= 0], held_codes[held_codes >= 0]
    if held is None or not len(held_codes):
        return Classifier.fit(z, codes, labels=count, shrinkage=DEFAULT_SHRINKAGE)
    found = [Classifier.fit(z, codes, labels=count, shrinkage=s) for s in SHRINKAGES]
    rows = np.arange(len(held_codes))
    loss = [-np.log(np.maximum(c.probabilities(z_held)[rows, held_codes], 1e-12)).mean() for c in found]
    return found[int(np.argmin(loss))]


def _said(column: str, names: dict[str, tuple[str, ...]], train: PairedCells) -> str:
    if column:
        missing = sum(str(v) in UNLABELLED for v in _values(train, column))
        without = f"; {missing:,} training cells without a label were left out" if missing else ""
        return f"Labels: the {len(names[Modality.RNA])} of the column {column!r}{without}."
    counts = f"{len(names[Modality.RNA])} from RNA, {len(names[Modality.ATAC])} from ATAC"
    return f"The training cells have no labels: clusters of them by k-means on the source's SVD stand in ({counts})."
