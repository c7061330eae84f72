"""Whether linked peaks carry more of a user's signal (a bigWig track) than peaks as far away that are not linked.

scMVP compares average ChIP signal in the peaks of raw and of imputed links, proximal and distal apart. Signal falls
with the distance to a TSS whatever is linked, so linked peaks are compared with candidates of the same distance (equal-
count bins of log distance), and the p-value is of permutations within those bins.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.errors import BadInput, MissingExtra
from engine.genome.peaks import Peaks, parse_peaks
from engine.metrics.ranks import Doubles, Flags, Integers

BINS = 10  # ours
LEAST = 5  # ours: linked peaks, and others in their bins
COLUMNS = ["profile", "kind", "linked", "unlinked", "signal", "expected", "ratio", "p"]
Signal = Callable[[list[str]], Doubles]


def bigwig_signal(path: Path) -> Signal:
    """A function from peak names to the track's mean signal over their bases, uncovered bases counting as 0.

    Chromosomes are found with or without "chr". Raises MissingExtra without pyBigWig, BadInput for another file.
    """
    library = _library()
    if not path.is_file():
        raise BadInput(f"There is no file {path}.", hint="Check the path of the track.")

    def signal(names: list[str]) -> Doubles:
        try:
            track = library.open(str(path))
        except RuntimeError as problem:
            raise _unreadable(path) from problem
        if track is None or not track.isBigWig():
            raise _unreadable(path)
        try:
            return _means(track, parse_peaks(names))
        finally:
            track.close()

    return signal


def _unreadable(path: Path) -> BadInput:
    return BadInput(f"{path.name} is no bigWig file.", hint="Give a track in bigWig format (.bw).")


def _library() -> Any:
    try:
        return import_module("pyBigWig")
    except ModuleNotFoundError as problem:
        raise MissingExtra(
            "bigWig tracks are read by pyBigWig, which is not installed here.",
            hint="Install the extra: `pip install 'crossview[tracks]'`.",
        ) from problem


def _means(track: Any, peaks: Peaks) -> Doubles:
    """shape (p,); peaks on chromosomes the track does not have get NaN"""
    sizes = track.chroms()
    spelt = [name if name in sizes else name.removeprefix("chr") for name in peaks.chroms]
    out = np.full(len(peaks), np.nan)
    for i, (code, start, end) in enumerate(zip(peaks.chrom, peaks.start.tolist(), peaks.end.tolist(), strict=True)):
        chrom = spelt[code]
        stop = min(end, sizes.get(chrom, 0))
        if start < stop:
            total = track.stats(chrom, start, stop, type="sum", exact=True)[0]
            out[i] = (total or 0.0) / (end - start)
    return out


def enrichment(
    links: pd.DataFrame, signal: Signal, *, seed: int = 0, permutations: int = 1_000, least_score: float = 0.0
) -> pd.DataFrame:
    """Signal of linked peaks over that of unlinked candidates of like distance, by profile and kind of link.

    links: profile, peak, distance, kind, score, as `lasso` and `coaccess` give them: every candidate has a row, and
    those with score above `least_score` are linked: in each profile only as many, the highest, as the profile with the
    fewest has, for imputed profiles link nearly everything a little. A peak that is a candidate of several genes counts
    once, at its nearest; it is linked when any gene links it.
    Columns: profile, kind, linked, unlinked (peaks), signal (mean of the linked), expected (of the matched), ratio, p.
    """
    rng = np.random.default_rng(seed)
    names = sorted(set(links["peak"]))
    value = dict(zip(names, signal(names), strict=True))
    rows = []
    called = links.assign(linked=_highest(links, least_score))
    for (profile, kind), part in called.groupby(["profile", "kind"], sort=False):
        peaks = part.assign(away=part["distance"].abs())
        peaks = peaks.groupby("peak").agg(linked=("linked", "any"), away=("away", "min")).reset_index()
        peaks["signal"] = peaks["peak"].map(value)
        peaks = peaks[peaks["signal"].notna()]
        rows.append((profile, kind, *_tested(peaks, rng, permutations)))
    return pd.DataFrame(rows, columns=COLUMNS)


def told(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """The ratio and its p by profile and kind, for a report: what was asked for first."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in table.to_dict(orient="records"):
        figures = {name: float(row[name]) for name in ("linked", "ratio", "p")}
        found.setdefault(str(row["profile"]), {})[str(row["kind"])] = figures
    return found


def _highest(links: pd.DataFrame, least_score: float) -> Flags:
    """The same number of links in every profile, those of the highest scores."""
    above = links["score"] > least_score
    rank = links["score"].groupby(links["profile"], sort=False).rank(method="first", ascending=False)
    fewest = int(above.groupby(links["profile"], sort=False).sum().min())
    return np.asarray(above & (rank <= fewest), dtype=bool)


def _tested(peaks: pd.DataFrame, rng: np.random.Generator, permutations: int) -> tuple[float, ...]:
    linked: Flags = peaks["linked"].to_numpy(dtype=bool)
    signal = peaks["signal"].to_numpy(dtype=np.float64)
    bin_p = _bins(np.log1p(peaks["away"].to_numpy(dtype=np.float64)))
    both = np.array([np.any(linked[bin_p == b]) and not np.all(linked[bin_p == b]) for b in bin_p], dtype=bool)
    linked, signal, bin_p = linked[both], signal[both], bin_p[both]
    counts = int(linked.sum()), int((~linked).sum())
    if min(counts) < LEAST:
        return (*counts, *(float("nan"),) * 4)
    own, expected = float(signal[linked].mean()), _expected(signal, linked, bin_p)
    drawn = [_gap(signal, _shuffled(linked, bin_p, rng), bin_p) for _ in range(permutations)]
    p = (1 + sum(gap >= own - expected for gap in drawn)) / (1 + permutations)
    return (*counts, own, expected, own / expected if expected > 0 else float("nan"), p)


def _bins(log_distance_p: Doubles) -> Integers:
    if not len(log_distance_p):
        return np.zeros(0, dtype=np.int64)
    edges = np.unique(np.quantile(log_distance_p, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(edges, log_distance_p, side="right").astype(np.int64)


def _expected(signal: Doubles, linked: Flags, bin_p: Integers) -> float:
    """Mean of the unlinked, each bin weighed by the linked peaks in it."""
    means, weights = [], []
    for b in np.unique(bin_p):
        here = bin_p == b
        means.append(signal[here & ~linked].mean())
        weights.append((here & linked).sum())
    return float(np.average(means, weights=weights))


def _gap(signal: Doubles, linked: Flags, bin_p: Integers) -> float:
    return float(signal[linked].mean()) - _expected(signal, linked, bin_p)


def _shuffled(linked: Flags, bin_p: Integers, rng: np.random.Generator) -> Flags:
    """The same number of links in every bin, on other peaks."""
    out = linked.copy()
    for b in np.unique(bin_p):
        here = np.flatnonzero(bin_p == b)
        out[here] = linked[rng.permutation(here)]
    return out
