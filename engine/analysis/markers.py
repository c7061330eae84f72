"""Genes and peaks that tell groups of cells apart, on raw and on imputed values, and how they meet a reference list.

The tests are scanpy's `rank_genes_groups`, a block of features at a time, so that an imputed profile is never held
whole; false discovery rates are of all features together.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.neighbours import scanpy
from engine.analysis.profiles import Profile, coded, group_means
from engine.analysis.result import IMPUTED_CAUTION, Analysis
from engine.errors import BadSetting
from engine.metrics.ranks import Doubles, Integers
from engine.types import Modality, Names

METHODS = ("t-test_overestim_var", "t-test", "wilcoxon")
LEAST = 3  # ours: cells of a group
TINY = 1e-9  # scanpy's, so that a fold of nothing is finite


@dataclass(frozen=True)
class MarkerSettings:
    """method: of scanpy. top: how many of each group meet the reference list. level: of the false discovery rate."""

    method: str = "t-test_overestim_var"  # scanpy's own default is t-test; this is its guarded form
    top: int = 100  # ours
    level: float = 0.05

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise BadSetting(f"There is no test {self.method!r}.", hint=f"Known: {', '.join(METHODS)}.")


def markers(
    profiles: Mapping[str, Profile],
    groups_n: Names,
    *,
    settings: MarkerSettings = MarkerSettings(),
    reference: Mapping[str, Iterable[str]] | Iterable[str] | None = None,
) -> Analysis:
    """Each group against all other cells, in each profile.

    groups_n: labels or clusters; "" belongs to none. reference: names, or names by group.
    Table markers: profile, group, feature, score, log2_fold, mean, mean_rest, p, q, p_valid (False on imputed values),
    by group with the highest score first. Table overlap: with `reference`.
    """
    kinds, codes_n = coded(groups_n)
    kept = [i for i in range(len(kinds)) if int((codes_n == i).sum()) >= LEAST]
    if len(kept) < 2:
        raise BadSetting(f"{len(kept)} group(s) have {LEAST} cells or more.", hint="Two are needed to be told apart.")
    codes_n = np.array([kept.index(code) if code in kept else -1 for code in codes_n], dtype=np.int64)
    names = [kinds[i] for i in kept]
    table = pd.concat([_tested(p, names, codes_n, settings) for p in profiles.values()], ignore_index=True)
    tables = {"markers": table}
    if reference is not None:
        tables["overlap"] = overlap(table, reference, top=settings.top)
    found = table[(table["q"] < settings.level) & (table["score"] > 0)]
    return Analysis(
        f"markers.{next(iter(profiles.values())).modality.value}",
        tables,
        figures={"significant": found.groupby("profile", sort=False).size().to_dict(), "groups": names},
        settings=asdict(settings),
        cautions=(IMPUTED_CAUTION,) if any(p.imputed for p in profiles.values()) else (),
    )


def _tested(profile: Profile, names: list[str], codes_n: Integers, settings: MarkerSettings) -> pd.DataFrame:
    used = np.flatnonzero(codes_n >= 0)
    parts: list[pd.DataFrame] = []
    for start, stop, values in profile.column_blocks(np.arange(len(profile.names))):
        parts.append(_block(values[used], profile.names[start:stop], names, codes_n[used], settings.method))
    table = pd.concat(parts, ignore_index=True)
    table = table.merge(_folds(profile, names, codes_n), on=["group", "feature"], how="left", sort=False)
    table["q"] = table.groupby("group", sort=False)["p"].transform(_discovery)
    table.insert(0, "profile", profile.name)
    table["p_valid"] = not profile.imputed
    order = table.assign(place=pd.Categorical(table["group"], names))
    order = order.sort_values(["place", "score"], ascending=[True, False], kind="stable")
    columns = ["profile", "group", "feature", "score", "log2_fold", "mean", "mean_rest", "p", "q", "p_valid"]
    return order[columns].reset_index(drop=True)


def _block(values_nf: Any, features: Names, names: list[str], codes_n: Integers, method: str) -> pd.DataFrame:
    import anndata as ad

    cells = pd.Index([str(i) for i in range(len(codes_n))])
    adata = ad.AnnData(
        np.asarray(values_nf, dtype=np.float32),
        obs=pd.DataFrame({"group": pd.Categorical.from_codes(codes_n, categories=pd.Index(names))}, index=cells),
        var=pd.DataFrame(index=[str(name) for name in features]),
    )
    sc = scanpy()
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore")  # constant features: they score 0 below
        sc.tl.rank_genes_groups(adata, "group", method=method, use_raw=False, corr_method="benjamini-hochberg")
    found: pd.DataFrame = sc.get.rank_genes_groups_df(adata, group=None)
    if "group" not in found:
        found["group"] = names[0]
    out = found[["group", "names", "scores", "pvals"]]
    out = out.set_axis(["group", "feature", "score", "p"], axis=1).astype({"group": str, "feature": str})
    return out.assign(score=out["score"].fillna(0.0).astype(np.float64), p=out["p"].fillna(1.0).astype(np.float64))


def _folds(profile: Profile, names: list[str], codes_n: Integers) -> pd.DataFrame:
    """Means of each group and of the rest, and log2 of their ratio as scanpy has it: of counts, not of logarithms."""
    mean_gf = group_means(profile, codes_n, len(names))
    size_g = np.bincount(codes_n[codes_n >= 0], minlength=len(names)).astype(np.float64)
    total_f, total = size_g @ mean_gf, size_g.sum()
    parts = []
    for g, name in enumerate(names):
        rest_f = (total_f - size_g[g] * mean_gf[g]) / (total - size_g[g])
        fold_f = np.log2((_linear(profile, mean_gf[g]) + TINY) / (_linear(profile, rest_f) + TINY))
        frame = {"group": name, "feature": profile.names, "mean": mean_gf[g], "mean_rest": rest_f, "log2_fold": fold_f}
        parts.append(pd.DataFrame(frame))
    return pd.concat(parts, ignore_index=True)


def _linear(profile: Profile, mean_f: Doubles) -> Doubles:
    values = np.expm1(mean_f) if profile.modality is Modality.RNA else mean_f
    return np.maximum(values, 0.0)  # models may give slightly less than nothing


def _discovery(p: pd.Series[float]) -> Any:
    from scipy.stats import false_discovery_control

    return false_discovery_control(np.clip(p.to_numpy(dtype=np.float64), 0.0, 1.0))


def overlap(table: pd.DataFrame, reference: Mapping[str, Iterable[str]] | Iterable[str], *, top: int) -> pd.DataFrame:
    """The highest-scoring features of each group against a reference list, among the features that were tested.

    Columns: profile, group, top, reference (of its names, those tested), missing (those not), shared, expected (by
    chance), p (hypergeometric, one-sided), jaccard, and found (shared over reference or top, whichever is fewer:
    scMVP's consistency where both are equally long). A mapping meets the group of the same name only.
    """
    rows = []
    for (profile, group), part in table.groupby(["profile", "group"], sort=False):
        names = reference.get(str(group)) if isinstance(reference, Mapping) else reference
        if names is None:
            continue
        wanted, tested = {str(name) for name in names}, set(part["feature"])
        first = set(part[part["score"] > 0].nlargest(top, "score")["feature"])
        rows.append((profile, group, *_met(first, wanted & tested, len(tested)), len(wanted - tested)))
    columns = ["profile", "group", "top", "reference", "shared", "expected", "p", "jaccard", "found", "missing"]
    return pd.DataFrame(rows, columns=columns)


def _met(first: set[str], wanted: set[str], tested: int) -> tuple[float, ...]:
    from scipy.stats import hypergeom

    shared, either = len(first & wanted), len(first | wanted)
    least = min(len(first), len(wanted))
    return (
        len(first),
        len(wanted),
        shared,
        len(first) * len(wanted) / max(tested, 1),
        float(hypergeom.sf(shared - 1, tested, len(wanted), len(first))),
        shared / either if either else 0.0,
        shared / least if least else 0.0,
    )
