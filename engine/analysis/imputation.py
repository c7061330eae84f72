"""Whether imputed cells look like their label: against the pseudobulk of the label's other half, by correlation.

The cells of every label are halved. A cell of one half is compared with the pseudobulk of the other half, so that no
cell is compared with itself; both halves take both parts. Beside imputed and raw stands the mean profile of all cells
of the cell's *own* half: what an imputation says that knows nothing of the cell. (That of the other half would hold the
very cells the pseudobulk is made of, and share their noise.) The specific score takes from either side the mean profile
of its half first, so that only what sets the label apart counts and the mean profile scores 0. scMVP compares with bulk
sequencing of the line; the other half's pseudobulk is ours, and needs no second assay.
A model that was trained on these cells has seen the other half's noise as well; so has the mean of its training cells,
which is why that (`joint.training_mean`) is the fair null of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.analysis.profiles import IMPUTED, Profile, coded, group_means
from engine.analysis.result import Analysis
from engine.analysis.sample import drawn
from engine.errors import BadSetting
from engine.metrics.bootstrap import deviations, interval
from engine.metrics.correlation import pearson_values, rank_values
from engine.metrics.ranks import Doubles, Integers
from engine.types import Names

MEAN = "mean"
LEAST = 20  # ours: cells of a label; a half of ten is the smallest pseudobulk
SHARE = 0.01  # features seen in fewer cells are left out, as everywhere
RESAMPLES = 500
SCORES = ("pearson", "spearman", "specific")
SEEN = "A model has seen the cells it was trained on and what else they hold: judge it on held-out cells."


@dataclass(frozen=True, eq=False)
class Halves:
    """Every label's cells in two halves.

    labels: those with enough cells. group_n: 2 × label + half of each cell, −1 for cells that are left out, shape (n,).
    scored_n: the same of the cells that are scored: of very many, some by chance.
    bulk_gf: mean raw profile of each group, shape (2 × labels, f). mean_hf: of all cells of each half, shape (2, f).
    kept_f: positions of the features that are compared.
    """

    labels: tuple[str, ...]
    group_n: Integers
    scored_n: Integers
    bulk_gf: Doubles
    mean_hf: Doubles
    kept_f: Integers

    @classmethod
    def of(
        cls, raw: Profile, labels_n: Names, *, rng: np.random.Generator, share: float = SHARE, seed: int = 0
    ) -> Halves:
        """seed: of the cells that are scored. Raises BadSetting where no label has enough cells."""
        kinds, codes_n = coded(labels_n)
        enough = [i for i in range(len(kinds)) if int((codes_n == i).sum()) >= LEAST]
        if not enough:
            raise BadSetting(
                f"No label has {LEAST} cells.", hint="Choose a column of labels that many cells share for --label."
            )
        group_n = np.full(len(codes_n), -1, dtype=np.int64)
        for place, i in enumerate(enough):
            member = rng.permutation(np.flatnonzero(codes_n == i))
            group_n[member] = 2 * place + (np.arange(len(member)) % 2)
        bulk_gf = group_means(raw, group_n, 2 * len(enough))
        size_g = np.bincount(group_n[group_n >= 0], minlength=len(bulk_gf)).astype(np.float64)
        mean_hf = np.stack([np.average(bulk_gf[h::2], axis=0, weights=size_g[h::2]) for h in (0, 1)])
        seen_f = _seen(raw, group_n)
        kept_f = np.flatnonzero(seen_f >= max(2.0, share * size_g.sum()))
        if len(kept_f) < 3:
            raise BadSetting("Hardly any feature is seen in these cells.", hint="Check that the files hold counts.")
        scored_n = np.full(len(group_n), -1, dtype=np.int64)
        chosen = drawn(len(group_n), seed)
        scored_n[chosen] = group_n[chosen]
        return cls(tuple(kinds[i] for i in enough), group_n, scored_n, bulk_gf, mean_hf, kept_f)

    @property
    def told(self) -> tuple[str, ...]:
        """A caution where not every cell is scored."""
        scored, every = int((self.scored_n >= 0).sum()), int((self.group_n >= 0).sum())
        if scored == every:
            return ()
        return (f"{scored:,} of {every:,} cells were scored, drawn by chance; pseudobulks are made of all.",)

    def other(self, group: int) -> int:
        """The other half of the same label."""
        return group ^ 1


def _seen(raw: Profile, group_n: Integers) -> Doubles:
    """In how many of the used cells each feature is more than zero, shape (f,)."""
    seen_f = np.zeros(len(raw.names))
    for start, stop, rows in raw.row_blocks():
        seen_f += (rows[group_n[start:stop] >= 0] > 0).sum(axis=0)
    return seen_f


def correlation(
    profiles: Mapping[str, Profile],
    raw: Profile,
    labels_n: Names,
    *,
    seed: int = 0,
    share: float = SHARE,
) -> Analysis:
    """Correlations over features of each cell with the pseudobulk of its label's other half.

    Scores: pearson, spearman, and specific (Pearson after the mean profile was taken from both).

    profiles: what is compared, by name; raw: what pseudobulks are made of. Table correlation: label ("" for all cells),
    profile (the mean profile among them), score, cells, value (mean over cells), low, high (95 % over cells), and where
    a profile is compared with raw and with the nulls, gain_over_… with its interval. Table cells: each cell's.
    """
    rng = np.random.default_rng(seed)
    halves = Halves.of(raw, labels_n, rng=rng, share=share, seed=seed)
    cells = pd.DataFrame({"label": labels_of(halves)})
    for name, profile in profiles.items():
        for score, values in _by_cell(profile, halves).items():
            cells[f"{name} {score}"] = values
    for score, values in _of_mean(halves).items():
        cells[f"{MEAN} {score}"] = values
    names = [*profiles, MEAN]
    table = table_of(cells, names, SCORES, nulls_of(profiles, raw), rng=rng, bounds=(-1.0, 1.0))
    return Analysis(
        f"correlation.{raw.modality.value}",
        {"correlation": table, "cells": cells},
        figures=overall(table),
        settings={"seed": seed, "share": share, "features": len(halves.kept_f), "labels": list(halves.labels)},
        cautions=(*((SEEN,) if any(p.imputed for p in profiles.values()) else ()), *halves.told),
    )


def nulls_of(profiles: Mapping[str, Profile], raw: Profile) -> tuple[str, ...]:
    """What gains are told over: raw cells, the mean profile, and other nulls that stand among the profiles."""
    return tuple(dict.fromkeys((raw.name, MEAN, *(name for name in profiles if name != IMPUTED))))


def labels_of(halves: Halves) -> list[str]:
    """The label of each cell that is scored, "" of the others."""
    return [halves.labels[g // 2] if g >= 0 else "" for g in halves.scored_n]


def _by_cell(profile: Profile, halves: Halves) -> dict[str, Doubles]:
    """Both correlations of each used cell, NaN for the others, shape (n,) each."""
    out = {score: np.full(len(profile), np.nan) for score in SCORES}
    bulk, mean = halves.bulk_gf[:, halves.kept_f], halves.mean_hf[:, halves.kept_f]
    ranked, apart = rank_values(bulk), bulk - mean[np.arange(len(bulk)) % 2]
    for start, stop, rows in profile.row_blocks():
        used = np.flatnonzero(halves.scored_n[start:stop] >= 0)
        if not len(used):
            continue
        other = halves.scored_n[start + used] ^ 1
        values = rows[used][:, halves.kept_f].astype(np.float64)
        # A constant profile has no correlation: it counts as none.
        out["pearson"][start + used] = np.nan_to_num(pearson_values(values, bulk[other]))
        out["spearman"][start + used] = np.nan_to_num(pearson_values(rank_values(values), ranked[other]))
        out["specific"][start + used] = np.nan_to_num(pearson_values(values - mean[1 - other % 2], apart[other]))
    return out


def _of_mean(halves: Halves) -> dict[str, Doubles]:
    """The same of the mean profile of the cell's own half."""
    bulk, mean = halves.bulk_gf[:, halves.kept_f], halves.mean_hf[:, halves.kept_f]
    spread = mean[1 - np.arange(len(bulk)) % 2]  # of the half that meets this pseudobulk
    found = {
        "pearson": np.nan_to_num(pearson_values(spread, bulk)),
        "spearman": np.nan_to_num(pearson_values(rank_values(spread), rank_values(bulk))),
        "specific": np.zeros(len(bulk)),
    }
    used = halves.scored_n >= 0
    return {
        score: np.where(used, value[np.where(used, halves.scored_n ^ 1, 0)], np.nan) for score, value in found.items()
    }


def table_of(
    cells: pd.DataFrame,
    names: list[str],
    scores: tuple[str, ...],
    against: tuple[str, ...],
    *,
    rng: np.random.Generator,
    bounds: tuple[float, float],
) -> pd.DataFrame:
    """Means over the cells of each label and of all, with bootstrap intervals; gains are paired by cell.

    cells: a column "label" and one "NAME SCORE" a profile and score; rows without a label are left out.
    """
    rows = []
    labels = cells["label"].to_numpy(dtype=object)
    for label in ("", *sorted(set(labels) - {""})):
        member = cells[labels == label] if label else cells[labels != ""]
        for score in scores:
            own = {name: member[f"{name} {score}"].to_numpy(dtype=np.float64) for name in names}
            for name, values in own.items():
                row = {"label": label, "profile": name, "score": score, "cells": len(member)}
                row |= _mean(values, rng, bounds, ("value", "low", "high"))
                for other in against:
                    if other != name and other in own:
                        keys = (f"gain_over_{other}", f"gain_over_{other}_low", f"gain_over_{other}_high")
                        row |= _mean(values - own[other], rng, (-np.inf, np.inf), keys)
                rows.append(row)
    return pd.DataFrame(rows)


def _mean(
    values: Doubles, rng: np.random.Generator, bounds: tuple[float, float], keys: tuple[str, str, str]
) -> dict[str, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return dict.fromkeys(keys, float("nan"))
    mean = float(known.mean())
    draws = deviations((known[:, None] - mean) / len(known), rng=rng, resamples=RESAMPLES)[:, 0]
    return dict(zip(keys, (mean, *interval(mean, draws, bounds=bounds)), strict=True))


def overall(table: pd.DataFrame, pick: Callable[[str], bool] = lambda score: True) -> dict[str, dict[str, float]]:
    """The values over all cells: score → profile → value."""
    out: dict[str, dict[str, float]] = {}
    for row in table[table["label"] == ""].to_dict(orient="records"):
        if pick(str(row["score"])):
            out.setdefault(str(row["score"]), {})[str(row["profile"])] = float(row["value"])
    return out
