"""Peaks that open together: Cicero's co-accessibility, written from its paper (Pliner et al. 2018, Mol Cell 71:858).

Accessibility of groups of similar cells (`metacells`) is divided by each group's total. In windows of 500 kb, each half
over the next, the covariance of the peaks is estimated by the graphical lasso with the penalty
ρ_ij = α·(1 − (1 kb / d_ij)^s), s = 0.75: far pairs pay more, as contacts of a polymer grow rare. α is the mean over
sampled windows of the least penalty that leaves at most 5 % of the pairs beyond 250 kb and at most 80 % of all pairs
non-zero. Scores are correlations of the estimated covariance; a pair seen in two windows takes the mean where both
agree in sign, and 0 where not. The one existing port to Python, circe-py 0.4.0, is GPL-3 and could not be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from engine.analysis.glasso import graphical_lasso
from engine.analysis.nearby import Nearby, centres, promoters
from engine.analysis.profiles import Profile
from engine.analysis.result import Analysis
from engine.errors import BadInput
from engine.genome.peaks import Peaks, parse_peaks
from engine.metrics.ranks import Doubles, Integers

Say = Callable[[str], None]
COLUMNS = ["profile", "peak_1", "peak_2", "distance", "score"]
LINKS = ["profile", "gene", "peak", "distance", "kind", "score"]


@dataclass(frozen=True)
class CoaccessSettings:
    """Of Pliner et al. 2018 unless said: bases, shares, and the exponent for human and mouse."""

    window: int = 500_000
    constraint: int = 250_000
    beyond: float = 0.05
    filled: float = 0.8
    exponent: float = 0.75
    unit: int = 1_000
    sampled: int = 100
    most_peaks: int = 200  # in a window; denser ones are left out, and counted
    least_share: float = 0.01  # ours: of groups a peak is open in, by the mean over groups
    seed: int = 0


def coaccessibility(
    profiles: Mapping[str, Profile],
    *,
    near: Nearby | None = None,
    settings: CoaccessSettings = CoaccessSettings(),
    say: Say = lambda line: None,
) -> Analysis:
    """Pairs of peaks that open together in each profile (of metacells), and through promoters the genes they may serve.

    Table pairs: profile, peak_1, peak_2, distance, score; pairs of score 0 are left out. Table links, with `near`:
    profile, gene, peak, distance, kind (distal, or proximal where the peak is another of the promoter), score: the
    strongest to a peak of the gene's promoter. Raises BadInput where fewer than two peaks share a window.
    """
    tables, links, alphas, dense = [], [], {}, {}
    for name, profile in profiles.items():
        found = _of_profile(profile, settings, say)
        alphas[name], dense[name] = found.alpha, found.dense
        tables.append(found.table.assign(profile=name)[COLUMNS])
        if near is not None:
            links.append(_links(found, near).assign(profile=name)[LINKS])
    pairs = pd.concat(tables, ignore_index=True)
    out = {"pairs": pairs}
    if near is not None:
        out["links"] = pd.concat(links, ignore_index=True)
    imputed = any(profile.imputed for profile in profiles.values())
    return Analysis(
        "coaccess",
        out,
        figures={
            "pairs": pairs.groupby("profile", sort=False).size().to_dict(),
            "positive": pairs[pairs["score"] > 0].groupby("profile", sort=False).size().to_dict(),
            "alpha": alphas,
            "dense_windows_left_out": dense,
        },
        settings=asdict(settings),
        cautions=("Imputed peaks share one latent: many pairs open together by construction.",) if imputed else (),
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """first, second: positions of peaks, shape (m,); score: not 0. table: the same with names and distances."""

    first: Integers
    second: Integers
    score: Doubles
    table: pd.DataFrame
    alpha: float
    dense: int


def _of_profile(profile: Profile, settings: CoaccessSettings, say: Say) -> _Found:
    peaks = parse_peaks([str(name) for name in profile.names])
    total_n, kept = _totals(profile, settings)
    windows = list(_windows(peaks, kept, settings))
    usable = [window for window in windows if len(window) <= settings.most_peaks]
    if not usable:
        raise BadInput(
            "No window of 500 kb holds two peaks that are open often enough.",
            hint="Peaks of the whole genome are needed, or lower the share with least_share.",
        )
    centre = centres(peaks)

    def covariance(window: Integers) -> Doubles:
        values = profile.columns(window).astype(np.float64) / total_n[:, None]
        spread = values.std(axis=0)
        return np.asarray(np.cov(values / np.where(spread > 0, spread, 1.0), rowvar=False))

    rng = np.random.default_rng(settings.seed)
    alpha = _alpha(usable, covariance, centre, settings, rng)
    sums: dict[tuple[int, int], list[float]] = {}
    for i, window in enumerate(usable):
        _add(sums, window, _scores(covariance(window), alpha * _penalty(centre[window], settings)))
        if (i + 1) % 200 == 0 or i + 1 == len(usable):
            say(f"Co-accessibility of {i + 1:,} of {len(usable):,} windows on {profile.name} cells")
    return _reconciled(sums, profile, centre, alpha, len(windows) - len(usable))


def _totals(profile: Profile, settings: CoaccessSettings) -> tuple[Doubles, Integers]:
    """Each row's total over the mean total, and the peaks that are open often enough."""
    total_n, mean_f = np.zeros(len(profile)), np.zeros(len(profile.names))
    for start, stop, rows in profile.row_blocks():
        total_n[start:stop] = rows.sum(axis=1, dtype=np.float64)
        mean_f += rows.sum(axis=0, dtype=np.float64) / len(profile)
    return np.maximum(total_n / max(float(total_n.mean()), 1e-12), 1e-6), np.flatnonzero(mean_f >= settings.least_share)


def _windows(peaks: Peaks, kept: Integers, settings: CoaccessSettings) -> Iterator[Integers]:
    """Positions of the kept peaks in each window that holds two or more, from left to right."""
    centre, step = centres(peaks), settings.window // 2
    for chrom in np.unique(peaks.chrom[kept]):
        own = kept[peaks.chrom[kept] == chrom]
        own = own[np.argsort(centre[own], kind="stable")]
        place = centre[own]
        before: tuple[int, int] | None = None
        for start in range(int(place[0]) // step * step - step, int(place[-1]) + 1, step):
            low, high = np.searchsorted(place, [start, start + settings.window])
            if high - low > 1 and (low, high) != before:
                before = (int(low), int(high))
                yield own[low:high]


def _penalty(centre_p: Integers, settings: CoaccessSettings) -> Doubles:
    """1 − (unit / d)^s, shape (p, p); nothing within one unit."""
    distance = np.maximum(np.abs(centre_p[:, None] - centre_p[None, :]), settings.unit)
    return np.asarray(1 - (settings.unit / distance) ** settings.exponent)


def _scores(covariance: Doubles, penalty: Doubles) -> Doubles:
    """Correlations of the penalised covariance; a pair without a partial correlation has what its path gives."""
    found = graphical_lasso(covariance, penalty).covariance
    scale = np.sqrt(np.maximum(np.diag(found), 1e-12))
    score = found / np.outer(scale, scale)
    return np.where(np.abs(score) < 1e-3, 0.0, score)  # below the solver's own accuracy


def _alpha(
    windows: list[Integers],
    covariance: Callable[[Integers], Doubles],
    centre: Integers,
    settings: CoaccessSettings,
    rng: np.random.Generator,
) -> float:
    """Mean over sampled windows of the least penalty that keeps far pairs apart."""
    chosen = rng.permutation(len(windows))[: settings.sampled]
    found = [_least_penalty(covariance(windows[i]), centre[windows[i]], settings) for i in chosen]
    known = [alpha for alpha in found if alpha is not None]
    return float(np.mean(known)) if known else 0.1  # ours, where no window reaches beyond the constraint


def _least_penalty(covariance: Doubles, centre_p: Integers, settings: CoaccessSettings) -> float | None:
    """By halving, within 0 … 2; None for a window that has no far pair."""
    upper = np.triu_indices(len(centre_p), 1)
    far = (np.abs(centre_p[:, None] - centre_p[None, :]) > settings.constraint)[upper]
    if not far.any():
        return None
    weight = _penalty(centre_p, settings)
    low, high = 0.0, 2.0
    for _ in range(8):
        middle = (low + high) / 2
        linked = graphical_lasso(covariance, middle * weight).theta[upper] != 0
        sparse = linked[far].mean() <= settings.beyond and linked.mean() <= settings.filled
        low, high = (low, middle) if sparse else (middle, high)
    return high


def _add(sums: dict[tuple[int, int], list[float]], window: Integers, score: Doubles) -> None:
    for i, j in zip(*np.triu_indices(len(window), 1), strict=True):
        sums.setdefault((int(window[i]), int(window[j])), []).append(float(score[i, j]))


def _reconciled(
    sums: dict[tuple[int, int], list[float]], profile: Profile, centre: Integers, alpha: float, dense: int
) -> _Found:
    """One score a pair: the mean of windows that agree in sign, nothing where they do not."""
    rows = [
        (i, j, float(np.mean(scores)))
        for (i, j), scores in sums.items()
        if all(s > 0 for s in scores) or all(s < 0 for s in scores)
    ]
    first, second = (np.array([row[k] for row in rows], dtype=np.int64) for k in (0, 1))
    score = np.array([row[2] for row in rows], dtype=np.float64)
    table = pd.DataFrame(
        {
            "peak_1": profile.names[first],
            "peak_2": profile.names[second],
            "distance": np.abs(centre[second] - centre[first]),
            "score": score,
        }
    )
    return _Found(first, second, score, table, alpha, dense)


def _links(found: _Found, near: Nearby) -> pd.DataFrame:
    """The strongest score of each nearby peak with a promoter peak of the gene; every pair within reach has a row."""
    own = promoters(near)
    at_promoter: dict[int, list[int]] = {}
    for gene, peak in zip(own.gene.tolist(), own.peak.tolist(), strict=True):
        at_promoter.setdefault(gene, []).append(peak)
    known: dict[tuple[int, int], float] = {}
    for i, j, score in zip(found.first.tolist(), found.second.tolist(), found.score.tolist(), strict=True):
        known[i, j] = known[j, i] = score
    score = np.zeros(len(near))
    asked = np.zeros(len(near), dtype=bool)
    for m, (gene, peak) in enumerate(zip(near.gene.tolist(), near.peak.tolist(), strict=True)):
        others = [p for p in at_promoter.get(gene, ()) if p != peak]
        asked[m] = bool(others)
        score[m] = max((known.get((peak, p), 0.0) for p in others), default=0.0)
    return near.table().assign(score=score)[asked].reset_index(drop=True)
