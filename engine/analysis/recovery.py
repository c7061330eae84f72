"""How many of a label's open peaks a cell's profile finds, and at which precision: imputed, raw, and the mean profile.

A label's peaks are those open in more of the other half's cells than its average peak, by a Poisson test at a false
discovery rate of 5 %. A raw cell is one point: of the peaks counted in it, so many are the label's (precision), and so
many of the label's peaks are among them (recall). An imputed cell ranks all peaks; its recall is read where its
precision is still the raw cell's: the longest list that is as clean. The mean profile of the cell's own half is ranked
likewise. Most peaks of a label are those of every label, and the mean profile finds these; so the same is told of the
peaks that set the label apart. scMVP counts the imputed peaks found in bulk sequencing of the line; reading recall at
equal precision is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine.analysis.imputation import MEAN, SEEN, Halves, labels_of, nulls_of, overall, table_of
from engine.analysis.profiles import Profile
from engine.analysis.result import Analysis
from engine.errors import BadSetting
from engine.metrics.ranks import Doubles, Flags
from engine.types import Modality, Names

FALSE_DISCOVERY = 0.05
LEAST_OPEN = 2  # ours: cells of the other half a called peak is open in
SHARE = 0.01
POINTS = 50  # of the drawn curve, by recall
APART = 2.0  # ours: times as open as in other labels' cells
ALL, SPECIFIC = "all", "specific"
SCORES = ("recall_at_raw_precision", "average_precision", "precision", "recall")


class Ranking(NamedTuple):
    """Precision and recall after each tie of a ranking, from the highest value down; shape (t,)."""

    precision_t: Doubles
    recall_t: Doubles

    @classmethod
    def of(cls, values_f: NDArray[Any], true_f: Flags) -> Ranking:
        """Tied peaks are called together."""
        order = np.argsort(-values_f, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(values_f[order])), len(order) - 1)  # the last of each tie
        hits_t = np.cumsum(true_f[order])[ends]
        return cls(hits_t / (ends + 1), hits_t / max(int(true_f.sum()), 1))

    def recall_at(self, precision: float) -> float:
        """Of the longest list that is at least as precise; 0 where none is."""
        clean = np.flatnonzero(self.precision_t >= precision)
        return float(self.recall_t[clean[-1]]) if len(clean) else 0.0

    @property
    def average_precision(self) -> float:
        return float((self.precision_t * np.diff(self.recall_t, prepend=0.0)).sum())

    @property
    def curve(self) -> Doubles:
        """The best precision at each of POINTS recalls or beyond."""
        best_t = np.maximum.accumulate(self.precision_t[::-1])[::-1]
        at = np.searchsorted(self.recall_t, np.linspace(1 / POINTS, 1, POINTS) - 1e-12, side="left")
        return np.asarray(best_t[at])


def called_peaks(open_f: Doubles, cells: int) -> Flags:
    """Peaks open in more cells than the average peak by chance; shape (f,).

    open_f: share of `cells` cells in which each peak is open.
    """
    from scipy.stats import false_discovery_control, poisson

    count_f = np.round(open_f * cells)
    p_f = poisson.sf(count_f - 1, max(float(count_f.mean()), 1e-9))
    flags: Flags = (false_discovery_control(p_f) < FALSE_DISCOVERY) & (count_f >= LEAST_OPEN)
    return flags


def recovery(
    profiles: Mapping[str, Profile],
    raw: Profile,
    labels_n: Names,
    *,
    seed: int = 0,
    share: float = SHARE,
) -> Analysis:
    """Recall of the label's peaks at the raw cell's own precision, by cell, averaged by label and over all.

    Table recovery: as `imputation.correlation` has it, with the scores recall_at_raw_precision (for raw:
    its recall), average_precision, and for raw precision and recall, each of all peaks of the label and of its specific
    ones (column peaks). Table curve: profile, label, recall, precision (mean over cells), peaks. Table peaks: label,
    called (mean of the halves), base_rate, peaks. Raises BadSetting for genes.
    """
    if raw.modality is not Modality.ATAC:
        raise BadSetting("Genes are not recovered as peaks are.", hint="Ask this of the ATAC profiles.")
    rng = np.random.default_rng(seed)
    halves = Halves.of(raw, labels_n, rng=rng, share=share, seed=seed)
    truth = _truth(halves)
    label_n = labels_of(halves)
    tables, curves, counts, cells = [], [], [], pd.DataFrame({"label": label_n})
    for which, true_gf in truth.items():
        if not true_gf.any():
            continue
        own, curve = _scored(profiles, raw, halves, true_gf)
        tables.append(
            _table(own.assign(label=label_n), [*profiles, MEAN], nulls_of(profiles, raw), rng).assign(peaks=which)
        )
        curves.append(curve.assign(peaks=which))
        counts.append(_called(true_gf, halves).assign(peaks=which))
        cells = cells.join(own.add_prefix(f"{which} "))
    if not tables:
        raise BadSetting("No label has peaks above chance.", hint="There are too few cells, or they are too shallow.")
    table = pd.concat(tables, ignore_index=True)
    return Analysis(
        "recovery",
        {
            "recovery": table,
            "curve": pd.concat(curves, ignore_index=True),
            "peaks": pd.concat(counts, ignore_index=True),
            "cells": cells,
        },
        figures={str(which): overall(part) for which, part in table.groupby("peaks", sort=False)},
        settings={"seed": seed, "share": share, "false_discovery": FALSE_DISCOVERY, "peaks": len(halves.kept_f)},
        cautions=(*((SEEN,) if any(p.imputed for p in profiles.values()) else ()), *halves.told),
    )


def _truth(halves: Halves) -> dict[str, Flags]:
    """Each group's peaks, and those among them that are open twice as often as in the half's other labels."""
    bulk, size_g = halves.bulk_gf[:, halves.kept_f], np.bincount(halves.group_n[halves.group_n >= 0])
    called = np.stack([called_peaks(open_f, int(size)) for open_f, size in zip(bulk, size_g, strict=True)])
    apart = np.zeros_like(called)
    for group in range(len(bulk)):
        others = [g for g in range(group % 2, len(bulk), 2) if g != group]
        if others:
            rest_f = np.average(bulk[others], axis=0, weights=size_g[others])
            apart[group] = called[group] & (bulk[group] > APART * rest_f)
    return {ALL: called, SPECIFIC: apart}


def _scored(
    profiles: Mapping[str, Profile], raw: Profile, halves: Halves, true_gf: Flags
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Columns "PROFILE SCORE" of the cells, and the curves."""
    points = _raw_points(raw, halves, true_gf)
    cells = {f"{raw.name} precision": points[:, 0], f"{raw.name} recall": points[:, 1]}
    curves = []
    for name, profile in profiles.items():
        found, curve = _by_cell(profile, halves, true_gf, points[:, 0])
        cells[f"{name} {SCORES[0]}"] = found[:, 0] if profile.imputed else points[:, 1]
        cells[f"{name} {SCORES[1]}"] = found[:, 1]
        curves.append(_curve(curve, halves, name))
    found, curve = _of_mean(halves, true_gf, points[:, 0])
    cells[f"{MEAN} {SCORES[0]}"], cells[f"{MEAN} {SCORES[1]}"] = found[:, 0], found[:, 1]
    curves.append(_curve(curve, halves, MEAN))
    return pd.DataFrame(cells), pd.concat(curves, ignore_index=True)


def _table(cells: pd.DataFrame, names: list[str], against: tuple[str, ...], rng: np.random.Generator) -> pd.DataFrame:
    bounds = (0.0, 1.0)
    compared = table_of(cells, names, SCORES[:2], against, rng=rng, bounds=bounds)
    point = table_of(cells, [against[0]], SCORES[2:], (), rng=rng, bounds=bounds)
    return pd.concat([compared, point], ignore_index=True)


def _raw_points(raw: Profile, halves: Halves, true_gf: Flags) -> Doubles:
    """Precision and recall of the peaks counted in each cell, shape (n, 2); NaN for cells without any."""
    out = np.full((len(raw), 2), np.nan)
    for start, stop, rows in raw.row_blocks():
        for i in np.flatnonzero(halves.scored_n[start:stop] >= 0):
            true_f = true_gf[halves.group_n[start + i] ^ 1]
            seen_f = rows[i, halves.kept_f] > 0
            hit, positives = int((seen_f & true_f).sum()), int(true_f.sum())
            if seen_f.any() and positives:
                out[start + i] = hit / seen_f.sum(), hit / positives
    return out


def _by_cell(profile: Profile, halves: Halves, true_gf: Flags, precision_n: Doubles) -> tuple[Doubles, Doubles]:
    """Scores, shape (n, 2), and summed curves by label with the cells they are of in the last column, (labels, r+1)."""
    scores, curve = np.full((len(profile), 2), np.nan), np.zeros((len(halves.labels), POINTS + 1))
    for start, stop, rows in profile.row_blocks():
        for i in np.flatnonzero(np.isfinite(precision_n[start:stop])):
            group = int(halves.group_n[start + i])
            found = Ranking.of(rows[i, halves.kept_f], true_gf[group ^ 1])
            scores[start + i] = found.recall_at(float(precision_n[start + i])), found.average_precision
            curve[group // 2] += np.append(found.curve, 1.0)
    return scores, curve


def _of_mean(halves: Halves, true_gf: Flags, precision_n: Doubles) -> tuple[Doubles, Doubles]:
    """The same of the mean profile of the cell's own half."""
    scores, curve = np.full((len(precision_n), 2), np.nan), np.zeros((len(halves.labels), POINTS + 1))
    for group in range(len(true_gf)):
        other = group ^ 1
        if not true_gf[other].any():
            continue
        found = Ranking.of(halves.mean_hf[group % 2, halves.kept_f], true_gf[other])
        member = np.flatnonzero(np.isfinite(precision_n) & (halves.group_n == group))
        scores[member, 0] = [found.recall_at(float(precision_n[i])) for i in member]
        scores[member, 1] = found.average_precision
        curve[group // 2] += len(member) * np.append(found.curve, 1.0)
    return scores, curve


def _curve(curve_lr: Doubles, halves: Halves, name: str) -> pd.DataFrame:
    precision = curve_lr[:, :-1] / np.maximum(curve_lr[:, -1:], 1.0)
    recall = np.linspace(1 / POINTS, 1, POINTS)
    return pd.concat(
        [
            pd.DataFrame({"profile": name, "label": label, "recall": recall, "precision": precision[i]})
            for i, label in enumerate(halves.labels)
        ],
        ignore_index=True,
    )


def _called(true_gf: Flags, halves: Halves) -> pd.DataFrame:
    share_g = true_gf.mean(axis=1)
    rows = [
        (label, float(true_gf[2 * i : 2 * i + 2].sum(axis=1).mean()), float(share_g[2 * i : 2 * i + 2].mean()))
        for i, label in enumerate(halves.labels)
    ]
    return pd.DataFrame(rows, columns=["label", "called", "base_rate"])
